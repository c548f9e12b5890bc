"""Dropout: in training, each output of a layer is 0 with some probability, and otherwise larger in proportion.

N. Srivastava et al., Dropout: A simple way to prevent neural networks from overfitting, 2014. Which outputs are 0 is a
function of the position and of two numbers, the memory: a seed, and the count of passes. A run that is repeated, or
resumed, drops the same ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import elementwise, kernel

_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
SEEDS = 2**53  # the memory is in float64


@elementwise(inline=True)
def mixed(z):
    """A number of 64 bits in which each bit depends on each bit of z, as in SplitMix64 (G. Steele et al., 2014)."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@kernel(late_bound=True)
def drop(outputs, slopes, rate, memory, layer) -> None:
    """Set outputs and their slopes to 0 with probability `rate`, and divide the others by 1 - rate.

    outputs, slopes : float array (m,), C order, written
    rate : float in (0, 1)
    memory : float64 array (2,), read
    layer : int
    """
    start = mixed(mixed(np.uint64(memory[0])) + np.uint64(memory[1]))
    _drop(outputs, slopes, mixed(start + np.uint64(layer)), rate * SEEDS, outputs.dtype.type(1.0 / (1.0 - rate)))


@elementwise
def _drop(outputs, slopes, key, threshold, factor) -> None:
    zero = outputs.dtype.type(0.0)
    for i in range(outputs.size):
        kept = np.int64(mixed(key + np.uint64(i) * _STEP) >> _11) >= threshold
        outputs[i] = factor * outputs[i] if kept else zero
        slopes[i] = factor * slopes[i] if kept else zero


def rates_for(dropout: Any, layers: int) -> NDArray[np.float64]:
    """The rate of each layer; the last one, whose outputs are the network's, has 0."""
    return np.append(np.broadcast_to(np.asarray(dropout, np.float64), (layers - 1,)), 0.0)
