"""Traces on disk."""

import numpy as np
import pytest

import gradopt
from gradopt import optimize, trace
from gradopt.problems import Traced

from traces import logistic_loss


class TestSaving:
    def problem(self, rng):
        X, y = rng.normal(size=(20, 3)), np.sign(rng.normal(size=20))
        return trace(
            lambda w, X, y, c: logistic_loss(w, X, y, c) + np.sum(np.cumsum(w)[np.array([0, 2])]) + np.max(w),
            np.ones(3),
            (X, y, 0.1),
        )

    def test_the_problem_comes_back_with_the_result(self, rng, tmp_path):
        problem, path = self.problem(rng), tmp_path / "run.npz"
        result = optimize(problem, max_iter=5)
        result.save(path)
        loaded = gradopt.load(path)
        assert isinstance(loaded.problem, Traced)
        w = rng.normal(size=3)
        assert loaded.problem.value_and_grad(w)[1].tolist() == problem.value_and_grad(w)[1].tolist()
        further = optimize(loaded.problem, state=loaded.state, max_iter=5)
        assert further.x.tolist() == optimize(problem, state=result.state, max_iter=5).x.tolist()
        X, y = rng.normal(size=(20, 3)), np.ones(20)
        assert loaded.problem.with_args(X, y, 0.1).value(w) == problem.with_args(X, y, 0.1).value(w)

    def test_other_arguments_are_saved(self, rng, tmp_path):
        problem = self.problem(rng).with_args(np.ones((20, 3)), np.ones(20), 0.1)
        optimize(problem, max_iter=2).save(tmp_path / "run.npz")
        assert gradopt.load(tmp_path / "run.npz").problem.value(np.zeros(3)) == problem.value(np.zeros(3))

    @pytest.mark.parametrize(
        "change",
        [
            lambda facts, arrays: facts["paths"][0]["nodes"][1].__setitem__(3, [40, [1]]),
            lambda facts, arrays: facts["paths"][0]["nodes"][-1].__setitem__(1, [99]),
            lambda facts, arrays: facts["paths"][0]["nodes"][-1].__setitem__(0, "system"),
            lambda facts, arrays: facts["paths"][0]["nodes"][-1].__setitem__(2, [3]),
            lambda facts, arrays: arrays.__setitem__("x0", np.zeros(7)),
        ],
    )
    def test_no_file_makes_the_machine_read_elsewhere(self, change):
        facts, arrays = trace(lambda x: np.sum(x[1:] * x[:-1]), np.zeros(4)).described()
        assert Traced.made(facts, arrays).value([1.0, 2.0, 3.0, 4.0]) == 20.0
        change(facts, arrays)
        with pytest.raises((ValueError, IndexError)):
            Traced.made(facts, arrays)
