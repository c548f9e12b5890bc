"""The time that Numba spends compiling."""

from __future__ import annotations

from numba.core import event


class CompileTimer:
    """Within the block, sums up in `seconds` the time that Numba compiles, not counting loads from the disk cache."""

    def __init__(self) -> None:
        self._listener = event.TimingListener()

    @property
    def seconds(self) -> float:
        """The sum so far."""
        return float(self._listener.duration) if self._listener.done else 0.0

    def __enter__(self) -> CompileTimer:
        event.register("numba:compile", self._listener)
        return self

    def __exit__(self, *exception: object) -> None:
        event.unregister("numba:compile", self._listener)
