"""Handling of Ctrl-C while LLVM works."""

from __future__ import annotations

import _thread
import signal
import threading
from typing import Any


class interrupts_held_back:
    """Within the block, Ctrl-C is only noted; its handler, which usually raises KeyboardInterrupt, runs at the end.

    LLVM calls back into Python. An exception raised there is lost together with the code, and the next call crashes the
    interpreter. With `later`, the handler runs some milliseconds after the end, for blocks that compiled code enters.
    """

    def __init__(self, later: bool = False) -> None:
        self._later = later

    def __enter__(self) -> None:
        self._handler: Any = None
        self._interrupt: tuple[Any, ...] | None = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                signal.signal(signal.SIGINT, self._remember)

    def __exit__(self, *exception: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._interrupt is not None and self._later:
                threading.Timer(0.005, _thread.interrupt_main).start()
            elif self._interrupt is not None:
                self._handler(*self._interrupt)

    def _remember(self, *arguments: Any) -> None:
        self._interrupt = arguments
