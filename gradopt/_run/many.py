"""Many runs in pieces: on threads, or wherever a user's map sends them.

Kernels hold no lock of Python's while they run, so threads are enough. Results do not depend on the pieces.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from gradopt._core import validate

# The first piece shows what a run costs; the others take about this long, so Ctrl-C is heard and the bar moves.
_SECONDS = 0.1

# The pieces in flight for each worker of an executor.
_AHEAD = 2


def checked_workers(workers: Any) -> Any:
    """The number of threads, or the map or executor that was given."""
    if workers is None:
        return default_threads()
    if isinstance(workers, Executor) or callable(workers):
        return workers
    if hasattr(workers, "submit") and hasattr(workers, "scatter"):
        return workers.get_executor()  # a client of Dask
    if isinstance(workers, bool) or not hasattr(workers, "__index__"):
        raise TypeError(
            "workers must be None, a number of threads, a map, or an executor such as"
            f" concurrent.futures.ProcessPoolExecutor, got {validate.shown(workers)}"
        )
    number = int(workers)
    if number != -1 and number < 1:
        raise ValueError(f"workers must be >= 1, or -1 for all cores, got {number}")
    return cores() if number == -1 else number


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """As many threads as cores, but one where this is a worker of Dask or joblib; OMP_NUM_THREADS is a limit."""
    if _is_worker():
        return 1
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(cores(), int(given))) if given.isdigit() else cores()


def _is_worker() -> bool:
    loky = "LOKY_WORKER_NUMBER" in os.environ or "JOBLIB_SPAWNED_PROCESS" in os.environ
    worker = sys.modules.get("distributed.worker")
    if worker is not None:
        try:
            worker.get_worker()
        except ValueError:
            return loky
        return True
    of_dask = "dask.threaded" in sys.modules and threading.current_thread() is not threading.main_thread()
    return loky or of_dask


class Interruption(Exception):
    """Ctrl-C; what was done by then has been handed over."""


def in_pieces(
    run: Callable[[Any], Any],
    piece: Callable[[int, int], Any],
    count: int,
    first: int,
    workers: Any,
    done: Callable[[int, int, Any], None],
) -> None:
    """Run all pieces, and hand each result over as done(begin, end, result).

    run : a function of a piece; it can be sent to other processes
    piece : makes the piece of the runs from begin to end
    first : the size of the first piece
    workers : as from `checked_workers`

    Raises `Interruption` after Ctrl-C.
    """
    if isinstance(workers, int) and workers == 1:
        _one_by_one(run, piece, count, first, done)
    elif isinstance(workers, int):
        threads = ThreadPoolExecutor(workers, thread_name_prefix="gradopt")
        try:
            _ahead(threads, workers, run, piece, count, first, done)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
    elif isinstance(workers, Executor) or hasattr(workers, "submit"):
        _ahead(workers, _workers_of(workers), run, piece, count, first, done)
    else:
        spans = list(_spans(count, max(first, -(-count // 64))))
        try:
            results: Iterable[Any] = workers(run, [piece(*span) for span in spans])
            for span, result in zip(spans, results, strict=True):
                done(*span, result)
        except KeyboardInterrupt:
            raise Interruption from None


def _spans(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + size, count)) for begin in range(0, count, size))


def _workers_of(executor: Any) -> int:
    return int(getattr(executor, "_max_workers", None) or cores())


class _Sizes:
    """The sizes of pieces, from what runs have taken so far."""

    def __init__(self, first: int) -> None:
        self._first, self.size = first, first

    def took(self, runs: int, seconds: float) -> None:
        wanted = int(runs * _SECONDS / max(seconds, 1e-6))
        # Whole multiples of the first size keep all lanes of a piece busy.
        self.size = max(self._first, min(wanted, 8 * self.size, 64 * self._first) // self._first * self._first)


def _one_by_one(run: Any, piece: Any, count: int, first: int, done: Any) -> None:
    sizes, begin = _Sizes(first), 0
    try:
        while begin < count:
            end, started = min(begin + sizes.size, count), time.perf_counter()
            done(begin, end, run(piece(begin, end)))
            sizes.took(end - begin, time.perf_counter() - started)
            begin = end
    except KeyboardInterrupt:
        raise Interruption from None


def _timed(run: Any, piece: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = run(piece)
    return time.perf_counter() - started, result


def _ahead(executor: Any, workers: int, run: Any, piece: Any, count: int, first: int, done: Any) -> None:
    """Keep some pieces in flight for each worker, no more: they take memory."""
    sizes, begin = _Sizes(first), 0
    flying: dict[Future[Any], tuple[int, int]] = {}
    try:
        while begin < count or flying:
            while begin < count and len(flying) < _AHEAD * workers:
                end = min(begin + sizes.size, count)
                flying[executor.submit(_timed, run, piece(begin, end))] = begin, end
                begin = end
            finished, _ = wait(flying, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in finished:
                span = flying.pop(future)
                seconds, result = future.result()
                sizes.took(span[1] - span[0], seconds)
                done(*span, result)
    except KeyboardInterrupt:
        for future in flying:
            future.cancel()
        raise Interruption from None
