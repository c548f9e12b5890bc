"""optimize: results, stop tests, history, hostile arguments."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradopt
from gradopt import SGD, Adam, InverseTimeDecay, OptimizeResult, Status, optimize, problems
from gradopt.extend import config, value_and_grad

from marks import compiled_only, named, private_numba

VALLEY = problems.Rosenbrock(b=1.0)
BOWL = problems.Quadratic(2.0)  # x**2


def descend(rate=0.1, **arguments):
    return optimize(VALLEY, [2.0, 2.0], **({"method": SGD(rate), "max_iter": 100, "gtol": 0} | arguments))


@pytest.mark.parametrize(
    ("rate", "x", "fun"),
    [
        (0.1, (1.0088382, 1.0213919), 9.134450e-05),
        (0.2, (0.7407781, 0.8923244), 0.1852378),
        (InverseTimeDecay(0.2, 0.01), (0.9976260, 0.9942727), 6.606021e-06),
    ],
)
def test_known_figures(rate, x, fun):
    result = descend(rate)
    np.testing.assert_allclose(result.x, x, rtol=1e-7)
    assert result.fun == pytest.approx(fun, rel=1e-6)
    assert (result.nit, result.nfev, result.njev) == (100, 101, 101)


def test_result_belongs_together():
    result = descend()
    assert isinstance(result, OptimizeResult)
    value, grad = VALLEY.value_and_grad(result.x)
    assert result.fun == value
    np.testing.assert_array_equal(result.jac, grad)
    assert result.best_fun == VALLEY.value(result.best_x) == result.history.fun.min()
    assert result.status is Status.MAX_ITER
    assert not result.success
    assert "max_iter=100" in result.message
    assert str(result).startswith("no success, MAX_ITER: ")
    assert " 9.13" in str(result)
    assert not result.compile_time < 0.0


@pytest.mark.parametrize("n", [2, 6])
def test_best_is_kept_where_the_run_goes_on_and_rises(n):
    problem = problems.Rosenbrock(b=1.0, n=n)
    result = optimize(problem, np.full(n, 2.0), method=SGD(0.2), max_iter=300, gtol=0, record="x")
    lowest = int(np.argmin(result.history.fun))
    assert lowest < 300
    assert result.best_fun == result.history.fun[lowest]
    np.testing.assert_array_equal(result.best_x, result.history.x[lowest])


def test_history():
    result = descend(InverseTimeDecay(0.2, 0.01), record="x")
    history = result.history
    assert len(history) == 101
    assert list(history) == ["nit", "fun", "learning_rate", "grad_norm", "x"]
    np.testing.assert_array_equal(history.nit, np.arange(101))
    np.testing.assert_allclose(history.learning_rate, 0.2 / (1 + 0.01 * np.arange(101)), rtol=1e-15)
    assert history.fun[-1] == result.fun
    np.testing.assert_array_equal(history["x"][-1], result.x)
    for row in (0, 57, 100):
        value, grad = VALLEY.value_and_grad(history.x[row])
        assert history.fun[row] == value
        assert history.grad_norm[row] == pytest.approx(np.linalg.norm(grad), rel=1e-15)


def test_history_to_frame():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: to_frame is not checked")
    frame = descend(record="x").history.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame) == ["nit", "fun", "learning_rate", "grad_norm", "x0", "x1"]
    assert len(frame) == 101


def test_record_none_keeps_nothing_and_changes_nothing():
    result = descend(record=None)
    assert len(result.history) == 0
    np.testing.assert_array_equal(result.x, descend().x)


@pytest.mark.parametrize(
    ("tests", "status"),
    [
        ({"gtol": 1e-3}, Status.GTOL),
        ({"ftol": 1e-4}, Status.FTOL),
        ({"xtol": 1e-3}, Status.XTOL),
        ({"target": 0.01}, Status.TARGET),
        ({"target": 0.01, "gtol": 10.0}, Status.GTOL),  # holds at the start already
        ({"target": 10.0, "gtol": 100.0, "ftol": 1.0, "xtol": 1.0}, Status.TARGET),
        ({"gtol": 0.5, "ftol": 1.0, "xtol": 1.0}, Status.FTOL),
    ],
)
def test_stop_tests(tests, status):
    result = descend(max_iter=10_000, **tests)
    assert result.status is status
    assert result.success
    assert result.message == status.meaning
    last, step = result.history, np.inf
    if result.nit:
        step = np.linalg.norm(result.x - descend(max_iter=result.nit - 1).x)
    holds = {
        Status.GTOL: np.abs(result.jac).max() <= tests.get("gtol", 0),
        Status.FTOL: np.abs(np.diff(last.fun[-2:])).max(initial=0) <= tests.get("ftol", 0) * max(1, *last.fun[-2:]),
        Status.XTOL: step <= tests.get("xtol", 0) * (tests.get("xtol", 0) + np.linalg.norm(result.x)),
        Status.TARGET: result.fun <= tests.get("target", 0),
    }
    assert holds[status]


def test_gtol_is_on_the_largest_element():
    problem = problems.Quadratic(np.eye(100))
    result = optimize(problem, np.full(100, 0.9), method=SGD(0.01), gtol=1.0)
    assert (result.status, result.nit) == (Status.GTOL, 0)  # though the Euclidean norm is 9
    spike = np.where(np.arange(100) == 50, 1.1, 0.0)
    assert optimize(problem, spike, method=SGD(0.01), gtol=1.0, max_iter=3).nit == 3


def test_default_gtol_and_max_iter():
    assert optimize(BOWL, method=SGD(0.1)).status is Status.GTOL
    assert optimize(BOWL, method=SGD(1e-9)).nit == 10_000


def test_steps_of_rate_zero_do_not_count_as_convergence():
    schedule = gradopt.PiecewiseConstant([0.1, 0.0, 0.1], [5, 10])
    result = optimize(BOWL, method=SGD(schedule), max_iter=20, gtol=0, ftol=1e-12, xtol=1e-12)
    assert result.status is Status.MAX_ITER
    assert np.ptp(result.history.fun[5:11]) == 0.0


def test_max_iter_zero_evaluates_once():
    result = descend(max_iter=0)
    assert (result.nit, result.nfev, len(result.history)) == (0, 1, 1)
    assert result.x.tolist() == [2.0, 2.0]
    assert result.fun == VALLEY.value([2.0, 2.0])


def test_max_time():
    started = time.perf_counter()
    result = optimize(problems.Rosenbrock(n=200), method=SGD(1e-9), max_iter=10**9, max_time=0.2, gtol=0, record=None)
    assert result.status is Status.MAX_TIME
    assert "max_time=0.2" in result.message
    assert result.nit > 0
    assert time.perf_counter() - started < 20.0


def test_divergence_keeps_the_last_finite_iterate():
    result = optimize(BOWL, method=SGD(3.0, momentum=0.5), max_iter=10_000)
    assert result.status is Status.NON_FINITE
    assert not result.success
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.fun)
    assert np.isfinite(result.history.fun).all()
    assert len(result.history) == result.nit + 1
    assert f"at update {result.nit + 1} (learning rate 3); x is the last finite iterate" in result.message
    assert "smaller learning_rate" in result.message


def test_the_state_after_divergence_is_that_of_the_last_finite_iterate():
    """The momentum must not count the rejected update, else a smaller rate would not help."""
    problem, method = problems.Rosenbrock(n=5), SGD(0.01, momentum=0.9)
    diverged = optimize(problem, method=method, max_iter=1000)
    stopped = optimize(problem, method=method, max_iter=diverged.nit)
    assert diverged.status is Status.NON_FINITE
    assert stopped.status is Status.MAX_ITER
    np.testing.assert_array_equal(diverged.state.slots, stopped.state.slots)
    np.testing.assert_array_equal(diverged.x, stopped.x)
    np.testing.assert_array_equal(diverged.best_x, stopped.best_x)
    np.testing.assert_array_equal(diverged.history.fun, stopped.history.fun)


def quartic(x):
    return np.sum(x**4) - np.sum(x)


@pytest.mark.parametrize("method", [SGD(0.55, momentum=0.9), SGD(0.9, momentum=0.9), SGD(1.5), Adam(1e150)], ids=str)
@pytest.mark.parametrize("problem", ["traced", "given", "compiled", "in registers"])
def test_divergence_within_the_first_updates(problem, method):
    """They come in one chunk with the evaluation of the start."""
    start, jac = [0.2, 0.5], None
    if problem == "given":
        fun, jac = quartic, lambda x: 4 * x**3 - 1
    elif problem == "compiled":
        fun, start = problems.Rosenbrock(n=5), np.linspace(-2, 2, 5)
    else:
        fun = gradopt.trace(quartic, start) if problem == "traced" else problems.Rosenbrock()
    value = fun if callable(fun) else fun.value
    diverged = optimize(fun, start, method=method, jac=jac, max_iter=100, record="x")
    assert diverged.status is Status.NON_FINITE
    np.testing.assert_array_equal(diverged.history.x[0], start)
    np.testing.assert_array_equal(diverged.history.x[-1], diverged.x)
    with np.errstate(over="ignore"):
        for x, known in ((diverged.x, diverged.fun), (diverged.best_x, diverged.best_fun)):
            assert value(x) == pytest.approx(known, rel=1e-12)
    assert len(diverged.history) == diverged.nit + 1
    if diverged.nit:
        stopped = optimize(fun, start, method=method, jac=jac, max_iter=diverged.nit)
        np.testing.assert_array_equal(diverged.state.slots, stopped.state.slots)
        np.testing.assert_array_equal(diverged.x, stopped.x)


def test_huge_but_finite_gradients_are_finite():
    result = optimize(problems.Quadratic(1e150), [1e100], method=SGD(1e-151), max_iter=5, gtol=0)
    assert result.status is Status.NON_FINITE  # the value overflows, 1e350
    result = optimize(
        problems.Quadratic(1e10 * np.eye(6), -1e300 * np.ones(6)), np.zeros(6), method=SGD(0.0), max_iter=1
    )
    assert result.status is Status.MAX_ITER
    assert result.history.grad_norm[-1] == pytest.approx(np.sqrt(6) * 1e300)


def test_x0_is_not_changed_and_its_dtype_governs():
    for x0, dtype in (
        (np.array([2.0, 2.0], np.float32), np.float32),
        (np.array([2, 2]), np.float64),
        ([2, 2], np.float64),
        (np.array([2.0, 2.0], ">f8"), np.float64),
        (np.array([2.0, 9.0, 2.0])[::2], np.float64),
    ):
        before = np.array(x0)
        result = optimize(VALLEY, x0, method=SGD(0.1, momentum=0.5), max_iter=10, record="x")
        np.testing.assert_array_equal(x0, before)
        arrays = (result.x, result.jac, result.best_x, result.history.x, result.state.x, *result.state.slots)
        assert {array.dtype for array in arrays} == {np.dtype(dtype)}
        assert not np.shares_memory(result.x, result.state.x)


def test_method_by_name():
    assert descend(method="SGD").state.method == SGD()
    assert descend(method="sgd").state.method == SGD()


@private_numba
def test_other_hyper_parameters_compile_nothing():
    optimize(VALLEY, method=SGD(0.1), max_iter=3)
    for method in (SGD(0.2), SGD(0.1, momentum=0.9, nesterov=True), SGD(0.1, weight_decay=0.1)):
        assert optimize(problems.Rosenbrock(a=2.0, b=3.0), method=method, max_iter=3).compile_time == 0.0


RUN = {"problem": VALLEY, "x0": [2.0, 2.0], "method": SGD(0.1), "max_iter": 5}
HOSTILE = [
    ({"x0": [np.nan, 1.0]}, ValueError, r"x0 must be a real, finite, one-dimensional array, got nan at \[0\]"),
    ({"x0": [1.0, np.inf]}, ValueError, "x0 must be .* got inf"),
    ({"x0": [1.0, 2.0, 3.0]}, ValueError, r"x0 must have 2 elements for Rosenbrock.*, got 3"),
    ({"x0": [[1.0, 2.0]]}, ValueError, r"x0 must be .* of shape \(1, 2\)"),
    ({"x0": True}, ValueError, "x0 must be"),
    ({"x0": []}, ValueError, "at least one element"),
    ({"x0": ["a", "b"]}, ValueError, r"x0 must be .*, got \['a', 'b'\]"),
    ({"x0": [[1.0], [2.0, 3.0]]}, ValueError, "x0 must be"),
    ({"x0": [1 + 1j, 2]}, ValueError, "x0 must be a real"),
    ({"x0": [True, False]}, ValueError, "x0 must be"),
    ({"x0": [10**400, 1]}, ValueError, "x0 must be"),
    ({"x0": object()}, ValueError, "x0 must be"),
    ({"problem": "rosenbrock"}, TypeError, "problem must be .* got 'rosenbrock'"),
    ({"problem": problems.Rosenbrock}, TypeError, "problem must be a .*, got <class"),
    ({"method": "adamw2"}, ValueError, "method must be one of 'adadelta', .* got 'adamw2'"),
    ({"method": SGD}, TypeError, "method must be a method"),
    ({"method": 3}, TypeError, "method must be"),
    ({"max_iter": -1}, ValueError, "max_iter must be an integer >= 0, got -1"),
    ({"max_iter": 2.5}, TypeError, "max_iter must be an integer, got 2.5"),
    ({"max_iter": True}, TypeError, "max_iter"),
    ({"max_iter": 2**70}, ValueError, "max_iter"),
    ({"gtol": -1e-3}, ValueError, "gtol must be finite and >= 0, got -0.001"),
    ({"gtol": "small"}, TypeError, "gtol must be a real number, got 'small'"),
    ({"ftol": np.nan}, ValueError, "ftol"),
    ({"xtol": np.inf}, ValueError, "xtol"),
    ({"target": np.nan}, ValueError, "target"),
    ({"target": None, "max_time": 0}, ValueError, "max_time must be finite and > 0, got 0"),
    ({"callback": 3}, TypeError, "callback must be callable, got 3"),
    ({"callback": lambda: 1}, TypeError, "callback must take one argument"),
    ({"callback": lambda x, y: 1}, TypeError, "callback must take one argument"),
    ({"state": OptimizeResult()}, TypeError, "got a OptimizeResult; pass result.state"),
    ({"callback": [print, None]}, TypeError, "callback must be callable, got None"),
    ({"progress": "yes"}, TypeError, "progress must be True or False"),
    ({"record": "everything"}, ValueError, "record must be one of 'scalars', 'x', None, got 'everything'"),
    ({"state": {}}, TypeError, "state must be the state of an earlier result"),
    ({"jac": True}, ValueError, "jac and args belong to a callable; Rosenbrock"),
    ({"args": (1,)}, ValueError, "jac and args belong to a callable"),
    ({"batch_size": 3}, ValueError, "rows of data, got Rosenbrock"),
    ({"validation": ([], [])}, ValueError, "validation has no meaning for a run without"),
    ({"patience": 3}, ValueError, "patience has no meaning"),
    ({"monitor": "accuracy"}, ValueError, "monitor has no meaning"),
    ({"shuffle": False}, ValueError, "shuffle has no meaning"),
    ({"restore_best": False}, ValueError, "restore_best has no meaning"),
    ({"rng": 0}, ValueError, "rng has no meaning"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), HOSTILE, ids=[named(case[0]) for case in HOSTILE])
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        optimize(**(RUN | arguments))


def test_a_class_without_a_kernel_is_told_so():
    @config
    class Flat(problems.Problem):
        n = 1

    with pytest.raises(TypeError, match=r"Flat has no kernel: register one with @value_and_grad.on\(Flat\)"):
        optimize(Flat(), [1.0], method=SGD())
    with pytest.raises(TypeError, match="must be decorated with @gradopt.extend.config"):
        value_and_grad.on(type("Bare", (problems.Problem,), {}))(print)
    with pytest.raises(ValueError, match="Rosenbrock has its value_and_grad already"):
        value_and_grad.on(problems.Rosenbrock)(print)


def test_a_non_finite_start_is_the_best_there_is():
    result = optimize(problems.Quadratic(1e200), [1e200], method=SGD())
    assert result.status is Status.NON_FINITE
    assert result.fun == result.best_fun == np.inf
    with pytest.raises(AttributeError, match='record="x"'):
        _ = result.history.x


def test_a_problem_without_a_start_needs_x0():
    class Startless(problems.Problem):
        n = 2

    with pytest.raises(ValueError, match="x0 must be given"):
        optimize(Startless(), method=SGD())


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=3),
    st.just(np.ones((2, 2))),
    st.just(object()),
)


@given(
    name=st.sampled_from(["x0", "method", "max_iter", "gtol", "ftol", "xtol", "target", "callback", "record"]),
    value=anything,
)
def test_no_argument_crashes(name, value):
    arguments = RUN | {name: value}
    if name == "max_iter" and isinstance(value, int) and not isinstance(value, bool):
        arguments["max_iter"] = min(value, 50)
    try:
        result = optimize(**arguments)
    except (TypeError, ValueError) as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert isinstance(result.status, Status)
        assert result.success <= np.isfinite(result.fun)


@compiled_only
@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.9])  # while compiling or loading, and in the loop
@pytest.mark.parametrize("n", [50, 2, 3])
def test_ctrl_c_comes_through(n, seconds):
    problem = problems.PolynomialFit(np.arange(5.0), np.arange(5.0), n - 1, "rmse")
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    last_resort = threading.Timer(25.0, os.kill, (os.getpid(), signal.SIGINT))  # a test that fails, not one that hangs
    last_resort.start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        optimize(problem, np.ones(n), method=SGD(0.0), max_iter=10**10, gtol=0, record=None)
    last_resort.cancel()
    if isinstance(caught.value, gradopt.Interrupted):  # not while the kernels are loaded
        assert caught.value.result.nit >= 0
    assert time.perf_counter() - started < 20.0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("interrupts", [1, 2])
@pytest.mark.parametrize("route", ["traced", "interpreted", "training"])
def test_ctrl_c_leaves_the_run_so_far(route, interrupts):
    calls = []

    def fun(x):
        calls.append(0)
        if len(calls) == 21:
            for _ in range(interrupts):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
        return float(np.sum(x**2))

    def interrupt(intermediate_result):
        if intermediate_result.nit >= 20:
            os.kill(os.getpid(), signal.SIGINT)

    if route == "interpreted":
        run = lambda: optimize(fun, [1.0, 2.0], jac=lambda x: 2.0 * x + 0.0 * len(calls), method=SGD(1e-3))  # noqa: E731
    elif route == "traced":
        run = lambda: optimize(lambda x: np.sum(x**4), [1.0, 2.0], method=SGD(1e-3), callback=interrupt)  # noqa: E731
    else:
        fit = problems.PolynomialFit(np.arange(20.0), np.arange(20.0), 1)
        run = lambda: optimize(fit, [0.0, 0.0], batch_size=1, method=SGD(1e-5), callback=interrupt)  # noqa: E731
    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if route == "interpreted" and interrupts == 2:
        return  # at once, and without a result
    result = caught.value.result
    assert isinstance(caught.value, gradopt.Interrupted)
    assert (result.success, result.status) == (False, Status.CALLBACK)
    assert "Ctrl-C" in result.message
    assert result.nit >= 19
    if route == "traced":
        assert result.fun == pytest.approx(np.sum(result.x**4))
        assert optimize(lambda x: np.sum(x**4), state=result.state, max_iter=5).nit == result.nit + 5


def test_threads_do_not_disturb_each_other():
    rates = np.linspace(0.01, 0.1, 8)
    results = [None] * len(rates)

    def run(i):
        results[i] = descend(rates[i], max_iter=2000).x

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(rates))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rate, x in zip(rates, results, strict=True):
        np.testing.assert_array_equal(x, descend(rate, max_iter=2000).x)
