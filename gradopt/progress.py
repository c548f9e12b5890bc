"""A progress bar over the updates of a run (tqdm, optional)."""

from __future__ import annotations

from typing import Any


class NoBar:
    """Stands in where no bar is asked for."""

    def show(self, updates: int, fun: float, rate: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Close nothing."""


class Bar(NoBar):
    """A bar with the objective and the learning rate; it moves between two calls of the compiled loop.

    Parameters
    ----------
    total : int
        The number of updates at the most.
    """

    def __init__(self, total: int) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            message = 'progress=True needs tqdm: pip install "gradopt[progress]", or pip install tqdm'
            raise ImportError(message) from None
        self._bar: Any = tqdm(total=total, unit="update")

    def show(self, updates: int, fun: float, rate: float) -> None:
        """Move to so many updates done."""
        self._bar.set_postfix(fun=f"{fun:.4g}", rate=f"{rate:.3g}", refresh=False)
        self._bar.update(updates - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
