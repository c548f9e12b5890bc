"""TrustRegion: what it solves, saddles, bounds, second derivatives that users give, and how runs end."""

import numpy as np
import pytest
import scipy.optimize

from gradopt import LBFGS, Status, TrustRegion, every, optimize, problems

METHODS = [TrustRegion(), TrustRegion(dense=0)]
HARD = [number for number in range(1, 18) if number != 2]  # 2 and 18 end in other local minima


def rosen(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_the_set_of_more_garbow_and_hillstrom():
    hessians = 0
    for number in HARD:
        problem = problems.MGH(number)
        result = optimize(problem, method=TrustRegion())
        assert result.success, number
        assert result.fun <= problem.minimum * 1.0001 + 1e-7, number
        hessians += result.nhev
    assert hessians < 600


@pytest.mark.parametrize("method", METHODS, ids=repr)
class TestOnAFunction:
    def test_it_solves_it(self, method):
        result = optimize(rosen, np.linspace(0.0, 2.0, 6), method=method)
        assert result.success
        np.testing.assert_allclose(result.x, np.ones(6), atol=1e-5)
        assert result.nhev + result.nhpv > 0
        assert result.nhev == (result.nit + 1 if method.dense else 0)

    def test_bounds(self, method):
        bounds, x0 = [(-2.0, 0.5)] * 5 + [(0.2, None)], np.full(6, 0.3)
        ours, theirs = (optimize(rosen, x0, method=m, bounds=bounds, gtol=1e-8) for m in (method, LBFGS()))
        assert ours.success
        np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
        np.testing.assert_array_equal(ours.active_mask, theirs.active_mask)

    def test_float32(self, method):
        result = optimize(rosen, np.array([-1.2, 1.0], np.float32), method=method, gtol=1e-2)
        assert result.success
        assert result.x.dtype == np.float32
        np.testing.assert_allclose(result.x, 1.0, atol=0.02)

    @pytest.mark.parametrize("start", [[0.0, 0.0], [0.0, 1e-9], [1.0, 0.0]])
    def test_a_saddle_is_no_end(self, method, start):
        result = optimize(lambda x: x[0] ** 2 - x[1] ** 2 + 0.25 * x[1] ** 4, start, method=method)
        assert result.success
        np.testing.assert_allclose(np.abs(result.x), [0.0, np.sqrt(2.0)], atol=1e-4)

    def test_a_maximum_is_no_end(self, method):
        result = optimize(lambda x: np.sum(np.cos(x)), np.zeros(3), method=method)
        assert result.success
        np.testing.assert_allclose(np.cos(result.x), -1.0, atol=1e-6)

    def test_a_flat_direction(self, method):
        result = optimize(lambda x: (x[0] - 3.0) ** 2, [0.0, 5.0], method=method)
        assert result.success
        np.testing.assert_allclose(result.x, [3.0, 5.0], atol=1e-6)

    def test_unbounded_below_is_no_success(self, method):
        for fun in (lambda x: -np.sum(x**2), lambda x: -np.sum(x**4), lambda x: x[0] ** 3 + x[1]):
            assert not optimize(fun, [1.0, 0.5], method=method).success

    def test_a_slope_that_is_infinite_at_a_bound(self, method):
        result = optimize(lambda x: np.sum(np.sqrt(x)), [3.0, 0.5], method=method, bounds=[(0.0, None)] * 2)
        assert result.success
        np.testing.assert_array_equal(result.x, 0.0)

    @pytest.mark.parametrize("side", [-1.0, 1.0])
    def test_a_saddle_on_a_bound_is_no_end(self, method, side):
        bounds = [(-2.0, 2.0), (0.0, 2.0) if side > 0.0 else (-2.0, 0.0)]
        result = optimize(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, [1.0, 0.0], method=method, bounds=bounds)
        assert result.success
        np.testing.assert_allclose(result.x, [0.0, side * np.sqrt(0.5)], atol=1e-5)

    def test_a_bound_where_the_slope_is_infinite_and_shared(self, method):
        fun = lambda x: np.sqrt(x[0]) * x[1] + (x[1] - 1.0) ** 2  # noqa: E731
        result = optimize(fun, [0.5, 0.5], method=method, bounds=[(0.0, 1.0), (0.0, 1.0)])
        assert result.success
        np.testing.assert_allclose(result.x, [0.0, 1.0], atol=1e-6)

    def test_pieces_callbacks_and_states_change_nothing(self, method):
        whole = optimize(rosen, [-1.2, 1.0, 0.5], method=method)
        watched = optimize(rosen, [-1.2, 1.0, 0.5], method=method, callback=every(3, lambda xk: None))
        first = optimize(rosen, [-1.2, 1.0, 0.5], method=method, max_iter=7)
        rest = optimize(rosen, x0=None, state=first.state)
        for other in (watched, rest):
            np.testing.assert_array_equal(whole.x, other.x)
            assert (whole.fun, whole.nit) == (other.fun, other.nit)

    def test_limits(self, method):
        assert optimize(rosen, [-1.2, 1.0], method=method, max_iter=3).nit == 3
        result = optimize(rosen, [-1.2, 1.0], method=method, max_nfev=6)
        assert result.status == Status.MAX_NFEV
        assert result.nfev <= 7  # with the last call, of the function itself

    def test_ftol_and_xtol(self, method):
        far = lambda x: 1e6 + np.sum((x - [1.0, 2.0]) ** 4)  # noqa: E731
        assert optimize(far, [3.0, 3.0], method=method, gtol=0.0).success
        result = optimize(rosen, [-1.2, 1.0], method=method, gtol=0.0, ftol=0.0, xtol=1e-8)
        assert result.status in (Status.XTOL, Status.GTOL)
        np.testing.assert_allclose(result.x, 1.0, atol=1e-8)


@pytest.mark.parametrize("others", [METHODS, METHODS[::-1]])
def test_a_state_goes_on_with_other_settings(others):
    first = optimize(rosen, np.linspace(0.0, 2.0, 4), method=others[0], max_iter=3)
    rest = optimize(rosen, state=first.state, method=others[1])
    assert rest.success
    assert rest.nhpv > 0 if others[1].dense == 0 else rest.nhev > 0
    np.testing.assert_allclose(rest.x, 1.0, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_no_test_ends_at_a_saddle(method):
    saddle = lambda x: 1e3 + x[0] ** 2 - x[1] ** 2 + 0.25 * x[1] ** 4  # noqa: E731
    for tolerances in ({"gtol": 0.0}, {"gtol": 0.0, "ftol": 1e-3}, {"gtol": 0.0, "xtol": 1e-3}):
        result = optimize(saddle, [1.0, 0.0], method=method, **tolerances)
        assert not result.success or 3.0 * result.x[1] ** 2 > 2.0  # where no curvature is negative


def test_the_first_steps_are_newtons():
    A, b = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, 1.0])
    result = optimize(problems.Quadratic(A, b), [10.0, -10.0], method=TrustRegion(radius=10.0))
    assert result.nit == 1
    np.testing.assert_allclose(result.x, np.linalg.solve(A, b), atol=1e-14)


def test_the_radius_is_kept():
    start = np.array([-1.2, 1.0])
    result = optimize(rosen, start, method=TrustRegion(radius=0.01), max_iter=1, record="x")
    D = np.sqrt(np.abs(np.diag(scipy.optimize.rosen_hess(start))))
    step = np.linalg.norm(D * (result.x - start))
    assert step == pytest.approx(0.01 * np.linalg.norm(D * start), rel=0.11)


class TestGivenDerivatives:
    def test_hess_and_hessp(self):
        plain = optimize(rosen, [-1.2, 1.0], method=TrustRegion())
        by_hess = optimize(rosen, [-1.2, 1.0], method=TrustRegion(), hess=scipy.optimize.rosen_hess)
        by_product = optimize(rosen, [-1.2, 1.0], method=TrustRegion(), hessp=scipy.optimize.rosen_hess_prod)
        assert by_hess.nhev == plain.nhev
        assert by_product.nhpv == 2 * plain.nhev
        for other in (by_hess, by_product):
            np.testing.assert_allclose(other.x, plain.x, rtol=1e-9)

    def test_they_get_args(self):
        fun = lambda x, c: np.sum((x - c) ** 4)  # noqa: E731
        hess = lambda x, c: np.diag(12.0 * (x - c) ** 2)  # noqa: E731
        c = np.array([1.0, 2.0])
        result = optimize(fun, [0.0, 0.0], method=TrustRegion(), args=(c,), hess=hess)
        np.testing.assert_allclose(result.x, c, atol=0.02)

    @pytest.mark.parametrize(
        ("hess", "text"),
        [
            (lambda x: np.eye(3), r"hess must return an array of shape \(2, 2\), got \(3, 3\)"),
            (lambda x: np.array([[1.0, 2.0], [0.0, 1.0]]), r"hess must return a symmetric matrix, got 2 in \[0, 1\]"),
            (lambda x: "no", "hess must return an array of real numbers"),
        ],
    )
    def test_wrong_ones_are_errors(self, hess, text):
        with pytest.raises((TypeError, ValueError), match=text):
            optimize(rosen, [-1.2, 1.0], method=TrustRegion(), hess=hess)

    def test_nan_is_no_success(self):
        result = optimize(rosen, [-1.2, 1.0], method=TrustRegion(), hess=lambda x: np.full((2, 2), np.nan))
        assert result.status == Status.NON_FINITE
        assert result.message.startswith("the second derivatives are NaN or infinite at the start")

    def test_where_they_have_no_meaning(self):
        with pytest.raises(ValueError, match="hess has no meaning for LBFGS"):
            optimize(rosen, [-1.2, 1.0], hess=scipy.optimize.rosen_hess)
        with pytest.raises(ValueError, match="hess and hessp belong to a callable"):
            optimize(problems.Rosenbrock(), method=TrustRegion(), hess=scipy.optimize.rosen_hess)
        with pytest.raises(TypeError, match="hess must be a function, got '2-point'"):
            optimize(rosen, [-1.2, 1.0], method=TrustRegion(), hess="2-point")

    def test_for_scipys_minimize(self):
        result = scipy.optimize.minimize(
            rosen, [-1.2, 1.0], method=TrustRegion(), jac=scipy.optimize.rosen_der, hess=scipy.optimize.rosen_hess
        )
        assert result.success
        assert result.nhev > 0


def test_a_function_that_is_not_traced_has_differences():
    def fun(x):
        return float(np.sum([(x[0] - 1.0) ** 2, (x[0] * x[1] - 2.0) ** 2])) if x[:1][x[:1] > -1e9].size else 0.0

    result = optimize(fun, [0.5, 0.5], method=TrustRegion())
    assert result.success
    np.testing.assert_allclose(result.x, [1.0, 2.0], atol=1e-5)
    assert result.nfev > 5 * result.nhev


@pytest.mark.parametrize("settings", [{"radius": 0.0}, {"radius": np.inf}, {"dense": -1}, {"dense": 2.5}])
def test_settings_out_of_range(settings):
    with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
        TrustRegion(**settings)
