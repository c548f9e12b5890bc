"""Profiles: how the objective at its best grows as one parameter, or two, move away from the minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Profile:
    """The lowest objective for each value of a parameter, and the interval that it gives; `gradopt.profile` makes it.

    Attributes
    ----------
    name : str
        The parameter.
    level : float
    low, high : float
        The ends of the interval; infinite where it is open, the bound where the parameter stops there.
    closed : tuple of bool
        Whether the objective rises enough on each side.
    values : float64 array (k,)
        Values of the parameter, ascending.
    fun : float64 array (k,)
        The lowest objective with the parameter held at each of them.
    x : float64 array (k, n)
        The parameters there.
    minimum : float
        The objective at the minimum.
    threshold : float
        How much higher it is at the ends.
    wald : tuple of float
        The interval from the curvature at the minimum, for comparison.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> result = gradopt.optimize(lambda x: 5.0 * np.exp(x[0]) - 5.0 * x[0], [1.0])
    >>> found = gradopt.profile(result, 0)
    >>> print(round(found.low, 3), round(found.high, 3), found.closed)
    -1.026 0.765 (True, True)
    """

    plotter: ClassVar[Callable[..., Any]]  # `plot.profiles.profile`, set by the package

    name: str
    level: float
    low: float
    high: float
    closed: tuple[bool, bool]
    values: NDArray[np.float64]
    fun: NDArray[np.float64]
    x: NDArray[np.float64]
    minimum: float
    threshold: float
    wald: tuple[float, float]

    def __repr__(self) -> str:
        ends = f"[{self.low:.6g}, {self.high:.6g}]"
        return f"Profile of {self.name}: {100 * self.level:g} % in {ends}, closed={self.closed}"

    def plot(self, *, ax: Any = None) -> Any:
        """The profile beside the parabola of the curvature at the minimum (needs matplotlib).

        Parameters
        ----------
        ax : Axes, optional
            The axes to draw on. Default those of a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import gradopt
        >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 1.0) ** 2, [0.0])
        >>> gradopt.profile(result, 0).plot().get_xlabel()
        'x[0]'
        """
        return type(self).plotter(self, ax=ax)


@dataclass(frozen=True, eq=False)
class Contour:
    """The edge of a confidence region of two parameters; `gradopt.contour` makes it.

    Attributes
    ----------
    names : tuple of str
    level : float
    points : float64 array (k, 2)
        The edge, in order; from one open end to the other if it is not closed.
    closed : bool
        Whether the edge is a ring: a bound may cut it, or the objective not rise enough.
    ellipse : float64 array (k, 2)
        The edge by the curvature at the minimum alone.
    center : float64 array (2,)
        The minimum.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> result = gradopt.optimize(lambda x: 0.5 * np.sum(x**2), [1.0, 1.0])
    >>> found = gradopt.contour(result, 0, 1)
    >>> print(found.closed, np.linalg.norm(found.points, axis=1).round(3)[:2])
    True [2.448 2.448]
    """

    plotter: ClassVar[Callable[..., Any]]  # `plot.profiles.contour`, set by the package

    names: tuple[str, str]
    level: float
    points: NDArray[np.float64]
    closed: bool
    ellipse: NDArray[np.float64]
    center: NDArray[np.float64]

    def __repr__(self) -> str:
        a, b = self.names
        return f"Contour of {a} and {b}: {100 * self.level:g} %, {len(self.points)} points, closed={self.closed}"

    def plot(self, *, ax: Any = None) -> Any:
        """The edge beside the ellipse of the curvature at the minimum (needs matplotlib).

        Parameters
        ----------
        ax : Axes, optional
            The axes to draw on. Default those of a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> result = gradopt.optimize(lambda x: 0.5 * np.sum(x**2), [1.0, 1.0])
        >>> gradopt.contour(result, 0, 1).plot().get_ylabel()
        'x[1]'
        """
        return type(self).plotter(self, ax=ax)
