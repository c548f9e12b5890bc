"""Linear algebra, special functions and distributions on the tape: values as scipy's, slopes as mpmath's, edges."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import gradopt
from gradopt import optimize, trace

# Each of one number: the range, and mpmath's function.
RANGES = {
    "gammaln": (lambda x: special.gammaln(x[0]), [1e-6, 0.5, 1.1, 3.0, 50.0, 1e6], mpmath.loggamma),
    "gamma": (lambda x: special.gamma(x[0]), [-2.5, 1e-3, 0.5, 3.0, 50.0, 170.0], mpmath.gamma),
    "psi": (lambda x: special.psi(x[0]), [-2.5, 1e-3, 0.5, 3.0, 50.0, 1e6], mpmath.digamma),
    "polygamma": (lambda x: special.polygamma(2, x[0]), [1e-3, 0.5, 3.0, 50.0, 1e4], lambda a: mpmath.psi(2, a)),
    "zeta": (lambda x: special.zeta(2.5, x[0]), [1e-3, 0.5, 3.0, 50.0, 1e4], lambda a: mpmath.zeta(2.5, a)),
    "erf": (lambda x: special.erf(x[0]), [-3.0, -1e-8, 0.5, 5.0], mpmath.erf),
    "erfc": (lambda x: special.erfc(x[0]), [-3.0, 1e-8, 0.5, 5.0, 25.0], mpmath.erfc),
    "erfcx": (
        lambda x: special.erfcx(x[0]),
        [-3.0, 0.5, 5.0, 20.0, 25.5, 1e4, 1e8],
        lambda a: mpmath.exp(a * a) * mpmath.erfc(a),
    ),
    "dawsn": (
        lambda x: special.dawsn(x[0]),
        [-3.0, 0.5, 5.0, 20.0, 25.5, 1e4],
        lambda a: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-a * a) * mpmath.erfi(a),
    ),
    "ndtr": (lambda x: special.ndtr(x[0]), [-30.0, -3.0, 0.5, 5.0], mpmath.ncdf),
    "log_ndtr": (
        lambda x: special.log_ndtr(x[0]),
        [-1e4, -300.0, -30.0, -3.0, 0.5, 5.0],
        lambda a: mpmath.log(mpmath.erfc(-a / mpmath.sqrt(2)) / 2),
    ),
    "ndtri": (
        lambda x: special.ndtri(x[0]),
        [1e-12, 0.3, 0.9],
        lambda a: mpmath.sqrt(2) * mpmath.erfinv(2 * a - 1),
    ),
    "erfinv": (lambda x: special.erfinv(x[0]), [-0.99, 1e-8, 0.3, 0.999], mpmath.erfinv),
    "logit": (lambda x: special.logit(x[0]), [1e-12, 0.3, 0.7], lambda a: mpmath.log(a / (1 - a))),
    "exp1": (lambda x: special.exp1(x[0]), [1e-3, 0.5, 5.0, 50.0], mpmath.e1),
    "expi": (lambda x: special.expi(x[0]), [-5.0, 1e-3, 0.5, 5.0, 50.0], mpmath.ei),
    "spence": (lambda x: special.spence(x[0]), [0.1, 0.999, 1.0, 1.001, 5.0], lambda a: mpmath.polylog(2, 1 - a)),
    "i0": (lambda x: special.i0(x[0]), [-3.0, 0.0, 0.5, 50.0], lambda a: mpmath.besseli(0, a)),
    "i1": (lambda x: special.i1(x[0]), [-3.0, 0.0, 0.5, 50.0], lambda a: mpmath.besseli(1, a)),
    "j0": (lambda x: special.j0(x[0]), [-3.0, 0.5, 7.0, 40.0], lambda a: mpmath.besselj(0, a)),
    "j1": (lambda x: special.j1(x[0]), [-3.0, 0.0, 0.5, 40.0], lambda a: mpmath.besselj(1, a)),
    "jv": (lambda x: special.jv(1.5, x[0]), [0.5, 7.0, 40.0], lambda a: mpmath.besselj(1.5, a)),
    "iv": (lambda x: special.iv(1.5, x[0]), [0.5, 7.0, 40.0], lambda a: mpmath.besseli(1.5, a)),
    "kv": (lambda x: special.kv(1.5, x[0]), [0.5, 7.0, 40.0], lambda a: mpmath.besselk(1.5, a)),
    "k1": (lambda x: special.k1(x[0]), [1e-3, 0.5, 40.0], lambda a: mpmath.besselk(1, a)),
    "y1": (lambda x: special.y1(x[0]), [1e-3, 0.5, 40.0], lambda a: mpmath.bessely(1, a)),
    "gammainc": (
        lambda x: special.gammainc(2.5, x[0]),
        [1e-3, 0.5, 5.0, 40.0],
        lambda a: mpmath.gammainc(2.5, 0, a, regularized=True),
    ),
    "betainc": (
        lambda x: special.betainc(2.5, 0.7, x[0]),
        [1e-3, 0.5, 0.99],
        lambda a: mpmath.betainc(2.5, 0.7, 0, a, regularized=True),
    ),
    "wofz": (
        lambda x: special.wofz(x[0] + 0.3j).real,
        [-3.0, 0.0, 0.5, 20.0],
        lambda a: mpmath.re(mpmath.exp(-((a + 0.3j) ** 2)) * mpmath.erfc(-1j * (a + 0.3j))),
    ),
}


@pytest.mark.parametrize("name", RANGES)
def test_values_and_slopes_are_those_of_mpmath(name):
    f, points, exact = RANGES[name]
    problem = trace(f, [points[-2]])
    with mpmath.workdps(50):
        for point in points:
            value, slope = problem.value_and_grad([point])
            size, change = exact(mpmath.mpf(point)), mpmath.re(mpmath.diff(exact, mpmath.mpf(point)))
            assert abs(value - size) <= 1e-13 * max(abs(size), 1e-3 * abs(change)), point
            assert abs(slope[0] - change) <= 2e-12 * max(abs(change), 1e-3 * abs(size)), point


DISTRIBUTIONS = [
    *[(stats.norm, ()), (stats.t, (3.0,)), (stats.gamma, (2.0,)), (stats.gamma, (0.5,)), (stats.gamma, (-1.0,))],
    *[(stats.beta, (2.0, 0.5)), (stats.expon, ()), (stats.lognorm, (0.7,)), (stats.uniform, ()), (stats.laplace, ())],
    *[(stats.logistic, ()), (stats.weibull_min, (1.5,)), (stats.chi2, (2.0,)), (stats.cauchy, ())],
    *[(stats.poisson, (2.0,)), (stats.poisson, (-1.0,)), (stats.poisson, (0.0,)), (stats.bernoulli, (0.4,))],
    *[(stats.binom, (3, 0.4)), (stats.binom, (3.5, 0.4)), (stats.binom, (3, 1.0)), (stats.nbinom, (3, 0.4))],
]
POINTS = np.array([-math.inf, -3, -1, -0.5, 0, 0.2, 0.5, 1, 1.5, 2, 3, 4, 7, 50, math.inf, math.nan])


@pytest.mark.parametrize(("distribution", "shapes"), DISTRIBUTIONS)
def test_distributions_are_scipys_within_their_support_at_its_ends_and_beyond(distribution, shapes):
    continuous = isinstance(distribution, stats.rv_continuous)
    names = ("logpdf", "pdf", "logcdf", "cdf", "logsf", "sf") if continuous else ("logpmf", "pmf", "cdf", "sf")
    for name in names:
        for scale in (1.0, 2.0, 0.0, -1.0) if continuous else (1.0,):
            more = {"scale": scale} if continuous else {}
            with np.errstate(all="ignore"):
                wanted = getattr(distribution, name)(POINTS, *shapes, **more)
            for i, point in enumerate(POINTS):
                problem = trace(
                    lambda x, name=name, more=more, point=point: getattr(distribution, name)(
                        point, *shapes, x[0], **more
                    ),
                    [0.25],
                )
                np.testing.assert_allclose(problem.value([0.0]), wanted[i], rtol=1e-11, atol=1e-14, err_msg=f"{point}")


class TestMatrices:
    def test_what_is_not_positive_definite_is_nan_and_a_search_steps_back_from_it(self):
        def f(p):
            factor = np.linalg.cholesky(np.array([[p[0], p[1]], [p[1], 1.0]]))
            return np.sum(factor**2) - np.log(factor[0, 0] * factor[1, 1]) + (p[1] - 0.9) ** 2

        problem = trace(f, [2.0, 0.5])
        assert math.isnan(problem.value([0.1, 0.9]))
        result = optimize(problem, [2.0, 0.5], method=gradopt.LBFGS())
        assert result.success
        assert result.x[0] > result.x[1] ** 2

    def test_singular_equations_are_not_finite(self):
        problem = trace(lambda x: np.sum(np.linalg.solve(x.reshape(3, 3), np.ones(3))), np.eye(3).ravel() + 0.1)
        assert not np.isfinite(problem.value(np.ones(9)))

    @pytest.mark.parametrize("n", [4, 5])
    def test_determinants_with_a_pivot_of_zero(self, n):
        problem = trace(lambda x: np.linalg.det(x.reshape(n, n)), np.eye(n).ravel() + 0.1)
        matrix = np.eye(n)[:, ::-1] * np.arange(1.0, n + 1)
        assert problem.value(matrix.ravel()) == pytest.approx(np.linalg.det(matrix), rel=1e-12)
        assert problem.value(np.ones((n, n)).ravel()) == 0.0

    def test_equal_eigenvalues_have_finite_slopes_where_only_their_sum_counts(self):
        problem = trace(lambda x: np.sum(np.linalg.eigvalsh(x.reshape(3, 3)) ** 3), np.eye(3).ravel())
        np.testing.assert_allclose(problem.grad(np.eye(3).ravel()), 3.0 * np.eye(3).ravel())

    def test_eigenvectors_of_equal_eigenvalues_have_no_slope_and_no_success(self):
        target = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.1], [0.2, 0.1, 1.0]])

        def projected(x):
            matrix = np.eye(3)
            matrix[np.triu_indices(3, 1)] = x
            values, vectors = np.linalg.eigh(matrix + matrix.T - np.eye(3))
            return np.sum(((vectors * np.maximum(values, 1e-3)) @ vectors.T - target) ** 2)

        assert np.isnan(trace(projected, [0.3, 0.2, 0.1]).grad(np.zeros(3))).all()
        assert np.isnan(trace(projected, [0.3, 0.2, 0.1]).grad([0.5, 0.5, 0.5])).all()
        result = optimize(projected, np.zeros(3))
        np.testing.assert_allclose(result.x, [0.5, 0.2, 0.1], atol=1e-5)
        assert "at x0 its gradient would be NaN" in result.message

    @pytest.mark.parametrize("df", [3.0, 79.0, 81.0, 1e6, 1e10, 1e14, math.exp(40.0)])
    def test_students_distribution_with_many_degrees_of_freedom(self, df):
        points = np.array([0.1, 5.0])
        problem = trace(lambda x: np.sum(stats.t.logpdf(points, x[0] * df)), [1.0])
        assert problem.value([1.0]) == pytest.approx(np.sum(stats.t.logpdf(points, df)), rel=1e-13)

    def test_a_factor_from_outside_is_replaced_with_its_argument(self):
        rng = np.random.default_rng(0)
        A, B = (rng.normal(size=(5, 5)) + 5.0 * np.eye(5) for _ in range(2))
        problem = trace(lambda x, A: np.sum(np.linalg.solve(A, x) ** 2), np.ones(5), (A,))
        x = rng.normal(size=5)
        assert problem.with_args(B).value(x) == pytest.approx(np.sum(np.linalg.solve(B, x) ** 2))

    def test_wrong_shapes_raise_what_numpy_raises(self):
        with pytest.raises(np.linalg.LinAlgError, match="square"):
            trace(lambda x: np.linalg.det(x.reshape(2, 3)), np.ones(6))
        with pytest.raises(ValueError, match="solve|core dimension|fit"):
            trace(lambda x: np.sum(np.linalg.solve(x[:4].reshape(2, 2), x[:3])), np.ones(6))

    def test_a_gaussian_process(self):
        rng = np.random.default_rng(1)
        X = np.sort(rng.uniform(0.0, 5.0, 40))
        y = np.sin(X) + 0.1 * rng.normal(size=40)

        def evidence(p, X, y):
            length, height, noise = np.exp(p)
            K = height**2 * np.exp(-0.5 * (X[:, None] - X) ** 2 / length**2) + noise**2 * np.eye(len(X))
            factor = np.linalg.cholesky(K)
            weights = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
            return 0.5 * y @ weights + np.sum(np.log(np.diag(factor)))

        result = optimize(evidence, [0.0, 0.0, -1.0], args=(X, y))
        assert result.success
        assert "reverse mode" in result.message
        assert np.exp(result.x[2]) == pytest.approx(0.1, rel=0.3)
