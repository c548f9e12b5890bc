"""What Numba compiles while a run goes on: how long it takes, and Ctrl-C during it."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from numba.core import event


class Compilation(event.Listener):  # type: ignore[misc]
    """Within the block, sums up in `seconds` what Numba spends on compilation, and holds back Ctrl-C meanwhile.

    Loading from the disk cache is no compilation. An interrupt in the middle of LLVM's work would crash the
    interpreter, so KeyboardInterrupt is raised when the compilation under way has ended.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._handler: Any = None
        self._interrupt: tuple[Any, ...] | None = None

    def __enter__(self) -> Compilation:
        event.register("numba:compile", self)
        return self

    def __exit__(self, *exception: object) -> None:
        event.unregister("numba:compile", self)

    def on_start(self, event: Any) -> None:
        """A compilation begins, maybe inside another one."""
        self._depth += 1
        if self._depth > 1:
            return
        self._started = time.perf_counter()
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.getsignal(signal.SIGINT)
            if callable(self._handler):
                signal.signal(signal.SIGINT, self._remember)

    def on_end(self, event: Any) -> None:
        """A compilation ends."""
        self._depth -= 1
        if self._depth:
            return
        self.seconds += time.perf_counter() - self._started
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._handler)
        if self._interrupt is not None:
            arguments, self._interrupt = self._interrupt, None
            self._handler(*arguments)

    def _remember(self, *arguments: Any) -> None:
        self._interrupt = arguments
