"""Handling of Ctrl-C and other signals while LLVM works, or while a loop runs."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any


class interrupts_held_back:
    """Within the block, signals are only noted; their handlers, which may raise KeyboardInterrupt, run at the end.

    LLVM calls back into Python. An exception raised there is lost together with the code, and the next call crashes the
    interpreter. Alarms and termination signals whose handlers raise are no better than Ctrl-C: all signals with a
    handler in Python are held back.

    Parameters
    ----------
    later : bool
        Run the handlers some milliseconds after the end, for blocks that compiled code enters.
    only : collection of int, optional
        The signals to hold back. By default all.
    once : bool
        Hold back only the first signal of each kind, for blocks in which users' code may run for ever.
    """

    def __init__(self, later: bool = False, only: Collection[int] | None = None, once: bool = False) -> None:
        self._later, self._once, self._numbers = later, once, _NUMBERS if only is None else only

    def __enter__(self) -> None:
        self._handlers: dict[int, Callable[..., Any]] = {}
        self._noted: list[tuple[Any, ...]] = []
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._noted and self._later:
            for number, _ in self._noted:
                threading.Timer(0.005, _thread.interrupt_main, (number,)).start()
        elif self._noted:
            with ExitStack() as handlers:  # each runs, also if one before it raises
                for number, frame in reversed(self._noted):
                    handlers.callback(self._handlers[number], number, frame)

    def _note(self, number: int, frame: Any) -> None:
        if number not in (noted for noted, _ in self._noted):
            self._noted.append((number, frame))
            if self._once:
                signal.signal(number, self._handlers[number])


_NUMBERS = sorted(signal.valid_signals() - {getattr(signal, name, 0) for name in ("SIGKILL", "SIGSTOP", "SIGCHLD")})
