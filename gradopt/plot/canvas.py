"""Common parts of the plots: matplotlib, axes to draw on, colours, legends, and runs to draw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.result import OptimizeResult


def pyplot() -> Any:
    """matplotlib.pyplot; raises an ImportError that says how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("gradopt.plot needs matplotlib: pip install 'gradopt[plot]'") from None
    return plt


def axes_or_new(ax: Any) -> Any:
    """The given axes, or those of a new figure."""
    if ax is None:
        return pyplot().figure(layout="constrained").add_subplot()
    if not hasattr(ax, "plot"):
        raise TypeError(f"ax must be matplotlib Axes, got {validate.shown(ax)}")
    return ax


@cache
def palette() -> tuple[str, ...]:
    """The colours of `style.mplstyle`, whatever style is in use."""
    style = pyplot().matplotlib.rc_params_from_file(Path(__file__).with_name("style.mplstyle"), False, False)
    return tuple(style["axes.prop_cycle"].by_key()["color"])


def colour(i: int) -> str:
    """The colour of run i."""
    return palette()[i % len(palette())]


def makes_room(figure: Any) -> bool:
    """Whether the layout of a figure makes room for legends outside of the axes."""
    engines = pyplot().matplotlib.layout_engine
    return isinstance(figure.get_layout_engine(), engines.ConstrainedLayoutEngine)


def legend_beside(axes: Any, title: str | None = None) -> None:
    """A legend on the right of the axes, where it hides nothing, if the layout makes room for it; else in the axes."""
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    axes.legend(title=title, **(beside if makes_room(axes.figure) else {}))


def legend_below(figure: Any, axes: Any) -> None:
    """A legend of what is drawn in the axes, below all panels, if the layout makes room for it; else in the axes."""
    if makes_room(figure):
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    else:
        axes.legend()


def with_labels(results: Sequence[Any], labels: Sequence[str] | None) -> list[tuple[Any, str | None]]:
    """Results with their labels."""
    for result in results:
        if not isinstance(result, OptimizeResult) or "history" not in result:
            hint = "; pass them one by one" if isinstance(result, (list, tuple)) else ""
            raise TypeError(f"results must be OptimizeResult objects from optimize, got {validate.shown(result)}{hint}")
    if not results:
        raise TypeError("a result must be given")
    if labels is None:
        return [(result, f"run {i + 1}" if len(results) > 1 else None) for i, result in enumerate(results)]
    if len(labels) != len(results):
        raise ValueError(f"labels must have one label per result, {len(results)}, got {len(labels)}")
    return list(zip(results, labels, strict=True))


def iterates(result: Any) -> NDArray[Any]:
    """The recorded x of a run, (records, n)."""
    if "x" not in result.history or len(result.history.x) == 0:
        raise ValueError('the result has no iterates: run optimize with record="x"')
    return np.asarray(result.history.x)


def spreads(values: Any) -> bool:
    """Whether a logarithmic scale helps: positive numbers over two decades."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return bool(known.size and known.min() > 0 and known.max() > 100 * known.min())
