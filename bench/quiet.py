"""Whether the machine is quiet: a shared one is half as fast for moments or minutes, in which ratios are others."""

import time

_SLOWER = 1.25  # than it was ever seen, and it is not quiet
_PAUSE = 0.02
_FIRST_LOOK = 10  # seconds
_best = float("inf")


def is_quiet():
    """Whether a piece of Python runs about as fast as it ever did in this process."""
    global _best
    if _best == float("inf"):
        end = time.perf_counter() + _FIRST_LOOK
        while time.perf_counter() < end:
            _best = min(_best, _seconds())
            time.sleep(_PAUSE)
    now = _seconds()
    _best = min(_best, now)
    return now < _SLOWER * _best


def _seconds():
    times = []
    for _ in range(3):
        started = time.perf_counter()
        sum([i * i for i in range(2000)])
        times.append(time.perf_counter() - started)
    return min(times)


class Patience:
    """Repeats what is measured until the machine was quiet before it and after it, while some seconds last.

    With 0 seconds it does not look at all.
    """

    def __init__(self, seconds):
        self._deadline = time.perf_counter() + seconds if seconds else None
        self._rounds = self._quiet = 0

    def round(self, measure):
        """What `measure()` returns."""
        if self._deadline is None:
            return measure()
        while True:
            while not (quiet := is_quiet()) and time.perf_counter() < self._deadline:
                time.sleep(_PAUSE)
            result = measure()
            quiet = quiet and is_quiet()
            if quiet or time.perf_counter() >= self._deadline:
                self._rounds += 1
                self._quiet += quiet
                return result

    @property
    def rewarded(self):
        """Whether the machine was quiet in at least half of the rounds."""
        return 2 * self._quiet >= self._rounds
