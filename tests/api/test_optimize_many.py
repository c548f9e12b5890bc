"""Many runs: each is that of `optimize`."""

import concurrent.futures
import multiprocessing

import numpy as np
import pytest
import scipy.optimize

from gradopt import (
    SGD,
    Adam,
    Interrupted,
    LevenbergMarquardt,
    ManyResults,
    NelderMead,
    Status,
    TrustRegion,
    load,
    multistart,
    optimize,
    optimize_many,
    problems,
)


def hilly(x):
    return np.sum(x**2 - 2.0 * np.cos(4.0 * x))


def logistic(w, X, y, strength):
    return np.sum(np.logaddexp(0.0, -y * (X @ w))) + strength * np.dot(w, w)


def squares(x, center):
    return np.sum((x - center) ** 2)


def branching(x, center):
    return np.sum((x - center) ** 2) if x[:1][x[:1] > -50.0].size else np.sum(x**2)


STARTS = np.random.default_rng(0).uniform(-3.0, 3.0, (2, 3, 2))


@pytest.mark.parametrize("method", [None, SGD(0.01, momentum=0.9)], ids=str)
@pytest.mark.parametrize("fun", [hilly, problems.Rosenbrock()], ids=["callable", "problem"])
def test_starts(fun, method):
    runs = optimize_many(fun, STARTS, method=method, max_iter=300)
    assert runs.x.shape == (2, 3, 2)
    for i in np.ndindex(2, 3):
        one = optimize(fun, STARTS[i], method=method, max_iter=300)
        np.testing.assert_array_equal(runs.x[i], one.x)
        assert (runs.fun[i], runs.nit[i], runs.status[i]) == (one.fun, one.nit, one.status)
        assert 0 < runs.nfev[i] <= one.nfev  # which counts the calls before the trace
    assert runs[1, 2].nit == runs.nit[1, 2]


@pytest.mark.parametrize("method", [TrustRegion(), NelderMead()], ids=str)
def test_families_with_other_needs(method):
    centers = np.array([[1.0, 2.0], [3.0, -1.0]])
    runs = optimize_many(squares, np.zeros(2), args=(centers,), in_axes=(0,), method=method)
    assert runs.success.all()
    np.testing.assert_allclose(runs.x, centers, atol=1e-3)
    for i in range(2):
        np.testing.assert_array_equal(optimize(squares, np.zeros(2), args=(centers[i],), method=method).x, runs.x[i])


@pytest.mark.parametrize("workers", [1, 2, "map"])
def test_data_of_each_run(workers):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(20, 3, 30)), np.sign(rng.normal(size=(30, 20)))
    workers = (lambda f, pieces: list(map(f, pieces))) if workers == "map" else workers

    def fun(w, X, y, strength):
        return logistic(w, X.T, y, strength)

    runs = optimize_many(fun, np.zeros(3), args=(X, y, 0.1), in_axes=(0, 1, None), workers=workers)
    assert runs.success.all()
    for i in (0, 7, 19):
        theirs = scipy.optimize.minimize(logistic, np.zeros(3), args=(X[i].T, y[:, i], 0.1), tol=1e-10)
        np.testing.assert_allclose(runs.x[i], theirs.x, atol=1e-4)


@pytest.mark.slow
def test_in_processes():
    centers = np.arange(40.0).reshape(20, 2)
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        runs = optimize_many(squares, np.zeros(2), args=(centers,), in_axes=(0,), workers=pool)
    np.testing.assert_allclose(runs.x, centers, atol=1e-5)


def test_a_method_for_other_problems():
    with pytest.raises(ValueError, match="works on sums of squares alone.*got"):
        optimize_many(hilly, STARTS, method=LevenbergMarquardt())


def test_starts_and_data():
    centers = np.arange(6.0).reshape(3, 2)
    runs = optimize_many(branching, [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], args=centers, in_axes=0)
    np.testing.assert_allclose(runs.x, centers, atol=1e-5)


def test_data_that_choose_what_is_computed():
    choices = np.array([[0, 1], [1, 2], [2, 0]])

    def fun(x, places):
        return np.sum((x[places] - np.array([1.0, 2.0])) ** 2) + 1e-3 * np.sum(x**2)

    runs = optimize_many(fun, np.zeros(3), args=(choices,), in_axes=(0,))
    for i, places in enumerate(choices):
        np.testing.assert_allclose(runs.x[i, places], np.array([1.0, 2.0]) / 1.001, atol=1e-5)


def test_bounds_tolerances_and_limits():
    with pytest.warns(RuntimeWarning, match=r"\d of 3 starts are outside of the bounds and were moved into them"):
        runs = optimize_many(hilly, STARTS[0], bounds=[(0.5, 3.0)] * 2, gtol=1e-8, max_nfev=200)
    assert (runs.x >= 0.5).all()
    assert (optimize_many(hilly, STARTS[0], target=1e9).status == Status.TARGET).all()
    assert (optimize_many(hilly, STARTS[0], max_iter=0).status == Status.MAX_ITER).all()


def test_a_start_that_is_not_finite():
    starts = STARTS[0].copy()
    starts[1, 0] = np.nan
    runs = optimize_many(hilly, starts)
    assert runs.status[1] == Status.NON_FINITE
    assert np.isnan(runs.x[1]).all()
    assert runs.success[[0, 2]].all()


def test_float32():
    assert optimize_many(hilly, STARTS[0].astype(np.float32)).x.dtype == np.float32


def test_best_and_distinct():
    starts = np.array([[0.1], [2.0], [-2.0], [1.9], [0.0]])
    runs = optimize_many(hilly, starts)
    assert runs.best.x == pytest.approx([0.0], abs=1e-4)
    minima = runs.distinct()
    assert minima.counts.sum() == 5
    assert minima.counts[0] == 2
    assert (np.diff(minima.fun) >= 0.0).all()
    failed = optimize_many(hilly, starts[:4], max_iter=0)
    assert failed.best.fun == failed.fun.min()
    assert len(failed.distinct().fun) == 0


def test_saved(tmp_path):
    runs = optimize_many(hilly, STARTS)
    runs.save(tmp_path / "runs.npz")
    loaded = load(tmp_path / "runs.npz")
    assert isinstance(loaded, ManyResults)
    assert repr(loaded) == repr(runs)
    np.testing.assert_array_equal(loaded.x, runs.x)


def test_ctrl_c():
    calls = []

    def fun(x):
        calls.append(1)
        if len(calls) > 300:
            raise KeyboardInterrupt
        return (x[0] - 1.0) ** 2 if x[:1][x[:1] > -50.0].size else 0.0

    with pytest.raises(Interrupted) as caught:
        optimize_many(fun, np.linspace(-1.0, 3.0, 300)[:, None])
    runs = caught.value.result
    done = runs.status != Status.NOT_RUN
    assert 0 < done.sum() < 300


class TestMultistart:
    @pytest.mark.parametrize("sampling", ["sobol", "latin", "random"])
    def test_finds_the_minima(self, sampling):
        runs = multistart(hilly, [(-3.0, 3.0)] * 2, 60, sampling=sampling, rng=0)
        assert runs.best.fun == pytest.approx(-4.0, abs=1e-6)
        assert len(runs.distinct().fun) >= 6
        assert (np.abs(runs.x) <= 3.0).all()
        again = multistart(hilly, scipy.optimize.Bounds([-3.0, -3.0], [3.0, 3.0]), 60, sampling=sampling, rng=0)
        np.testing.assert_array_equal(again.x, runs.x)

    def test_arguments(self):
        runs = multistart(lambda x, a: np.sum((x - a) ** 2), [(-1.0, 5.0)], 4, args=(2.0,), rng=1, max_iter=50)
        np.testing.assert_allclose(runs.x, 2.0, atol=1e-5)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"bounds": [(0.0, np.inf)]}, "bounds must be finite pairs"),
            ({"bounds": 3}, "bounds must be finite pairs"),
            ({"bounds": []}, "bounds must be finite pairs"),
            ({"n_starts": 0}, "n_starts must be"),
            ({"sampling": "grid"}, "sampling must be"),
            ({"method": Adam(0.1)}, "bounds need a method that keeps them"),
        ],
    )
    def test_mistakes(self, change, message):
        with pytest.raises(ValueError, match=message):
            multistart(hilly, **{"bounds": [(-1.0, 1.0)], "n_starts": 4} | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fun": 3}, "fun must be a problem or a function"),
        ({"X0": None}, "X0 must be given"),
        ({"X0": 1.0}, "X0 must have parameters along its last axis"),
        ({"X0": "a"}, "X0 must be an array of real numbers"),
        ({"in_axes": (0, 0)}, "in_axes must have one entry for each of args, 1, got 2"),
        ({"in_axes": (3,)}, r"in_axes\[0\] must be an axis of args\[0\]"),
        ({"X0": np.zeros((2, 2))}, "X0 must have one start, or one for each of the 3 data sets"),
        ({"fun": problems.Rosenbrock()}, "args and in_axes belong to a callable"),
        ({"workers": 0}, "workers must be >= 1"),
    ],
)
def test_mistakes(change, message):
    arguments = {"fun": branching, "X0": np.zeros(2), "args": (np.zeros((3, 2)),), "in_axes": (0,)} | change
    with pytest.raises((TypeError, ValueError), match=message):
        optimize_many(arguments.pop("fun"), arguments.pop("X0"), **arguments)
