"""Recovery of a run that diverges."""

from __future__ import annotations

from gradopt._core import validate
from gradopt._core.config import Config, config


@config
class RetryFromBest(Config):
    """Recovery by a restart: when a run diverges, go back to the best iterate and go on with a lower rate.

    Parameters
    ----------
    factor : float
        Each attempt multiplies the schedule's rates by this factor, in (0, 1).
    attempts : int
        Maximum number of attempts, >= 1.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    The best iterate is the one with the lowest objective; on a training run, that of the best epoch, or the start. The
    method restarts there. The counts of updates and evaluations go on and include the discarded ones; the history has a
    column `retry`, the number of attempts so far.

    Examples
    --------
    >>> import gradopt
    >>> method, retry = gradopt.SGD(1.5), gradopt.RetryFromBest(factor=0.5)
    >>> result = gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=method, recover=retry)
    >>> print(result.message)
    the gradient is within gtol of zero; 1 attempt after divergence, the last with 0.5 times the rates
    >>> result.history.retry[[0, -1]]
    array([0, 1])
    """

    factor: float = 0.5
    attempts: int = 3

    def __post_init__(self) -> None:
        self._check("factor", validate.number, 0, 1, above=True, below=True)
        self._check("attempts", validate.integer, 1)
