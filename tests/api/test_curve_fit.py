"""`curve_fit`: NIST's certified fits, scipy's function beside it, simulated data, and bad input."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from nist import DATA, digits, model
from scipy.optimize import Bounds, OptimizeWarning

import gradopt
from gradopt import FitError, curve_fit

T = np.linspace(0.0, 4.0, 50)


def decay(t, a, b, c):
    return a * np.exp(-b * t) + c


Y = decay(T, 2.5, 1.3, 0.5) + 0.05 * np.sin(37.0 * T)
SIGMA = 0.03 + 0.05 * np.abs(np.cos(T))


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", DATA)
def test_nist(name, start):
    problem = DATA[name]
    fit = curve_fit(model(name), problem["x"], problem["y"], p0=problem["starts"][start])
    assert fit.reason.success
    assert digits(fit.popt, problem["parameters"]) >= 10.0
    # The residuals of Lanczos1 are the rounding of its data, known to three digits.
    assert digits(fit.stderr, problem["standard_deviations"]) >= (2.9 if name == "Lanczos1" else 9.0)
    assert fit.dof == problem["dof"]
    if name != "Lanczos1":
        assert digits(fit.rss, problem["residual_sum_of_squares"]) >= 9.0


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sigma": SIGMA},
        {"sigma": SIGMA, "absolute_sigma": True},
        {"sigma": 0.1, "absolute_sigma": True},
        {"sigma": np.diag(SIGMA**2) + 1e-4, "absolute_sigma": True},
        {"sigma": np.diag(SIGMA**2) + 1e-4},
        {"bounds": ([0.0, 0.0, 0.0], [5.0, 5.0, 5.0])},
        {"bounds": Bounds([0.0] * 3, [5.0] * 3), "method": "dogbox"},
        {"p0": [1.0, 2.0, 0.0], "jac": "3-point", "method": "trf"},
        {"jac": lambda t, a, b, c: np.stack([np.exp(-b * t), -a * t * np.exp(-b * t), np.ones_like(t)], axis=1)},
    ],
)
def test_as_scipy(settings):
    popt, pcov = curve_fit(decay, T, Y, **settings)
    scipys = scipy.optimize.curve_fit(decay, T, Y, **settings)
    np.testing.assert_allclose(popt, scipys[0], rtol=1e-6)
    np.testing.assert_allclose(pcov, scipys[1], rtol=2e-5)


def test_full_output():
    popt, pcov, infodict, message, ier = fit = curve_fit(decay, T, Y, full_output=True)
    assert ier in (1, 2, 3, 4)
    assert message == fit.message
    assert infodict["nfev"] == fit.nfev
    np.testing.assert_allclose(infodict["fvec"], decay(T, *popt) - Y, atol=1e-14)
    assert pcov is fit.pcov


def test_by_name():
    fit = curve_fit(decay, T, Y, p0={"b": 2.0}, bounds={"a": (0.0, None), "c": (None, 0.45)}, fixed={"a": 2.5})
    assert fit.names == ("a", "b", "c")
    assert (fit.popt[0], fit.popt[2]) == (2.5, 0.45)
    assert fit.active_mask.tolist() == [0, 0, 1]
    assert (fit.stderr[0], np.isnan(fit.stderr[2])) == (0.0, True)
    assert fit.dof == 48
    assert "fixed" in fit.summary()
    assert "c at a bound" in fit.summary()
    alone = curve_fit(lambda t, b: decay(t, 2.5, b, 0.45), T, Y)
    assert fit.popt[1] == pytest.approx(alone.popt[0], rel=1e-9)


def test_figures():
    fit = curve_fit(decay, T, Y, sigma=SIGMA)
    r = (Y - decay(T, *fit.popt)) / SIGMA
    mean = np.average(Y, weights=SIGMA**-2)
    m, n = 50, 3
    np.testing.assert_allclose(fit.residuals, Y - decay(T, *fit.popt), atol=1e-14)
    assert fit.rss == pytest.approx(r @ r)
    assert (fit.dof, fit.reduced_chi_squared) == (47, pytest.approx(r @ r / 47))
    assert fit.r_squared == pytest.approx(1.0 - r @ r / np.sum(((Y - mean) / SIGMA) ** 2))
    assert fit.aic == pytest.approx(m * np.log(r @ r / m) + 2 * n)
    assert fit.bic == pytest.approx(m * np.log(r @ r / m) + n * np.log(m))
    np.testing.assert_allclose(np.diag(fit.correlation), 1.0)
    np.testing.assert_allclose(fit.stderr, np.sqrt(np.diag(fit.pcov)))
    assert fit.rank == 3
    for text in (fit.summary(), fit._repr_html_(), repr(fit)):
        assert "R2" in text


def test_several_predictors_constants_and_pandas():
    x = np.stack([T, np.cos(3.0 * T)])
    y = 2.0 * x[0] - 0.5 * x[1] ** 2 + 7.0

    def plane(x, a, b, power):
        return a * x[0] + b * x[1] ** power + 7.0

    np.testing.assert_allclose(curve_fit(plane, x, y, args=(2,)).popt, [2.0, -0.5], rtol=1e-10)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"t": x[0], "c": x[1]})

    def by_column(frame, a, b):
        return a * frame["t"] + b * frame["c"] ** 2 + 7.0

    np.testing.assert_allclose(curve_fit(by_column, frame, y).popt, [2.0, -0.5], rtol=1e-7)
    np.testing.assert_allclose(curve_fit(decay, pandas.Series(T), pandas.Series(Y)).popt, curve_fit(decay, T, Y).popt)


def test_any_number_of_parameters():
    def polynomial(t, *coefficients):
        return sum(c * t**i for i, c in enumerate(coefficients))

    fit = curve_fit(polynomial, T, 1.0 + 2.0 * T - 3.0 * T**2, p0=np.zeros(3))
    np.testing.assert_allclose(fit.popt, [1.0, 2.0, -3.0], rtol=1e-9)
    assert fit.names == ("p0", "p1", "p2")
    with pytest.raises(ValueError, match="p0 must be given"):
        curve_fit(polynomial, T, Y)


class TestIntervals:
    def test_profile_is_where_the_fit_is_that_much_worse(self):
        fit = curve_fit(decay, T, Y)
        q = scipy.stats.t.ppf(0.975, fit.dof)
        ends = fit.confidence_interval(kind="profile")
        for j, name in enumerate(fit.names):
            for end in ends[j]:
                held = curve_fit(decay, T, Y, p0=dict(zip(fit.names, fit.popt, strict=True)), fixed={name: end})
                assert (held.rss - fit.rss) / (fit.rss / fit.dof) == pytest.approx(q**2, rel=1e-3)
        np.testing.assert_allclose(ends, fit.confidence_interval(), rtol=0.02)

    def test_linear_models_have_the_classical_bands(self):
        def line(t, a, b):
            return a * t + b

        fit = curve_fit(line, T, Y)
        new, q = np.array([0.5, 9.0]), scipy.stats.t.ppf(0.95, fit.dof)
        s2, spread = fit.rss / fit.dof, np.sum((T - T.mean()) ** 2)
        share = 1.0 / 50 + (new - T.mean()) ** 2 / spread
        for band, more in ((fit.confidence_band, 0.0), (fit.prediction_band, 1.0)):
            lower, upper = band(new, 0.9)
            np.testing.assert_allclose(upper - lower, 2.0 * q * np.sqrt(s2 * (share + more)), rtol=1e-6)
            np.testing.assert_allclose(0.5 * (upper + lower), line(new, *fit.popt), rtol=1e-12)
        np.testing.assert_allclose(fit.confidence_interval(kind="profile"), fit.confidence_interval(), rtol=1e-3)

    def test_wrong_arguments(self):
        fit = curve_fit(decay, T, Y)
        with pytest.raises(ValueError, match="level must be"):
            fit.confidence_interval(1.0)
        with pytest.raises(ValueError, match="kind must be"):
            fit.confidence_interval(kind="bootstrap")
        with pytest.raises(ValueError, match="is no likelihood"):
            curve_fit(decay, T, Y, loss="huber").confidence_interval(kind="profile")


def simulated(loss, count, noise, seed, **settings):
    """The share of simulated fits whose 95 % interval holds each parameter."""
    rng, inside = np.random.default_rng(seed), np.zeros(3)
    truth = np.array([25.0, 1.3, 5.0] if loss == "poisson" else [2.5, 1.3, 0.5])
    for _ in range(count):
        y = noise(rng, decay(T, *truth))
        fit = curve_fit(decay, T, y, p0=truth, loss=loss, **settings)
        low, high = fit.confidence_interval().T
        inside += (low <= truth) & (truth <= high)
    return inside / count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "noise", "settings"),
    [
        ("linear", lambda rng, f: f + 0.05 * rng.normal(size=f.size), {}),
        ("linear", lambda rng, f: f + SIGMA * rng.normal(size=f.size), {"sigma": SIGMA, "absolute_sigma": True}),
        ("huber", lambda rng, f: f + 0.05 * rng.standard_t(3, f.size), {"f_scale": 0.07}),
        ("cauchy", lambda rng, f: f + 0.05 * rng.standard_t(3, f.size), {"f_scale": 0.1}),
        ("poisson", lambda rng, f: rng.poisson(f), {}),
    ],
)
def test_coverage(loss, noise, settings):
    # Three standard deviations of a share of 0.95 among 500 are 0.03.
    assert (abs(simulated(loss, 500, noise, 1, **settings) - 0.95) < 0.03).all()


class TestCounts:
    Y = np.random.default_rng(3).poisson(decay(T, 25.0, 1.3, 5.0))

    def test_largest_likelihood(self):
        fit = curve_fit(decay, T, self.Y, p0=[10.0, 1.0, 1.0], loss="poisson")

        def unlikely(p):
            return np.sum(decay(T, *p) - self.Y * np.log(decay(T, *p)))

        best = scipy.optimize.minimize(unlikely, fit.popt * 1.05, method="Nelder-Mead", tol=1e-12)
        np.testing.assert_allclose(fit.popt, best.x, rtol=1e-5)
        J = np.stack([np.exp(-fit.popt[1] * T), -fit.popt[0] * T * np.exp(-fit.popt[1] * T), np.ones_like(T)], axis=1)
        information = (J / decay(T, *fit.popt)[:, None]).T @ J
        np.testing.assert_allclose(fit.pcov, np.linalg.inv(information), rtol=1e-6)
        means = decay(T, *fit.popt)
        assert fit.rss == pytest.approx(np.sum((self.Y - means) ** 2 / means))
        assert fit.aic == pytest.approx(-2.0 * np.sum(scipy.stats.poisson.logpmf(self.Y, means)) + 2 * 3)
        assert "R2" not in fit.summary()

    def test_also_where_it_cannot_be_traced(self):
        def branching(t, a, b, c):
            return decay(t, a, b, c) if a > -1e9 else np.ones_like(t)

        fits = [curve_fit(f, T, self.Y, p0=[10.0, 1.0, 1.0], loss="poisson") for f in (decay, branching)]
        np.testing.assert_allclose(fits[0].popt, fits[1].popt, rtol=1e-7)

    def test_bad_counts(self):
        with pytest.raises(ValueError, match=r"counts >= 0 .* in ydata\[2\]"):
            curve_fit(decay, T[:4], [1.0, 2.0, -1.0, 3.0], loss="poisson")
        with pytest.raises(ValueError, match="sigma must be None"):
            curve_fit(decay, T, self.Y, sigma=np.ones(50), loss="poisson")


def faulty(place, value, array=Y):
    result = np.array(array)
    result[place] = value
    return result


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"ydata": faulty(3, np.nan)}, ValueError, r"nan: ydata\[3\].*omit"),
        ({"ydata": faulty(3, np.inf)}, ValueError, r"infinity: ydata\[3\]"),
        ({"xdata": faulty(7, np.nan, T)}, ValueError, r"nan: xdata\[7\]"),
        ({"ydata": []}, ValueError, "ydata must not be empty"),
        ({"ydata": np.ones((5, 10))}, ValueError, "ydata must be a vector"),
        ({"ydata": Y + 1j}, ValueError, "ydata must be real"),
        ({"ydata": ["a"] * 50}, ValueError, "ydata must be an array of real numbers"),
        ({"ydata": Y[:40]}, ValueError, "40"),
        ({"sigma": faulty(5, 0.0, SIGMA)}, ValueError, r"positive and finite, got 0 in sigma\[5\]"),
        ({"sigma": faulty(5, -1.0, SIGMA)}, ValueError, r"in sigma\[5\]"),
        ({"sigma": faulty(5, np.nan, SIGMA)}, ValueError, r"got nan in sigma\[5\]"),
        ({"sigma": SIGMA[:9]}, ValueError, "sigma must have the shape"),
        ({"sigma": -np.eye(50)}, ValueError, "positive definite"),
        ({"bounds": [(0, 1), (0, 1), (0, 1)]}, ValueError, r"bounds must be \(lower, upper\)"),
        ({"bounds": (0.0, 0.5), "p0": [1.0, 1.0, 1.0]}, ValueError, r"outside of provided bounds: p0\[0\] = 1"),
        ({"bounds": (1.0, 0.0)}, ValueError, "lower <= upper"),
        ({"bounds": {"d": (0, 1)}}, ValueError, "a, b, c, got 'd'"),
        ({"bounds": {"a": 1.0}}, ValueError, r"bounds\['a'\] must be"),
        ({"bounds": (0.0, 9.0), "method": "lm"}, ValueError, "'lm' does not take bounds"),
        ({"p0": [1.0, 1.0]}, ValueError, "p0 must have 3 elements, one for each of a, b, c, got 2"),
        ({"p0": {"d": 1.0}}, ValueError, "a, b, c, got 'd'"),
        ({"p0": [1.0, np.nan, 1.0]}, ValueError, "p0 must be a real, finite"),
        ({"fixed": {"a": 1.0, "b": 1.0, "c": 1.0}}, ValueError, "leave a parameter free"),
        ({"fixed": [1.0]}, TypeError, "fixed must be a dictionary"),
        ({"nan_policy": "propagate"}, ValueError, "is not supported"),
        ({"nan_policy": "hi"}, ValueError, "nan_policy must be one of"),
        ({"loss": "hubert"}, ValueError, "loss must be"),
        ({"f_scale": -1.0}, ValueError, "f_scale must be"),
        ({"method": "newton"}, ValueError, "method must be"),
        ({"jac": "exact"}, ValueError, "jac must be"),
        ({"tolerance": 1.0}, TypeError, "no option 'tolerance'"),
        ({"f": 3}, TypeError, "f must be a function"),
        ({"f": lambda t: t}, ValueError, "has none"),
        ({"f": lambda t, a: np.outer(t, t)}, ValueError, "50 numbers"),
        ({"f": lambda t, a: "x"}, TypeError, "must return real numbers"),
    ],
)
def test_bad_input(settings, kind, says):
    with pytest.raises(kind, match=says):
        curve_fit(**{"f": decay, "xdata": T, "ydata": Y, **settings})


def test_fewer_points_than_parameters():
    with pytest.raises(TypeError, match="number of func parameters=3 must be at most"):
        curve_fit(decay, T[:2], Y[:2])
    with pytest.warns(OptimizeWarning, match="could not be estimated"):
        fit = curve_fit(decay, T[:2], Y[:2], bounds=(0.0, 9.0))
    assert np.isinf(fit.pcov).all()


class TestFailures:
    def test_no_effect_at_all(self):
        with pytest.raises(FitError, match="no parameter changes the model") as caught:
            curve_fit(lambda t, a: 0.0 * a * t, T, Y)
        assert caught.value.result.popt.tolist() == [1.0]

    def test_undetermined_parameters_are_named(self):
        with pytest.warns(OptimizeWarning, match="do not determine a, b"):
            fit = curve_fit(lambda t, a, b, c: (a + b) * t + c, T, Y)
        assert np.isinf(fit.stderr).tolist() == [True, True, False]
        assert np.isinf(fit.pcov).all()
        assert fit.rank == 2
        line = curve_fit(lambda t, a, c: a * t + c, T, Y)
        assert fit.popt[0] + fit.popt[1] == pytest.approx(line.popt[0], rel=1e-9)
        assert fit.stderr[2] == pytest.approx(line.stderr[1], rel=0.02)

    def test_nan_everywhere(self):
        with pytest.raises(FitError, match="NaN or infinite at the start"):
            curve_fit(lambda t, a: a * t * np.nan, T, Y)

    def test_too_few_evaluations(self):
        with pytest.raises(FitError, match="max_nfev=2") as caught:
            curve_fit(decay, T, Y, maxfev=2)
        assert caught.value.result.popt.shape == (3,)

    def test_what_the_model_raises_comes_through(self):
        def raising(t, a):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            curve_fit(raising, T, Y)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e30])
def test_units(unit):
    fit = curve_fit(decay, T, unit * Y, p0=[unit, 1.0, unit])
    plain = curve_fit(decay, T, Y)
    np.testing.assert_allclose(fit.popt / [unit, 1.0, unit], plain.popt, rtol=1e-9)
    np.testing.assert_allclose(fit.stderr / [unit, 1.0, unit], plain.stderr, rtol=1e-8)


def test_harmless_data():
    assert curve_fit(lambda t, a: a * t, T, np.zeros(50)).popt[0] == pytest.approx(0.0, abs=1e-12)
    perfect = curve_fit(decay, T, decay(T, 2.0, 1.0, 0.5))
    np.testing.assert_allclose(perfect.popt, [2.0, 1.0, 0.5], rtol=1e-10)
    exact = curve_fit(lambda t, a: a * t, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert exact.confidence_interval(kind="profile").tolist() == [[2.0, 2.0]]
    with pytest.warns(OptimizeWarning):
        one = curve_fit(lambda t, a: a * t, [2.0], [3.0])
    assert one.popt.tolist() == [1.5]
    twice = curve_fit(decay, np.repeat(T, 2), np.repeat(Y, 2))
    np.testing.assert_allclose(twice.popt, curve_fit(decay, T, Y).popt, rtol=1e-10)
    narrow = curve_fit(decay, T.astype(np.float32), Y.astype(np.float32))
    np.testing.assert_allclose(narrow.popt, curve_fit(decay, T, Y).popt, rtol=1e-6)
    left = curve_fit(lambda t, a: np.log(a * T + 1e-3), T, np.log(2.0 * T + 1e-3), p0=[0.01])
    assert left.popt[0] == pytest.approx(2.0, rel=1e-9)


def test_omitted_points():
    y = faulty([3, 9], np.nan)
    fit = curve_fit(decay, T, y, sigma=SIGMA, nan_policy="omit")
    kept = np.isfinite(y)
    np.testing.assert_allclose(fit.popt, curve_fit(decay, T[kept], Y[kept], sigma=SIGMA[kept]).popt, rtol=1e-12)
    assert fit.residuals.size == 48


def test_refilled_data_and_closures_are_those_of_the_call():
    data = Y.copy()
    first = curve_fit(decay, T, data).popt
    data *= 2.0
    np.testing.assert_allclose(curve_fit(decay, T, data).popt, first * [2.0, 1.0, 2.0], rtol=1e-9)


def test_data_of_a_second_fit_are_also_those_of_its_gradient():
    def residuals(x, A, y):
        return np.exp(A @ x) - y

    x, y = np.array([0.4, 0.8]), np.ones(20)
    for factor in (1.0, 1.5):  # the second finds the tape of the first, whose gradient is written down later
        A = factor * np.stack([T[:20], np.cos(T[:20])], axis=1)
        problem = gradopt.problems.LeastSquares(residuals, [0.5, 0.7], (A, y))
        values = np.exp(A @ x)
        if factor > 1.0:
            np.testing.assert_allclose(problem.grad(x), A.T @ (values * (values - y)), rtol=1e-12)
        np.testing.assert_allclose(problem.by_residuals(x).table(x).jacobian, A * values[:, None], rtol=1e-12)


def test_options_are_heard(capsys):
    quiet = curve_fit(decay, T, Y)
    assert capsys.readouterr().out == ""
    loud = curve_fit(decay, T, Y, verbose=2)
    printed = capsys.readouterr().out
    assert printed.count("update ") >= 3
    assert loud.message in printed
    with pytest.raises(ValueError, match="verbose must be 0, 1 or 2, got 5"):
        curve_fit(decay, T, Y, verbose=5)
    for settings in ({"x_scale": 1.0}, {"x_scale": [1.0, 2.0, 3.0]}, {"diff_step": [1e-5, 1e-6, 1e-4]}):
        np.testing.assert_allclose(curve_fit(decay, T, Y, **settings).popt, quiet.popt, rtol=1e-6)
    for name in ("x_scale", "diff_step"):
        with pytest.raises(ValueError, match=f"{name} must be a number or 3 numbers, got 2"):
            curve_fit(decay, T, Y, **{name: [1.0, 2.0]})
    held = curve_fit(decay, T, Y, fixed={"a": 2.5}, x_scale=[9.0, 1.0, 2.0])
    np.testing.assert_allclose(held.popt, curve_fit(decay, T, Y, fixed={"a": 2.5}).popt, rtol=1e-9)
    coarse = curve_fit(decay, T, Y, diff_step=[0.3, 0.3, 0.3])
    assert np.abs(coarse.pcov - quiet.pcov).max() > 1e-3 * np.abs(quiet.pcov).max()


def test_saved_and_loaded(tmp_path):
    fit = curve_fit(decay, T, Y, sigma=SIGMA, bounds={"b": (0.0, None)})
    fit.save(tmp_path / "fit.npz")
    again = gradopt.load(tmp_path / "fit.npz")
    assert again.summary() == fit.summary()
    np.testing.assert_array_equal(again[1], fit[1])
    np.testing.assert_array_equal(again.confidence_interval(), fit.confidence_interval())
    for ask in (lambda: again.predict(T), lambda: again.confidence_interval(kind="profile")):
        with pytest.raises(ValueError, match="the model is not in the file"):
            ask()


def test_where_scipy_is_wrong():
    def bump(t, a, center):
        return a * np.exp(-((t - center) ** 2))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(bump, T, bump(T, 2.0, 1.0), p0=[2.0, 0.0], bounds=([0.0, 0.0], [5.0, 4.0]))
    np.testing.assert_allclose(fit.popt, [2.0, 1.0], rtol=1e-8)  # from a bound
    offset = curve_fit(lambda t, a: a + 0.0 * t, T, np.full(50, 3.0), p0=[1e-9])
    assert offset.popt[0] == pytest.approx(3.0, rel=1e-12)


def test_the_message_says_how_derivatives_were_found():
    assert "forward mode" in curve_fit(decay, T, Y).message
    fit = curve_fit(lambda t, a: a * t[t * a > -9.0 * abs(a)], T, Y)
    assert "central differences, since it can't be traced: line" in fit.message
    assert "forward mode" not in curve_fit(decay, T, Y, diff_step=1e-6).message
    assert isinstance(fit, gradopt.CurveFitResult)
