"""The time that Numba spends compiling."""

from __future__ import annotations

from numba.core import event

_timer = event.TimingListener()
event.register("numba:compile", _timer)


def compile_seconds() -> float:
    """The seconds that Numba has compiled in this process so far, without loads from the disk cache."""
    return float(_timer.duration) if _timer.done else 0.0
