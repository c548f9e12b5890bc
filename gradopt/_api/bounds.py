"""The argument `bounds`: converts the forms of scipy.optimize to a box."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._numerics.bounds import Box


def box_of(bounds: Any, n: int, dtype: Any) -> Box | None:
    """The box that `bounds`, in a form of scipy.optimize, describes; None without bounds."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        sides = [bounds.lb, bounds.ub]
    else:
        pairs = list(bounds) if np.iterable(bounds) and not isinstance(bounds, str) else None
        if pairs is None or not all(np.iterable(pair) and len(list(pair)) == 2 for pair in pairs):
            wanted = "a scipy.optimize.Bounds or a pair (low, high) for each parameter"
            raise ValueError(f"bounds must be {wanted}, got {validate.shown(bounds)}")
        if len(pairs) != n:
            raise ValueError(f"bounds must have {n} pairs, one for each parameter, got {len(pairs)}")
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    low = _side("low", sides[0], -np.inf, n, dtype)
    high = _side("high", sides[1], np.inf, n, dtype)
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise ValueError(f"bounds must have low <= high, got {low[i]} > {high[i]} for x[{i}]")
    if (low == np.inf).any() or (high == -np.inf).any():
        raise ValueError(f"bounds must leave room for finite numbers, got {validate.shown(bounds)}")
    return Box(low, high, np.ones(n, dtype))


def _side(name: str, values: Any, none: float, n: int, dtype: Any) -> NDArray[Any]:
    try:
        values = [none if value is None else value for value in np.atleast_1d(np.asarray(values, object))]
        side = np.broadcast_to(np.asarray(values, dtype), n).copy()
    except (TypeError, ValueError):
        raise ValueError(f"bounds must have {n} real numbers as {name} ends, got {validate.shown(values)}") from None
    if np.isnan(side).any():
        raise ValueError(f"bounds must not be NaN, got {validate.shown(values)} as {name} ends")
    return side
