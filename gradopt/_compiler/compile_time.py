"""The time that Numba spends compiling."""

from __future__ import annotations

import math

from gradopt._compiler.numba_api import events

_timer = None if events is None else events.TimingListener()
if events is not None:
    events.register("numba:compile", _timer)


def compile_seconds() -> float:
    """The seconds that Numba has compiled in this process so far, without loads from the disk cache; NaN if unknown."""
    if _timer is None:
        return math.nan
    return float(_timer.duration) if _timer.done else 0.0
