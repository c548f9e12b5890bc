"""Branches and loops on x: each way is traced when a run first meets it, and is exact."""

import math
import pickle
import threading

import numpy as np
import pytest
import scipy.linalg
from numba import njit
from scipy.optimize._numdiff import approx_derivative

import gradopt
from gradopt import BFGS, LBFGS, SGD, Adam, NelderMead, NonlinearCG, Status, TraceError, TrustRegion, optimize, trace

from traces import close

T = np.linspace(0.0, 1.0, 7)
ANOMALIES = np.linspace(0.1, 3.0, 5)


def penalty(p):
    value = np.sum((p - 1.0) ** 2)
    if p[0] < 0.0:
        return value + 1000.0 * p[0] ** 2
    return value


def prior(p):
    if np.any(p <= 0.0):
        return np.inf
    return np.sum(p - np.log(p))


def halved(p):
    number, rounds = p[0], 0
    while abs(number) > 0.1:
        number, rounds = 0.5 * number, rounds + 1
    return (number - 0.07) ** 2 + p[1] ** 2 + 0.01 * rounds


def kepler(p):
    """Newton's method within the function, as long as it takes."""
    total = 0.0
    for mean in ANOMALIES:
        eccentric = mean
        for _ in range(50):
            step = (eccentric - p[0] * np.sin(eccentric) - mean) / (1.0 - p[0] * np.cos(eccentric))
            eccentric = eccentric - step
            if abs(step) < 1e-6:
                break
        total += (eccentric - 1.1 * mean) ** 2
    return total + p[1] ** 2


def indexed(p):
    i = int(p[0])
    return [1.0, 2.0, 5.0, 9.0][i] * (p[0] - 0.5) ** 2 + (p[1] - i) ** 2


def counted(p):
    return sum(p[1] ** (k + 1) for k in range(int(p[0]))) + p[0] ** 2


def caught(p):
    try:
        factor = np.linalg.cholesky(np.array([[p[0], p[1]], [p[1], 1.0]]))
    except np.linalg.LinAlgError:
        return 100.0 + p[0] ** 2
    return np.sum(factor**2) - np.log(factor[0, 0] * factor[1, 1])


def singular(p):
    try:
        return np.sum(np.linalg.solve(np.array([[p[0], p[1]], [1.0, 1.0]]), np.ones(2)) ** 2)
    except np.linalg.LinAlgError:
        return p[0] + 100.0


def rodrigues(p):
    angle = np.linalg.norm(p)
    if angle < 1e-12:
        rotation = np.eye(3)
    else:
        axis = p / angle
        cross = np.cross(np.eye(3), axis)
        rotation = np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) * np.outer(axis, axis) + np.sin(angle) * cross
    return np.sum((T[:3] @ rotation - T[2:5]) ** 2)


def logic(p):
    if (p[0] > 0.3 and not p[1] > 0.4) or p[0] * p[1] < -0.5:
        return p[0] ** 2 * p[1]
    return min((v for v in p if v > -10.0), default=3.0) * 2.0 + np.sum(p**3)


# Each with points on both sides of its branches.
FUNCTIONS = {
    "penalty": (penalty, [[2.0, 2.0], [-1.0, 0.5], [0.3, -2.0]]),
    "prior": (prior, [[2.0, 2.0], [0.1, 3.0]]),
    "while": (halved, [[3.0, 2.0], [0.05, 1.0], [-7.0, 0.0], [0.7, 1.0]]),
    "a loop until it has converged": (kepler, [[0.1, 0.0], [0.0, 1.0], [0.6, 1.0], [0.85, 1.0]]),
    "int as an index": (indexed, [[2.5, 0.0], [0.5, 1.0], [1.2, 3.0], [3.9, 1.0], [-0.5, 2.0]]),
    "int as a count": (counted, [[2.5, 0.3], [0.5, 0.7], [5.1, 0.9]]),
    "a caught error": (caught, [[2.0, 0.5], [0.1, 0.9], [1.0, -0.3]]),
    "a caught error of an equation": (singular, [[2.0, 0.5], [0.1, 0.9]]),
    "an angle of zero": (rodrigues, [[0.3, -0.2, 0.5], [1.0, 1.0, 1.0]]),
    "logic": (logic, [[0.5, 0.1], [0.5, 0.6], [-2.0, 0.9], [0.1, 0.2]]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
class TestValues:
    def test_each_way_is_exact(self, name, dtype):
        f, points = FUNCTIONS[name]
        for first in range(len(points)):
            problem = trace(f, np.array(points[first], dtype))
            for point in points + points[:1]:
                x = np.array(point, dtype)
                value, grad = problem.value_and_grad(x)
                exact = x.astype(float)
                assert value == pytest.approx(f(exact), rel=1e-12 if dtype is np.float64 else 1e-4)
                if np.isfinite(value):
                    wanted = approx_derivative(f, exact, method="3-point")
                    assert close(grad, wanted, 1e-5 if dtype is np.float64 else 1e-2)


# The ways of Kepler's equation are too near to each other for differences.
@pytest.mark.parametrize("name", [name for name, (f, _) in FUNCTIONS.items() if f is not kepler])
def test_second_derivatives(name):
    f, points = FUNCTIONS[name]
    problem = trace(f, np.array(points[0]))
    for point in points:
        if np.isfinite(problem.value(point)):
            slopes = approx_derivative(problem.grad, np.array(point), method="3-point")
            hessian = problem.hessian(point)
            assert np.max(np.abs(hessian - slopes)) <= 1e-5 * max(1.0, np.max(np.abs(slopes)))
            vector = np.cos(np.arange(len(point)))
            np.testing.assert_allclose(problem.hessp(point, vector), hessian @ vector, rtol=1e-9, atol=1e-9)


def test_nan_takes_the_side_that_it_takes_in_python():
    problem = trace(lambda p: p[0] if p[0] > 0.0 else p[0] + p[1], [1.0, 2.0])
    assert math.isnan(problem.value([math.nan, 1.0]))
    np.testing.assert_array_equal(problem.grad([math.nan, 1.0]), [1.0, 1.0])


def test_the_listing_shows_the_tree():
    problem = trace(penalty, [2.0, 2.0])
    assert "path 1" in str(problem.tape)
    assert "is false" in str(problem.tape)
    problem.value([-1.0, 2.0])
    assert "path 2" in str(problem.tape)
    assert "on 2 paths" in repr(problem.tape)


METHODS = [LBFGS(), BFGS(), NonlinearCG(), SGD(0.01, momentum=0.5), Adam(0.01), TrustRegion(), NelderMead()]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
class TestRuns:
    def test_find_the_minimum_beyond_a_branch(self, method):
        result = optimize(penalty, [-3.0, 2.0], method=method, max_iter=20_000)
        assert result.success
        np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
        assert len(result.problem.tape.paths.known) == 2

    def test_go_on_with_the_same_bits(self, method):
        whole = optimize(kepler, [0.8, 1.0], method=method, max_iter=30, gtol=0.0 if method.loop.gtol else None)
        for steps in (1, 7):
            part = optimize(kepler, [0.8, 1.0], method=method, max_iter=steps)
            rest = optimize(
                kepler, state=part.state, method=method, max_iter=30 - steps, gtol=0.0 if method.loop.gtol else None
            )
            np.testing.assert_array_equal(whole.x, rest.x)
            assert whole.fun == rest.fun

    def test_callbacks_change_no_bit(self, method):
        seen = []

        def note(intermediate_result):
            seen.append(intermediate_result.nit)

        plain = optimize(halved, [3.0, 2.0], method=method, max_iter=40)
        observed = optimize(halved, [3.0, 2.0], method=method, max_iter=40, callback=note)
        np.testing.assert_array_equal(plain.x, observed.x)
        assert seen == list(range(1, plain.nit + 1))
        assert plain.nfev == observed.nfev


def test_errors_of_a_way_are_the_functions_own():
    def fun(p):
        if p[0] < 0.0:
            raise ZeroDivisionError("negative")
        return (p[0] + 0.5) ** 2

    with pytest.raises(ZeroDivisionError, match="negative"):
        optimize(fun, [1.0])
    with pytest.raises(ZeroDivisionError, match="negative"):
        trace(fun, [1.0]).value([-1.0])


class TestWhereItEnds:
    def test_a_way_that_can_not_be_traced_is_a_reason_for_differences(self):
        def fun(p):
            if p[0] < 0.5:
                return np.sum(p[p < 0.5] ** 2) + p[1] ** 2
            return p[0] ** 2 + p[1] ** 2

        result = optimize(fun, [2.0, 1.0])
        assert result.success
        np.testing.assert_allclose(result.x, 0.0, atol=1e-5)
        assert "3-point differences, since it can't be traced: line" in result.message
        with pytest.raises(TraceError, match="an index that depends on x"):
            optimize(fun, [2.0, 1.0], jac="trace")
        again = optimize(fun, [2.0, 1.0])
        np.testing.assert_array_equal(result.x, again.x)

    def test_too_many_ways(self):
        borders = np.linspace(-2.0, 2.0, 100)

        def fun(p):
            total = 0.0
            for border in borders:
                total += (p[0] - border) ** 2 if p[0] > border else 0.5 * (p[0] - border) ** 2
            return total / 100

        result = optimize(fun, [1.99], method=SGD(0.01), max_iter=2000)
        assert "more than 64 paths" in result.message or "more than 20000 operations" in result.message
        assert result.x[0] == pytest.approx(-0.34, abs=0.02)


class TestSaving:
    def test_known_ways_are_kept(self, tmp_path):
        result = optimize(trace(penalty, [-3.0, 2.0]))
        result.save(tmp_path / "run.npz")
        problem = gradopt.load(tmp_path / "run.npz").problem
        for point in ([-1.0, 2.0], [2.0, 2.0]):
            assert problem.value(point) == penalty(np.array(point))
            np.testing.assert_array_equal(problem.grad(point), result.problem.grad(point))

    def test_an_unknown_one_says_so(self, tmp_path):
        optimize(trace(penalty, [3.0, 2.0])).save(tmp_path / "run.npz")
        problem = gradopt.load(tmp_path / "run.npz").problem
        with pytest.raises(TypeError, match="a loaded trace does not know its function"):
            problem.value([-1.0, 2.0])


def test_arguments_can_be_replaced():
    def fun(p, border, centre):
        return np.sum((p - centre) ** 2) if p[0] > border[0] else np.sum(p**4)

    problem = trace(fun, [1.0, 2.0], (np.array([0.0]), np.array([0.5, 0.5])))
    other = problem.with_args(np.array([3.0]), np.array([1.5, 0.5]))
    for point in ([1.0, 2.0], [4.0, 2.0], [-1.0, 0.0]):
        x = np.array(point)
        assert other.value(x) == fun(x, np.array([3.0]), np.array([1.5, 0.5]))
        assert problem.value(x) == fun(x, np.array([0.0]), np.array([0.5, 0.5]))


class TestReplacedArguments:
    @staticmethod
    def fun(p, centre):
        return np.sum((p - centre) ** 2) if p[0] > 0.0 else np.sum((p + centre) ** 4)

    def test_a_way_that_another_problem_learned_has_ones_own_numbers(self):
        one = trace(self.fun, [1.0, 1.0], (np.array([1.0, 2.0]),))
        other = one.with_args(np.array([5.0, 6.0]))
        one.value([-1.0, 1.0])
        for problem, centre in ((other, [5.0, 6.0]), (one, [1.0, 2.0])):
            x = np.array([-2.0, 1.0])
            assert problem.value(x) == self.fun(x, np.array(centre))
            slopes = approx_derivative(lambda x, c=centre: self.fun(x, np.array(c)), x, method="3-point")
            np.testing.assert_allclose(problem.hessp(x, [1.0, 0.0])[0], 12.0 * (x[0] + centre[0]) ** 2)
            np.testing.assert_allclose(problem.grad(x), slopes, rtol=1e-6)

    def test_numbers_that_a_later_way_takes_for_indices_are_not_those_of_another_problem(self):
        def fun(p, place):
            return np.sum(p**2) if p[0] > 0.0 else p[int(place[0])] * 10.0

        one = trace(fun, [1.0, 2.0], (np.array([0.0]),))
        other = one.with_args(np.array([1.0]))
        with pytest.raises(TraceError, match="an argument that was replaced supplies indices"):
            other.value([-1.0, 7.0])
        alone = trace(fun, [1.0, 2.0], (np.array([0.0]),), paths_from=[[-1.0, 7.0]])
        with pytest.raises(ValueError, match=r"args\[0\] supplied indices"):
            alone.with_args(np.array([1.0]))


def test_data_of_one_way_alone_are_saved(tmp_path):
    low, high = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def fun(p):
        return np.sum((p - low) ** 2) if p[0] < 2.5 else np.sum((p - high) ** 2) + 1.0

    result = optimize(fun, [1.0, 1.0], method=SGD(0.4), max_iter=2)
    result.problem.value([5.0, 1.0])
    result.save(tmp_path / "run.npz")
    problem = gradopt.load(tmp_path / "run.npz").problem
    for point in ([5.0, 1.0], [0.0, 1.0]):
        assert problem.value(point) == fun(np.array(point))


def test_data_from_outside_are_those_of_the_call():
    data = np.array([1.0, 2.0])

    def fun(p):
        return np.sum((p - data) ** 2) if p[0] < 5.0 else np.sum((p - data) ** 4)

    assert np.allclose(optimize(fun, [0.0, 0.0]).x, data)
    data[:] = 3.0, 4.0
    assert np.allclose(optimize(fun, [0.0, 0.0]).x, [3.0, 4.0])


class TestPlainPython:
    """What Python does with numbers that depend on x, beside branches."""

    @pytest.mark.parametrize(
        ("f", "start", "point"),
        [
            (lambda x: min((x[0], 1), (x[1], 2))[1] * x[0], [0.5, 1.2], [1.1, -2.2]),
            (lambda x: sorted([(x[0], 1), (x[1], 2)])[0][1] * x[0], [0.5, 1.2], [1.1, -2.2]),
            (lambda x: max((v, i) for i, v in enumerate(x))[1] * x[0], [0.5, 1.2], [1.1, -2.2]),
            (lambda x: {0: 1.0, 1: 2.0}[int(x[0])] * x[1], [0.5, 1.0], [1.5, 3.0]),
            (lambda x: x[1] if int(x[0]) in {1, 2} else x[1] ** 2, [0.5, 1.0], [1.5, 3.0]),
            (lambda x: sum(divmod(x[0], 2.0)) * x[1], [3.3, 1.0], [5.5, 2.0]),
        ],
        ids=["min", "sorted", "max", "a key", "a set", "divmod"],
    )
    def test_is_what_it_is_with_numbers(self, f, start, point):
        assert trace(f, start).value(point) == f(np.array(point))

    @pytest.mark.parametrize(
        ("compute", "error"),
        [
            (lambda v: math.log(v), ValueError),
            (lambda v: math.sqrt(v), ValueError),
            (lambda v: math.exp(-1000.0 * v), OverflowError),
        ],
        ids=["log", "sqrt", "exp"],
    )
    def test_errors_of_math_are_raised_where_they_may_be_caught(self, compute, error):
        def fun(x):
            try:
                return compute(x[0]) + x[1]
            except error:
                return x[1] ** 3

        problem = trace(fun, [1.0, 2.0])
        for point in ([2.0, 2.0], [-1.0, 2.0]):
            assert problem.value(point) == pytest.approx(fun(np.array(point)))

    def test_a_triangular_matrix_may_be_singular(self):
        def fun(x):
            try:
                lower = np.array([[x[0], 0.0], [1.0, x[1]]])
                return np.sum(scipy.linalg.solve_triangular(lower, np.ones(2), lower=True))
            except np.linalg.LinAlgError:
                return 33.0

        problem = trace(fun, [1.0, 2.0])
        for point in ([0.0, 2.0], [1.0, 0.0], [1.0, 3.0]):
            assert problem.value(point) == fun(np.array(point))

    def test_texts_are_refused(self):
        with pytest.raises(TraceError, match="a text made of what depends on x"):
            trace(lambda x: {"1": 3.0}.get(str(int(x[0])), 1.0) * x[1], [0.5, 1.0])

    def test_objects_keep_what_they_compute(self):
        class Sums:
            def __call__(self, x):
                self.total = 0.0
                for v in x:
                    self.total = self.total + v**2 if v > 0.0 else self.total
                return self.total

        problem = trace(Sums(), np.ones(3))
        np.testing.assert_array_equal(problem.grad([1.0, -2.0, 3.0]), [2.0, 0.0, 6.0])


def test_what_has_changed_outside_is_said():
    factor = [2.0]

    def fun(x):
        return np.sum(x**2) * factor[0] if x[0] > 0.0 else np.sum(x**4) * factor[0]

    problem = trace(fun, [1.0, 1.0])
    factor[0] = 5.0
    assert problem.value([1.0, 1.0]) == 4.0
    with pytest.raises(TraceError, match="has changed since it was traced"):
        problem.value([-1.0, 1.0])


def test_pickles_know_the_ways_that_were_met():
    problem = optimize(trace(penalty, [-3.0, 2.0])).problem
    again = pickle.loads(pickle.dumps(problem))
    for point in ([-1.0, 2.0], [2.0, 2.0]):
        assert again.value(point) == problem.value(point)
    with pytest.raises(TypeError, match="a loaded trace does not know"):
        pickle.loads(pickle.dumps(trace(penalty, [3.0, 2.0]))).value([-1.0, 2.0])


def test_a_run_that_gave_up_does_not_keep_others_from_tracing():
    borders = np.linspace(-2.0, 2.0, 100)

    def fun(p):
        total = 0.0
        for border in borders:
            total += (p[0] - border) ** 2 if p[0] > border else 0.5 * (p[0] - border) ** 2
        return total / 100

    assert "can't be traced" in optimize(fun, [1.99], method=SGD(0.01), max_iter=2000).message
    assert trace(fun, [0.0]).value([0.0]) == pytest.approx(fun(np.zeros(1)))


def test_threads_share_what_they_learn():
    problem, points = trace(kepler, [0.1, 0.0]), np.linspace(0.0, 0.9, 12)
    found = {}

    def evaluate(values):
        for value in values:
            found[value] = problem.value([value, 0.0])

    threads = [threading.Thread(target=evaluate, args=(points[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in points:
        assert found[value] == pytest.approx(kepler(np.array([value, 0.0])), rel=1e-12)


class TestFits:
    @staticmethod
    def model(t, a, b):
        if b < 0.0:
            return a * np.ones_like(t)
        return a * np.exp(-b * t)

    def test_curve_fit(self):
        fit = gradopt.curve_fit(self.model, T, 2.0 * np.exp(-1.3 * T), p0=[1.0, 0.1])
        np.testing.assert_allclose(fit.popt, [2.0, 1.3], rtol=1e-8)
        assert "forward mode" in fit.message

    def test_least_squares(self):
        def residuals(p):
            if p[1] > 0.5:
                return p[0] * np.exp(-p[1] * T) - np.exp(-T)
            return p[0] - p[1] * T - np.exp(-T)

        result = gradopt.least_squares(residuals, [1.0, 0.2])
        assert result.success
        np.testing.assert_allclose(result.x, 1.0, rtol=1e-7)

    def test_many_fits_go_one_by_one(self):
        y = np.stack([a * np.exp(-1.3 * T) for a in (1.0, 2.0, 3.0)])
        fits = gradopt.fit_many(self.model, T, y, p0=[1.0, 0.1])
        assert fits.route != "lanes"
        np.testing.assert_allclose(fits.x[:, 0], [1.0, 2.0, 3.0], rtol=1e-6)

    def test_a_likelihood_has_standard_errors(self):
        rng = np.random.default_rng(3)
        y = rng.normal(1.0, 2.0, 200)

        def terms(p):
            if p[1] <= 0.0:
                return np.full(200, np.inf)
            return 0.5 * ((y - p[0]) / p[1]) ** 2 + np.log(p[1])

        result = optimize(gradopt.problems.SumOfTerms(terms, x0=[0.0, 1.0]))
        errors = gradopt.uncertainty(result, "sandwich").stderr
        assert errors[0] == pytest.approx(np.std(y) / math.sqrt(200), rel=1e-3)


class TestWaysThatCanNotBeTraced:
    """Fits and many runs go on by differences, as `optimize` does."""

    @staticmethod
    def model(t, a, b):
        return a * np.exp(-b * (t[t > -b] if b > 1.0 else t))

    def test_in_fits(self):
        y = 2.0 * np.exp(-1.5 * T)
        fit = gradopt.curve_fit(self.model, T, y, p0=[1.0, 0.2])
        np.testing.assert_allclose(fit.popt, [2.0, 1.5], rtol=1e-6)
        assert "central differences, since it can't be traced: line" in fit.message
        assert fit.confidence_interval(kind="profile").shape == (2, 2)

        def residuals(p):
            return self.model(T, *p) - y

        for result in (
            gradopt.least_squares(residuals, [1.0, 0.2]),
            optimize(gradopt.problems.LeastSquares(lambda p: self.model(T, *p) - y, x0=[1.0, 0.2])),
        ):
            np.testing.assert_allclose(result.x, [2.0, 1.5], rtol=1e-5)
        fits = gradopt.fit_many(self.model, T, np.stack([y, 2.0 * y]), p0=[1.0, 0.2])
        np.testing.assert_allclose(fits.x, [[2.0, 1.5], [4.0, 1.5]], rtol=1e-5)

    def test_in_fits_point_by_point(self):
        def model(t, p):
            return p[0] * np.exp(-p[1] * t) if p[1] < 1.0 else p[p > -1.0][0] * np.exp(-p[1] * t)

        problem = gradopt.problems.CurveFit(model, T, 2.0 * np.exp(-1.5 * T))
        np.testing.assert_allclose(optimize(problem, [1.0, 0.2]).x, [2.0, 1.5], rtol=1e-4)

    def test_in_many_runs(self):
        def fun(p, weight):
            return (np.sum(p[p < 0.5] ** 2) if p[0] < 0.5 else p[0] ** 2) + weight * p[1] ** 2

        starts = np.array([[2.0, 1.0], [3.0, 1.0]])
        runs = gradopt.optimize_many(fun, starts, args=(np.array([1.0, 2.0]),), in_axes=(0,))
        np.testing.assert_allclose(runs.x, 0.0, atol=1e-4)


def test_many_runs():
    starts = np.array([[-3.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    runs = gradopt.optimize_many(penalty, starts)
    np.testing.assert_allclose(runs.x, 1.0, atol=1e-4)


class TestInCompiledCode:
    def test_an_unknown_way_has_a_status(self):
        method = gradopt.compiled(LBFGS())
        x = np.array([-3.0, 2.0])
        problem = gradopt.compiled(trace(penalty, [3.0, 2.0]))
        _, _, status = gradopt.descend(problem, method, x, 100, 1e-8)
        assert status == Status.UNKNOWN_PATH

    def test_ways_can_be_made_known(self):
        traced = trace(penalty, [3.0, 2.0], paths_from=[[-3.0, 2.0]])
        assert len(traced.tape.paths.known) == 2
        problem, method = gradopt.compiled(traced), gradopt.compiled(LBFGS())

        @njit
        def run(problem, method, x):
            return gradopt.descend(problem, method, x, 100, 1e-8)

        x = np.array([-3.0, 2.0])
        _, _, status = run(problem, method, x)
        assert status == Status.GTOL
        np.testing.assert_allclose(x, 1.0, atol=1e-6)
