"""Which way a function runs: interpreted, compiled, and never another function than the user's."""

import math
import warnings

import numpy as np
import pytest
from numba import njit

from gradopt import LBFGS, SGD, NonlinearCG, Status, every, optimize, problems
from gradopt._compiler import COMPILING
from gradopt.problems.functions.function import Function

from marks import private_numba

compiled_only = pytest.mark.skipif(not COMPILING, reason="the compiler is off")
data, weight = np.array([1.0, 2.0]), 2.0

# More evaluations than are interpreted.
LONG = {"method": SGD(0.01), "gtol": 0, "max_iter": 700}


def with_branch(x):
    return np.sum((x - data) ** 2) if x[:1][x[:1] < 1e6].size else 1e12


def slope(x):
    return 2.0 * (x - data)


def made(center):
    def fun(x):
        return weight * np.sum((x - center) ** 2) if x[:1][x[:1] < 1e6].size else 1e12

    return fun, lambda x: 2.0 * weight * (x - center)


def factorials(x):
    """(exp(x) - 1000)^2 by its series, in integers that leave 64 bits."""
    total, factorial = 1.0, 1
    for k in range(1, 31):
        factorial *= k
        total += x[0] ** k / factorial
    return (total - 1000.0) ** 2 if x[:1][x[:1] < 100].size else 1e9


def powers(x):
    return sum([(x[0] - 10**k) ** 2 for k in range(-3, 1)]) if x[:1][x[:1] < 1e6].size else 1e12


@compiled_only
class TestTheCount:
    @pytest.mark.parametrize(
        ("jac", "method"), [(None, SGD(0.1)), (slope, SGD(0.1)), (slope, LBFGS()), (None, LBFGS())]
    )
    @private_numba
    def test_a_short_run_compiles_nothing_of_the_users(self, jac, method):
        optimize(with_branch, [0.0, 0.0], jac=jac, method=method)
        result = optimize(lambda x: with_branch(x), [0.0, 0.0], jac=jac, method=method)
        assert result.success
        assert result.compile_time == 0.0

    @private_numba
    def test_of_evaluations_decides(self):
        for max_iter, compiles in ((499, False), (501, True)):
            result = optimize(lambda x, told=max_iter: with_branch(x), [0.0, 0.0], **LONG | {"max_iter": max_iter})
            assert (result.compile_time > 0.0) == compiles

    @private_numba
    @pytest.mark.parametrize("jac", ["2-point", "3-point", "cs"])
    def test_differences_as_the_users_choice_are_compiled_at_once(self, jac):
        result = optimize(lambda x: np.sum((x - data) ** 2), [0.0, 0.0], jac=jac, max_iter=1)
        assert result.compile_time > 0.0

    @pytest.mark.parametrize("method", [SGD(0.001), SGD(0.001, momentum=0.5), LBFGS(), NonlinearCG()])
    @pytest.mark.parametrize("jac", [None, "own"])
    @pytest.mark.parametrize("first", [100, 380, 520])
    def test_is_resumed_with_the_same_bits(self, method, jac, first):
        def rosenbrock(x):
            return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2) if x[:1][x[:1] < 1e6].size else 1e12

        def slope(x):
            grad = np.zeros_like(x)
            grad[:-1] = -400.0 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2.0 * (1.0 - x[:-1])
            grad[1:] += 200.0 * (x[1:] - x[:-1] ** 2)
            return grad

        x0, max_iter = np.full(14, -0.8), 600
        settings = {"jac": slope if jac else None, "gtol": 0.0, "ftol": 0.0}
        whole = optimize(rosenbrock, x0, method=method, max_iter=max_iter, **settings)
        part = optimize(rosenbrock, x0, method=method, max_iter=first, **settings)
        rest = optimize(rosenbrock, state=part.state, max_iter=max_iter - first, **settings)
        assert rest.nit == whole.nit
        np.testing.assert_array_equal(rest.x, whole.x)

    def test_does_not_depend_on_chunks(self):
        fun, _ = made(np.array([1.0, 2.0]))
        whole = optimize(fun, [5.0, 5.0], **LONG)
        for callback in (lambda intermediate_result: None, every(7, lambda intermediate_result: None)):
            np.testing.assert_array_equal(optimize(fun, [5.0, 5.0], callback=callback, **LONG).x, whole.x)

    @private_numba
    def test_many_closures_share_their_code(self):
        optimize(made(np.array([1.0, 2.0]))[0], [0.0, 0.0], **LONG)
        for center in (np.array([3.0, 4.0]), np.array([-1.0, 0.5])):
            result = optimize(made(center)[0], [0.0, 0.0], **LONG)
            assert result.compile_time == 0.0
            np.testing.assert_allclose(result.x, center, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, LONG, {"jac": "3-point"}], ids=["short", "long", "compiled"])
@pytest.mark.parametrize("jac", [None, slope])
def test_data_are_those_of_the_call(settings, jac, monkeypatch):
    monkeypatch.setitem(globals(), "data", np.array([1.0, 2.0]))
    arguments = {"jac": jac} | settings
    for new in ([1.0, 2.0], [5.0, -6.0]):
        data[:] = new
        np.testing.assert_allclose(optimize(with_branch, [0.0, 0.0], **arguments).x, new, atol=1e-4)
    for new in ([0.5, 0.25], [7.0, 8.0]):
        monkeypatch.setitem(globals(), "data", np.array(new))
        np.testing.assert_allclose(optimize(with_branch, [0.0, 0.0], **arguments).x, new, atol=1e-4)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_data_of_a_model_are_those_of_the_call(loss):
    t, factor = np.linspace(0.0, 1.0, 7), np.array([1.0])

    def model(t, p):
        return p[0] * t * factor[0]

    for value in (1.0, 4.0):
        factor[0] = value
        result = optimize(problems.CurveFit(model, t, 2.0 * t, loss=loss), [1.0])
        assert result.x[0] == pytest.approx(2.0 / value, rel=1e-5)


@private_numba
def test_rates_in_a_closure_are_those_of_the_call():
    def run(rate):
        return optimize(problems.Quadratic(1.0), [1.0], method=SGD(lambda k: rate / (k + 1)), max_iter=1)

    assert run(0.5).x[0] == 0.5
    assert run(0.25).x[0] == 0.75
    assert run(0.125).compile_time == 0.0


class TestAnotherFunctionWhenCompiled:
    """Integers of Python never overflow, and 10 ** -3 is not 0: then the function runs in Python."""

    @pytest.mark.parametrize(
        ("fun", "x", "value"), [(factorials, math.log(1000.0), 0.0), (powers, 0.27775, 0.70152075)]
    )
    @pytest.mark.parametrize("settings", [{}, {"jac": "3-point"}, {"jac": "2-point", "gtol": 1e-3}], ids=str)
    def test_runs_interpreted(self, fun, x, value, settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = optimize(fun, [5.0], **settings)
        assert result.success
        assert result.x[0] == pytest.approx(x, rel=1e-3)
        assert result.fun == pytest.approx(value, abs=1e-3)
        assert result.fun == fun(result.x)

    @compiled_only
    def test_is_told(self):
        with pytest.warns(RuntimeWarning, match=r"compiled, it gives .* in Python; integers of Python never overflow"):
            result = optimize(lambda x: powers(x), [5.0], jac="3-point")
        assert "runs interpreted, because it could not be compiled" in result.message

    @compiled_only
    def test_in_its_gradient(self):
        def fun(x):
            return 0.5 * x[0] ** 2 if x[:1][x[:1] < 1e6].size else 1e12

        def jac(x):
            for k in range(-3, -2):
                slope = x * 10**k * 1e3  # 0 when compiled
            return slope

        with pytest.warns(RuntimeWarning, match="compiled, it gives"):
            result = optimize(fun, [1.0], jac=jac, **LONG | {"method": SGD(0.1)})
        assert result.x[0] == pytest.approx(0.0, abs=1e-6)

    @compiled_only
    def test_as_a_model(self):
        t = np.linspace(0.0, 1.0, 9)
        problem = problems.CurveFit(model, t, 0.1 * t)
        with pytest.warns(RuntimeWarning, match="model runs interpreted: compiled, it makes the loss"):
            result = optimize(problem, [0.0], method=LBFGS())
        assert result.x[0] == pytest.approx(1.0)
        assert "runs interpreted" in result.message
        assert optimize(problem, [0.0]).x[0] == pytest.approx(1.0)  # least squares traces the model
        trained = optimize(problem, [0.0], method=SGD(10.0), batch_size=3, epochs=30, rng=0)
        assert trained.x[0] == pytest.approx(1.0, abs=1e-2)


def model(t, p):
    return sum([p[0] * 10**k * t for k in range(-1, 0)])


def test_errors_of_a_function_stay_its_own():
    def fun(x):
        if x[0] > 4.9:
            raise ZeroDivisionError("of the user")
        return (x[0] - 5.0) ** 2

    for jac in (None, lambda x: 2 * (x - 5.0)):
        with pytest.raises(ZeroDivisionError, match="of the user"):
            optimize(fun, [0.0], jac=jac)


@pytest.mark.parametrize("method", [LBFGS(), NonlinearCG(), SGD(0.001)])
class TestMaxNfev:
    @pytest.mark.parametrize("jac", [None, "2-point", "3-point", True, "own"])
    @pytest.mark.parametrize("max_nfev", [1, 2, 3, 10, 37, 100])
    def test_is_never_exceeded(self, method, jac, max_nfev):
        calls = 0

        def fun(x):
            nonlocal calls
            calls += 1
            value = 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2 if x[:1][x[:1] < 1e6].size else 1e12
            return (value, problems.Rosenbrock().grad(x)) if jac is True else value

        how = problems.Rosenbrock().grad if jac == "own" else jac
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = optimize(fun, [-1.2, 1.0], jac=how, method=method, max_nfev=max_nfev)
        assert result.status == Status.MAX_NFEV or (result.success and max_nfev == 100)
        # The first call, and the start with its gradient.
        assert result.nfev <= max(max_nfev, {None: 6, "2-point": 8, "3-point": 10}.get(jac, 2))
        if jac in (True, "own"):  # else calls show that it can't be traced, or are compiled
            assert calls == result.nfev
        if not result.success:
            assert f"(max_nfev={max_nfev})" in result.message

    def test_of_a_problem(self, method):
        result = optimize(problems.Rosenbrock(), [-1.2, 1.0], method=method, max_nfev=9)
        assert result.status == Status.MAX_NFEV
        assert result.nfev == 9
        assert result.fun == result.history.fun[-1]

    def test_can_be_resumed_with_the_same_bits(self, method):
        settings = {"gtol": 0.0, "ftol": 0.0}
        part = optimize(problems.Rosenbrock(), [-1.2, 1.0], method=method, max_nfev=17, **settings)
        rest = optimize(problems.Rosenbrock(), state=part.state, max_iter=10, **settings)
        whole = optimize(problems.Rosenbrock(), [-1.2, 1.0], method=method, max_iter=part.nit + 10, **settings)
        np.testing.assert_array_equal(rest.x, whole.x)


def test_max_nfev_is_checked():
    for wrong in (0, -3, 1.5, "many"):
        with pytest.raises((TypeError, ValueError), match="max_nfev"):
            optimize(problems.Rosenbrock(), [0.0, 0.0], max_nfev=wrong)
    with pytest.raises(ValueError, match="max_nfev has no meaning for a training run"):
        optimize(problems.PolynomialFit([0.0, 1.0], [1.0, 2.0], degree=1), epochs=1, max_nfev=3)


def test_a_function_that_is_evaluated_by_itself_is_the_users():
    problem = Function(with_branch, slope, (), np.zeros(2))
    assert problem.value([1.0, 1.0]) == with_branch(np.ones(2))
    np.testing.assert_array_equal(problem.grad([1.0, 1.0]), slope(np.ones(2)))


@compiled_only  # without it, all loops are silent
@pytest.mark.parametrize("jac", [None, lambda x: 4.0 * x**3])
def test_overflow_on_the_way_is_no_warning(jac):
    def fun(x):
        return np.sum(x**4) if x[:1][x[:1] < np.inf].size else np.inf

    result = optimize(fun, [10.0], jac=jac, method=SGD(0.5))
    assert result.status == Status.NON_FINITE
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        optimize(fun, [10.0], jac=jac, method=SGD(0.5))


@compiled_only
@pytest.mark.parametrize("with_jac", [True, False])
def test_what_is_compiled_already_runs_compiled_at_once(with_jac):
    value = njit(lambda x: np.sum((x - weight) ** 2))
    slopes = njit(lambda x: 2.0 * (x - weight))
    both = njit(lambda x: (value(x), slopes(x)))
    fun, jac = (value, slopes) if with_jac else (both, True)
    assert not Function(fun, jac, (), np.zeros(3)).interpreted
    assert Function(value.py_func, slopes, (), np.zeros(3)).interpreted
    result = optimize(fun, np.zeros(3), jac=jac)
    assert result.success
    np.testing.assert_allclose(result.x, weight, atol=1e-6)


@compiled_only
def test_what_is_compiled_otherwise_than_is_needed_runs_in_python():
    with_list = njit(lambda x: (np.sum(x**2), [2.0 * x[0], 2.0 * x[1]]))
    with pytest.warns(RuntimeWarning, match=r"compiled code can't call it.*return np.array\(\[\.\.\.\]\) instead"):
        result = optimize(with_list, np.ones(2), jac=True)
    assert result.success
