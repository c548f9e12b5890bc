"""A success is a minimum: by the test that the status names, or not at all."""

import numpy as np
import pytest
from false_success import ROUTES, search, what_is_false
from scipy.optimize import Bounds

from gradopt import LBFGS, NonlinearCG, Status, optimize, problems

METHODS = [LBFGS(), LBFGS(memory=2), NonlinearCG()]
DATA = np.random.default_rng(5)
A, B = DATA.normal(size=(12, 4)), DATA.normal(size=12)


@pytest.mark.slow
def test_many_runs_of_all_kinds(monkeypatch):
    monkeypatch.setattr("false_success.ROUTES", ROUTES[:1])  # nothing to compile
    found, counts = search(80, seed=11)
    assert not found
    assert {status for _, status in counts} >= {"GTOL", "FTOL", "LINE_SEARCH", "NON_FINITE"}


KINKED = {
    "lasso": lambda x: 0.5 * np.sum((A @ x - B) ** 2) + np.sum(np.abs(x)),
    "absolute deviations": lambda x: np.sum(np.abs(A @ x - B)),
    "roots": lambda x: np.sum(np.sqrt(np.abs(x))),
    "largest": lambda x: np.max(np.abs(A @ x - B)),
    "edge of a valley": lambda x: np.abs(x[0]) + 0.01 * np.sum((x[1:] - 5.0) ** 2),
}


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("name", KINKED)
def test_a_kink_is_not_a_success(name, method):
    x0 = np.array([1.0, 2.0, -0.5, 0.3])
    result = optimize(KINKED[name], x0, method=method, max_iter=500)
    reason = what_is_false(KINKED[name], x0, result, {"args": (), "jac": "trace"})
    assert not result.success or reason is None
    if result.status == Status.LINE_SEARCH:
        assert "kink" in result.message


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3, 1e6, -1e9])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_minimum_hidden_by_rounding_is_one(method, offset, scale):
    fun = lambda x: offset + scale * np.sum((A @ x - B) ** 2)  # noqa: E731
    result = optimize(fun, np.zeros(4), method=method, gtol=0.0)
    assert result.success
    assert result.status in (Status.FTOL, Status.GTOL)
    assert fun(result.x) <= fun(np.linalg.lstsq(A, B)[0]) + 1e-12 * max(abs(offset), scale)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("wrong", [-1.0, 1e3, [1.0, 1.0, -1.0, 1.0]])
def test_a_wrong_gradient_is_not_a_success(method, wrong):
    fun = lambda x: 1.0 + np.sum((A @ x - B) ** 2)  # noqa: E731
    wrong = np.asarray(wrong)
    jac = lambda x: wrong * (2.0 * A.T @ (A @ x - B))  # noqa: E731
    result = optimize(fun, np.ones(4), jac=jac, method=method, gtol=1e-12)
    assert not result.success or np.abs(2.0 * A.T @ (A @ result.x - B)).max() < 1e-6


def test_a_wall_of_nan_is_not_a_success():
    rng = np.random.default_rng(6)
    for _ in range(2):
        X = rng.normal(size=(200, 3)) * 5.0
        y = rng.uniform(size=200) < 1.0 / (1.0 + np.exp(-X @ [1.0, -2.0, 0.5]))

        def nll(b, X=X, y=y):
            p = np.exp(X @ b) / (1.0 + np.exp(X @ b))
            return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))

        with np.errstate(all="ignore"):
            result = optimize(nll, np.zeros(3))
        best = optimize(lambda b, X=X, y=y: np.sum(np.logaddexp(0, X @ b) - y * (X @ b)), np.zeros(3))
        assert not result.success or result.fun <= best.fun + 1e-6


@pytest.mark.parametrize(
    ("x0", "bounds"), [(5e-9, (0, None)), (1e-9, (0, 1e-8)), (1e-8, (0, 1e-8)), (4e-9, (1e-9, 4e-9)), (0.0, (0, None))]
)
@pytest.mark.parametrize("unit", [1e9, 1.0, 1e-6])
def test_small_parameters_beside_a_bound(x0, bounds, unit):
    fun = lambda x: (x[0] * unit - 3.0) ** 2  # noqa: E731
    scale = 1e9 / unit
    pair = [tuple(None if side is None else side * scale for side in bounds)]
    result = optimize(fun, [x0 * scale], bounds=pair, gtol=1e-9 * unit)
    assert result.success
    assert result.x[0] == pytest.approx(3.0 / unit, rel=1e-9)
    assert result.active_mask.tolist() == [0]


def test_a_fall_without_end_in_bounds_is_no_success():
    result = optimize(np.sum, [0.5, 0.5], bounds=[(None, None), (0, 1)])
    assert not result.success
    assert result.jac[0] == 1.0
    assert result.active_mask.tolist() == [0, -1]
    assert result.at_bound.tolist() == [False, True]


def test_held_parameters_do_not_count():
    A = np.diag([1.0, 2.0, 3.0])
    result = optimize(problems.Quadratic(A, [9.0, -9.0, 0.3]), np.zeros(3), bounds=[(-1, 1), (-1, 1), (None, None)])
    assert result.status == Status.GTOL
    np.testing.assert_allclose(result.x, [1.0, -1.0, 0.1])
    assert result.active_mask.tolist() == [1, -1, 0]
    assert abs(result.jac[2]) <= 1e-5
    assert result.jac[0] == -8.0


@pytest.mark.parametrize(
    ("fun", "x0", "bounds", "x"),
    [
        (lambda x: np.sqrt(x[0]) + (x[1] - 1) ** 2, [1.0, 3.0], [(0, None), (None, None)], [0.0, 1.0]),
        (lambda x: np.sqrt(x[0]), [1.0], [(0, None)], [0.0]),
        (lambda x: np.sqrt(x[0]) + (x[1] - 1) ** 2, [0.0, 3.0], [(0, None), (None, None)], [0.0, 1.0]),
        (lambda x: np.sum(np.sqrt(2.0 - x)) - x[1], [0.0, 1.5], [(None, 2), (None, 2)], [2.0, 2.0]),
        (lambda x: np.cbrt(x[0]) + np.sum(x[1:] ** 4), [1.0, 1.0, 2.0], Bounds([0, -1, -1], 3), [0.0, 0.0, 0.0]),
    ],
)
def test_an_infinite_slope_at_a_bound_that_holds(fun, x0, bounds, x):
    result = optimize(fun, x0, bounds=bounds)
    assert result.success
    np.testing.assert_allclose(result.x, x, atol=0.03)
    assert np.isinf(result.jac).any() or "differences" in result.message
    assert result.best_fun == result.fun == pytest.approx(fun(result.x), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_run_ends_with_the_same_bits_in_chunks(n):
    fun = lambda x: np.sum(np.abs(x)) + np.sum((x - 0.3) ** 2)  # noqa: E731
    whole = optimize(fun, np.arange(1.0, n + 1.0))
    chunked = optimize(fun, np.arange(1.0, n + 1.0), callback=lambda x: None)
    assert whole.x.tolist() == chunked.x.tolist()
    assert (whole.status, whole.nit, whole.nfev) == (chunked.status, chunked.nit, chunked.nfev)
