"""`profile`: confidence intervals from the objective itself, not from its curvature at the minimum."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from scipy.optimize import Bounds

from gradopt._api.optimize import optimize
from gradopt._api.uncertainty import Minimum, minimum_of, scale_of, uncertainty
from gradopt._core import validate
from gradopt._core.warnings import warn
from gradopt._results.profile import Profile
from gradopt.methods import TrustRegion

_STEPS = 4  # points of the curve between the minimum and each end
_FARTHEST = 1e4  # how far a profile is followed, in standard errors
_NOTICEABLE = 1e-3  # of what could be gained, as a share of a standard error's square
_EXACT = 1e-6  # how exactly its ends are found, in standard errors
_METHOD = TrustRegion()


def profile(result: Any, parameter: int | str, level: float = 0.95, *, scale: float | None = None) -> Profile:
    """A confidence interval for a parameter, from the lowest objective for each of its values.

    It is right where the objective is far from quadratic, as MINUIT's MINOS: the ends are where the objective, with all
    other parameters fitted anew, is higher than the minimum by scale q^2 / 2. For likelihoods q is the quantile of the
    normal distribution (q^2 that of chi squared with 1 degree of freedom; W. Murphy and A. van der Vaart, On profile
    likelihood, JASA 95, 2000), for sums of squares that of Student's t (D. Bates and D. Watts, Nonlinear Regression
    Analysis, 1988, section 6.1).

    Parameters
    ----------
    result : OptimizeResult, LeastSquaresResult or CurveFitResult
        As for `uncertainty`.
    parameter : int or str
        Its place, or its name.
    level : float
        In (0, 1).
    scale : float, optional
        As for `uncertainty`.

    Returns
    -------
    Profile
        `low`, `high`, `closed`; the curve in `values`, `fun` and `x`; and `plot`.

    Raises
    ------
    TypeError, ValueError
        As for `uncertainty`; the parameter does not exist, or is fixed; the fits found a lower objective.

    Notes
    -----
    A side on which the objective does not rise enough within 10 000 standard errors is open: its end is infinite. Where
    a bound ends it, the end is the bound, and `closed` is False.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t = np.array([1.0, 2.0, 3.0, 4.0])
    >>> fit = gradopt.curve_fit(lambda t, a, b: a * np.exp(b * t), t, [2.6, 7.5, 20.3, 54.1], p0=[1.0, 1.0])
    >>> print(gradopt.profile(fit, "b"))
    Profile of b: 95 % in [0.957402, 1.01595], closed=(True, True)
    """
    around = Around(result, level, scale)
    j = around.place_of(parameter)
    around.require_rising(j)
    center, error = float(around.x[j]), float(around.errors[j])
    q = around.quantile(1)
    wald = (center - q * error, center + q * error)
    sides = [_side(around, j, side, q) for side in (-1.0, 1.0)]
    (below, low, left), (above, high, right) = sides
    here = _Point(center, around.fun, around.x)
    points = [*reversed(below), here, *above]
    return Profile(
        around.names[j],
        around.level,
        low,
        high,
        (left, right),
        np.array([p.value for p in points]),
        np.array([p.fun for p in points]),
        np.array([around.with_fixed(p.x) for p in points]),
        around.fun,
        0.5 * around.factor * q**2,
        wald,
    )


class _Point:
    """A point of a profile."""

    def __init__(self, value: float, fun: float, x: NDArray[np.float64]) -> None:
        self.value, self.fun, self.x = value, fun, x


class Around:
    """The surroundings of a minimum.

    Attributes
    ----------
    x : float64 array (n,)
    fun : float
        The objective there.
    names : tuple of str
    level, factor : float
    covariance : float64 array (n, n)
    errors : float64 array (n,)
    """

    def __init__(self, result: Any, level: float, scale: float | None) -> None:
        self.level = validate.number("level", level, 0, 1, above=True, below=True)
        self._minimum: Minimum = minimum_of(result)
        self.factor, self._dof = scale_of(self._minimum, scale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an open side says it
            found = uncertainty(result, scale=scale)
        fitted = self._minimum.fitted
        self.covariance, self.errors = found.cov[np.ix_(fitted, fitted)], found.stderr[fitted]
        self.x = self._minimum.x.astype(np.float64)
        self.names = self._minimum.names
        self._problem = self._minimum.problem.by_curvature(self.x).plain
        self.fun = self._problem.value(self.x)
        finite = self.errors[np.isfinite(self.errors)]
        # So small that what is left to gain is small beside the threshold.
        self._warned = False
        self._gtol = 1e-4 * self.factor / float(finite.max()) if finite.size and finite.max() > 0.0 else 1e-8

    def place_of(self, parameter: int | str) -> int:
        """The place of a parameter among those that were fitted."""
        names = self._minimum.all_names
        if isinstance(parameter, str):
            if parameter not in names:
                raise ValueError(f"parameter must be one of {', '.join(names)}, got {parameter!r}")
            place = names.index(parameter)
        else:
            place = validate.integer("parameter", parameter, 0)
        if place >= len(names):
            raise ValueError(f"parameter must be below {len(names)}, the number of parameters, got {place}")
        if place not in self._minimum.fitted:
            raise ValueError(f"{names[place]} is fixed: it has no profile")
        return int(np.flatnonzero(self._minimum.fitted == place)[0])

    def with_fixed(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The parameters with those that were fixed in their places."""
        everything = self._minimum.everything.astype(np.float64)
        everything[self._minimum.fitted] = x
        return everything

    def require_rising(self, j: int) -> None:
        low, high = self._minimum.bounds[j]
        if low == high:
            raise ValueError(f"{self.names[j]} is fixed: it has no profile")
        if self.errors[j] == 0.0:
            raise ValueError(f"the fit is perfect, so that {self.names[j]} has no error; give scale")

    def ends(self, j: int) -> tuple[float, float]:
        """The bounds of a parameter."""
        low, high = self._minimum.bounds[j]
        return float(low), float(high)

    def quantile(self, count: int) -> float:
        """The root of how much 2 f / scale is above the minimum at the edge of a region of so many parameters."""
        if math.isinf(self._dof):
            return math.sqrt(float(scipy.stats.chi2.ppf(self.level, count)))
        return math.sqrt(count * float(scipy.stats.f.ppf(self.level, count, self._dof)))

    def step(self, j: int) -> float:
        """A step of a parameter that matters: its error, or what its size suggests."""
        error = float(self.errors[j])
        return error if np.isfinite(error) else max(abs(float(self.x[j])), 1.0)

    def held(self, places: list[int], values: Any, start: NDArray[np.float64] | None) -> tuple[_Point, NDArray[Any]]:
        """The lowest objective with parameters held, and the gradient there.

        start : where the others begin; None for a guess from the covariance
        """
        guess = self._guess(places, values) if start is None else start.copy()
        guess[places] = values
        low, high = self._minimum.bounds[:, 0].copy(), self._minimum.bounds[:, 1].copy()
        guess = np.clip(guess, low, high)
        low[places] = high[places] = guess[places]
        if len(places) == self.x.size:
            value, grad = self._problem.value_and_grad(guess)
            self._require_minimum(value, guess)
            return _Point(math.nan, value, guess), grad
        bounds = Bounds(low, high)
        found = optimize(self._problem, guess, method=_METHOD, bounds=bounds, gtol=self._gtol, record=None)
        fun = float(found.fun)
        self._require_minimum(fun, found.x)
        if not found.success:
            self._warn_if_far(places, values, found)
        return _Point(math.nan, fun, found.x), np.asarray(found.jac)

    def _warn_if_far(self, places: list[int], values: Any, found: Any) -> None:
        """Warn, once, of a fit that ended where its objective could be noticeably lower."""
        slopes = np.where(found.active_mask == 0, found.jac, 0.0)
        sure = np.where(np.isfinite(self.covariance), self.covariance, 0.0)
        if self._warned or slopes @ sure @ slopes <= _NOTICEABLE * self.factor**2:
            return
        self._warned = True
        held = ", ".join(
            f"{self.names[j]} = {value:.6g}" for j, value in zip(places, np.atleast_1d(values), strict=True)
        )
        warn(f"a fit with {held} did not converge, so that the region may be too small: {found.message}")

    def _require_minimum(self, fun: float, x: NDArray[Any]) -> None:
        """Raise a ValueError if an objective is lower than that of the result."""
        if fun < self.fun - 1e-3 * self.factor:
            raise ValueError(
                f"the fits found a lower objective, {fun:.10g} instead of {self.fun:.10g}, at"
                f" {np.array2string(x, precision=6)}: the result is not the minimum; start again from there"
            )

    def _guess(self, places: list[int], values: Any) -> NDArray[np.float64]:
        """Where the others go, by the covariance, if some parameters have these values."""
        guess, moved = self.x.copy(), np.asarray(values) - self.x[places]
        within = self.covariance[np.ix_(places, places)]
        if np.isfinite(within).all() and np.linalg.cond(within) < 1e12:
            others = self.covariance[:, places] @ np.linalg.solve(within, moved)
            guess += np.where(np.isfinite(others), others, 0.0)
        return guess

    def height(self, fun: float) -> float:
        """The root of how much 2 f / scale is above the minimum."""
        return math.sqrt(max(2.0 * (fun - self.fun), 0.0) / self.factor)


def _side(around: Around, j: int, side: float, q: float) -> tuple[list[_Point], float, bool]:
    """One side of a profile: its points, outwards; the end; whether the objective rises enough."""
    center, step, bound = float(around.x[j]), around.step(j), around.ends(j)[0 if side < 0.0 else 1]
    points: list[_Point] = []
    start: NDArray[np.float64] | None = None
    inner, width = center, q * step / _STEPS
    if not side * (bound - center) > 0.0:
        return points, bound, False
    while True:
        outer = center + side * min(abs(inner - center) + width, side * (bound - center))
        point, _ = around.held([j], [outer], start)
        point.value = outer
        if not math.isfinite(point.fun):
            return _ended(around, j, points, inner, outer, start, q)
        start = point.x
        if around.height(point.fun) >= q:
            return _ended(around, j, points, inner, outer, start, q)
        points.append(point)
        if outer == bound:
            return points, bound, False
        if abs(outer - center) > _FARTHEST * step:
            return points, side * math.inf, False
        inner = outer
        if len(points) >= 2 * _STEPS:
            width *= 2.0


def _ended(
    around: Around, j: int, points: list[_Point], inner: float, outer: float, start: Any, q: float
) -> tuple[list[_Point], float, bool]:
    """The end of a side between two values, where the height is below and above q: by Newton's method, safeguarded."""
    point, error = None, around.step(j)
    value = outer
    for _ in range(60):
        point, grad = around.held([j], [value], start)
        point.value = value
        height = around.height(point.fun) if math.isfinite(point.fun) else math.inf
        if math.isfinite(height):
            start = point.x
        if height >= q:
            outer = value
        else:
            inner = value
        # Where the others are fitted, the slope of the profile is that of the objective.
        slope = float(grad[j]) / (around.factor * height) if 0.0 < height < math.inf else 0.0
        newton = value - (height - q) / slope if slope != 0.0 and math.isfinite(slope) else math.nan
        if abs(newton - value) <= _EXACT * error:
            value = newton
            break
        low, high = min(inner, outer), max(inner, outer)
        value = newton if low < newton < high else 0.5 * (inner + outer)
        if high - low <= _EXACT * error:
            break
    if point is not None:
        points.append(point)
    return points, value, True
