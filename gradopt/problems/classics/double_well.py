"""A tilted double well: the simplest objective with a local and a global minimum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import hessian, hessian_product, value_and_grad
from gradopt.problems.base import Problem


@config
class DoubleWell(Problem):
    """f(x) = (x**2 - 1)**2 + tilt x, with one parameter.

    The wells lie near -1 and 1, the barrier near 0. For tilt > 0 the left well is the lower one. The well near 1 (near
    -1 for tilt < 0) is a local minimum if abs(tilt) < 8 / sqrt(27), about 1.54.

    Parameters
    ----------
    tilt : float
        The slope that lowers one well.

    Notes
    -----
    The quartic potential with a linear term is the textbook example of bistability, as in Landau's theory of
    first-order transitions in a field.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.DoubleWell()
    >>> print(problem.minimizer.round(4), round(problem.minimum, 4))
    [-1.0241] -0.2024
    """

    tilt: float = 0.2

    def __post_init__(self) -> None:
        self._check("tilt", validate.number)

    @property
    def n(self) -> int:
        return 1

    @property
    def x0(self) -> NDArray[np.float64]:
        """A point on the outer slope of the higher well."""
        return np.array([-2.0 if self.tilt < 0 else 2.0])

    @property
    def minimizer(self) -> NDArray[np.float64]:
        """The root of f'(x) = 4 x**3 - 4 x + tilt with the largest absolute value, on the side that the tilt lowers."""
        x = -np.copysign(1.0 + np.cbrt(abs(self.tilt)), self.tilt)
        for _ in range(100):  # Newton's method from outside the root converges monotonically
            step = (4.0 * x**3 - 4.0 * x + self.tilt) / (12.0 * x**2 - 4.0)
            x -= step
            if abs(step) <= 1e-16 * abs(x):
                break
        return np.array([x])

    @property
    def minimum(self) -> float:
        return float((self.minimizer[0] ** 2 - 1.0) ** 2 + self.tilt * self.minimizer[0])


@value_and_grad.on(DoubleWell)
def _(problem, grad, work, x):
    height = x[0] * x[0] - x.dtype.type(1.0)
    grad[0] = x.dtype.type(4.0) * x[0] * height + problem.tilt
    return height * height + problem.tilt * x[0]


@hessian.on(DoubleWell)
def _(problem, matrix, work, x):
    matrix[0, 0] = 12.0 * x[0] * x[0] - 4.0


@hessian_product.on(DoubleWell)
def _(problem, out, work, x, v):
    out[0] = (12.0 * x[0] * x[0] - 4.0) * v[0]
