"""How a run ended, in words."""

from __future__ import annotations

import numpy as np

from gradopt.descent import Descent
from gradopt.methods import LineSearchMethod
from gradopt.status import Status
from gradopt.training import Training


def message(status: Status, run: Descent | Training, max_iter: int, max_time: float, source: str | None) -> str:
    """What a result says of its end; source : of the gradient, where there is a choice."""
    text = status.meaning
    if status == Status.MAX_ITER:
        text += f" (max_iter={max_iter})"
    elif status == Status.MAX_TIME:
        text += f" (max_time={max_time:g})"
    elif status == Status.NON_FINITE and run.failed_at_start:
        return _failure_at_start(run, source)
    elif status == Status.NON_FINITE and isinstance(run.method, LineSearchMethod):
        text += (
            f" wherever the line search of update {run.nit + 1} looked; x is the last finite iterate. The objective may"
            " be unbounded below, or x0 far from where it is defined"
        )
    elif status == Status.LINE_SEARCH:
        text += (
            f" at update {run.nit + 1}: the objective has a kink or a jump there, or rounding hides what is left to"
            " gain, which a larger gtol or ftol would accept"
        )
        if source is None:
            text += ", or the gradient is wrong, which gradopt.check_gradient tells"
    elif status == Status.NON_FINITE:
        text += (
            f" at update {run.nit + 1} (learning rate {run.rate:g}); x is the last finite"
            " iterate. A smaller learning_rate, or one that decays, may help"
        )
    if run.retries:
        attempts = "1 attempt" if run.retries == 1 else f"{run.retries} attempts"
        text += f"; {attempts} after divergence, the last with {run.scale:g} times the rates"
    if source is not None:
        text += f"; gradient by {source}"
    return text


def _failure_at_start(run: Descent | Training, source: str | None) -> str:
    if isinstance(run, Training) or not np.isfinite(run.fun):
        return "the objective is NaN or infinite at the start x0; choose another start"
    text = "the gradient is NaN or infinite at the start x0, where the objective is finite; choose another start"
    if source is None:
        return text
    return f"{text}, or another jac: this is {source}"
