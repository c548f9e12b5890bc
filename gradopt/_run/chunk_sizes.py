"""The number of evaluations that the compiled loop makes before it returns to Python."""

from __future__ import annotations

_SECONDS = 0.025  # target duration of a chunk
_GROWTH = 1024  # maximum growth from one chunk to the next
_EVALUATIONS = 2**20  # maximum number in a chunk


class ChunkSizes:
    """Sizes chunks to take about 25 ms each, from the time of the last one."""

    def __init__(self) -> None:
        self._seconds_each = 0.0
        self._last = 1

    def next(self) -> int:
        """The number of evaluations in the next chunk."""
        fitting = _SECONDS / max(self._seconds_each, 1e-9)
        self._last = int(min(max(fitting, 1.0), self._last * _GROWTH, _EVALUATIONS))
        return self._last

    def took(self, seconds: float, evaluations: int) -> None:
        """Record the time of a chunk."""
        self._seconds_each = seconds / evaluations
