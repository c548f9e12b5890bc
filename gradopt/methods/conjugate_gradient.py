"""Nonlinear conjugate gradients.

    d = -grad + beta last d
    y = grad - last grad

    polak-ribiere+    beta = max(0, grad'y / last grad'last grad)
    fletcher-reeves   beta = grad'grad / last grad'last grad
    hestenes-stiefel  beta = max(0, grad'y / last d'y)
    dai-yuan          beta = grad'grad / last d'y

beta is 0 (a restart) if abs(grad'last grad) >= 0.2 grad'grad, that is, if the gradients are far from orthogonal (M.
Powell, Restart procedures for the conjugate gradient method, Math. Program. 12, 1977), or if d does not point downhill.

R. Fletcher and C. Reeves, Comput. J. 7 (1964); E. Polak and G. Ribiere, 1969, with the max of J. Gilbert and J.
Nocedal, SIAM J. Optim. 2 (1992); M. Hestenes and E. Stiefel, J. Res. NBS 49 (1952); Y. Dai and Y. Yuan, SIAM J. Optim.
10 (1999).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gradopt._compiler import kernel
from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import direction, first_step, new_slots, update_memory
from gradopt._numerics.vectors import inner
from gradopt.methods.base import LineSearchMethod

_RULES = ("polak-ribiere+", "fletcher-reeves", "hestenes-stiefel", "dai-yuan")
_RESTART = 0.2


@config
class NonlinearCG(LineSearchMethod):
    """Nonlinear conjugate gradients with a strong Wolfe line search.

    Parameters
    ----------
    beta : {"polak-ribiere+", "fletcher-reeves", "hestenes-stiefel", "dai-yuan"}
        The rule for the weight of the last direction in the next one.
    max_line_search : int
        Maximum number of evaluations in a line search, >= 2.

    Raises
    ------
    TypeError, ValueError
        A parameter is not one of the above.

    Notes
    -----
    Needs one array of the length of x (`LBFGS` needs about twenty), and usually more evaluations than `LBFGS`.

    Counterpart: scipy's CG, which uses the first rule.

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.NonlinearCG())
    >>> print(result.x.round(4), result.success)
    [1. 1.] True
    """

    class Lowered(NamedTuple):
        rule: int
        max_line_search: int
        curvature: float

    slots: ClassVar[tuple[str, ...]] = ("direction", "last")

    beta: str = "polak-ribiere+"
    max_line_search: int = 20

    def __post_init__(self) -> None:
        self._check("beta", validate.choice, _RULES)
        self._check("max_line_search", validate.integer, 2)

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(_RULES.index(self.beta), self.max_line_search, 0.1)


@new_slots.on(NonlinearCG)
def _(method, x):
    return np.zeros_like(x), np.zeros(2)


@direction.on(NonlinearCG)
def _(method, slots, box, x, grad, restart):
    d, last = slots
    if restart:
        last[0], last[1] = 0.0, 0.0
    beta = d.dtype.type(last[0])
    for j in range(d.size):
        d[j] = beta * d[j] - grad[j]


@first_step.on(NonlinearCG)
def _(method, slots, slope):
    # To first order, the same change of the objective as in the last step; or a step of length 1.
    return slots[1][1] / slope if slots[1][1] < 0.0 else 1.0 / math.sqrt(-slope)


@update_memory.on(NonlinearCG)
def _(method, slots, x, grad, last_x, last_grad):
    d, last = slots
    _choose_beta(last, method.rule, d, x, grad, last_x, last_grad)


@kernel(late_bound=True)
def _choose_beta(last, rule, d, x, grad, last_x, last_grad) -> None:
    """Write to `last`: beta, and the change of the objective in the last step if it were linear.

    last : float64 array (2,), written
    rule : position in _RULES
    d, x, grad, last_x, last_grad : float arrays (n,), C order, read
    """
    squared, last_squared = inner(None, grad, grad), inner(None, last_grad, last_grad)
    mixed = inner(None, grad, last_grad)
    along = inner(None, d, grad) - inner(None, d, last_grad)
    if abs(mixed) >= _RESTART * squared:
        beta = 0.0
    elif rule == 0:
        beta = max(0.0, (squared - mixed) / last_squared)
    elif rule == 1:
        beta = squared / last_squared
    elif rule == 2:
        beta = max(0.0, (squared - mixed) / along)
    else:
        beta = squared / along
    last[0] = beta if abs(beta) < np.inf else 0.0
    last[1] = inner(None, x, last_grad) - inner(None, last_x, last_grad)
