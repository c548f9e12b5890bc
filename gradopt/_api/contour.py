"""`contour`: the edge of a joint confidence region of two parameters, from the objective itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._api.profile import Around
from gradopt._results.profile import Contour

_ANGLES = 48  # points of an ellipse
_STRIDE = 0.15  # along an edge, in units of the ellipse
_STRAIGHT = 0.9  # the least cosine between neighbouring tangents
_SHORTEST, _MOST = 1e-6, 4000  # the shortest step, and the most points


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
    around = Around(result, level, scale)
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


class _Edge:
    """The edge of a region of two parameters, followed in coordinates in which the ellipse is the unit circle.

    Prediction along the edge and Newton's method across it (E. Allgower and K. Georg, Numerical Continuation Methods,
    1990, chapter 3): so a region need be neither convex nor star-shaped.
    """

    def __init__(self, around: Around, pair: list[int], root: NDArray[np.float64], q: float) -> None:
        self._around, self._pair, self._q, self._scale = around, pair, q, q * root
        self._center = around.x[pair]
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
