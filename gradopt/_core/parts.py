"""The parts of a parameter vector, such as the weights of a layer."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """Elements of the parameters that belong together.

    Attributes
    ----------
    start, stop : int
        They are x[start:stop].
    layer : int
        The number of their layer.
    decays : bool
        Whether a weight decay by layer applies: to weights, not to biases.
    frozen : bool
        Whether they stay as they are.
    """

    start: int
    stop: int
    layer: int
    decays: bool
    frozen: bool
