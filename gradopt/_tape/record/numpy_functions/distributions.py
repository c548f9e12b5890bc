"""The distributions of scipy.stats: their densities and distribution functions, for traced arrays.

The formulas are those of scipy, in standard form: y = (x - loc) / scale. Outside of the support, and for parameters for
which there is no distribution, the results are scipy's: 0, -inf or 1, and NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from scipy import special

Function = Callable[..., Any]

# The functions that are known here.
CONTINUOUS = ("logpdf", "pdf", "logcdf", "cdf", "logsf", "sf")
DISCRETE = ("logpmf", "pmf", "logcdf", "cdf", "logsf", "sf")


class Standard(NamedTuple):
    """A distribution in standard form; each function takes y and the shape parameters.

    Attributes
    ----------
    shapes : tuple of str
        The names of the shape parameters.
    valid : callable
        The shape parameters -> whether there is a distribution.
    density : callable
        The logarithm of the density, or of the probability.
    cdf, sf : callable
        The distribution function and its complement.
    logcdf, logsf : callable or None
        Their logarithms, if they are not just that.
    low, high : callable or None
        The shape parameters -> the ends of the support, if it has ends.
    whole : bool
        Whether the distribution is discrete.
    """

    shapes: tuple[str, ...]
    valid: Function
    density: Function
    cdf: Function
    sf: Function
    logcdf: Function | None = None
    logsf: Function | None = None
    low: Function | None = None
    high: Function | None = None
    whole: bool = False


def _positive(*shapes: Any) -> Any:
    ok = shapes[0] > 0.0
    for shape in shapes[1:]:
        ok = np.logical_and(ok, shape > 0.0)
    return ok


def _always() -> bool:
    return True


def _probability(p: Any) -> Any:
    return np.logical_and(p >= 0.0, p <= 1.0)


def _zero(*shapes: Any) -> float:
    return 0.0


def _one(*shapes: Any) -> float:
    return 1.0


_ROOT_OF_2_PI = 0.5 * math.log(2.0 * math.pi)


def _t_density(y: Any, df: Any) -> Any:
    half = 0.5 * df
    many = half > 40.0  # where the difference of two large numbers loses digits (NIST DLMF, 5.11.13)
    few, h = np.where(many, 1.0, half), np.where(many, half, 41.0)
    difference = special.gammaln(few + 0.5) - special.gammaln(few) - 0.5 * np.log(2.0 * math.pi * few)
    series = (-1.0 / 8.0 + (1.0 / 192.0 - 1.0 / (640.0 * h * h)) / (h * h)) / h - _ROOT_OF_2_PI
    return np.where(many, series, difference) - (half + 0.5) * np.log1p(y * y / df)


def _binomial(k: Any, n: Any, p: Any) -> Any:
    combinations = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return combinations + special.xlogy(k, p) + special.xlog1py(n - k, -p)


def _negative_binomial(k: Any, n: Any, p: Any) -> Any:
    combinations = special.gammaln(n + k) - special.gammaln(k + 1.0) - special.gammaln(n)
    return combinations + n * np.log(p) + special.xlog1py(k, -p)


def _log_density_of_lognorm(y: Any, s: Any) -> Any:
    log = np.log(np.where(y == 0.0, 1.0, y))
    return np.where(y == 0.0, -math.inf, -0.5 * (log / s) ** 2 - np.log(s) - log - _ROOT_OF_2_PI)


def _logistic(y: Any) -> Any:
    size = -np.abs(y)
    return size - 2.0 * np.log1p(np.exp(size))


_NORMAL = Standard(
    *((), _always, lambda y: -0.5 * (y * y) - _ROOT_OF_2_PI, lambda y: special.ndtr(y), lambda y: special.ndtr(-y)),
    *(lambda y: special.log_ndtr(y), lambda y: special.log_ndtr(-y)),
)

STANDARD: dict[Any, Standard] = {
    scipy.stats.norm: _NORMAL,
    scipy.stats.t: Standard(
        *(("df",), _positive, _t_density),
        *(lambda y, df: special.stdtr(df, y), lambda y, df: special.stdtr(df, -y)),
    ),
    scipy.stats.cauchy: Standard(
        *((), _always, lambda y: -math.log(math.pi) - np.log1p(y * y)),
        *(lambda y: 0.5 + np.arctan(y) / math.pi, lambda y: 0.5 - np.arctan(y) / math.pi),
    ),
    scipy.stats.gamma: Standard(
        *(("a",), _positive, lambda y, a: special.xlogy(a - 1.0, y) - y - special.gammaln(a)),
        *(lambda y, a: special.gammainc(a, y), lambda y, a: special.gammaincc(a, y)),
        low=_zero,
    ),
    scipy.stats.chi2: Standard(
        ("df",),
        _positive,
        lambda y, df: special.xlogy(0.5 * df - 1.0, y) - 0.5 * y - special.gammaln(0.5 * df) - 0.5 * math.log(2.0) * df,
        *(lambda y, df: special.gammainc(0.5 * df, 0.5 * y), lambda y, df: special.gammaincc(0.5 * df, 0.5 * y)),
        low=_zero,
    ),
    scipy.stats.beta: Standard(
        *(("a", "b"), _positive),
        lambda y, a, b: special.xlog1py(b - 1.0, -y) + special.xlogy(a - 1.0, y) - special.betaln(a, b),
        *(lambda y, a, b: special.betainc(a, b, y), lambda y, a, b: special.betainc(b, a, 1.0 - y)),
        low=_zero,
        high=_one,
    ),
    scipy.stats.expon: Standard(
        *((), _always, lambda y: -y, lambda y: -np.expm1(-y), lambda y: np.exp(-y), None, lambda y: -y),
        low=_zero,
    ),
    scipy.stats.lognorm: Standard(
        *(("s",), _positive, _log_density_of_lognorm),
        *(lambda y, s: special.ndtr(np.log(y) / s), lambda y, s: special.ndtr(-np.log(y) / s)),
        *(lambda y, s: special.log_ndtr(np.log(y) / s), lambda y, s: special.log_ndtr(-np.log(y) / s)),
        low=_zero,
    ),
    scipy.stats.uniform: Standard(
        *((), _always, lambda y: 0.0 * y, lambda y: y, lambda y: 1.0 - y),
        low=_zero,
        high=_one,
    ),
    scipy.stats.laplace: Standard(
        *((), _always, lambda y: -math.log(2.0) - np.abs(y)),
        lambda y: np.where(y > 0.0, 1.0 - 0.5 * np.exp(-y), 0.5 * np.exp(y)),
        lambda y: np.where(y > 0.0, 0.5 * np.exp(-y), 1.0 - 0.5 * np.exp(y)),
        lambda y: np.where(y > 0.0, np.log1p(-0.5 * np.exp(-y)), y - math.log(2.0)),
        lambda y: np.where(y > 0.0, -y - math.log(2.0), np.log1p(-0.5 * np.exp(y))),
    ),
    scipy.stats.logistic: Standard(
        *((), _always, _logistic, lambda y: special.expit(y), lambda y: special.expit(-y)),
        *(lambda y: special.log_expit(y), lambda y: special.log_expit(-y)),
    ),
    scipy.stats.weibull_min: Standard(
        *(("c",), _positive, lambda y, c: np.log(c) + special.xlogy(c - 1.0, y) - y**c),
        *(lambda y, c: -np.expm1(-(y**c)), lambda y, c: np.exp(-(y**c)), None, lambda y, c: -(y**c)),
        low=_zero,
    ),
    scipy.stats.poisson: Standard(
        *(("mu",), lambda mu: mu >= 0.0, lambda k, mu: special.xlogy(k, mu) - special.gammaln(k + 1.0) - mu),
        *(lambda k, mu: special.gammaincc(k + 1.0, mu), lambda k, mu: special.gammainc(k + 1.0, mu)),
        low=_zero,
        whole=True,
    ),
    scipy.stats.binom: Standard(
        *(("n", "p"), lambda n, p: np.logical_and(np.logical_and(n >= 0.0, np.floor(n) == n), _probability(p))),
        _binomial,
        lambda k, n, p: np.where(k >= n, 1.0, special.betainc(np.where(k >= n, 1.0, n - k), k + 1.0, 1.0 - p)),
        lambda k, n, p: np.where(k >= n, 0.0, special.betainc(k + 1.0, np.where(k >= n, 1.0, n - k), p)),
        low=_zero,
        high=lambda n, p: n,
        whole=True,
    ),
    scipy.stats.bernoulli: Standard(
        *(("p",), _probability, lambda k, p: special.xlogy(k, p) + special.xlog1py(1.0 - k, -p)),
        *(lambda k, p: np.where(k >= 1.0, 1.0, 1.0 - p), lambda k, p: np.where(k >= 1.0, 0.0, p)),
        low=_zero,
        high=_one,
        whole=True,
    ),
    scipy.stats.nbinom: Standard(
        *(("n", "p"), lambda n, p: np.logical_and(n > 0.0, np.logical_and(p > 0.0, p <= 1.0)), _negative_binomial),
        *(lambda k, n, p: special.betainc(n, k + 1.0, p), lambda k, n, p: special.betainc(k + 1.0, n, 1.0 - p)),
        low=_zero,
        whole=True,
    ),
}
_BY_CLASS = {type(distribution): standard for distribution, standard in STANDARD.items()}


def standard_of(distribution: Any) -> Standard | None:
    """The standard form of one of scipy's distributions; None if it is not known here."""
    return _BY_CLASS.get(type(distribution))


def evaluated(standard: Standard, name: str, x: Any, given: dict[str, Any]) -> Any:
    """One of the functions of a distribution.

    x : array
    given : the shape parameters, loc, and scale if it is continuous, all of them arrays
    """
    shapes = [1.0 * given[key] for key in standard.shapes]
    scale = 1.0 * given.get("scale", 1.0)
    ok = np.logical_and(standard.valid(*shapes), scale > 0.0)
    scale = np.where(ok, scale, np.nan)
    y = x - given.get("loc", 0.0)
    y = 1.0 * y if standard.whole else y / scale
    if name not in ("logpdf", "pdf", "logpmf", "pmf"):
        result = _distribution_function(standard, name, y, shapes)
        return np.where(np.logical_and(ok, np.logical_not(np.isnan(y))), result, np.nan)
    result = _density(standard, y, shapes)
    if standard.whole:
        result = np.where(np.logical_and(ok, np.logical_not(np.isnan(y))), result, np.nan)
    else:
        result = result - np.log(scale)
    return result if name.startswith("log") else np.exp(result)


def parameters(standard: Standard, name: str, arguments: Any, keywords: dict[str, Any]) -> dict[str, Any]:
    """The parameters by name, as scipy takes them: the shapes, loc, and scale if the distribution is continuous."""
    names = (*standard.shapes, "loc", *(() if standard.whole else ("scale",)))
    if len(arguments) > len(names):
        raise TypeError(f"{name} takes {len(names)} parameters at most, got {len(arguments)}")
    given = dict(zip(names, arguments, strict=False))
    for key, value in keywords.items():
        if key not in names or key in given:
            raise TypeError(f"{name} got an unexpected or repeated argument {key!r}")
        given[key] = value
    missing = [key for key in standard.shapes if key not in given]
    if missing:
        raise TypeError(f"{name} needs the parameter {missing[0]!r}")
    return given


def _density(standard: Standard, y: Any, shapes: list[Any]) -> Any:
    """The logarithm of the density in standard form."""
    if standard.low is None:
        return standard.density(y, *shapes)
    inside = y >= standard.low(*shapes)
    if standard.high is not None:
        inside = np.logical_and(inside, y <= standard.high(*shapes))
    if standard.whole:
        inside = np.logical_and(inside, np.floor(y) == y)
    inside = np.logical_or(inside, np.isnan(y))
    return np.where(inside, standard.density(np.where(inside, y, _within(standard)), *shapes), -math.inf)


def _within(standard: Standard) -> float:
    """A number within the support."""
    return 0.5 if standard.high is _one and not standard.whole else 1.0


def _distribution_function(standard: Standard, name: str, y: Any, shapes: list[Any]) -> Any:
    low = -math.inf if standard.low is None else standard.low(*shapes)
    high = math.inf if standard.high is None else standard.high(*shapes)
    y = np.floor(y) if standard.whole else y
    below, above = y < low if standard.whole else y <= low, y >= high
    y = np.where(np.logical_or(below, above), _within(standard), y)
    upper, logarithm = name.endswith("sf"), name.startswith("log")
    plain, other = (standard.sf, standard.cdf) if upper else (standard.cdf, standard.sf)
    of_logarithm = standard.logsf if upper else standard.logcdf
    ends = (1.0, 0.0) if upper else (0.0, 1.0)
    if not logarithm:
        found = plain(y, *shapes)
    else:
        found = _logarithm(plain, other, y, shapes) if of_logarithm is None else of_logarithm(y, *shapes)
        ends = tuple([0.0 if end else -math.inf for end in ends])  # type: ignore[assignment]
    return np.where(below, ends[0], np.where(above, ends[1], found))


def _logarithm(plain: Function, other: Function, y: Any, shapes: list[Any]) -> Any:
    """The logarithm of a probability, from its complement where that is small."""
    probability, complement = plain(y, *shapes), other(y, *shapes)
    return np.where(probability > 0.5, np.log1p(-complement), np.log(probability))


def log_density_of_normal(x: Any, mean: Any, cov: Any) -> Any:
    """The logarithm of the density of a multivariate normal distribution, by Cholesky's factor of its covariance.

    x : (..., k), or (...) for k = 1; mean : (k,), a number, or None for zeros; cov : (k, k), (k,) or a number
    """
    k = cov.shape[0] if np.ndim(cov) else np.size(mean)
    cov = cov * np.eye(k) if np.ndim(cov) < 2 else cov
    x = x[..., None] if k == 1 and (np.ndim(x) == 0 or np.shape(x)[-1] != 1) else x
    deviation = x - mean
    factor = np.linalg.cholesky(cov)
    columns = np.reshape(deviation, (-1, k)).T
    scores = np.linalg.solve(factor, columns)
    log_determinant = 2.0 * np.sum(np.log(np.diagonal(factor)))
    squares = np.sum(scores * scores, axis=0).reshape(np.shape(deviation)[:-1])
    return -0.5 * (k * math.log(2.0 * math.pi) + log_determinant + squares)
