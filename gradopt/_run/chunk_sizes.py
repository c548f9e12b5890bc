"""How many evaluations the compiled loop does before it comes back to Python."""

from __future__ import annotations

_SECONDS = 0.025  # that a chunk should take
_GROWTH = 1024  # from one chunk to the next, at most
_EVALUATIONS = 2**20  # of a chunk, at most


class ChunkSizes:
    """Sizes chunks so that each takes about 25 ms, from what the last one took."""

    def __init__(self) -> None:
        self._seconds_each = 0.0
        self._last = 1

    def next(self) -> int:
        """The evaluations of the next chunk."""
        fitting = _SECONDS / max(self._seconds_each, 1e-9)
        self._last = int(min(max(fitting, 1.0), self._last * _GROWTH, _EVALUATIONS))
        return self._last

    def took(self, seconds: float, evaluations: int) -> None:
        """Note what a chunk took."""
        self._seconds_each = seconds / evaluations
