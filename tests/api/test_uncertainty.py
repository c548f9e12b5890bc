"""Standard errors of three kinds, profiles and contours."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.stats

import gradopt
from gradopt import SGD, Status, TrustRegion, contour, optimize, problems, profile, uncertainty

from marks import compiled_only

RNG = np.random.default_rng(3)
M = 300
X = np.column_stack([np.ones(M), RNG.normal(size=(M, 2))])
Y = (RNG.uniform(size=M) < 1.0 / (1.0 + np.exp(-X @ [0.3, -0.5, 0.8]))).astype(float)
T = np.linspace(0.0, 4.0, 30)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * RNG.normal(size=T.size)


def logit(x):
    return np.logaddexp(0.0, X @ x) - Y * (X @ x)


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def by_hand(x):
    p = 1.0 / (1.0 + np.exp(-X @ x))
    H, S = X.T @ (X * (p * (1.0 - p))[:, None]), X * (p - Y)[:, None]
    inverse = np.linalg.inv(H)
    return {"hessian": inverse, "opg": np.linalg.inv(S.T @ S), "sandwich": inverse @ (S.T @ S) @ inverse}, S


@pytest.fixture(scope="module")
def result():
    return optimize(problems.SumOfTerms(logit, np.zeros(3)), gtol=1e-8)


class TestALikelihood:
    @pytest.mark.parametrize("kind", ["hessian", "opg", "sandwich"])
    def test_covariances(self, result, kind):
        found = uncertainty(result, kind)
        np.testing.assert_allclose(found.cov, by_hand(result.x)[0][kind], rtol=1e-10)
        np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(found.cov)))
        np.testing.assert_allclose(np.diag(found.correlation), 1.0)
        words = {"hessian": "by the Hessian", "opg": "by the outer product", "sandwich": "by the sandwich"}
        assert found.summary().startswith(f"standard errors {words[kind]}")

    def test_clusters(self, result):
        groups = np.array(["a", "b", "c", "d", "e", "f"])[np.arange(M) % 6]
        (matrices, S), found = by_hand(result.x), uncertainty(result, "sandwich", groups=groups)
        sums = np.stack([S[groups == g].sum(axis=0) for g in np.unique(groups)])
        H = matrices["hessian"]
        np.testing.assert_allclose(found.cov, H @ (sums.T @ sums) @ H, rtol=1e-9)

    def test_a_callable_and_a_mean(self, result):
        whole = optimize(lambda x: np.sum(logit(x)), np.zeros(3), gtol=1e-8)
        mean = optimize(lambda x: np.mean(logit(x)), np.zeros(3), gtol=1e-8)
        wanted = uncertainty(result).stderr
        np.testing.assert_allclose(uncertainty(whole).stderr, wanted, rtol=1e-6)
        np.testing.assert_allclose(uncertainty(mean, scale=1.0 / M).stderr, wanted, rtol=1e-4)
        with pytest.raises(ValueError, match="opg and sandwich need the terms"):
            uncertainty(whole, "opg")

    def test_a_network(self, result):
        problem = problems.Classifier(gradopt.Network.mlp([2, 1]), X[:, 1:], Y.astype(int))
        trained = optimize(problem, np.zeros(3), gtol=1e-9)
        order = [1, 2, 0]  # weights first
        for kind in ("hessian", "opg"):
            wanted = uncertainty(result, kind).stderr[order]
            np.testing.assert_allclose(uncertainty(trained, kind).stderr, wanted, rtol=1e-4)

    def test_intervals_and_tables(self, result):
        found = uncertainty(result)
        low, high = found.confidence_interval(0.9).T
        np.testing.assert_allclose(high - low, 2.0 * 1.6448536 * found.stderr, rtol=1e-6)
        assert found.summary().splitlines()[1].split() == ["estimate", "stderr", "z", "p", "2.5", "%", "97.5", "%"]
        assert "<table>" in found._repr_html_()

    def test_the_delta_method(self, result):
        found = uncertainty(result)
        value, error = found.delta_method(lambda x: x[1] / x[2])
        g = np.array([0.0, 1.0 / result.x[2], -result.x[1] / result.x[2] ** 2])
        assert value == pytest.approx(result.x[1] / result.x[2])
        assert error == pytest.approx(np.sqrt(g @ found.cov @ g))
        values, errors = found.delta_method(np.exp)
        np.testing.assert_allclose(errors, values * found.stderr)

    def test_a_frame(self, result):
        pytest.importorskip("pandas")
        frame = uncertainty(result).to_frame()
        assert list(frame.index) == ["x[0]", "x[1]", "x[2]"]
        np.testing.assert_allclose(frame["z"], frame["estimate"] / frame["stderr"])

    def test_terms_that_are_not_traced(self, result):
        def terms(x):
            return [float(logit(x)[i]) if x[0] > -1e9 else 0.0 for i in range(M)]

        plain = optimize(problems.SumOfTerms(terms, np.zeros(3)))
        for kind in ("hessian", "sandwich"):
            np.testing.assert_allclose(uncertainty(plain, kind).stderr, uncertainty(result, kind).stderr, rtol=1e-3)


class TestLeastSquares:
    def test_one_fit_four_ways(self):
        fit = gradopt.curve_fit(decay, T, DATA, [1.0, 1.0, 0.0])
        ways = [
            fit,
            gradopt.least_squares(lambda x: decay(T, *x) - DATA, [1.0, 1.0, 0.0]),
            optimize(problems.LeastSquares(lambda x: decay(T, *x) - DATA, [1.0, 1.0, 0.0])),
            optimize(problems.CurveFit(lambda t, p: p[0] * np.exp(-p[1] * t) + p[2], T, DATA), [1.0, 1.0, 0.0]),
        ]
        first = uncertainty(fit)
        for way in ways[1:]:
            np.testing.assert_allclose(uncertainty(way).stderr, first.stderr, rtol=1e-5)
            np.testing.assert_allclose(uncertainty(way, "opg").stderr, uncertainty(fit, "opg").stderr, rtol=1e-5)
        assert first.names == ("a", "k", "c")
        np.testing.assert_allclose(first.stderr, fit.stderr, rtol=0.1)  # J'J instead of H
        assert first.dof == 27

    def test_a_linear_model_is_textbook(self):
        fit = problems.PolynomialFit(T, DATA, 2)
        wanted = np.sqrt(np.diag(np.polyfit(T, DATA, 2, cov=True)[1]))
        np.testing.assert_allclose(uncertainty(optimize(fit)).stderr, wanted, rtol=1e-8)

    def test_a_robust_loss_has_hubers_scale(self):
        y = DATA.copy()
        y[::7] += 2.0
        settings = {"loss": "huber", "f_scale": 0.1}
        fit = gradopt.curve_fit(decay, T, y, [1.0, 1.0, 0.0], **settings)
        run = optimize(problems.LeastSquares(lambda x: decay(T, *x) - y, [1.0, 1.0, 0.0], **settings))
        residual = decay(T, *fit.popt) - y
        inner = np.abs(residual) <= 0.1
        psi = np.where(inner, residual, 0.1 * np.sign(residual))
        s = np.sum(psi**2) / (T.size - 3) / inner.mean()
        assert uncertainty(fit).scale == pytest.approx(s, rel=1e-6)
        np.testing.assert_allclose(uncertainty(run).stderr, uncertainty(fit).stderr, rtol=1e-4)

    def test_fixed_parameters_keep_their_places(self):
        fit = gradopt.curve_fit(decay, T, DATA, [2.5, 1.0, 0.0], fixed={"a": 2.5})
        found = uncertainty(fit)
        assert found.names == ("a", "k", "c")
        assert found.stderr[0] == 0.0
        value, error = found.delta_method(lambda p: np.log(2.0) / p[1])
        assert value == pytest.approx(np.log(2.0) / fit.popt[1])
        assert error == pytest.approx(np.log(2.0) / fit.popt[1] ** 2 * found.stderr[1])
        assert profile(fit, 1).name == "k"
        assert profile(fit, 1).x.shape[1] == 3
        with pytest.raises(ValueError, match="a is fixed: it has no profile"):
            profile(fit, "a")

    def test_a_known_size_of_the_errors(self):
        sigma = np.full(T.size, 0.05)
        fit = gradopt.curve_fit(decay, T, DATA, [1.0, 1.0, 0.0], sigma, absolute_sigma=True)
        assert uncertainty(fit).scale == 1.0
        np.testing.assert_allclose(uncertainty(fit).stderr, fit.stderr, rtol=0.1)


class TestWhatIsWrong:
    def test_bounds(self):
        at_bound = optimize(lambda x: np.sum((x - 1.0) ** 2), [0.0, 0.0], bounds=[(0, None), (None, 0.5)])
        found = uncertainty(at_bound)
        np.testing.assert_allclose(found.stderr, [np.sqrt(0.5), np.nan])
        assert "x[1] at a bound" in found.summary()

    def test_an_undetermined_direction_is_named(self):
        flat = optimize(lambda x: (x[0] - x[1] - 1.0) ** 2 + x[2] ** 2, [1.0, 0.5, 0.3])
        with pytest.warns(RuntimeWarning, match=r"do not determine x\[0\] \+ x\[1\]"):
            found = uncertainty(flat)
        np.testing.assert_allclose(found.stderr, [np.inf, np.inf, np.sqrt(0.5)])

    def test_a_saddle_is_no_minimum(self):
        saddle = optimize(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0])
        with pytest.raises(ValueError, match=r"no minimum: the curvature along x\[1\] is negative"):
            uncertainty(saddle)

    def test_a_run_that_was_stopped(self):
        start = [3.0, 3.0]
        stopped = optimize(lambda x: np.sum((x - 1.0) ** 2 + 0.1 * (x - 1.0) ** 4), start, max_iter=1)
        with pytest.warns(RuntimeWarning, match=r"standard errors from the minimum.*max_iter"):
            uncertainty(stopped)

    def test_a_result_without_its_problem(self, tmp_path):
        result = optimize(problems.Rosenbrock())
        result.save(tmp_path / "run.npz")
        for lost in (gradopt.load(tmp_path / "run.npz"), pickle.loads(pickle.dumps(result))):
            with pytest.raises(ValueError, match="does not hold its problem"):
                uncertainty(lost)
        traced = optimize(lambda x: np.sum((x - 1.0) ** 2), [0.0])
        traced.save(tmp_path / "traced.npz")
        assert uncertainty(gradopt.load(tmp_path / "traced.npz")).stderr == uncertainty(traced).stderr

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"kind": "bootstrap"}, "kind must be one of"),
            ({"scale": 0.0}, "scale must be"),
            ({"groups": [1]}, "groups need kind='sandwich'"),
            ({"kind": "sandwich", "groups": np.ones(M)}, "groups must be at least two, got 1"),
            ({"kind": "sandwich", "scale": 2.0}, "scale has no meaning for kind='sandwich'"),
            ({"kind": "sandwich", "groups": [1, 2]}, r"groups must have 300 elements, .* got the shape \(2,\)"),
        ],
    )
    def test_arguments(self, result, arguments, text):
        with pytest.raises(ValueError, match=text):
            uncertainty(result, **arguments)

    def test_a_result_keeps_its_data(self):
        data = np.array([1.0, 2.0, 3.0])
        problem = problems.SumOfTerms(lambda x: 0.5 * (x[0] - data) ** 2, [0.0])
        result = optimize(problem)
        before = uncertainty(result, "sandwich").stderr
        data = np.arange(10.0)
        assert problem.value([0.0]) == 142.5
        np.testing.assert_allclose(problem.scores([1.0]).ravel(), 1.0 - data)
        np.testing.assert_array_equal(uncertainty(result, "sandwich").stderr, before)
        assert uncertainty(copy.deepcopy(result)).stderr == uncertainty(result).stderr

    def test_no_more_observations_than_parameters(self):
        exact = optimize(problems.PolynomialFit([0.0, 1.0], [1.0, 3.0], 1))
        with pytest.raises(ValueError, match="no more observations than parameters"):
            uncertainty(exact)

    def test_other_things(self):
        with pytest.raises(TypeError, match="result must be that of optimize"):
            uncertainty(3.0)


class TestProfiles:
    def test_a_quadratic_one_is_walds(self):
        A, b = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, 1.0])
        result = optimize(problems.Quadratic(A, b))
        found, wald = profile(result, 1), uncertainty(result).confidence_interval()[1]
        np.testing.assert_allclose([found.low, found.high], wald, rtol=1e-6)
        assert found.closed == (True, True)
        heights = 0.5 * (found.values - result.x[1]) ** 2 / np.linalg.inv(A)[1, 1]
        np.testing.assert_allclose(found.fun - found.minimum, heights, atol=1e-8)

    def test_a_poisson_mean(self):
        # 2 (mu - n log mu) above its minimum is the quantile of chi squared.
        result = optimize(lambda x: np.exp(x[0]) - 7.0 * x[0], [1.0])
        found = profile(result, 0, 0.9)
        for end in (found.low, found.high):
            mu = np.exp(end)
            height = 2.0 * ((mu - 7.0 * np.log(mu)) - (7.0 - 7.0 * np.log(7.0)))
            assert height == pytest.approx(scipy.stats.chi2.ppf(0.9, 1), rel=1e-5)

    def test_a_fit_has_students_quantile(self):
        fit = gradopt.curve_fit(decay, T, DATA, [1.0, 1.0, 0.0])
        wanted = fit.confidence_interval(0.95, "profile")
        for j, name in enumerate("akc"):
            found = profile(fit, name)
            np.testing.assert_allclose([found.low, found.high], wanted[j], rtol=1e-4)
            assert found.name == name

    def test_an_open_side(self):
        result = optimize(lambda x: 3.0 * np.log1p(np.exp(-x[0])) + 0.001 * np.exp(x[0]), [1.0])
        assert profile(result, 0).closed == (True, True)
        one_sided = optimize(lambda x: np.sum(1.0 - np.exp(-(x**2))), [0.3])
        found = profile(one_sided, 0)  # it never rises by 1.92
        assert found.closed == (False, False)
        assert (found.low, found.high) == (-np.inf, np.inf)

    def test_a_bound_ends_it(self):
        result = optimize(lambda x: 0.5 * np.sum((x - [1.0, 2.0]) ** 2), [0.0, 0.0], bounds=[(0, None), (None, 1.5)])
        found = profile(result, 0)
        assert (found.low, found.closed) == (0.0, (False, True))
        assert found.high == pytest.approx(2.95996, rel=1e-5)
        held = profile(result, 1)
        assert (held.high, held.closed) == (1.5, (True, False))

    def test_a_lower_minimum_is_an_error(self):
        result = optimize(lambda x: (x[0] ** 2 - 1.0) ** 2 * 0.5 + 0.3 * x[0] + x[1] ** 2, [1.0, 0.0])
        with pytest.raises(ValueError, match="the fits found a lower objective"):
            profile(result, 0)

    def test_a_fit_that_does_not_converge_is_a_warning(self, monkeypatch):
        import gradopt._api.profile as module

        curved = lambda x: np.sum((x - 1.0) ** 2) + (x[0] * x[1] - 1.0) ** 4 + np.cosh(x[1] - x[0])  # noqa: E731
        result = optimize(curved, [0.5, 0.7], method=TrustRegion())
        monkeypatch.setattr(module, "optimize", lambda *a, **k: optimize(*a, **k, max_iter=0))
        with pytest.warns(RuntimeWarning, match=r"a fit with x\[0\] = .* did not converge"):
            profile(result, 0)

    def test_an_undetermined_parameter(self):
        flat = optimize(lambda x: (x[0] - x[1] - 1.0) ** 2, [1.0, 0.5])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = profile(flat, 0)
        assert (found.low, found.high) == (-np.inf, np.inf)

    def test_a_contour(self):
        A = np.array([[3.0, 1.0], [1.0, 2.0]])
        result = optimize(problems.Quadratic(A, np.array([1.0, 1.0])))
        found = contour(result, 0, 1, 0.9)
        d = found.points - result.x
        np.testing.assert_allclose(np.einsum("ki,ij,kj->k", d, A, d), scipy.stats.chi2.ppf(0.9, 2), rtol=1e-5)
        e = found.ellipse - result.x
        np.testing.assert_allclose(np.einsum("ki,ij,kj->k", e, A, e), scipy.stats.chi2.ppf(0.9, 2), rtol=1e-5)
        assert found.closed

    def test_a_contour_that_is_no_ellipse(self):
        banana = lambda x: 50.0 * (x[1] - x[0] ** 2) ** 2 + 0.5 * x[0] ** 2  # noqa: E731
        found = contour(optimize(banana, [0.5, 0.1], method=TrustRegion()), 0, 1)
        assert found.closed
        heights = [2.0 * banana(point) for point in found.points]
        np.testing.assert_allclose(heights, scipy.stats.chi2.ppf(0.95, 2), rtol=1e-4)
        np.testing.assert_allclose(np.abs(found.points[:, 0]).max(), np.sqrt(heights[0]), rtol=1e-3)
        assert found.points[:, 1].max() == pytest.approx(heights[0], rel=1e-2)

    def test_a_contour_that_a_bound_cuts(self):
        fun = lambda x: 0.5 * (x[0] - 1.0) ** 2 + 0.5 * (x[1] - 2.0) ** 2  # noqa: E731
        found = contour(optimize(fun, [0.5, 0.0], bounds=[(0.0, 1.5), (None, None)]), 0, 1)
        assert not found.closed
        assert found.points[:, 0].min() >= 0.0
        assert found.points[:, 0].max() <= 1.5
        assert np.ptp(found.points[:, 0]) > 1.49

    def test_one_parameter_that_is_not_at_its_minimum(self):
        stopped = optimize(lambda x: 0.5 * (x[0] - 1.0) ** 2, [0.0], max_iter=1, method=SGD(0.1))
        with pytest.raises(ValueError, match="the fits found a lower objective"):
            profile(stopped, 0)

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda r: profile(r, 3), "parameter must be below 3"),
            (lambda r: profile(r, "a"), r"parameter must be one of x\[0\], x\[1\], x\[2\], got 'a'"),
            (lambda r: profile(r, 0, 1.0), "level must be"),
            (lambda r: contour(r, 1, 1), "a and b must be two parameters"),
        ],
    )
    def test_arguments(self, result, call, text):
        with pytest.raises(ValueError, match=text):
            call(result)


@pytest.mark.slow
@compiled_only
def test_coverage():
    """Nominal intervals hold the truth about as often as they say, and the sandwich where the model is wrong."""
    rng, runs, truth = np.random.default_rng(0), 400, np.array([0.5, 0.3])
    inside = {"hessian": 0, "opg": 0, "sandwich": 0, "profile": 0}
    overdispersed = {"hessian": 0, "sandwich": 0}
    z = rng.normal(size=120)
    for _ in range(runs):
        for wrong in (False, True):
            mean = np.exp(truth[0] + truth[1] * z)
            y = rng.poisson(mean * (rng.gamma(1.0, 1.0, z.size) if wrong else 1.0)).astype(float)
            terms = lambda x, y: np.exp(x[0] + x[1] * z) - y * (x[0] + x[1] * z)  # noqa: E731
            result = optimize(problems.SumOfTerms(terms, np.zeros(2), (y,)), method=TrustRegion())
            assert result.status == Status.GTOL
            for kind in ("hessian", "sandwich") if wrong else ("hessian", "opg", "sandwich"):
                low, high = uncertainty(result, kind).confidence_interval()[1]
                (overdispersed if wrong else inside)[kind] += low <= truth[1] <= high
            if not wrong:
                found = profile(result, 1)
                inside["profile"] += found.low <= truth[1] <= found.high
    for kind, count in inside.items():
        assert abs(count / runs - 0.95) < 0.04, kind
    assert overdispersed["hessian"] / runs < 0.88
    assert abs(overdispersed["sandwich"] / runs - 0.95) < 0.05
