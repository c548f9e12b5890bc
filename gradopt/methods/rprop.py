"""Rprop: steps that grow while a parameter's gradient keeps its sign, and shrink when it changes.

    s <- sign(grad p), with p the previous gradient
    h <- h etas[1] if s > 0, h etas[0] if s < 0; then clipped to step_sizes; h = learning_rate at first
    g <- 0 if s < 0 else grad
    x <- x - sign(g) h
    p <- g

M. Riedmiller and H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm, ICNN
1993, in the form of torch.optim.Rprop. For whole objectives, not for batches: their gradients change sign by chance.
"""

from __future__ import annotations

from typing import ClassVar

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import update
from gradopt.methods.base import FirstOrderMethod, pair


@config
class Rprop(FirstOrderMethod):
    """Rprop: steps against the sign of the gradient, with an adaptive length for each parameter.

    Parameters
    ----------
    learning_rate : float
        The length of the first step, >= 0; not a schedule.
    etas : (float, float)
        The factors on the step when the sign of its gradient changes, in (0, 1), and when it stays, > 1.
    step_sizes : (float, float)
        The smallest and the largest step, 0 < smallest <= largest.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    Equal to torch.optim.Rprop. Not suitable for batches: it treats a change of sign as a minimum that was passed.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.Rprop(), target=1e-6).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("last_gradient", "step")

    learning_rate: float = 0.01
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    def __post_init__(self) -> None:
        self._check("learning_rate", validate.number, 0)
        self._check("etas", pair)
        validate.number("etas[0]", self.etas[0], 0, 1, above=True, below=True)
        validate.number("etas[1]", self.etas[1], 1, above=True)
        self._check("step_sizes", pair)
        validate.number("step_sizes[0]", self.step_sizes[0], 0, above=True)
        validate.number("step_sizes[1]", self.step_sizes[1], self.step_sizes[0])


@update.on(Rprop)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    zero, one, shrink, grow = real(0.0), real(1.0), real(method.etas[0]), real(method.etas[1])
    smallest, largest = real(method.step_sizes[0]), real(method.step_sizes[1])
    first = real(rate if k == 0 else 0.0)
    last, steps = slots
    for j in range(x.size):
        agreement = grad[j] * last[j]
        factor = grow if agreement > zero else (shrink if agreement < zero else one)
        step = (first + steps[j]) * factor
        step = smallest if step < smallest else (largest if step > largest else step)
        g = zero if agreement < zero else grad[j]
        steps[j] = step
        last[j] = g
        x[j] -= step if g > zero else (-step if g < zero else zero)
