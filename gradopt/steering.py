"""What stands between the gradient and the update: clipping; and between divergence and the end: another attempt."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradopt import validate
from gradopt.compiler import generic
from gradopt.config import Config, config


@generic
def clipped(clipping: Any, spare: Any, grad: Any, grad_norm: float) -> Any:
    """The gradient for the update: `grad` itself, or what is left of it in `spare`.

    spare : float array (n,), C order, may be written
    grad : float array (n,), C order, read
    grad_norm : its Euclidean norm
    """
    raise TypeError(f"{type(clipping).__name__} is not registered as a clipping")


@config
class NoClipping(Config):
    """The gradient as it is."""

    nothing: int = 0


@clipped.on(NoClipping)
def _(clipping, spare, grad, grad_norm):
    return grad


@config
class Clipping(Config):
    """First scaled to a Euclidean norm of at most `norm`, then each element moved into [-value, value].

    The scale is norm / (grad_norm + 1e-6) where that is below 1, as in torch's clip_grad_norm_.
    """

    norm: float = np.inf
    value: float = np.inf


@clipped.on(Clipping)
def _(clipping, spare, grad, grad_norm):
    real = grad.dtype.type
    scale, value = real(min(1.0, clipping.norm / (grad_norm + 1e-6))), real(clipping.value)
    for j in range(grad.size):
        spare[j] = min(max(scale * grad[j], -value), value)
    return spare


_NO_CLIPPING = NoClipping()


def clipping_of(clip_norm: float | None, clip_value: float | None) -> Config:
    """What the arguments of `optimize` ask for."""
    if clip_norm is None and clip_value is None:
        return _NO_CLIPPING
    bounds = (
        np.inf if given is None else validate.number(name, given, 0, above=True)
        for name, given in (("clip_norm", clip_norm), ("clip_value", clip_value))
    )
    return Clipping(*bounds)


class Steering(NamedTuple):
    """What a run's loop does to gradients and rates."""

    clipping: Any  # compiled twin
    scale: float  # of the schedule's rates


@config
class RetryFromBest(Config):
    """When a run diverges, go back to the best iterate with a lower rate, and on from there.

    Parameters
    ----------
    factor : float
        What each attempt multiplies the schedule's rates by, in (0, 1).
    attempts : int
        At the most, >= 1.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    The best iterate is that with the lowest objective, on a training run the best epoch's, or the start. The method
    begins anew there. The update count goes on and counts what was thrown away, as the evaluations do; the history has
    a column `retry`, the number of attempts so far.

    Examples
    --------
    >>> import gradopt
    >>> method, retry = gradopt.SGD(1.5), gradopt.RetryFromBest(factor=0.5)
    >>> result = gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=method, recover=retry)
    >>> print(result.message)
    the gradient is within gtol of zero; 1 attempt after divergence, the last with 0.5 times the rates
    >>> result.history.retry[[0, -1]]
    array([0, 1])
    """

    factor: float = 0.5
    attempts: int = 3

    def __post_init__(self) -> None:
        self._check("factor", validate.number, 0, 1, above=True, below=True)
        self._check("attempts", validate.integer, 1)
