"""What Python does between two calls of the compiled loop: limits, recovery, the bar, callbacks."""

from __future__ import annotations

import time
from typing import NamedTuple

from gradopt.callbacks import Callbacks
from gradopt.descent import Descent
from gradopt.loop import RUNNING
from gradopt.progress import Bar, NoBar
from gradopt.status import Status
from gradopt.steering import RetryFromBest
from gradopt.training import Training


class Watching(NamedTuple):
    """Who looks at a run.

    Attributes
    ----------
    callbacks : Callbacks
    bar : NoBar
    recover : RetryFromBest or None
    deadline : float
        When to stop, in the seconds of time.perf_counter.
    """

    callbacks: Callbacks
    bar: NoBar
    recover: RetryFromBest | None
    deadline: float


def descend(descent: Descent, watching: Watching, max_iter: int) -> int:
    """Run to the end; returns a `Status`."""
    callbacks, bar, recover, deadline = watching
    nobody_looks = callbacks.updates_until_due(0) is None and recover is None and not isinstance(bar, Bar)
    status = descent.start(max_iter if nobody_looks else 0)
    while status == RUNNING:
        if descent.updates >= max_iter:
            return Status.MAX_ITER
        if time.perf_counter() >= deadline:
            return Status.MAX_TIME
        before = descent.updates
        at_most = max_iter - before
        due = callbacks.updates_until_due(before)
        status = descent.advance(at_most if due is None else min(at_most, due))
        if status == Status.NON_FINITE and recover is not None and descent.retries < recover.attempts:
            status = descent.retry(recover.factor)
        bar.show(descent.updates, descent.fun, descent.rate)
        wants_stop = descent.updates > before and callbacks.call(descent.updates, descent.intermediate)
        if wants_stop and status == RUNNING:
            status = Status.CALLBACK
    return status


def train(training: Training, watching: Watching, epochs: int, max_iter: int, target: float) -> int:
    """Run to the end, in epochs; returns a `Status`."""
    recover = watching.recover
    while True:
        status = _train_once(training, watching, epochs, max_iter, target)
        # The losses of batches were seen before their updates; that of all rows tells of the last one.
        if training.take_back_what_diverged():
            status = Status.NON_FINITE
        out_of_attempts = recover is None or training.failed_at_start or training.retries >= recover.attempts
        if status != Status.NON_FINITE or out_of_attempts:
            return status
        training.retry(recover.factor)  # type: ignore[union-attr]


def _train_once(training: Training, watching: Watching, epochs: int, max_iter: int, target: float) -> int:
    """Run to the end, or until the run diverges; returns a `Status`."""
    callbacks, bar, _, deadline = watching
    while True:
        if training.epochs >= epochs or training.updates >= max_iter:
            return Status.COMPLETED
        if time.perf_counter() >= deadline:
            return Status.MAX_TIME
        status = training.advance(max_iter - training.updates)
        if status != RUNNING:
            return status
        if training.epoch_is_over:
            training.close_epoch()
            bar.show(training.epochs, training.fun, training.rate)
            wants_stop = callbacks.call(training.epochs, training.intermediate)
            if training.fun <= target:
                return Status.TARGET
            if training.patience_is_over:
                return Status.EARLY_STOPPED
            if wants_stop:
                return Status.CALLBACK
