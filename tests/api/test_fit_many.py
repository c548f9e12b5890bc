"""`fit_many`: each fit is that of `curve_fit`, whatever the others are."""

import math

import numpy as np
import pytest

from gradopt import Interrupted, ManyFits, Status, curve_fit, fit_many, load
from gradopt._compiler import COMPILING
from gradopt._run.many_fits import lanes_for

T = np.linspace(0.0, 4.0, 30)
START = [1.0, 1.0, 0.0]


def decay(t, amount, rate, offset):
    return amount * np.exp(-rate * t) + offset


def peak(t, height, center, width, offset):
    return height * np.exp(-0.5 * ((t - center) / width) ** 2) + offset


def decays(count, noise=0.02, seed=0, t=T):
    rng = np.random.default_rng(seed)
    true = np.stack([rng.uniform(1, 4, count), rng.uniform(0.5, 3, count), rng.uniform(0, 1, count)], axis=1)
    return decay(t, *true.T[..., None]) + noise * rng.standard_normal((count, t.size))


def alike(fit, one, within=1e-3):
    """Whether a fit is that of curve_fit, to so many standard errors."""
    sound = np.isfinite(one.stderr) & (one.stderr > 0.0)
    assert np.all(np.abs(fit.x - one.popt)[sound] <= within * one.stderr[sound])
    np.testing.assert_allclose(fit.stderr, one.stderr, rtol=2e-3, atol=0.0)


class TestIsCurveFit:
    @pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
    def test_losses(self, loss):
        Y = decays(5)
        Y[:, 3] += 1.0
        fits = fit_many(decay, T, Y, START, loss=loss, f_scale=0.05, covariance="full")
        assert fits.success.all()
        for fit, y in zip(fits, Y, strict=True):
            one = curve_fit(decay, T, y, START, loss=loss, f_scale=0.05)
            alike(fit, one)
            np.testing.assert_allclose(fit.cov, one.pcov, rtol=5e-3, atol=1e-12)
            assert fit.cost == pytest.approx(one.cost, rel=1e-6)

    def test_counts(self):
        rng = np.random.default_rng(3)
        Y = rng.poisson(decay(T, 20.0, 1.0, 5.0), (4, T.size)).astype(float)
        Y[1, 4] = np.nan
        fits = fit_many(decay, T, Y, [10.0, 1.0, 3.0], loss="poisson")
        for fit, y in zip(fits, Y, strict=True):
            one = curve_fit(decay, T[np.isfinite(y)], y[np.isfinite(y)], [10.0, 1.0, 3.0], loss="poisson")
            alike(fit, one)
            assert fit.cost == pytest.approx(one.cost, rel=1e-9)

    @pytest.mark.parametrize("absolute", [False, True])
    def test_sigma_of_each_point(self, absolute):
        Y, sigma = decays(4), np.random.default_rng(1).uniform(0.01, 0.05, (4, T.size))
        fits = fit_many(decay, T, Y, START, sigma=sigma, absolute_sigma=absolute)
        for fit, y, s in zip(fits, Y, sigma, strict=True):
            alike(fit, curve_fit(decay, T, y, START, sigma=s, absolute_sigma=absolute))
        shared = fit_many(decay, T, Y, START, sigma=sigma[0], absolute_sigma=absolute)
        alike(shared[2], curve_fit(decay, T, Y[2], START, sigma=sigma[0], absolute_sigma=absolute))

    def test_bounds_starts_and_fixed_values_of_each_fit(self):
        Y = decays(6).reshape(2, 3, -1)
        high = np.full((2, 3, 3), np.inf)
        high[1, :, 1] = 0.4
        offset, starts = np.linspace(0.0, 0.5, 6).reshape(2, 3), np.full((2, 3, 3), 0.3)
        fits = fit_many(decay, T, Y, starts, bounds=(-np.inf, high), fixed={"offset": offset})
        assert fits.x.shape == (2, 3, 3)
        np.testing.assert_array_equal(fits.x[..., 2], offset)
        np.testing.assert_array_equal(fits.stderr[..., 2], 0.0)
        np.testing.assert_array_equal(fits.x[1, :, 1], 0.4)
        np.testing.assert_array_equal(fits.active_mask[1, :, 1], 1)
        assert np.isnan(fits.stderr[1, :, 1]).all()
        for i in np.ndindex(2, 3):
            bounds = {"rate": (None, high[i][1])}
            one = curve_fit(decay, T, Y[i], starts[i], bounds=bounds, fixed={"offset": offset[i]})
            alike(fits[i], one)

    def test_by_name(self):
        Y = decays(3)
        fits = fit_many(decay, T, Y, {"rate": [1.0, 1.1, 1.2]}, bounds={"rate": (0.0, [5.0, 0.2, 5.0])})
        assert list(fits.status < 10) == [True, False, True]
        assert fits.status[1] == Status.NON_FINITE  # its start is outside of its bounds
        np.testing.assert_array_equal(fits.x[1], [1.0, 1.1, 1.0])

    def test_a_start_from_a_function(self):
        def start(t, Y):
            return np.stack([Y[:, 0], np.ones(len(Y)), Y[:, -1]], axis=1)

        assert fit_many(decay, T, decays(3), start).success.all()

    def test_predictors_of_each_fit(self):
        t = T * np.linspace(0.8, 1.2, 4)[:, None]
        Y = np.stack([decay(row, 2.0, 1.0, 0.5) for row in t])
        fits = fit_many(decay, t, Y, START, polish=10)
        np.testing.assert_allclose(fits.x, np.tile([2.0, 1.0, 0.5], (4, 1)), rtol=1e-9)

    def test_several_predictors(self):
        def plane(x, a, b, c):
            return a * x[0] + b * x[1] + c

        u, v = np.random.default_rng(0).normal(size=(2, 9))
        for own in (v, np.tile(v, (3, 1))):
            fits = fit_many(plane, (u, own), np.tile(2.0 * u - v + 1.0, (3, 1)), [0.0, 0.0, 0.0])
            np.testing.assert_allclose(fits.x, np.tile([2.0, -1.0, 1.0], (3, 1)), atol=1e-12)

    def test_a_model_with_matrices_sums_and_orders(self):
        basis = np.vander(T, 3)

        def model(t, a, b, c):
            p = np.stack([a, b, c])
            return basis @ p + np.sort(p)[0] * np.cumsum(t) / np.sum(t) + np.dot(p, p)

        y = model(T, 0.3, -0.2, 0.5) + 0.01 * np.sin(9.0 * T)
        fits = fit_many(model, T, np.stack([y, 1.1 * y]), [0.2, -0.1, 0.4])
        assert fits.success.all()
        alike(fits[1], curve_fit(model, T, 1.1 * y, [0.2, -0.1, 0.4]))

    def test_polish_gives_all_digits(self):
        Y = decays(5)
        fits = fit_many(decay, T, Y, START, polish=60)
        for x, y in zip(fits.x, Y, strict=True):
            np.testing.assert_allclose(x, curve_fit(decay, T, y, START).popt, rtol=1e-9)


class TestTheSameBits:
    """Whatever the workers, the pieces, and the other fits."""

    Y = decays(300 if COMPILING else 140)

    def same(self, one, other):
        for name in ("x", "stderr", "cost", "status", "nit", "nfev"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)

    @pytest.mark.parametrize("workers", [1, 2, 3, "map"])
    def test_workers(self, workers):
        workers = (lambda f, pieces: list(map(f, pieces))) if workers == "map" else workers
        Y = self.Y
        self.same(fit_many(decay, T, Y, START, workers=1), fit_many(decay, T, Y, START, workers=workers))

    def test_order_and_company(self):
        fits = fit_many(decay, T, self.Y, START)
        order = np.random.default_rng(5).permutation(len(self.Y))
        self.same(fits[order], fit_many(decay, T, self.Y[order], START))
        self.same(fits[7:8], fit_many(decay, T, self.Y[7:8], START))
        self.same(fits[50:120], fit_many(decay, T, self.Y[50:120], START))

    def test_bad_neighbours(self):
        Y = self.Y.copy()
        wanted = fit_many(decay, T, Y, START)
        bad = np.arange(0, len(Y), 10)
        for i, place in enumerate(bad):
            Y[place] = [np.nan, 3.0, 1e300, 0.0, T.mean()][i % 5]
            Y[place, ::2] *= [1.0, 1.0, -1.0, 1.0, np.inf][i % 5]
        fits = fit_many(decay, T, Y, START)
        good = np.setdiff1d(np.arange(len(Y)), bad)
        self.same(wanted[good], fits[good])
        assert fits.status[0] == Status.NO_DATA
        assert np.isnan(fits.x[0]).all()

    def test_with_bounds_and_radii_that_matter(self):
        Y = decays(90, seed=4)
        bounds = ([0.0, 0.0, 0.0], [3.0, 2.0, 0.6])
        fits = fit_many(decay, T, Y, [3.0, 0.1, 0.0], bounds=bounds)
        assert (fits.active_mask != 0).any()
        self.same(fits[::-1], fit_many(decay, T, Y[::-1], [3.0, 0.1, 0.0], bounds=bounds))
        for i in range(0, 90, 9):
            one = curve_fit(decay, T, Y[i], [3.0, 0.1, 0.0], bounds=bounds)
            assert fits[i].cost == pytest.approx(0.5 * one.rss, rel=1e-6)
            np.testing.assert_array_equal(fits[i].active_mask, one.active_mask)


class TestStatuses:
    def test_too_few_points(self):
        Y = decays(2)
        Y[0, 2:] = np.nan
        fits = fit_many(decay, T, Y, START)
        assert list(fits.status) == [Status.NO_DATA, fits.status[1]]
        assert fits.success[1]
        assert fits.dof.tolist() == [-1, 27]

    def test_all_without_data(self):
        fits = fit_many(decay, T, np.full((2, 3, T.size), np.nan), START)
        assert (fits.status == Status.NO_DATA).all()
        assert np.isnan(fits.x).all()
        assert "6 fits of amount, rate, offset: 0 converged" in fits.summary()

    def test_no_fits(self):
        assert len(fit_many(decay, T, np.empty((0, T.size)), START)) == 0

    def test_sigma_that_is_not_positive(self):
        sigma = np.full((4, T.size), 0.1)
        sigma[0, 3], sigma[1, 3], sigma[2, 3] = 0.0, -0.1, np.nan
        fits = fit_many(decay, T, decays(4), START, sigma=sigma)
        assert list(fits.status[:2]) == [Status.NON_FINITE] * 2
        assert fits.success[2:].all()
        assert fits.dof[2] == T.size - 4
        np.testing.assert_array_equal(fits.x[:2], [START, START])

    def test_starts_that_are_not_finite(self):
        starts = np.tile(START, (2, 1))
        starts[0, 1] = np.nan
        fits = fit_many(decay, T, decays(2), starts)
        assert fits.status[0] == Status.NON_FINITE
        assert np.isnan(fits.x[0]).all()
        assert fits.success[1]

    def test_points_left_out(self):
        Y, t = decays(3), np.tile(T, (3, 1))
        Y[0, 3], t[1, 5] = np.inf, np.nan
        fits = fit_many(decay, t, Y, START)
        alike(fits[0], curve_fit(decay, np.delete(T, 3), np.delete(Y[0], 3), START))
        alike(fits[1], curve_fit(decay, np.delete(T, 5), np.delete(Y[1], 5), START))
        shared = T.copy()
        shared[7] = np.nan
        fits = fit_many(decay, shared, Y[2:], START)
        alike(fits[0], curve_fit(decay, np.delete(T, 7), np.delete(Y[2], 7), START))

    def test_a_point_where_the_model_is_not_defined_can_be_left_out(self):
        t = T - 1.0

        def model(t, a, b):
            return a * np.sqrt(t) + b

        Y = np.stack([2.0 * np.sqrt(np.abs(t)) + 1.0] * 2)
        Y[:, t < 0.0] = np.nan
        np.testing.assert_allclose(fit_many(model, t, Y, [1.0, 0.0]).x, [[2.0, 1.0]] * 2, atol=1e-9)

    def test_undetermined_parameters(self):
        def model(t, a, b, c):
            return (a + b) * t + c

        fits = fit_many(model, T, decays(2), [1.0, 1.0, 1.0], covariance="full")
        assert np.isinf(fits.stderr[:, :2]).all()
        assert np.isfinite(fits.stderr[:, 2]).all()
        useless = fit_many(lambda t, a, b: a * t + 0.0 * b, T, decays(2), [1.0, 1.0])
        assert np.isinf(useless.stderr[:, 1]).all()
        assert np.isfinite(useless.stderr[:, 0]).all()

    def test_as_many_points_as_parameters(self):
        fits = fit_many(lambda t, a, b: a * t + b, [0.0, 1.0], [[1.0, 2.0]], [0.0, 0.0])
        assert np.isinf(fits.stderr).all()
        known = fit_many(
            lambda t, a, b: a * t + b, [0.0, 1.0], [[1.0, 2.0]], [0.0, 0.0], sigma=1.0, absolute_sigma=True
        )
        assert known.stderr[0] == pytest.approx([math.sqrt(2.0), 1.0])

    def test_a_plateau_is_no_success(self):
        fits = fit_many(lambda t, a, b: np.exp(-np.exp(a)) * b * t, T, decays(2), [[9.0, 1.0], [0.0, 1.0]])
        assert list(fits.success) == [False, True]
        assert fits.status[0] == Status.LINE_SEARCH
        assert (fit_many(lambda t, a: 0.0 * a + t, T, decays(2), [1.0]).status == Status.LINE_SEARCH).all()

    def test_masked_points(self):
        Y = decays(2)
        masked = np.ma.masked_array(Y, mask=np.broadcast_to(np.arange(T.size) % 7 == 0, Y.shape))
        fits = fit_many(decay, T, masked, START)
        assert (fits.dof == np.sum(np.arange(T.size) % 7 != 0) - 3).all()
        np.testing.assert_array_equal(fits.x, fit_many(decay, T, masked.filled(np.nan), START).x)

    def test_max_iter(self):
        fits = fit_many(decay, T, decays(3), START, max_iter=2)
        assert (fits.status == Status.MAX_ITER).all()
        assert (fits.nit == 2).all()
        assert (fit_many(decay, T, decays(3), START, max_iter=0).x == START).all()

    def test_no_false_success_on_a_wall(self):
        fits = fit_many(lambda t, a: np.sqrt(a - 1.0) * t, T, [-T, 2.0 * T], [2.0])
        assert list(fits.success) == [False, True]  # the first would go on beyond a = 1
        assert fits.x[0] >= 1.0

    def test_bounds_that_are_no_interval_in_one_fit(self):
        high = np.array([[5.0, 5.0, 5.0], [-1.0, 5.0, 5.0]])
        fits = fit_many(decay, T, decays(2), START, bounds=(0.0, high))
        assert list(fits.status == Status.NON_FINITE) == [False, True]

    def test_poisson_counts_below_zero(self):
        Y = np.ones((2, T.size))
        Y[0, 0] = -1.0
        fits = fit_many(lambda t, a: a + 0.0 * t, T, Y, [2.0], loss="poisson")
        assert fits.status[0] == Status.NON_FINITE
        assert fits.x[1] == pytest.approx(1.0)


class TestResults:
    def test_float32(self):
        Y = decays(40)
        wide, narrow = fit_many(decay, T, Y, START), fit_many(decay, T, Y, START, dtype=np.float32)
        assert narrow.x.dtype == narrow.stderr.dtype == np.float32
        assert narrow.success.all()
        assert np.max(np.abs(narrow.x - wide.x) / wide.stderr) < 0.05
        np.testing.assert_allclose(narrow.stderr, wide.stderr, rtol=0.02)

    def test_parts(self):
        Y = decays(6).reshape(2, 3, -1)
        fits = fit_many(decay, T, Y, START, covariance="full")
        assert len(fits) == 2
        assert fits[0].x.shape == (3, 3)
        assert fits[:, 1].cov.shape == (2, 3, 3)
        assert fits[..., 1].x.shape == (2, 3)
        assert fits[1, 2].success is True
        np.testing.assert_array_equal(fits[1, 2].x, fits.x[1, 2])
        assert isinstance(fits[fits.success], ManyFits)
        single = fit_many(decay, T, Y[0, 0], START)
        assert single.x.shape == (3,)
        assert single.status.shape == ()
        with pytest.raises(TypeError, match="no length"):
            len(single)

    def test_without_errors(self):
        fits = fit_many(decay, T, decays(2), START, covariance=None)
        assert fits.stderr is None
        assert fits.cov is None
        assert fits[0].success

    def test_saved(self, tmp_path):
        fits = fit_many(decay, T, decays(3), START, covariance="full")
        fits.save(tmp_path / "fits.npz")
        loaded = load(tmp_path / "fits.npz")
        assert repr(loaded) == repr(fits)
        np.testing.assert_array_equal(loaded.cov, fits.cov)
        np.testing.assert_array_equal(loaded.success, fits.success)
        assert loaded.names == fits.names

    def test_frame(self):
        pytest.importorskip("pandas")
        frame = fit_many(decay, T, decays(6).reshape(2, 3, -1), START).to_frame()
        assert list(frame.columns[:4]) == ["amount", "rate", "offset", "amount_stderr"]
        assert frame.index[4] == (1, 1)
        assert set(frame.status) <= {"GTOL", "FTOL", "XTOL"}


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"f": 3}, "f must be a function"),
            ({"Y": np.ones((2, 0))}, "Y must have points along its last axis"),
            ({"Y": "abc"}, "Y must be an array of real numbers"),
            ({"Y": 1.0}, "Y must have an axis of points"),
            ({"Y": np.ones((2, 30)) + 1j}, "Y must be an array of real numbers"),
            ({"xdata": np.ones(4)}, r"xdata must have the shape \(30,\) or \(2, 30\), as Y, got \(4,\)"),
            ({"xdata": np.ones((3, 30))}, "several predictors are a tuple"),
            ({"p0": None}, "p0 must be given"),
            ({"p0": [1.0, 1.0]}, "p0 must have 3 elements, one for each of amount, rate, offset, got 2"),
            ({"p0": {"speed": 1.0}}, "p0 must name parameters of f"),
            ({"p0": np.ones((5, 3))}, "p0 must have the shape"),
            ({"sigma": np.ones((5, 30))}, "sigma must have the shape"),
            ({"bounds": [(0, 1), (0, 1), (0, 1)]}, "bounds must be"),
            ({"bounds": (2.0, 1.0)}, "bounds must have lower <= upper, got 2 and 1 for amount"),
            ({"bounds": {"rate": 3.0}}, "must be"),
            ({"fixed": {"speed": 1.0}}, "fixed must name parameters"),
            ({"fixed": {"amount": 1.0, "rate": 1.0, "offset": 1.0}}, "must leave a parameter free"),
            ({"loss": "squared"}, "loss must be"),
            ({"loss": "poisson", "sigma": 1.0}, "sigma must be None"),
            ({"dtype": np.int32}, "dtype must be float32 or float64"),
            ({"covariance": "wald"}, "covariance must be"),
            ({"max_iter": -1}, "max_iter must be"),
            ({"polish": 1.5}, "polish must be"),
            ({"ftol": -1.0}, "ftol must be"),
            ({"workers": 0}, "workers must be >= 1"),
            ({"workers": "two"}, "workers must be None"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_is_told(self, change, message):
        arguments = {"f": decay, "xdata": T, "Y": decays(2), "p0": START} | change
        with pytest.raises((TypeError, ValueError), match=message):
            fit_many(arguments.pop("f"), arguments.pop("xdata"), arguments.pop("Y"), arguments.pop("p0"), **arguments)


class TestOneByOne:
    """Models that can't be traced are fitted by `curve_fit`."""

    def model(self, t, amount, rate, offset):
        if amount < -100.0:
            raise ZeroDivisionError
        return decay(t, amount, rate, offset) if rate > 0.0 else amount + 0.0 * t

    def test_is_curve_fit(self):
        Y, sigma = decays(4), np.full((4, T.size), 0.02)
        Y[1, 3], Y[2] = np.nan, np.nan
        settings = {"sigma": sigma, "absolute_sigma": True, "bounds": {"rate": (0.0, 2.5)}, "covariance": "full"}
        fits = fit_many(self.model, T, Y, START, fixed={"offset": 0.5}, **settings)
        lanes = fit_many(decay, T, Y, START, fixed={"offset": 0.5}, **settings)
        assert (fits.route, lanes.route) == ("one by one", "lanes")
        np.testing.assert_array_equal(fits.status == Status.NO_DATA, [False, False, True, False])
        np.testing.assert_array_equal(fits.dof, lanes.dof)
        np.testing.assert_allclose(fits.x, lanes.x, atol=1e-4)
        np.testing.assert_allclose(fits.stderr, lanes.stderr, rtol=1e-3)
        np.testing.assert_allclose(fits.cov, lanes.cov, rtol=2e-3)
        np.testing.assert_allclose(fits.cost, lanes.cost, rtol=1e-6)

    def test_max_iter(self):
        fits = fit_many(self.model, T, decays(2), START, max_iter=1)
        assert (fits.status == Status.MAX_ITER).all()
        assert (fits.nit == 1).all()

    def test_a_model_that_raises(self):
        starts = np.array([START, [-200.0, 1.0, 0.0]])
        fits = fit_many(self.model, T, decays(2), starts)
        assert fits.success[0]
        assert fits.status[1] == Status.NON_FINITE


def test_lanes():
    assert [lanes_for(m) for m in (1, 50, 64, 100, 10_000)] == [64, 64, 64, 32, 8]


def test_ctrl_c_keeps_what_is_done():
    def workers(run, pieces):
        yield run(pieces[0])
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        fit_many(decay, T, decays(5000), START, workers=workers)
    fits = caught.value.result
    run = fits.status != Status.NOT_RUN
    assert 0 < run.sum() < 5000
    assert fits.success[run].all()
    assert np.isnan(fits.x[~run]).all()
