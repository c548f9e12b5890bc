"""The error for what a tape can't hold, and where it was asked for."""

from __future__ import annotations

import linecache
import sys
import sysconfig
import threading
from pathlib import Path
from types import CodeType

import numpy as np

_PACKAGE = str(Path(__file__).parents[2])
# Code that is nobody's own: this package, NumPy, Python and what is installed beside them.
_LIBRARIES = (_PACKAGE, str(Path(np.__file__).parent), *{sysconfig.get_paths()[name] for name in ("purelib", "stdlib")})


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


class _Latest(threading.local):
    error: TraceError | None = None


_latest = _Latest()


def forget() -> None:
    """Begin a trace: nothing was refused so far."""
    _latest.error = None


def refusal() -> TraceError | None:
    """What was refused since; the function may have caught it, and gone another way than it goes with numbers."""
    return _latest.error


def refused(what: str, remedy: str) -> TraceError:
    """The error for something that a tape can't hold."""
    _latest.error = TraceError(f"{where_asked()}: {what} can't be traced; {remedy}")
    return _latest.error


def where_asked() -> str:
    """The line of the user's that is being run."""
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        frames.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return _users(frames)


def where_raised(error: BaseException) -> str:
    """The line of the user's in which an exception came up."""
    frames, step = [], error.__traceback__
    while step is not None:
        frames.append((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    return _users(frames[::-1])


def _users(frames: list[tuple[CodeType, int]]) -> str:
    """The first line of a user's among some, the innermost first; if all are libraries', the first not of this one."""
    for libraries in (_LIBRARIES, (_PACKAGE,)):
        for code, number in frames:
            name = code.co_filename
            if not name.startswith(libraries):
                line = linecache.getline(name, number).strip()
                return f"line {number} of {Path(name).name}" + (f", `{line}`" if line else "")
    return "the function"
