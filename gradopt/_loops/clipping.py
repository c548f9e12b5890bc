"""Clipping of the gradient before an update."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._compiler import generic
from gradopt._core.config import Config, config


@generic
def clipped(clipping: Any, spare: Any, grad: Any, grad_norm: float) -> Any:
    """The gradient for the update: `grad` itself, or the clipped one in `spare`.

    spare : float array (n,), C order, may be written
    grad : float array (n,), C order, read
    grad_norm : its Euclidean norm
    """
    raise TypeError(f"{type(clipping).__name__} is not registered as a clipping")


@config
class NoClipping(Config):
    """No clipping."""

    nothing: int = 0


@clipped.on(NoClipping)
def _(clipping, spare, grad, grad_norm):
    return grad


@config
class Clipping(Config):
    """Clipping: first scales to a Euclidean norm of at most `norm`, then moves each element into [-value, value].

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
