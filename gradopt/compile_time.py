"""How long Numba compiles."""

from __future__ import annotations

from types import TracebackType

from numba.core import event


class CompileTime:
    """Within the block, sums up in `seconds` what Numba spends on compilation; loading from the disk cache is none."""

    def __init__(self) -> None:
        self._listener = event.TimingListener()

    @property
    def seconds(self) -> float:
        """The sum so far."""
        return float(self._listener.duration) if self._listener.done else 0.0

    def __enter__(self) -> CompileTime:
        event.register("numba:compile", self._listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        event.unregister("numba:compile", self._listener)
