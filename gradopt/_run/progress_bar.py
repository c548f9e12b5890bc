"""A progress bar over the updates or epochs of a run (tqdm, optional)."""

from __future__ import annotations

import sys
from typing import Any


class NoBar:
    """A stand-in without a bar; like `Bar`, it is closed at the end of a with block."""

    shows = False

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def show(self, done: int, fun: float, rate: float) -> None:
        """Show nothing."""

    def advance(self, count: int) -> None:
        """Count nothing."""

    def close(self) -> None:
        """Close nothing."""


class Bar(NoBar):
    """A progress bar with the objective and the learning rate, updated between two calls of the compiled loop.

    Parameters
    ----------
    total : int or None
        The maximum number of updates or epochs.
    unit : str
        "update" or "epoch".
    """

    shows = True

    def __init__(self, total: int | None, unit: str) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            message = 'progress=True needs tqdm: pip install "gradopt[progress]", or pip install tqdm'
            raise ImportError(message) from None
        self._bar: Any = tqdm(total=total, unit=unit)

    def show(self, done: int, fun: float, rate: float) -> None:
        """Move the bar to this number of updates or epochs."""
        self._bar.set_postfix(fun=f"{fun:.4g}", rate=f"{rate:.3g}", refresh=False)
        self._bar.update(done - self._bar.n)

    def advance(self, count: int) -> None:
        """Move the bar by so many."""
        self._bar.update(count)

    def close(self) -> None:
        """Close the bar; it stays visible."""
        self._bar.close()


def bar_of(show: bool, total: int, unit: str) -> NoBar:
    """A bar if `show`, else a stand-in; sys.maxsize means that there is no total to show."""
    return Bar(None if total == sys.maxsize else total, unit) if show else NoBar()
