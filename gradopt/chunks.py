"""How many evaluations the compiled loop does before it comes back to Python."""

from __future__ import annotations

_SECONDS = 0.025
_GROWTH = 1024
_EVALUATIONS = 2**20


class Chunks:
    """Sizes chunks so that each takes about 25 ms, from what the last one took."""

    def __init__(self) -> None:
        self._seconds_each = 0.0
        self._last = 1

    def size(self) -> int:
        """The evaluations of the next chunk."""
        fitting = _SECONDS / max(self._seconds_each, 1e-9)
        self._last = int(min(max(fitting, 1.0), self._last * _GROWTH, _EVALUATIONS))
        return self._last

    def took(self, seconds: float, evaluations: int) -> None:
        """Take note of what a chunk took."""
        self._seconds_each = seconds / evaluations
