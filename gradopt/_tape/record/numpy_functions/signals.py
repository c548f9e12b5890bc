"""Functions of sampled signals: interpolation, convolution, correlation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, refuse_others
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import array_of


def _interp(trace: Trace, x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation."""
    refuse_others(period=period)
    at, knots, values = (array_of(trace, one) * 1.0 for one in (x, xp, fp))
    if knots.ndim != 1 or values.shape != knots.shape or not knots.size:
        raise ValueError("fp and xp are not of the same length.")
    if at.node.value is not None and knots.node.value is not None:
        places, where = (np.asarray(trace.value_of(one.node)) for one in (knots, at))
        low = np.clip(np.searchsorted(places, where, "right") - 1, 0, max(places.size - 2, 0))
        high = np.minimum(low + 1, places.size - 1)
        width = np.where(high > low, places[high] - places[low], 1.0)
        share = np.clip((where - places[low]) / np.where(width > 0.0, width, 1.0), 0.0, 1.0)
        result = values[low] + share * (values[high] - values[low])
    else:
        # Each piece adds its rise, as far as it was passed.
        share = np.clip((at[..., None] - knots[:-1]) / (knots[1:] - knots[:-1]), 0.0, 1.0)
        result = values[0] + np.sum(share * (values[1:] - values[:-1]), axis=-1)
    if left is not None:
        result = np.where(at < knots[0], left, result)
    return result if right is None else np.where(at > knots[-1], right, result)


def _convolve(trace: Trace, a: Any, v: Any, mode: str = "full") -> Any:
    one, other = array_of(trace, a), array_of(trace, v)
    if other.size > one.size:
        one, other = other, one
    return _correlate(trace, one, other[::-1], mode)


def _correlate(trace: Trace, a: Any, v: Any, mode: str = "valid") -> Any:
    """c[k] = sum over n of a[n + k] v[n], for all k ("full") or those in the middle."""
    one, other = array_of(trace, a), array_of(trace, v)
    if one.ndim != 1 or other.ndim != 1 or not one.size or not other.size:
        raise ValueError("a and v must be vectors that are not empty")
    if mode not in ("full", "same", "valid"):
        raise NotSupported(f"with mode={mode!r}")
    if other.size > one.size:
        return _correlate(trace, other, one, mode)[::-1]
    count, width = one.size, other.size
    edge = np.zeros(width - 1)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([edge, one, edge]), width)
    first, length = {
        "full": (0, count + width - 1),
        "same": (width - 1 - width // 2, count),
        "valid": (width - 1, count - width + 1),
    }[mode]
    return windows[first : first + length] @ other


FUNCTIONS |= {np.interp: _interp, np.convolve: _convolve, np.correlate: _correlate}
