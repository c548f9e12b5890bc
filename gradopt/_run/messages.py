"""The message that says how a run ended."""

from __future__ import annotations

import math

import numpy as np

from gradopt._core.protocol import hessian
from gradopt._core.status import Status
from gradopt._run.base import Run
from gradopt._run.training import Training


def message(status: Status, run: Run, *, max_nfev: int, max_time: float) -> str:
    """The `message` of a result."""
    source = run.problem.gradient_source
    if status == Status.NON_FINITE and run.failed_at_start:
        return _failure_at_start(run, source)
    if run.never_validated:
        return "the loss on the validation rows was NaN or infinite after every epoch: look at the validation data"
    text = status.meaning
    if status == Status.MAX_ITER:
        text += f" (max_iter={run.total[0]})"
    elif status == Status.MAX_NFEV:
        text += f" (max_nfev={max_nfev})"
    elif status == Status.MAX_TIME:
        text += f" (max_time={max_time:g})"
    elif status == Status.NON_FINITE:
        text += " " + run.method.loop.non_finite.format(update=run.nit + 1, rate=run.rate)
    elif status == Status.LINE_SEARCH:
        text += (
            f" at update {run.nit + 1}: the objective has a kink or a jump there, or rounding hides any further"
            " decrease, so that a larger gtol or ftol is needed"
        )
        if source is None:
            text += ", or the gradient is wrong: check it with gradopt.check_gradient"
    if run.retries:
        attempts = "1 attempt" if run.retries == 1 else f"{run.retries} attempts"
        text += f"; {attempts} after divergence, the last with {run.scale:g} times the rates"
    if source is not None:
        text += f"; gradient by {source}"
    return text if run.problem.remark is None else f"{text}; {run.problem.remark}"


def _failure_at_start(run: Run, source: str | None) -> str:
    if isinstance(run, Training) or not math.isfinite(run.fun):
        return "the objective is NaN or infinite at the start x0; choose another start"
    if run.method.loop.evaluates is hessian and np.isfinite(run.gradient).all():
        return "the second derivatives are NaN or infinite at the start x0; choose another start"
    text = "the gradient is NaN or infinite at the start x0, where the objective is finite; choose another start"
    return text if source is None else f"{text}, or another jac: this is {source}"
