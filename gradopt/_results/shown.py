"""How a result shows itself: as text, and as a table in notebooks."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_NAMED = 6  # parameters at bounds that are named


def as_text(rows: list[tuple[str, str]]) -> str:
    """The lines of what a result shows, the verdict first."""
    width = max((len(name) for name, _ in rows[1:]), default=0)
    first = ": ".join(filter(None, rows[0]))
    return "\n".join([first, *(f"  {name:{width}}  {text}" for name, text in rows[1:])])


def as_html(rows: list[tuple[str, str]]) -> str:
    """The same as a table."""
    cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"


def verdict(status: Any) -> str:
    """What a `Status` says at a glance; None is a run that goes on."""
    return "so far" if status is None else f"{'success' if status.success else 'no success'}, {status.name}"


def described(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an `OptimizeResult` shows: pairs of a name and a text; the first is the verdict and the message."""
    rows = [(verdict(result.get("status")), str(result.get("message", "")))]
    state, problem, history = (result.get(key) for key in ("state", "problem", "history"))
    trains = state is not None and state.training is not None
    if problem is not None:
        rows.append(("problem", str(problem)))
    if state is not None:
        rows.append(("method", str(state.method)))
    rows += _losses(result, trains, history)
    if "x" in result:
        x = np.asarray(result["x"])
        rows.append(("x", f"{numbers(x)}, {x.size} {'parameter' if x.size == 1 else 'parameters'} of {x.dtype}"))
    if result.get("jac") is not None:
        rows.append(("gradient", _gradient(result)))
    if "at_bound" in result:
        rows.append(("at bounds", _at_bounds(result, problem)))
    if "nit" in result:
        evaluations = f", {result['nfev']} evaluations" if "nfev" in result else ""
        rows.append(("updates", f"{result['nit']}{evaluations}"))
    if result.get("compile_time", 0.0) >= 0.05:
        rows.append(("compiling", f"{result['compile_time']:.2g} s"))
    return rows


def _losses(result: Mapping[str, Any], trains: bool, history: Any) -> list[tuple[str, str]]:
    if "fun" not in result:
        return []
    if not trains:
        return [("fun", f"{result['fun']:.8g}")]
    rows = [("training loss", f"{result['fun']:.6g}")]
    if history is not None and "val_fun" in history and np.isfinite(history.val_fun).any():
        best = int(np.nanargmin(history.val_fun))
        accuracy = f", accuracy {history.val_accuracy[best]:.4g}" if "val_accuracy" in history else ""
        rows.append(("validation loss", f"{history.val_fun[best]:.6g} in epoch {best + 1}, the lowest{accuracy}"))
    return rows


def _gradient(result: Mapping[str, Any]) -> str:
    jac = np.asarray(result["jac"])
    free = jac[~result["at_bound"]] if "at_bound" in result else jac
    largest = f"{np.abs(jac).max():.1e}" if jac.size else "0"
    if free.size == jac.size:
        return f"at most {largest}"
    return f"at most {np.abs(free).max(initial=0.0):.1e} away from bounds, {largest} in all"


def _at_bounds(result: Mapping[str, Any], problem: Any) -> str:
    places = np.flatnonzero(result["at_bound"])
    if not places.size:
        return "none"
    name: Callable[[int], str] = getattr(problem, "parameter_name", None) or (lambda i: f"x[{i}]")
    sides = {-1: "low", 0: "fixed", 1: "high"}
    where = np.array(result["active_mask"])
    if result.get("bounds") is not None:
        low, high = np.transpose(result["bounds"])
        where[low == high] = 0
    named = [f"{name(int(i))} ({sides[int(where[i])]})" for i in places[:_NAMED]]
    more = f" and {places.size - _NAMED} more" if places.size > _NAMED else ""
    return ", ".join(named) + more


def numbers(x: Any) -> str:
    """An array in a line, with six digits."""
    return np.array2string(np.asarray(x), precision=6, threshold=8, edgeitems=3, suppress_small=False).replace("\n", "")
