"""A progress bar over the updates or epochs of a run (tqdm, optional)."""

from __future__ import annotations

import sys
from typing import Any


class NoBar:
    """Stands in where no bar is asked for; like the bar, closed at the end of a with block."""

    shows = False

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def show(self, done: int, fun: float, rate: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Close nothing."""


class Bar(NoBar):
    """A bar with the objective and the learning rate; it moves between two calls of the compiled loop.

    Parameters
    ----------
    total : int or None
        How many there will be at the most.
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
        """Move to so many updates or epochs done."""
        self._bar.set_postfix(fun=f"{fun:.4g}", rate=f"{rate:.3g}", refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


def bar_of(show: bool, total: int, unit: str) -> NoBar:
    """The bar that is asked for; of a total that is no limit it shows none."""
    return Bar(None if total == sys.maxsize else total, unit) if show else NoBar()
