"""Newton's method within a trust radius: see `_loops/trust_region.py`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._loops.embedded import Following
from gradopt._loops.trust_region import TRUST_REGION
from gradopt._loops.types import Loop
from gradopt.methods.base import Method


@config
class TrustRegion(Method):
    """Newton's method: steps to the minimum of the quadratic model within a trust radius.

    Parameters
    ----------
    radius : float
        The first radius, in units of norm(D x0), > 0; where that is 0, in units of 1. D holds the roots of the
        diagonal of the Hessian; beyond `dense` parameters it is 1.
    dense : int
        Up to this number of parameters, >= 0, each step is the exact minimum of the model, by one eigendecomposition
        per iterate. Beyond, conjugate gradients find it from products of the Hessian with vectors.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With the gradient g and the Hessian H, a step p minimises g'p + p'Hp / 2 where norm(D p) is at most the radius
    (J. More and D. Sorensen, Computing a trust region step, 1983; T. Steihaug, 1983). The Hessian is exact for traced
    functions, and where a problem has a kernel for it; else it is differences of the gradient. GTOL needs a lowest
    curvature, in units of D, above -1e-8: the run does not end at a saddle. `history.learning_rate` is the radius;
    `nhev` and `nhpv` of the result count Hessians and products.

    It takes fewer updates than `LBFGS`, each of which costs more: it pays on hard problems of few parameters.

    Counterparts: the methods "trust-exact" and "trust-krylov" of scipy.optimize.minimize.

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.TrustRegion())
    >>> print(result.x.round(4), result.success)
    [1. 1.] True
    """

    loop: ClassVar[Loop] = TRUST_REGION
    slots: ClassVar[tuple[str, ...]] = ("step", "scale", "memory", "hessian", "basis", "vectors", "pair")

    radius: float = 1.0
    dense: int = 200

    def __post_init__(self) -> None:
        self._check("radius", validate.number, 0, above=True)
        self._check("dense", validate.integer, 0)

    def fitting_slots(self, slots: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        fitting = self.new_slots(slots[6][0])
        if fitting[3].shape != slots[3].shape:  # D and the radius are other ones with whole Hessians than without
            return fitting
        return super().fitting_slots(slots)

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        return Following.Lowered(self.lower(), self.dense, ftol, xtol)

    def takes_whole_hessians(self, n: int) -> bool:
        return n <= self.dense

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        n = x.size
        rows = n if n <= self.dense else 0
        return (
            np.zeros(n),
            np.ones(n),
            np.zeros(4),
            np.zeros((rows, rows), x.dtype),
            np.zeros((rows, rows)),
            np.zeros((8, n)),
            np.zeros((2, n), x.dtype),
        )
