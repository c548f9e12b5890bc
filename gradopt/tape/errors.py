"""The error for what a tape can't hold, and where it was asked for."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path

import numpy as np

_PACKAGE = str(Path(__file__).parents[1])
_NUMPY = str(Path(np.__file__).parent)


class TraceError(TypeError):
    """A function can't be traced; the message says which line asked for what, and what to do.

    Examples
    --------
    >>> import gradopt
    >>> try:
    ...     gradopt.trace(lambda x: x[0] if x[0] > 0 else 0.0, [1.0])
    ... except gradopt.TraceError as error:
    ...     print(str(error).rpartition(": ")[2])
    a branch or loop on what depends on x can't be traced; take np.where(condition, a, b), or another jac
    """


def where_asked() -> str:
    """The line of the user's that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_PACKAGE, _NUMPY)):
            line = linecache.getline(name, frame.f_lineno).strip()
            shown = f", `{line}`" if line else ""
            return f"line {frame.f_lineno} of {Path(name).name}{shown}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the function"


def refused(what: str, remedy: str) -> TraceError:
    """The error for something that a tape can't hold."""
    return TraceError(f"{where_asked()}: {what} can't be traced; {remedy}")
