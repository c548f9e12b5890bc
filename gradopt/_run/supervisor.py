"""The supervision between two chunks of a run: limits, recovery, the progress bar, callbacks.

Ctrl-C comes through here: it is held back until a chunk has ended, which takes about 25 ms (`chunk_sizes.py`), so that
the run has a result. In functions that run in Python, a second Ctrl-C comes through at once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from gradopt._compiler import interrupts_held_back
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING
from gradopt._run.base import Run
from gradopt._run.callbacks import Callbacks
from gradopt._run.progress_bar import NoBar
from gradopt._run.recovery import RetryFromBest

_CTRL_C = (signal.SIGINT,)


class Supervision(NamedTuple):
    """Everything that observes or interrupts a run between two compiled chunks.

    Attributes
    ----------
    callbacks : Callbacks
    bar : NoBar
    recover : RetryFromBest or None
    deadline : float
        When `max_time` is over, in the seconds of time.perf_counter.
    """

    callbacks: Callbacks
    bar: NoBar
    recover: RetryFromBest | None
    deadline: float


def supervise(run: Run, supervision: Supervision) -> Status:
    """Run to the end; after a divergence, retry as often as `recover` allows."""
    callbacks, bar, recover, _ = supervision
    unobserved = callbacks.rounds_until_due(0) is None and recover is None and not bar.shows
    if run.problem.interpreted:
        status = _undisturbed(run, run.start, unobserved)
    else:
        status = run.start(unobserved)  # a millisecond, or one evaluation: before it there is no result
        run.between_steps = True
    while True:
        status = run.confirmed(_until_stopped(run, supervision, status))
        hopeless = run.failed_at_start or run.never_validated
        if recover is None or hopeless or status != Status.NON_FINITE or run.retries >= recover.attempts:
            return Status(status)
        status = _undisturbed(run, run.retry, recover.factor)


def _until_stopped(run: Run, supervision: Supervision, status: int) -> int:
    """Run until a test, a limit, a callback or divergence stops the run; returns a `Status`."""
    callbacks, bar, _, deadline = supervision
    while status == RUNNING:
        status = run.limit_reached()
        if status != RUNNING:
            return status
        if time.perf_counter() >= deadline:
            return Status.MAX_TIME
        before = run.rounds
        status = _undisturbed(run, run.advance, callbacks.rounds_until_due(before))
        if run.rounds > before:
            bar.show(run.rounds, run.fun, run.rate)
            wants_stop = callbacks.call(run.rounds, run.intermediate)
            if status == RUNNING:
                status = run.after_round()
            if status == RUNNING and wants_stop:
                status = Status.CALLBACK
    return status


def _undisturbed(run: Run, step: Callable[[Any], int], argument: Any) -> int:
    """Make a step of a run, with Ctrl-C held back to its end."""
    run.between_steps = False
    with interrupts_held_back(only=_CTRL_C, once=run.problem.interpreted):
        status = step(argument)
        run.between_steps = True
    return status
