"""The statuses that say why a run ended."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Why a run ended: a number, and a sentence in `meaning`. `success` is true if the user asked for this end.

    A success means that the test which the status names holds at its tolerance, in exact arithmetic too. For FTOL of
    the line-search methods: another minimiser that starts there should gain at most 100 ftol max(abs(f), 1); where an
    objective is badly conditioned, it may gain more.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Status.GTOL, gradopt.Status.GTOL.success
    (<Status.GTOL: 0>, True)
    >>> print(gradopt.Status(10).meaning)
    the maximal number of updates was done
    """

    meaning: str

    GTOL = 0, "the gradient is within gtol of zero"
    FTOL = 1, "the objective changed by no more than ftol"
    XTOL = 2, "the last step was no longer than xtol"
    TARGET = 3, "the objective reached the target"
    COMPLETED = 4, "all epochs or updates that were asked for are done"
    EARLY_STOPPED = 5, "the validation rows showed no improvement for `patience` epochs"
    MAX_ITER = 10, "the maximal number of updates was done"
    MAX_TIME = 11, "the time was up"
    MAX_NFEV = 12, "the maximal number of evaluations was done"
    LINE_SEARCH = 20, "no acceptable step could be found along the direction of descent"
    UNKNOWN_PATH = 21, "the trace met a branch that it has not seen, where Python can't be asked"
    NON_FINITE = 30, "the objective or its gradient became NaN or infinite"
    NO_DATA = 31, "there are fewer valid points than parameters"
    NOT_RUN = 90, "the run was interrupted before this one"
    CALLBACK = 99, "a callback asked to stop"

    def __new__(cls, value: int, meaning: str = "") -> Status:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    @property
    def success(self) -> bool:
        """Whether the run ended as the user wished."""
        return self < Status.MAX_ITER
