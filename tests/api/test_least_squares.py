"""`least_squares` beside scipy's, and the problem and the method behind it."""

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import Bounds

import gradopt
from gradopt import LevenbergMarquardt, Status, least_squares, optimize, problems

T = np.linspace(0.0, 4.0, 50)
CLEAN = 2.5 * np.exp(-1.3 * T)
Y = CLEAN + 0.05 * np.sin(37.0 * T)
OUTLIERS = Y + 2.0 * (np.arange(50) % 10 == 0)


def decay(x, y=Y):
    return x[0] * np.exp(-x[1] * T) - y


def decay_jac(x, y=Y):
    return np.stack([np.exp(-x[1] * T), -T * x[0] * np.exp(-x[1] * T)], axis=1)


def untraceable(x, y=Y):
    return decay(x, y) if x[:1][x[:1] > -1e9].size else decay(x)


def rosenbrock(x):
    return np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
@pytest.mark.parametrize("fun", [decay, untraceable])
def test_losses_are_those_of_scipy(loss, fun):
    settings = {"args": (OUTLIERS,), "loss": loss, "f_scale": 0.1}
    ours = least_squares(fun, [1.0, 1.0], **settings)
    its = scipy.optimize.least_squares(fun, [1.0, 1.0], jac=decay_jac, xtol=1e-15, ftol=1e-15, gtol=1e-15, **settings)
    assert ours.success
    np.testing.assert_allclose(ours.x, its.x, rtol=1e-6)
    assert ours.cost == pytest.approx(its.cost, rel=1e-12)
    np.testing.assert_allclose(ours.jac, its.jac, atol=1e-6)
    np.testing.assert_allclose(ours.fun, its.fun, atol=1e-7)
    assert ("forward mode" in ours.message) == (fun is decay)


def test_a_loss_of_ones_own():
    def rho(z):
        return np.array([np.log(1.0 + z), 1.0 / (1.0 + z), -1.0 / (1.0 + z) ** 2])

    ours = least_squares(decay, [1.0, 1.0], args=(OUTLIERS,), loss=rho, f_scale=0.1)
    named = least_squares(decay, [1.0, 1.0], args=(OUTLIERS,), loss="cauchy", f_scale=0.1)
    np.testing.assert_allclose(ours.x, named.x, rtol=1e-7)
    assert "forward mode" in ours.message


@pytest.mark.parametrize("fun", [decay, untraceable])
def test_jacobian_of_ones_own(fun):
    calls = []

    def jac(x):
        calls.append(x)
        return decay_jac(x)

    result = least_squares(fun, [1.0, 1.0], jac)
    assert calls
    np.testing.assert_allclose(result.x, least_squares(fun, [1.0, 1.0]).x, rtol=1e-7)


def test_a_point_is_not_evaluated_twice():
    seen = []

    def fun(x):
        seen.append(x.tobytes())
        return decay(x)

    result = least_squares(fun, [1.0, 1.0], decay_jac, max_nfev=4)
    assert result.nfev == len(seen) == len(set(seen))
    assert result.status == 0
    assert not result.success


@pytest.mark.parametrize(
    ("bounds", "x0"),
    [
        (([-2.0, 1.5], [np.inf, np.inf]), [-1.2, 2.0]),
        (([-2.0, 1.5], np.inf), [-2.0, 1.5]),  # the start on two bounds
        (([-50.0, -np.inf], [0.5, 100.0]), [-2.0, 1.0]),
        (Bounds([2.0, 0.0], [10.0, 10.0]), [5.0, 5.0]),
        (([-np.inf, 0.25], [np.inf, 0.25]), [-2.0, 0.25]),  # low = high
    ],
)
def test_bounds(bounds, x0):
    ours = least_squares(rosenbrock, x0, bounds=bounds)
    low, high = (bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else bounds
    low, high = np.broadcast_to(low, 2), np.broadcast_to(high, 2)
    assert ours.success
    assert (low <= ours.x).all()
    assert (ours.x <= high).all()
    at_bound = ours.active_mask != 0
    assert at_bound.any()
    assert (ours.x[at_bound] == np.where(ours.active_mask < 0, low, high)[at_bound]).all()
    assert np.isnan(ours.stderr[at_bound]).all()
    best = scipy.optimize.minimize(
        lambda x: 0.5 * np.sum(rosenbrock(x) ** 2), x0, bounds=list(zip(low, high, strict=True)), tol=1e-14
    )
    assert ours.cost <= best.fun * (1.0 + 1e-9)


@pytest.mark.parametrize(
    ("name", "value", "kind", "says"),
    [
        ("tr_solver", "lsmr", ValueError, "scipy.optimize.least_squares has it"),
        ("workers", 2, ValueError, "workers must be None"),
        ("jac_sparsity", np.ones((50, 2)), ValueError, "jac_sparsity must be None"),
        ("jac", "exact", ValueError, "jac must be"),
        ("jac", 3, TypeError, "jac must be a function"),
        ("loss", "hubert", ValueError, "loss must be"),
        ("f_scale", 0.0, ValueError, "f_scale must be"),
        ("x_scale", -1.0, ValueError, "x_scale must be positive"),
        ("method", "newton", ValueError, "method must be"),
        ("verbose", 7, ValueError, "verbose must be"),
        ("bounds", [(0, 1), (0, 1), (0, 1)], ValueError, "bounds must be"),
        ("bounds", ([0.0], [3.0, 4.0]), ValueError, "bounds must have a number or 2 numbers as lower ends"),
        ("bounds", (2.0, 1.0), ValueError, "lower <= upper"),
        ("bounds", (2.0, 3.0), ValueError, "Initial guess is outside"),
        ("max_nfev", 0, ValueError, "max_nfev must be"),
        ("diff_step", 0.0, ValueError, "diff_step must be"),
    ],
)
def test_wrong_arguments(name, value, kind, says):
    with pytest.raises(kind, match=says):
        least_squares(decay, [1.0, 1.0], **{name: value})


@pytest.mark.parametrize(
    ("fun", "kind", "says"),
    [
        (lambda x: np.outer(x, x), ValueError, "must be a vector"),
        (lambda x: np.zeros(0), ValueError, "there must be residuals"),
        (lambda x: "abc", TypeError, "must be real numbers"),
        (lambda x: x * 1j, TypeError, "must be real numbers"),
    ],
)
def test_wrong_residuals(fun, kind, says):
    with pytest.raises(kind, match=says):
        least_squares(fun, [1.0, 1.0])


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_the_tests_are_scale_free(scale):
    result = least_squares(lambda x: scale * decay(x), [1.0, 1.0])
    np.testing.assert_allclose(result.x, least_squares(decay, [1.0, 1.0]).x, rtol=1e-9)
    tiny = least_squares(lambda x: scale * (x[0] * np.exp(-x[1] * T / scale**0) - CLEAN), [1.0, 1.0])
    np.testing.assert_allclose(tiny.x, [2.5, 1.3], rtol=1e-9)


class TestNoFalseSuccess:
    def test_a_kink(self):
        result = least_squares(lambda x: np.array([1.0 + np.abs(x[0] - 0.3) + 0.5 * (x[0] - 0.3)]), [2.0])
        assert not result.success or abs(result.x[0] - 0.3) < 1e-6

    def test_a_wall_of_nan(self):
        def fun(x):
            return np.array([np.sqrt(x[0] - 1.0) + 3.0, x[0] + 5.0])

        result = least_squares(fun, [2.0])
        assert not result.success
        assert result.x[0] >= 1.0

    def test_nan_at_the_start(self):
        result = least_squares(lambda x: np.log(x), [-1.0, 1.0])
        assert not result.success
        assert result.reason == Status.NON_FINITE
        assert "start" in result.message

    def test_a_trial_that_is_not_finite_shortens_the_radius(self):
        result = least_squares(lambda x: np.array([np.log(x[0]) - 5.0]), [1.0])
        assert result.success
        assert result.x[0] == pytest.approx(np.exp(5.0), rel=1e-9)

    def test_unchanged_is_no_success_where_it_is_no_minimum(self):
        result = least_squares(rosenbrock, [-1.2, 1.0], max_nfev=1)
        assert not result.success
        assert result.status == 0


class TestAsAProblem:
    def test_any_method_sees_an_ordinary_objective(self):
        for residuals in (decay, untraceable):
            problem = problems.LeastSquares(residuals, [1.0, 1.0])
            best = optimize(problem)
            assert isinstance(best.state.method, LevenbergMarquardt)
            other = optimize(problem, method="lbfgs", gtol=1e-9)
            np.testing.assert_allclose(other.x, best.x, rtol=1e-6)
            assert best.fun == pytest.approx(0.5 * np.sum(decay(best.x) ** 2), rel=1e-12)
            assert gradopt.check_gradient(problem, [2.0, 1.0]).passed

    def test_other_problems_are_refused(self):
        with pytest.raises(ValueError, match="works on sums of squares alone"):
            optimize(problems.Rosenbrock(), method=LevenbergMarquardt())

    def test_callbacks_and_resuming_change_no_bit(self):
        problem = problems.LeastSquares(rosenbrock, [-1.2, 1.0])
        whole = optimize(problem)
        seen = []
        observed = optimize(problem, callback=lambda intermediate_result: seen.append(intermediate_result.x))
        np.testing.assert_array_equal(observed.x, whole.x)
        assert len(seen) == whole.nit
        half = optimize(problem, max_iter=3)
        resumed = optimize(problem, state=half.state)
        np.testing.assert_array_equal(resumed.x, whole.x)
        assert resumed.nit == whole.nit
        np.testing.assert_array_equal(resumed.history.fun[-1], whole.history.fun[-1])

    def test_x0_of_the_run_sets_the_number_of_parameters(self):
        problem = problems.LeastSquares(lambda x: x - 3.0)
        for n in (1, 2, 5):
            np.testing.assert_allclose(optimize(problem, np.ones(n)).x, 3.0)

    def test_what_functions_take_from_outside_is_that_of_the_run(self):
        y = np.exp(-T)
        own = problems.LeastSquares(lambda x: x[0] * np.exp(-x[1] * T) - y, [1.0, 1.0])
        model = problems.CurveFit(lambda t, params: params[0] * np.exp(-params[1] * t) / y[0], T, np.exp(-T))
        for factor in (1.0, 3.0):
            y[:] = factor * np.exp(-T)
            np.testing.assert_allclose(optimize(own).x, [factor, 1.0], rtol=1e-9)
            np.testing.assert_allclose(optimize(model, [1.0, 1.0]).x, [factor, 1.0], rtol=1e-9)

    def test_float32(self):
        result = optimize(problems.LeastSquares(decay), np.ones(2, np.float32))
        assert result.x.dtype == np.float32
        assert result.success
        np.testing.assert_allclose(result.x, least_squares(decay, [1.0, 1.0]).x, rtol=1e-4)

    def test_history_has_the_radius(self):
        result = optimize(problems.LeastSquares(rosenbrock, [-1.2, 1.0]), method=LevenbergMarquardt(radius=0.1))
        assert result.history.learning_rate[0] == pytest.approx(0.1 * np.linalg.norm([1.2 * np.hypot(24.0, 1.0), 10.0]))

    def test_large_sums_need_no_jacobian_in_memory(self, rng):
        t = rng.uniform(size=120_000)
        y = 2.0 * np.exp(-3.0 * t) + 0.1 * rng.normal(size=t.size)
        problem = problems.LeastSquares(lambda x: x[0] * np.exp(-x[1] * t) - y, [1.0, 1.0])
        assert problem.by_residuals(np.ones(2)).workspace(np.float64)[1].size == 0
        result = optimize(problem)
        assert result.success
        np.testing.assert_allclose(result.x, [2.0, 3.0], rtol=0.02)
