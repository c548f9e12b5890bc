"""`profile` and `contour`: confidence regions from the objective itself, not from its curvature at the minimum."""

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
from gradopt._results.profile import Contour, Profile
from gradopt.methods import TrustRegion

_STEPS = 4  # points of the curve between the minimum and each end
_FARTHEST = 1e4  # how far a profile is followed, in standard errors
_EXACT = 1e-6  # how exactly its ends are found, in standard errors
_ANGLES = 48  # points of an ellipse
_STRIDE = 0.15  # along an edge, in units of the ellipse
_STRAIGHT = 0.9  # the least cosine between neighbouring tangents
_SHORTEST, _MOST = 1e-6, 4000  # the shortest step, and the most points
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
    around = _Around(result, level, scale)
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


def contour(result: Any, a: int | str, b: int | str, level: float = 0.95, *, scale: float | None = None) -> Contour:
    """The edge of a joint confidence region of two parameters, all others fitted anew at each point.

    Parameters
    ----------
    result : OptimizeResult, LeastSquaresResult or CurveFitResult
        As for `uncertainty`.
    a, b : int or str
        The places of the parameters, or their names.
    level : float
        In (0, 1): that of the region. Its shadows on the axes are intervals of a higher level.
    scale : float, optional
        As for `uncertainty`.

    Returns
    -------
    Contour
        The edge as `points`, the `ellipse` of the curvature at the minimum, and `plot`. `closed` is False where a bound
        cuts the region, or the objective does not rise enough.

    Raises
    ------
    TypeError, ValueError
        As for `profile`; a and b are the same; one of them is undetermined, or at a bound.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t = np.array([1.0, 2.0, 3.0, 4.0])
    >>> fit = gradopt.curve_fit(lambda t, a, b: a * np.exp(b * t), t, [2.6, 7.5, 20.3, 54.1], p0=[1.0, 1.0])
    >>> found = gradopt.contour(fit, "a", "b")
    >>> print(found.names, found.closed, found.points.max(axis=0).round(2))
    ('a', 'b') True [1.23 1.03]
    """
    around = _Around(result, level, scale)
    pair = [around.place_of(parameter) for parameter in (a, b)]
    if pair[0] == pair[1]:
        raise ValueError(f"a and b must be two parameters, got {a!r} twice")
    for j in pair:
        around.require_rising(j)
        if not np.isfinite(around.errors[j]):
            raise ValueError(f"{around.names[j]} is undetermined or at a bound: there is no ellipse to begin with")
    q = around.quantile(2)
    root = np.asarray(np.linalg.cholesky(around.covariance[np.ix_(pair, pair)]), np.float64)
    edge, closed = _Edge(around, pair, root, q).followed()
    angles = np.linspace(0.0, 2.0 * math.pi, _ANGLES, endpoint=False)
    center = around.x[pair]
    ellipse = center + q * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ root.T
    return Contour((around.names[pair[0]], around.names[pair[1]]), around.level, edge, closed, ellipse, center)


class _Point:
    """A point of a profile."""

    def __init__(self, value: float, fun: float, x: NDArray[np.float64]) -> None:
        self.value, self.fun, self.x = value, fun, x


class _Around:
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
        return _Point(math.nan, fun, found.x), np.asarray(found.jac)

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


def _side(around: _Around, j: int, side: float, q: float) -> tuple[list[_Point], float, bool]:
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
    around: _Around, j: int, points: list[_Point], inner: float, outer: float, start: Any, q: float
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


class _Edge:
    """The edge of a region of two parameters, followed in coordinates in which the ellipse is the unit circle.

    Prediction along the edge and Newton's method across it (E. Allgower and K. Georg, Numerical Continuation Methods,
    1990, chapter 3): so a region need be neither convex nor star-shaped.
    """

    def __init__(self, around: _Around, pair: list[int], root: NDArray[np.float64], q: float) -> None:
        self._around, self._pair, self._q, self._scale = around, pair, q, q * root
        self._center, self._start = around.x[pair], around.x
        self._low, self._high = np.array([around.ends(j) for j in pair]).T

    def followed(self) -> tuple[NDArray[np.float64], bool]:
        """The points of the edge (k, 2), in order, and whether it is closed."""
        first = self._first()
        if first is None:
            return np.empty((0, 2)), False
        forth, closed = self._branch(first, 1.0)
        if not closed:
            back, _ = self._branch(first, -1.0)
            forth = [*reversed(back[1:]), *forth]
        return self._center + np.array(forth) @ self._scale.T, closed

    def _first(self) -> NDArray[np.float64] | None:
        """A point of the edge, on a ray from the minimum."""
        for angle in np.arange(8) * (math.pi / 4.0):
            direction, inner, outer = np.array([math.cos(angle), math.sin(angle)]), 0.0, 1.0
            while outer < 1e3 and self._height(outer * direction)[0] < 1.0:
                inner, outer = outer, 2.0 * outer
            if outer >= 1e3 or not math.isfinite(self._height(outer * direction)[0]):
                continue
            for _ in range(60):
                middle = 0.5 * (inner + outer)
                if self._height(middle * direction)[0] < 1.0:
                    inner = middle
                else:
                    outer = middle
                if outer - inner < 0.1 * inner:
                    break
            point = self._onto(outer * direction)
            if point is not None:
                return point
        return None

    def _branch(self, first: NDArray[np.float64], side: float) -> tuple[list[NDArray[np.float64]], bool]:
        """The edge from a point on, in one sense: its points, and whether it came back."""
        points, step, travelled = [first], _STRIDE, 0.0
        tangent = self._tangent(first, side)
        while len(points) < _MOST and step > _SHORTEST and tangent is not None:
            point = self._onto(points[-1] + step * tangent)
            ahead = None if point is None else self._tangent(point, side)
            if point is None or ahead is None or ahead @ tangent < _STRAIGHT:
                step *= 0.5
                continue
            travelled += float(np.linalg.norm(point - points[-1]))
            if travelled > 2.0 * _STRIDE and np.linalg.norm(point - first) < 0.75 * step:
                return points, True
            points.append(point)
            tangent, step = ahead, min(1.5 * step, _STRIDE)
        return points, False

    def _leaves(self, u: NDArray[np.float64]) -> bool:
        """Whether a point is outside of the bounds, or too far away."""
        place = self._center + self._scale @ u
        inside = bool((place >= self._low).all() and (place <= self._high).all())
        return not inside or float(np.linalg.norm(u)) > 1e3

    def _height(self, u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The height at a point, in units of q, and its gradient; infinite outside of the bounds."""
        if self._leaves(u):
            return math.inf, np.zeros(2)
        point, grad = self._around.held(self._pair, self._center + self._scale @ u, None)
        height = self._around.height(point.fun) / self._q if math.isfinite(point.fun) else math.inf
        if not 0.0 < height < math.inf:
            return height, np.zeros(2)
        return height, self._scale.T @ grad[self._pair] / (self._around.factor * height * self._q**2)

    def _onto(self, u: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The point of the edge near u, or None."""
        for _ in range(8):
            height, slope = self._height(u)
            square = float(slope @ slope)
            if not (math.isfinite(height) and square > 0.0):
                return None
            if abs(height - 1.0) <= 1e-6:
                return u
            move = (1.0 - height) / square * slope
            length = float(np.linalg.norm(move))
            u = u + move * min(1.0, 0.5 / length if length > 0.0 else 1.0)
        return None

    def _tangent(self, u: NDArray[np.float64], side: float) -> NDArray[np.float64] | None:
        _, slope = self._height(u)
        length = float(np.linalg.norm(slope))
        return None if length == 0.0 else side * np.array([-slope[1], slope[0]]) / length
