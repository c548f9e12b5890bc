"""Functions f(np, x) with linear algebra, special functions and distributions; of 12 numbers between 0.2 and 0.9."""

import math

import numpy
import scipy.linalg as sl
from scipy import special, stats
from scipy.stats import norm

C = numpy.sin(numpy.arange(12.0))
K = numpy.array([0.0, 1.0, 2.0, 5.0, 3.0])
Y = numpy.array([-0.3, 0.1, 0.5, 0.95, 1.7, 3.0])
ALL = ("logpdf", "pdf", "logcdf", "cdf", "logsf", "sf")

gamma_of_two = stats.gamma(2.0, scale=1.5)
log_density = norm.logpdf


def general(x, n=3):
    waves = numpy.sin(numpy.arange(n * n).reshape(n, n))
    return numpy.outer(x[:n], x[-n:]) + numpy.diag(x[:n]) * 3 + numpy.eye(n) * 2 + waves * 0.3


def definite(x, n=4):
    a = numpy.outer(x[:n], x[:n][::-1])
    return a @ a.T + numpy.diag(x[1 : n + 1]) + numpy.eye(n)


def tall(x):
    return numpy.stack([x, x**2, C], axis=1)


def through_factor(np, x):
    factor = np.linalg.cholesky(definite(x))
    return x[:4] @ np.linalg.solve(factor.T, np.linalg.solve(factor, x[:4])) + np.sum(np.log(np.diag(factor)))


def all_of(distribution, np, x):
    return sum(np.sum(getattr(distribution, name)(Y, x[0], x[1])) for name in ALL)


MATRICES = {
    "solve": lambda np, x: np.sum(np.linalg.solve(general(x), x[:3]) ** 2),
    "solve, columns": lambda np, x: np.sum(np.linalg.solve(general(x, 4), x.reshape(4, 3)) ** 2 * C.reshape(4, 3)),
    "solve, known matrix": lambda np, x: np.sum(
        np.linalg.solve(general(C + 2.0, 4), x.reshape(4, 3)) ** 2 * C.reshape(4, 3)
    ),
    "solve, known side": lambda np, x: np.sum(np.linalg.solve(general(x, 4), C[:4]) ** 2),
    "solve, stacks": lambda np, x: np.sum(np.linalg.solve(x.reshape(3, 2, 2) + np.eye(2) * 2, C.reshape(3, 2, 2)) ** 2),
    "solve, one row": lambda np, x: np.sum(np.linalg.solve(x[:1].reshape(1, 1), x[1:3].reshape(1, 2)) ** 2),
    "inv": lambda np, x: (
        np.sum(np.linalg.inv(general(x)) ** 2)
        + np.sum(np.linalg.inv(general(x, 2)) ** 2)
        + np.sum(np.linalg.inv(general(x, 5))[1:, 2])
    ),
    "det": lambda np, x: (
        np.linalg.det(general(x, 1))
        + np.linalg.det(general(x, 2)) * np.linalg.det(general(x, 3))
        + np.linalg.det(-general(x, 5))
    ),
    "slogdet": lambda np, x: (
        np.linalg.slogdet(general(x, 2))[1] * np.linalg.slogdet(-general(x, 5)).logabsdet
        + np.linalg.slogdet(-general(x, 5))[0] * x[0]
    ),
    "cholesky": lambda np, x: (
        np.sum(np.linalg.cholesky(definite(x)) * C[:4]) + np.sum(np.log(np.diag(np.linalg.cholesky(definite(x, 3)))))
    ),
    "cholesky, one triangle": lambda np, x: np.sum(np.linalg.cholesky(np.tril(definite(x))) * C[:4]),
    "cholesky, upper": lambda np, x: np.sum(sl.cholesky(definite(x)) * C[:4]),
    "cholesky and solve": through_factor,
    "cho_solve": lambda np, x: (
        np.sum(sl.cho_solve(sl.cho_factor(definite(x), lower=True), x[:4]) ** 2)
        + np.sum(sl.cho_solve(sl.cho_factor(definite(x)), x[:4]) ** 3)
    ),
    "solve_triangular": lambda np, x: np.sum(
        sl.solve_triangular(general(x, 4), x[:4], lower=True) ** 2
        + sl.solve_triangular(general(x, 4), x[:4], trans=1)
        + sl.solve_triangular(general(x, 4), x[:4], lower=True, trans="T", unit_diagonal=True)
    ),
    "scipy's solve": lambda np, x: (
        np.sum(sl.solve(definite(x), x[:4], assume_a="pos") ** 2) + np.sum(sl.inv(general(x)) + sl.det(general(x)))
    ),
    "eigh": lambda np, x: (
        np.sum(np.linalg.eigh(definite(x))[0] ** 2 * C[:4]) + np.sum(np.linalg.eigh(definite(x))[1] ** 2 * C[:4])
    ),
    "eigvalsh": lambda np, x: np.sum(np.linalg.eigvalsh(definite(x, 5)) * C[:5]) + sl.eigvalsh(definite(x))[-1],
    "eigh, two matrices": lambda np, x: np.sum(sl.eigh(definite(x), definite(x[::-1]), eigvals_only=True) * C[:4]),
    "singular values": lambda np, x: (
        np.sum(np.linalg.svd(x.reshape(3, 4) + C.reshape(3, 4), compute_uv=False) * C[1:4])
        + np.sum(sl.svdvals(general(x, 2)))
    ),
    "svd": lambda np, x: np.sum(
        np.abs(np.linalg.svd(x.reshape(3, 4) + C.reshape(3, 4), full_matrices=False)[0]) * C[1:4]
    ),
    "lstsq": lambda np, x: (
        np.sum(np.linalg.lstsq(tall(x), C**2, rcond=None)[0] ** 2)
        + np.linalg.lstsq(tall(x)[:, 1:], C**2 + x, rcond=None)[1][0]
    ),
    "lstsq, shortest": lambda np, x: np.sum(np.linalg.lstsq(tall(x).T, x[:3], rcond=None)[0] ** 2 * C),
    "pinv": lambda np, x: np.sum(np.linalg.pinv(tall(x)) ** 2 * C) + np.sum(np.linalg.pinv(tall(x).T)[:, 0] ** 2 * C),
    "qr": lambda np, x: np.sum(np.linalg.qr(tall(x))[0] * C[:, None]) + np.sum(np.linalg.qr(general(x))[1] * C[:3]),
    "expm": lambda np, x: (
        np.sum(sl.expm(general(x) - 3.0 * np.eye(3)) * C[:3]) + np.sum(sl.expm(9.0 * general(x, 2)) * 1e-20)
    ),
    "matrix_power": lambda np, x: (
        np.sum(np.linalg.matrix_power(general(x), 3))
        + np.sum(np.linalg.matrix_power(general(x), -2))
        + np.sum(np.linalg.matrix_power(general(x), 0))
    ),
    "multi_dot": lambda np, x: np.linalg.multi_dot([x, C[:, None] * x, x]),
    "matrix norms": lambda np, x: (
        np.linalg.norm(x.reshape(3, 4) + C.reshape(3, 4), 2)
        + np.linalg.norm(x.reshape(3, 4) + C.reshape(3, 4), "nuc")
        + np.linalg.norm(general(x), -2)
        + np.linalg.norm(general(x), 1)
        + np.linalg.norm(general(x), math.inf)
        + sl.norm(general(x))
    ),
    "cond": lambda np, x: np.linalg.cond(general(x)) + np.linalg.cond(general(x), 1),
    "products of stacks": lambda np, x: (
        np.sum((x.reshape(2, 2, 3) @ x.reshape(2, 3, 2)) ** 2)
        + np.sum(np.linalg.inv(x.reshape(3, 2, 2) + 2 * np.eye(2)) @ x.reshape(3, 2, 2))
    ),
}

SPECIAL = {
    "gammaln": lambda np, x: np.sum(special.gammaln(x) * x + special.loggamma(3 * x)),
    "gamma": lambda np, x: np.sum(special.gamma(x)) + math.gamma(x[1]) * math.lgamma(x[0]),
    "psi": lambda np, x: np.sum(special.digamma(x)),
    "polygamma": lambda np, x: np.sum(special.polygamma(1, x) + special.polygamma(2, x) + special.polygamma(0, x)),
    "zeta": lambda np, x: np.sum(special.zeta(3.0, x)),
    "beta": lambda np, x: np.sum(special.betaln(x, x[::-1]) + special.beta(x, 2.0)),
    "erfc": lambda np, x: (
        np.sum(special.erf(x) * special.erfc(x) * special.erfcx(4 * x)) + math.erfc(x[2]) * math.erf(x[3])
    ),
    "erfinv": lambda np, x: np.sum(special.erfinv(x) + special.erfcinv(x)),
    "dawsn": lambda np, x: np.sum(special.dawsn(x)),
    "ndtr": lambda np, x: np.sum(special.ndtr(x) + special.log_ndtr(-10 * x) + special.log_ndtr(x)),
    "ndtri": lambda np, x: np.sum(special.ndtri(x)),
    "wofz": lambda np, x: np.sum(special.wofz(x + 1j * x[::-1]).real + special.wofz(x + 0.5j).imag),
    "voigt_profile": lambda np, x: np.sum(special.voigt_profile(x, x[::-1], 0.3)),
    "logit": lambda np, x: np.sum(special.logit(x) + special.expit(x) + special.log_expit(x)),
    "xlogy": lambda np, x: np.sum(
        special.xlogy(x, x[::-1]) + 2 * special.xlogy(numpy.arange(12.0) - 3, x) + special.xlog1py(x, x**2)
    ),
    "entropies": lambda np, x: np.sum(
        special.entr(x) + special.rel_entr(x, x[::-1] + 0.1) + special.kl_div(x, x[::-1] + 0.1)
    ),
    "exponential integrals": lambda np, x: np.sum(special.exp1(x) + special.expi(x) + special.spence(x)),
    "special huber": lambda np, x: np.sum(
        special.huber(0.5, x) + special.pseudo_huber(0.4, x) + special.pseudo_huber(x, 0.3)
    ),
    "i0, j0": lambda np, x: np.sum(special.i0(x) + special.i1(x) + special.j0(x) + special.j1(x)),
    "i0e": lambda np, x: np.sum(special.i0e(x) + special.i1e(x)),
    "k0, y0": lambda np, x: np.sum(special.y0(x) + special.y1(x) + special.k0(x) + special.k1(x)),
    "k0e": lambda np, x: np.sum(special.k0e(x) + special.k1e(x)),
    "Bessel functions of an order": lambda np, x: np.sum(
        special.jv(2.5, x) + special.yv(1.5, x) + special.iv(0.3, x) + special.kv(2.0, x)
    ),
    "gammainc": lambda np, x: np.sum(special.gammainc(2.5, x) * special.gammaincc(0.7, x)),
    "betainc": lambda np, x: np.sum(special.betainc(2.5, 0.7, x) + special.stdtr(4.0, x)),
    "logsumexp": lambda np, x: (
        special.logsumexp(x)
        + np.sum(special.logsumexp(x.reshape(3, 4), axis=1, b=numpy.arange(4.0)) ** 2)
        + special.logsumexp(x.reshape(3, 4), axis=0, keepdims=True).sum()
    ),
    "special softmax": lambda np, x: (
        np.sum(special.softmax(x) ** 2) + np.sum(special.log_softmax(x.reshape(3, 4), axis=1) * numpy.arange(4.0))
    ),
    "factorial": lambda np, x: np.sum(special.factorial(x) + special.cosm1(x)),
}

DISTRIBUTIONS = {
    "normal distribution": lambda np, x: all_of(norm, np, x),
    "norm, frozen": lambda np, x: (
        np.sum(norm(loc=x[0], scale=x[1]).logpdf(Y)) + norm.logpdf(x[2]) + np.sum(log_density(Y, scale=x[3]))
    ),
    "t": lambda np, x: (
        np.sum(stats.t.logpdf(Y, 5 * x[0], x[1], x[2]))
        + np.sum(stats.t.cdf(Y, 4, x[1], x[2]) + stats.t.logsf(Y, 4, x[1]))
    ),
    "gamma distribution": lambda np, x: (
        np.sum(stats.gamma.logpdf(Y[1:], 2 * x[0], 0.01, x[2]))
        + np.sum(stats.gamma.cdf(Y, 2.0, x[1] - 0.5) + stats.gamma.pdf(Y, 2.5, 0, x[3]))
        + np.sum(gamma_of_two.logpdf(x))
    ),
    "beta distribution": lambda np, x: (
        np.sum(stats.beta.logpdf(Y[1:4], 2 * x[0], 3 * x[1]))
        + np.sum(stats.beta.cdf(Y * x[2] / 2, 2.0, 0.7) + stats.beta.sf(Y, 2.0, 0.7, scale=2 * x[2]))
    ),
    "expon": lambda np, x: (
        np.sum(stats.expon.logpdf(Y[1:], scale=x[0]))
        + np.sum(stats.expon.cdf(Y, 0, x[1]) + 2 * stats.expon.sf(Y, 0, x[1]))
    ),
    "lognorm": lambda np, x: (
        np.sum(stats.lognorm.logpdf(Y[1:], x[0], 0, np.exp(x[1]))) + np.sum(stats.lognorm.cdf(Y, x[0]))
    ),
    "uniform": lambda np, x: (
        np.sum(stats.uniform.logpdf(Y[1:], 0, 16 * x[-1])) + np.sum(stats.uniform.cdf(Y, x[0], x[1]))
    ),
    "laplace": lambda np, x: all_of(stats.laplace, np, x),
    "logistic": lambda np, x: all_of(stats.logistic, np, x),
    "weibull_min": lambda np, x: (
        np.sum(stats.weibull_min.logpdf(Y[1:], 2 * x[0], 0, x[1]))
        + np.sum(stats.weibull_min.cdf(Y, 2 * x[0]) + stats.weibull_min.logsf(Y, x[0]))
    ),
    "chi2": lambda np, x: np.sum(stats.chi2.logpdf(Y[1:], 4 * x[0])) + np.sum(stats.chi2.sf(Y, 3, 0, x[1])),
    "cauchy": lambda np, x: np.sum(stats.cauchy.logpdf(Y, x[0], x[1]) + stats.cauchy.cdf(Y, x[0], x[1])),
    "poisson": lambda np, x: (
        np.sum(stats.poisson.logpmf(K, 5 * x[:5]))
        + np.sum(stats.poisson.pmf(K, x[0]) + stats.poisson.cdf(K, x[1]) + stats.poisson.logsf(K, x[1]))
    ),
    "binom": lambda np, x: (
        np.sum(stats.binom.logpmf(K, 6, x[:5])) + np.sum(stats.binom.cdf(K, 5, x[0]) + 2 * stats.binom.sf(K, 5, x[0]))
    ),
    "nbinom": lambda np, x: (
        np.sum(stats.nbinom.logpmf(K, 5 * x[0], x[1]))
        + np.sum(stats.nbinom.cdf(K, 5, x[0]) + 2 * stats.nbinom.sf(K, 5, x[0]))
    ),
    "bernoulli": lambda np, x: (
        np.sum(stats.bernoulli.logpmf(K[:2], x[1]))
        + np.sum(stats.bernoulli.cdf(K, x[0]) + 2 * stats.bernoulli.sf(K, x[0]))
    ),
    "multivariate_normal": lambda np, x: (
        np.sum(stats.multivariate_normal.logpdf(np.arange(12.0).reshape(4, 3), x[:3], definite(x, 3)))
        + stats.multivariate_normal([0, 0], [1, 2]).logpdf(x[:2])
        + np.sum(stats.multivariate_normal(x[:2], x[2]).pdf(Y.reshape(3, 2)))
    ),
}
