"""Chunks, callbacks and resumed runs: the same bits as a run in one piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradopt
from gradopt import SGD, InverseTimeDecay, Status, every, optimize, problems

RNG = np.random.default_rng(5)
PROBLEMS = {
    "in registers": (problems.Rosenbrock(), 1e-3),
    "in arrays": (problems.Rosenbrock(n=9), 5e-4),
    "a fit": (problems.PolynomialFit(RNG.normal(size=50), RNG.normal(size=50), 2, "huber"), 0.05),
}
methods = st.builds(
    lambda rate, momentum, nesterov, decay: (rate, momentum, nesterov and momentum > 0, decay),
    st.floats(0.1, 1.0),
    st.sampled_from([0.0, 0.5, 0.9]),
    st.booleans(),
    st.sampled_from([0.0, 0.01]),
)


def run(name, method, steps, **arguments):
    problem, rate = PROBLEMS[name]
    factor, momentum, nesterov, weight_decay = method
    sgd = SGD(InverseTimeDecay(rate * factor, 0.01), momentum, 0.0, nesterov, weight_decay)
    if "state" not in arguments:
        arguments["method"] = sgd
    return optimize(problem, max_iter=steps, gtol=0, **arguments)


def assert_same(one, other):
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.jac, other.jac)
    np.testing.assert_array_equal(one.best_x, other.best_x)
    np.testing.assert_array_equal(one.state.slots, other.state.slots)
    assert (one.fun, one.best_fun, one.nit) == (other.fun, other.best_fun, other.nit)


def ignore(x):
    pass


@pytest.mark.parametrize("name", PROBLEMS)
@given(
    method=methods, steps=st.integers(1, 80), chunk=st.integers(1, 30), record=st.sampled_from(["scalars", "x", None])
)
def test_chunks_change_nothing(name, method, steps, chunk, record):
    whole = run(name, method, steps)
    pieces = run(name, method, steps, callback=every(chunk, ignore), record=record)
    assert_same(whole, pieces)
    assert pieces.nfev == whole.nfev == steps + 1
    if record is not None:
        for column in ("nit", "fun", "learning_rate", "grad_norm"):
            np.testing.assert_array_equal(whole.history[column], pieces.history[column])


@pytest.mark.parametrize("name", PROBLEMS)
@given(method=methods, first=st.integers(0, 50), second=st.integers(0, 50))
def test_resumed_is_uninterrupted(name, method, first, second):
    whole = run(name, method, first + second)
    begun = run(name, method, first)
    for _ in range(2):  # a state can be used twice
        resumed = run(name, method, second, state=begun.state)
        assert_same(whole, resumed)
        assert resumed.nfev == second + 1
        np.testing.assert_array_equal(resumed.history.nit, np.arange(first, first + second + 1))
        np.testing.assert_array_equal(resumed.history.fun, whole.history.fun[first:])


def test_a_state_may_get_other_settings_of_the_same_method():
    begun = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=10)
    resumed = optimize(problems.Rosenbrock(), method=SGD(1e-4, momentum=0.9), state=begun.state, max_iter=10)
    assert resumed.nit == 20
    assert resumed.state.method == SGD(1e-4, momentum=0.9)
    assert begun.state.method == SGD(1e-3)


def test_a_state_on_another_objective_forgets_the_old_best():
    begun = optimize(problems.Rosenbrock(b=1.0), method=SGD(0.1), max_iter=500)
    resumed = optimize(problems.Rosenbrock(a=3.0, b=1.0), state=begun.state, max_iter=5)
    assert resumed.best_fun == resumed.history.fun.min()
    assert resumed.best_fun > begun.best_fun


def test_a_diverged_run_can_be_taken_up_with_a_smaller_rate():
    problem = problems.Rosenbrock()
    diverged = optimize(problem, [-1.2, 1.0], method=SGD(0.006, momentum=0.9), max_iter=1000)
    assert diverged.status is Status.NON_FINITE
    resumed = optimize(problem, method=SGD(0.0), state=diverged.state, max_iter=1)
    assert np.isfinite(resumed.fun)


@pytest.mark.parametrize(
    ("problem", "arguments", "error", "message"),
    [
        (problems.Rosenbrock(n=3), {}, ValueError, "state.x must have 3 elements for Rosenbrock.*, got 2"),
        (problems.Rosenbrock(), {"x0": [1.0, 1.0]}, ValueError, "x0 can't be given together with a state"),
        (problems.Rosenbrock(), {"method": "adam"}, ValueError, "method must be SGD, as in the state"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(problem, arguments, error, message):
    state = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=3).state
    with pytest.raises(error, match=message):
        optimize(problem, state=state, **arguments)


def test_state_prints_where_it_stands():
    state = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=3).state
    assert str(state).startswith("State(after 3 updates by SGD(")


class TestCallbacks:
    problem = problems.Quadratic(2.0)

    def run(self, callback, **arguments):
        return optimize(self.problem, method=SGD(0.1), callback=callback, **({"max_iter": 10} | arguments))

    def test_gets_the_result_after_every_update(self):
        seen = []
        result = self.run(lambda intermediate_result: seen.append(intermediate_result))
        assert [r.nit for r in seen] == list(range(1, 11))
        assert [r.fun for r in seen] == result.history.fun[1:].tolist()
        assert len({id(r.x) for r in seen}) == 10
        np.testing.assert_array_equal(seen[3].jac, self.problem.grad(seen[3].x))

    def test_or_a_copy_of_x_if_its_parameter_has_another_name(self):
        seen = []
        result = self.run(seen.append)
        assert len(seen) == 10
        np.testing.assert_array_equal(seen[-1], result.x)
        assert len({x.item() for x in seen}) == 10

    def test_every_and_lists(self):
        calls = {"a": [], "b": []}
        self.run(
            [
                every(3, lambda intermediate_result: calls["a"].append(intermediate_result.nit)),
                every(4, lambda intermediate_result: calls["b"].append(intermediate_result.nit)),
            ]
        )
        assert calls == {"a": [3, 6, 9], "b": [4, 8]}

    @pytest.mark.parametrize("stop", ["true", "numpy true", "StopIteration"])
    def test_can_stop_the_run(self, stop):
        def callback(intermediate_result):
            if intermediate_result.nit == 4:
                if stop == "StopIteration":
                    raise StopIteration
                return True if stop == "true" else np.True_
            return None

        result = self.run(callback)
        assert (result.status, result.nit, result.success) == (Status.CALLBACK, 4, False)

    def test_a_stop_test_comes_before_the_callback(self):
        result = self.run(lambda x: True, gtol=10.0, max_iter=5)
        assert result.status is Status.GTOL
        result = self.run(lambda x: x[0] < 0.5, target=0.3)
        assert result.status in (Status.TARGET, Status.CALLBACK)

    def test_errors_come_through(self):
        def callback(x):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            self.run(callback)

    def test_changing_what_it_gets_changes_nothing(self):
        def vandal(intermediate_result):
            intermediate_result.x[:] = 99.0
            intermediate_result.jac[:] = 99.0

        np.testing.assert_array_equal(self.run(vandal).x, self.run(None).x)

    @pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError), ("2", TypeError)])
    def test_every_checks_n(self, n, error):
        with pytest.raises(error, match="^n must be an integer"):
            every(n, ignore)

    def test_every_checks_the_callback(self):
        with pytest.raises(TypeError, match="callback must be callable, got 7"):
            every(2, 7)


def test_progress_bar(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed: the bar is not checked")
    result = optimize(problems.Quadratic(2.0), method=SGD(0.1), max_iter=10, gtol=0, progress=True)
    shown = capsys.readouterr().err
    assert "10/10" in shown
    assert "rate=0.1" in shown
    np.testing.assert_array_equal(result.x, optimize(problems.Quadratic(2.0), method=SGD(0.1), max_iter=10, gtol=0).x)


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"gradopt\[progress\]"):
        optimize(problems.Quadratic(2.0), method=SGD(0.1), progress=True)


def test_the_result_is_not_tied_to_the_run():
    result = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=5)
    expected = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=10).x
    result.x[:] = result.best_x[:] = result.jac[:] = 0.0
    np.testing.assert_array_equal(optimize(problems.Rosenbrock(), state=result.state, max_iter=5).x, expected)


def test_version():
    assert gradopt.__version__
