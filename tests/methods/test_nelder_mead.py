"""NelderMead: what it solves without gradients, collapsed simplices, bounds, and how runs end."""

import numpy as np
import pytest
import scipy.optimize

from gradopt import NelderMead, Status, every, optimize, problems


def rosen(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_it_solves_it():
    result = optimize(problems.Rosenbrock(), method=NelderMead())
    assert result.status == Status.FTOL
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)
    assert result.jac is None
    assert np.isnan(result.history.grad_norm).all()
    assert result.history.fun[-1] == result.fun


@pytest.mark.parametrize("adaptive", [True, False])
def test_its_moves_are_those_of_scipy(adaptive):
    theirs = []
    scipy.optimize.minimize(
        rosen, [-1.2, 1.0, 0.5], method="Nelder-Mead", callback=theirs.append,
        options={"adaptive": adaptive, "maxiter": 60},
    )  # fmt: skip
    ours = optimize(rosen, [-1.2, 1.0, 0.5], method=NelderMead(adaptive), max_iter=60, record="x").history.x[1:]
    np.testing.assert_allclose(ours[:40], np.array(theirs)[:40], rtol=1e-9)


def test_a_function_is_never_differentiated():
    calls = []

    def fun(x):
        calls.append(x.copy())
        return float(abs(x[0] - 1.0) + (x[1] + 2.0) ** 2) if x[:1][x[:1] < 1e9].size else 0.0

    result = optimize(fun, [0.5, 0.5], method=NelderMead())
    assert result.success
    np.testing.assert_allclose(result.x, [1.0, -2.0], atol=1e-3)
    assert abs(len(calls) - result.nfev) <= 1  # a call near x0, to see whether it can be traced


def test_a_simplex_that_collapses_starts_again():
    # K. McKinnon, Convergence of the Nelder-Mead simplex method to a nonstationary point, SIAM J. Optim. 9, 1998.
    def mckinnon(x):
        return np.where(x[0] <= 0.0, 360.0, 6.0) * x[0] ** 2 + x[1] + x[1] ** 2

    result = optimize(mckinnon, [0.0, 0.0], method=NelderMead(adaptive=False))
    assert result.success
    assert result.fun == pytest.approx(-0.25, abs=1e-8)


def test_bounds():
    bounds = [(0.0, 0.5), (0.0, 0.5), (0.1, None)]
    result = optimize(rosen, [0.2, 0.5, 0.3], method=NelderMead(), bounds=bounds)
    best = optimize(rosen, [0.2, 0.5, 0.3], bounds=bounds, gtol=1e-9)
    assert result.fun == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_array_equal(result.active_mask, best.active_mask)


def test_nan_is_avoided():
    result = optimize(
        lambda x: np.where(x[0] < 1.0, np.nan, (x[0] - 1.0) ** 2 + x[1] ** 2), [5.0, 5.0], method=NelderMead()
    )
    np.testing.assert_allclose(result.x, [1.0, 0.0], atol=1e-3)
    assert optimize(lambda x: np.nan * x[0], [5.0, 5.0], method=NelderMead()).status == Status.NON_FINITE


@pytest.mark.parametrize("wall", [np.nan, np.inf])
def test_a_wall_all_around_is_no_success(wall):
    result = optimize(lambda x: np.where(x[0] == 5.0, x[0], wall) + x[1] * 0.0, [5.0, 2.0], method=NelderMead())
    assert not result.success


def test_a_state_meets_other_bounds():
    begun = optimize(problems.Rosenbrock(), [-1.2, 1.0], method=NelderMead(), max_iter=5)
    with pytest.warns(RuntimeWarning, match="moved into them"):
        result = optimize(problems.Rosenbrock(), state=begun.state, bounds=[(-3.0, -1.5), (0.0, 1.0)])
    np.testing.assert_allclose(result.x, [-1.5, 1.0], atol=1e-5)


def test_a_state_meets_another_objective():
    begun = optimize(lambda x: np.sum(x**2) - 100.0, [1.0, 2.0], method=NelderMead(), max_iter=20)
    result = optimize(lambda x: np.sum((x - 3.0) ** 2), state=begun.state)
    assert result.success
    np.testing.assert_allclose(result.x, 3.0, atol=1e-3)


def test_a_fixed_parameter():
    result = optimize(rosen, [-1.2, 1.0], method=NelderMead(), bounds=[(None, None), (1.0, 1.0)])
    assert result.success
    assert result.x[1] == 1.0
    assert abs(result.x[0]) == pytest.approx(1.0, abs=1e-2)


def test_no_update_is_the_start():
    result = optimize(problems.Rosenbrock(), [-1.2, 1.0], method=NelderMead(), max_iter=0)
    np.testing.assert_array_equal(result.x, [-1.2, 1.0])


def test_for_scipys_minimize():
    result = scipy.optimize.minimize(rosen, [-1.2, 1.0], method=NelderMead(), tol=1e-6)
    assert result.success


def test_unbounded_below_is_no_success():
    result = optimize(lambda x: -np.sum(x**2), [5.0, 5.0], method=NelderMead())
    assert result.status == Status.NON_FINITE
    assert np.isfinite(result.fun)
    assert np.isfinite(result.x).all()


def test_pieces_callbacks_and_states_change_nothing():
    whole = optimize(rosen, [-1.2, 1.0, 0.5], method=NelderMead())
    watched = optimize(rosen, [-1.2, 1.0, 0.5], method=NelderMead(), callback=every(3, lambda xk: None))
    first = optimize(rosen, [-1.2, 1.0, 0.5], method=NelderMead(), max_iter=30)
    rest = optimize(rosen, x0=None, state=first.state)
    for other in (watched, rest):
        np.testing.assert_array_equal(whole.x, other.x)
        assert (whole.fun, whole.nit) == (other.fun, other.nit)


def test_limits_and_tolerances():
    assert optimize(rosen, [-1.2, 1.0], method=NelderMead(), max_nfev=30).status == Status.MAX_NFEV
    assert optimize(rosen, [-1.2, 1.0], method=NelderMead(), max_nfev=30).nfev <= 31
    assert optimize(rosen, [-1.2, 1.0], method=NelderMead(), max_iter=5).nit == 5
    exact = optimize(rosen, [-1.2, 1.0], method=NelderMead(), xtol=1e-9, ftol=1e-15)
    np.testing.assert_allclose(exact.x, 1.0, atol=1e-8)
    assert optimize(rosen, [-1.2, 1.0], method=NelderMead(), target=1e-3).status == Status.TARGET


def test_float32():
    result = optimize(rosen, np.array([-1.2, 1.0], np.float32), method=NelderMead())
    assert result.x.dtype == np.float32
    np.testing.assert_allclose(result.x, 1.0, atol=1e-2)


@pytest.mark.parametrize("argument", [{"gtol": 1e-3}, {"jac": scipy.optimize.rosen_der}])
def test_gradients_have_no_meaning(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))} has no meaning for NelderMead, which looks at no"):
        optimize(rosen, [-1.2, 1.0], method=NelderMead(), **argument)


def test_settings_out_of_range():
    with pytest.raises(TypeError, match="adaptive"):
        NelderMead(adaptive="yes")
