"""A notice for those who wait: what is compiled, where it is kept, and how to switch the notice off."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from gradopt._compiler.numba_api import cache, events

_PATIENCE = 2.0  # seconds of compiling, one after the other
_PAUSE = 1.0  # seconds after which a wait counts anew
_SWITCH = "GRADOPT_QUIET"

_Listener: Any = object if events is None else events.Listener


class _Notice(_Listener):  # type: ignore[misc]
    """Says once per process that it compiles, when that has taken some seconds.

    Numba tells when it begins to compile each function, inside others too; what comes from the disk cache is not told.
    """

    def __init__(self) -> None:
        self._inside, self._began, self._ended, self._name, self._told = 0, 0.0, -_PAUSE, "", False

    def on_start(self, told: Any) -> None:
        now = time.perf_counter()
        if self._inside == 0:
            self._name = _name(told.data.get("dispatcher"))
            if now - self._ended > _PAUSE:
                self._began = now
        self._inside += 1
        if self._name and not self._told and now - self._began > _PATIENCE:
            self._told = True
            tell(self._name)

    def on_end(self, told: Any) -> None:
        self._inside -= 1
        self._ended = time.perf_counter()


def _name(dispatcher: Any) -> str:
    """What gradopt compiles, in words; empty if it is not gradopt that compiles."""
    function: Any = getattr(dispatcher, "py_func", None)
    if getattr(dispatcher, "is_of_a_user", False):
        return f"your function {function.__name__}"
    ours = getattr(function, "__module__", "").split(".")[0] == "gradopt"
    return f"{function.__qualname__} and what it calls" if ours else ""


def tell(name: str) -> None:
    """Write the notice to the terminal, or to the log if there is none."""
    kept = " once: its own code is kept on disk. `python -m gradopt warm` does it beforehand."
    wait = kept if cache is not None else " in each process: Numba lacks what keeping it on disk needs."
    text = f"gradopt is compiling {name}; this takes some seconds,{wait}"
    if sys.stderr is not None and sys.stderr.isatty():
        if not os.environ.get(_SWITCH):
            print(f"{text} {_SWITCH}=1 switches this line off.", file=sys.stderr, flush=True)
    else:
        logging.getLogger("gradopt").info(text)


if events is not None:
    events.register("numba:compile", _Notice())
