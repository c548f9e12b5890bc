"""Weights of the points of a fit: a weight counts as so many points."""

import numpy as np
import pytest

import gradopt
from gradopt import SGD, optimize
from gradopt.problems import CurveFit, PolynomialFit

LOSSES = ["mse", "mae", "rmse", "half_squared_error", "huber"]
RNG = np.random.default_rng(5)
T = np.linspace(0.0, 2.0, 24)
Y = 1.0 + 2.0 * T * np.exp(-0.7 * T) + 0.3 * RNG.normal(size=24)
WEIGHTS = RNG.integers(0, 4, 24)
REPEATED = np.repeat(np.arange(24), WEIGHTS)
ROWS = [3, 4, 4, 11, 20]
OF_ROWS = np.concatenate([np.flatnonzero(REPEATED == row) for row in ROWS])
X = np.array([0.4, -0.3, 0.5])


def bump(t, params):
    return params[0] + params[1] * t * np.exp(-params[2] * t)


def pairs(loss):
    """Problems with weights, and with repeated points instead."""
    for kind, more in ((PolynomialFit, (2,)), (CurveFit, ())):
        first = (bump,) if kind is CurveFit else ()
        weighted = kind(*first, T, Y, *more, loss, sample_weight=WEIGHTS)
        yield weighted, kind(*first, T[REPEATED], Y[REPEATED], *more, loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_counts_as_so_many_points(loss):
    for weighted, repeated in pairs(loss):
        for rows, of_rows in ((None, None), (ROWS, OF_ROWS)):
            value, grad = weighted.value_and_grad(X, rows)
            expected, slopes = repeated.value_and_grad(X, of_rows)
            assert value == pytest.approx(expected, rel=1e-12)
            np.testing.assert_allclose(grad, slopes, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("loss", ["mse", "half_squared_error"])
def test_fits_by_least_squares_weigh_too(loss):
    for weighted, repeated in pairs(loss):
        one, other = (optimize(problem, np.ones(3)) for problem in (weighted, repeated))
        assert one.state.method == gradopt.LevenbergMarquardt()
        np.testing.assert_allclose(one.x, other.x, rtol=1e-9)
        assert one.fun == pytest.approx(other.fun, rel=1e-12)


def test_the_known_minimizer_is_weighted():
    for weighted, repeated in pairs("mse"):
        if isinstance(weighted, PolynomialFit):
            np.testing.assert_allclose(weighted.minimizer, repeated.minimizer, rtol=1e-10)
            assert not weighted.grad(weighted.minimizer).round(12).any()


def test_errors_take_weights_as_inverse_variances_whatever_their_scale():
    sigma = RNG.uniform(0.5, 2.0, 24)
    line = [[1.0, 0.0, 0.0]]
    expected = gradopt.curve_fit(lambda t, a, b, c: a * t**2 + b * t + c, T, Y, [1.0, 1.0, 1.0], sigma=sigma)
    for scale in (1.0, 7.0):
        result = optimize(PolynomialFit(T, Y, 2, sample_weight=scale / sigma**2), line[0])
        np.testing.assert_allclose(gradopt.uncertainty(result).stderr, expected.stderr, rtol=1e-6)
    without = np.delete(np.arange(24), [3, 7])
    masked = np.where(np.isin(np.arange(24), without), 1.0, 0.0)
    one, other = PolynomialFit(T, Y, sample_weight=masked), PolynomialFit(T[without], Y[without])
    errors = [gradopt.uncertainty(optimize(problem, line[0])).stderr for problem in (one, other)]
    np.testing.assert_allclose(*errors, rtol=1e-9)


def test_a_batch_without_weight_changes_nothing():
    for problem in (
        PolynomialFit(T, Y, sample_weight=np.eye(24)[0]),
        CurveFit(bump, T, Y, sample_weight=np.eye(24)[0]),
    ):
        value, grad = problem.value_and_grad(X, [5, 6])
        assert (value, grad.any()) == (0.0, False)
        assert optimize(problem, X, method=SGD(0.01), batch_size=8, epochs=2, rng=0).success


def test_bad_weights_are_refused():
    for make in (lambda w: PolynomialFit(T, Y, sample_weight=w), lambda w: CurveFit(bump, T, Y, sample_weight=w)):
        for weights, message in (
            (WEIGHTS[:3], "per row, 24, got 3"),
            (-WEIGHTS, "must be >= 0"),
            (0 * WEIGHTS, "zeros"),
        ):
            with pytest.raises(ValueError, match=message):
                make(weights)
