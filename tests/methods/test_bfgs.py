"""BFGS: the matrix that it keeps, bounds, damping, and how runs end."""

import numpy as np
import pytest
import scipy.optimize

from gradopt import BFGS, LBFGS, Status, every, optimize, problems
from gradopt.methods.bfgs import _update


def rosen(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_it_solves_and_gives_the_inverse():
    A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
    result = optimize(lambda x: 0.5 * x @ A @ x - np.sum(x), np.zeros(3), method=BFGS(), gtol=1e-8, record="x")
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.solve(A, np.ones(3)), atol=1e-8)
    step = result.history.x[-1] - result.history.x[-2]
    np.testing.assert_allclose(result.hess_inv @ (A @ step), step, atol=1e-6 * np.abs(step).max())
    assert np.linalg.eigvalsh(result.hess_inv).min() > 0.0


def test_it_takes_about_as_many_evaluations_as_scipys():
    for number in (1, 5, 7, 8, 14):
        problem = problems.MGH(number)
        theirs = scipy.optimize.minimize(problem.value_and_grad, problem.x0, jac=True, method="BFGS")
        ours = optimize(problem, method=BFGS())
        assert ours.success
        assert ours.fun <= theirs.fun + 1e-8
        assert ours.nfev <= 1.5 * theirs.nfev


def test_bounds():
    bounds, x0 = [(-2.0, 0.5)] * 5 + [(0.2, None)], np.full(6, 0.3)
    ours, theirs = (optimize(rosen, x0, method=m, bounds=bounds, gtol=1e-8) for m in (BFGS(), LBFGS()))
    assert ours.success
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
    np.testing.assert_array_equal(ours.active_mask, theirs.active_mask)


def test_pieces_callbacks_and_states_change_nothing():
    whole = optimize(rosen, [-1.2, 1.0, 0.5], method=BFGS())
    watched = optimize(rosen, [-1.2, 1.0, 0.5], method=BFGS(), callback=every(3, lambda xk: None))
    first = optimize(rosen, [-1.2, 1.0, 0.5], method=BFGS(), max_iter=7)
    rest = optimize(rosen, x0=None, state=first.state)
    for other in (watched, rest):
        np.testing.assert_array_equal(whole.x, other.x)
        np.testing.assert_array_equal(whole.hess_inv, other.hess_inv)
        assert (whole.fun, whole.nit) == (other.fun, other.nit)


def updated(inverse, step, change):
    """The matrix after one update, and its twin in NumPy without damping."""
    n = step.size
    ours, x = inverse.copy(), np.zeros(n)
    _update(ours, np.zeros((3, n)), np.array([1.0, 1.0]), step, change, x, x)
    rho, eye = 1.0 / (step @ change), np.eye(n)
    theirs = (eye - rho * np.outer(step, change)) @ inverse @ (eye - rho * np.outer(change, step))
    return ours, theirs + rho * np.outer(step, step)


def test_the_update_is_that_of_the_book():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    inverse, step = root @ root.T, rng.normal(size=4)
    ours, theirs = updated(inverse, step, step + 0.1 * rng.normal(size=4))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_negative_curvature_is_damped():
    step = np.array([1.0, 0.0])
    ours, _ = updated(np.eye(2), step, -step)
    assert np.linalg.eigvalsh(ours).min() > 0.0
    nonconvex = lambda x: np.sum(x**4 - 3.0 * x**2) + x[0] * x[1]  # noqa: E731
    assert optimize(nonconvex, [0.1, 0.05], method=BFGS()).success


def test_a_kink_is_not_a_success():
    result = optimize(lambda x: np.abs(x[0]) + 0.01 * np.sum((x[1:] - 5.0) ** 2), [1.0, 2.0, -0.5], method=BFGS())
    assert not result.success or abs(result.x[0]) < 1e-9


@pytest.mark.parametrize("settings", [{"max_line_search": 1}, {"max_line_search": 2.5}])
def test_settings_out_of_range(settings):
    with pytest.raises((TypeError, ValueError), match="max_line_search"):
        BFGS(**settings)


def test_unbounded_below_is_no_success():
    assert optimize(lambda x: -np.sum(x**2), [1.0, 2.0], method=BFGS()).status == Status.NON_FINITE
