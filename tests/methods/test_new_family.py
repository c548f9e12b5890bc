"""A family of methods that the package does not know: its loop and its method stand in coordinate_search.py."""

import numpy as np
import pytest

import gradopt
from gradopt import Status, optimize, problems
from gradopt.extend import Method, config

from coordinate_search import CoordinateSearch
from marks import compiled_only

BOWL = problems.Quadratic(np.diag([1.0, 3.0, 0.5]), np.array([1.0, 1.0, -1.0]))
MINIMIZER = [1.0, 1 / 3, -2.0]


def kinked(x):
    return np.sum(np.abs(x - np.array([0.5, -1.0])))


def test_it_minimises_problems_and_functions():
    result = optimize(BOWL, np.zeros(3), method=CoordinateSearch(), xtol=1e-7)
    np.testing.assert_allclose(result.x, MINIMIZER, atol=1e-6)
    assert (result.status, result.success) == (Status.XTOL, True)
    np.testing.assert_allclose(optimize(kinked, [3.0, 3.0], method="coordinatesearch", xtol=1e-7).x, [0.5, -1.0])


@compiled_only
def test_it_minimises_what_can_not_be_compiled():
    result = optimize(lambda x: float(format(x[0] ** 2, ".9f")), [1.0], method=CoordinateSearch(), xtol=1e-3)
    assert abs(result.x[0]) < 1e-3


def test_its_limits_are_those_of_its_record():
    result = optimize(BOWL, np.zeros(3), method=CoordinateSearch(shrink=0.999999), xtol=1e-300)
    assert (result.status, result.nit) == (Status.MAX_ITER, CoordinateSearch.loop.max_iter)
    for setting in ({"clip_norm": 1.0}, {"bounds": [(0, 1)] * 3}, {"recover": gradopt.RetryFromBest()}):
        with pytest.raises(ValueError, match=f"{next(iter(setting))} "):
            optimize(BOWL, np.zeros(3), method=CoordinateSearch(), **setting)
    fit = problems.PolynomialFit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], degree=1)
    with pytest.raises(ValueError, match="method that takes batches"):
        optimize(fit, [0.0, 0.0], method=CoordinateSearch(), batch_size=2)
    with pytest.raises(TypeError, match="can't be used inside compiled code"):
        gradopt.compiled(CoordinateSearch())


def test_callbacks_see_every_sweep_and_change_nothing():
    seen = []
    plain = optimize(BOWL, np.zeros(3), method=CoordinateSearch(), max_iter=30)
    watched = optimize(
        BOWL, np.zeros(3), method=CoordinateSearch(), max_iter=30, callback=lambda x: seen.append(x), record="x"
    )
    np.testing.assert_array_equal(plain.x, watched.x)
    np.testing.assert_array_equal(watched.history.x[1:], seen)
    np.testing.assert_array_equal(plain.history.fun, watched.history.fun)
    assert (np.diff(plain.history.fun) <= 0).all()


def test_a_state_goes_on_and_is_saved(tmp_path):
    begun = optimize(BOWL, np.zeros(3), method=CoordinateSearch(0.3), max_iter=11)
    begun.save(tmp_path / "run.npz")
    further = optimize(BOWL, state=gradopt.load(tmp_path / "run.npz").state, max_iter=9)
    whole = optimize(BOWL, np.zeros(3), method=CoordinateSearch(0.3), max_iter=20)
    np.testing.assert_array_equal(further.x, whole.x)
    assert further.nit == 20
    assert further.state.method == CoordinateSearch(0.3)


def test_a_method_without_a_loop_is_named():
    @config
    class Loopless(Method):
        rate: float = 0.1

    with pytest.raises(TypeError, match="Loopless has no loop: set `loop` in its class to a gradopt.extend.Loop"):
        optimize(BOWL, np.zeros(3), method=Loopless())
