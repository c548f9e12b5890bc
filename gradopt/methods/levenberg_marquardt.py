"""Levenberg and Marquardt's method for sums of squares, by a trust radius: see `_loops/least_squares.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._loops.embedded import Fitting
from gradopt._loops.least_squares import LEAST_SQUARES
from gradopt._loops.types import Loop
from gradopt.methods.base import Method


@config
class LevenbergMarquardt(Method):
    """Gauss-Newton steps within a trust radius, for sums of squares; the default of `problems.LeastSquares`.

    Parameters
    ----------
    radius : float
        The first radius, in units of norm(D x0), > 0; where that is 0, in units of 1. D holds the norms of the columns
        of the Jacobian.
    polish : int
        Maximum number of undamped steps after the stop, >= 0. They are taken as long as they bring the parameters
        nearer to the minimum than the sum of squares can show.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With residuals r, their Jacobian J, and D the largest norms that its columns have had, a step p solves
    (J'J + l D^2) p = -J'r with l >= 0 such that norm(D p) is at most the radius (J. More, The Levenberg-Marquardt
    algorithm, 1978). `history.learning_rate` is the radius.

    The tests are scale-free, each 1e-8 by default. GTOL: the cosine between r and each column of J that no bound holds
    is at most gtol, or r = 0. FTOL: actual and predicted relative reduction of the sum of squares are at most ftol, and
    their ratio at most 2. XTOL: the radius is at most xtol norm(D x), after an accepted step.

    Counterparts: scipy.optimize.least_squares, MINPACK's lmder.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> problem = gradopt.problems.LeastSquares(lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), [-1.2, 1.0])
    >>> result = gradopt.optimize(problem, method=gradopt.LevenbergMarquardt())
    >>> print(result.x, result.success)
    [1. 1.] True
    """

    class Lowered(NamedTuple):
        radius: float
        polish: int
        has_scale: bool  # whether D is given, and stays

    loop: ClassVar[Loop] = LEAST_SQUARES
    slots: ClassVar[tuple[str, ...]] = ("scale", "radius", "moments", "new_moments", "matrix", "vectors")

    radius: float = 1.0
    polish: int = 60

    def __post_init__(self) -> None:
        self._check("radius", validate.number, 0, above=True)
        self._check("polish", validate.integer, 0)

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        return Fitting.Lowered(self.lower(), ftol, xtol)

    def with_scale(self, x_scale: NDArray[np.float64]) -> LevenbergMarquardt:
        """The same method with the constant D = 1 / x_scale.

        x_scale : float64 array (n,), > 0
        """
        method = replace(self)
        method.__dict__["_x_scale"] = x_scale
        return method

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(self.radius, self.polish, "_x_scale" in self.__dict__)

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        n = x.size
        moments = np.zeros(n + n * (n + 1) // 2 + 1, x.dtype)
        return (
            (1.0 / self.__dict__.get("_x_scale", np.full(x.size, np.inf))).astype(x.dtype),
            np.zeros(1),
            moments,
            moments.copy(),
            np.zeros((n, n), x.dtype),
            np.zeros((5, n), x.dtype),
        )
