"""The simplex method of Nelder and Mead: see `_loops/simplex.py`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._loops.embedded import Exploring
from gradopt._loops.simplex import SIMPLEX
from gradopt._loops.types import Loop
from gradopt.methods.base import Method


@config
class NelderMead(Method):
    """The simplex method: values of the objective alone, for few parameters and objectives with noise or jumps.

    Parameters
    ----------
    adaptive : bool
        Let the factors depend on the number of parameters (F. Gao and L. Han, 2012), which helps where there are many.

    Raises
    ------
    TypeError, ValueError
        adaptive is no bool.

    Notes
    -----
    No gradient is computed: a callable is never differentiated, `jac` of the result is None, and gtol is refused. FTOL:
    the values at the vertices differ by at most ftol max(abs f, 1), 1e-8 by default, and no element of a vertex from
    that of the lowest one by more than xtol (xtol + max abs x), 1e-6 by default. A new simplex is then made around the
    lowest vertex, until one leads to nothing lower. `history.learning_rate` is the size of the simplex.

    Where the objective has slopes, `LBFGS` takes far fewer evaluations.

    Counterpart: scipy.optimize.minimize with method="Nelder-Mead" and adaptive=True, whose tolerances are absolute.

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.NelderMead())
    >>> print(result.x.round(4), result.success)
    [1. 1.] True
    """

    loop: ClassVar[Loop] = SIMPLEX
    slots: ClassVar[tuple[str, ...]] = ("simplex", "values", "points", "memory")

    adaptive: bool = True

    def __post_init__(self) -> None:
        self._check("adaptive", validate.flag)

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        return Exploring.Lowered(self.lower(), ftol, xtol)

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        n = x.size
        return np.zeros((n + 1, n), x.dtype), np.zeros(n + 1), np.zeros((3, n), x.dtype), np.zeros(4)

    def facts(self, slots: tuple[NDArray[Any], ...]) -> dict[str, Any]:
        return {"jac": None}
