"""The error for an operation that a tape can't hold, and the user's line that asked for it."""

from __future__ import annotations

import linecache
import sys
import sysconfig
import threading
from pathlib import Path
from types import CodeType

import numpy as np

_PACKAGE = str(Path(__file__).parents[2])
# Code that is not the user's: this package, NumPy, Python, and installed packages.
_PATHS = {sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")}
_LIBRARIES = (_PACKAGE, str(Path(np.__file__).parent), *_PATHS)


class TraceError(TypeError):
    """A function can't be traced; the message says which line asked for what, and what to do instead.

    Examples
    --------
    >>> import gradopt
    >>> try:
    ...     gradopt.trace(lambda x: x[x > 0].sum(), [1.0])
    ... except gradopt.TraceError as error:
    ...     print(str(error).rpartition(": ")[2])
    an index that depends on x can't be traced; take np.where, or another jac
    """


class BranchError(TraceError):
    """A run came to a branch of a function that can't be traced, or the function has too many branches."""


class _Latest(threading.local):
    error: TraceError | None = None


_latest = _Latest()


def forget() -> None:
    """Forget earlier refusals, at the beginning of a trace."""
    _latest.error = None


def refusal() -> TraceError | None:
    """The latest error since then; a function that caught it may have taken a path that it never takes with numbers."""
    return _latest.error


def refused(what: str, remedy: str) -> TraceError:
    """The error for an operation that a tape can't hold; it is remembered for `refusal`."""
    _latest.error = TraceError(f"{where_asked()}: {what} can't be traced; {remedy}")
    return _latest.error


def is_users(code: CodeType | str | None) -> bool:
    """Whether code, or a file, is the user's: neither in this package, nor in Python, nor in an installed package."""
    name = code.co_filename if isinstance(code, CodeType) else code
    return name is not None and not name.startswith((*_LIBRARIES, "<frozen"))


def may_be_caught() -> bool:
    """Whether a function of the user's that is being run has a `try`, so that it may catch an exception."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_exceptiontable and is_users(frame.f_code):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def where_asked() -> str:
    """The user's line that is being run."""
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        frames.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return _users(frames)


def where_raised(error: BaseException) -> str:
    """The user's line in which an exception was raised."""
    frames, step = [], error.__traceback__
    while step is not None:
        frames.append((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    return _users(frames[::-1])


def _users(frames: list[tuple[CodeType, int]]) -> str:
    """The innermost line that is the user's; if all are in libraries, the innermost outside this package."""
    for libraries in (_LIBRARIES, (_PACKAGE,)):
        for code, number in frames:
            name = code.co_filename
            if not name.startswith(libraries):
                line = linecache.getline(name, number).strip()
                return f"line {number} of {Path(name).name}" + (f", `{line}`" if line else "")
    return "the function"
