"""Callbacks between updates or epochs, called with the same arguments as in scipy.optimize."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gradopt._core import validate
from gradopt._core.warnings import warn
from gradopt._results.configurations import require_savable
from gradopt._results.result import OptimizeResult


@dataclass(frozen=True)
class Every:
    """A callback for each n-th update; made by `every`."""

    n: int
    callback: Callable[..., Any]


Callback: TypeAlias = Callable[..., Any] | Every


def every(n: int, callback: Callable[..., Any]) -> Every:
    """Call a callback only after each n-th update, or each n-th epoch on a training run.

    Between two calls the loop runs n updates without stopping.

    Parameters
    ----------
    n : int
        The number of updates or epochs between two calls, >= 1, counted from the start of this call of `optimize`.
    callback : callable
        As for `optimize`.

    Returns
    -------
    Every
        For `optimize(..., callback=...)`, alone or in a list.

    Raises
    ------
    TypeError, ValueError
        n is not a positive integer, or callback is not callable.

    Examples
    --------
    >>> import gradopt
    >>> def report(intermediate_result):
    ...     print(intermediate_result.nit, intermediate_result.fun)
    >>> problem, method = gradopt.problems.Quadratic(2.0), gradopt.SGD(0.25)
    >>> result = gradopt.optimize(problem, method=method, max_iter=4, callback=gradopt.every(2, report))
    2 0.0625
    4 0.00390625
    """
    return Every(validate.integer("n", n, 1), _callable(callback))


class Checkpoint:
    """A callback that saves the current state of the run; made by `checkpoint`.

    Parameters
    ----------
    path : str or path
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"path must be in a folder that exists, got {path}")

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        """Write the file, replacing the old one."""
        intermediate_result.save(self.path)


def checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """A callback that saves the run to a file, so that you can resume it after a crash.

    Parameters
    ----------
    path : str or path
        An .npz file, replaced each time; a crash during writing leaves the previous one intact.

    Returns
    -------
    Checkpoint
        For `optimize(..., callback=...)`, usually inside `every(n, ...)`, alone or in a list.

    Raises
    ------
    FileNotFoundError
        The folder does not exist.

    Examples
    --------
    >>> import gradopt, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> problem, save = gradopt.problems.Rosenbrock(), gradopt.every(100, gradopt.checkpoint(path))
    >>> result = gradopt.optimize(problem, method=gradopt.SGD(1e-3), max_iter=250, callback=save)
    >>> print(gradopt.optimize(problem, state=gradopt.load(path).state, max_iter=50).fun == result.fun)
    True
    """
    return Checkpoint(path)


def _callable(callback: Any) -> Callable[..., Any]:
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {validate.shown(callback)}")
    return callback  # type: ignore[no-any-return]


class Callbacks:
    """The callbacks of a run, each with its interval in rounds.

    Parameters
    ----------
    callback : callable, Every, list of these, or None
    """

    def __init__(self, callback: Any) -> None:
        if callback is None:
            callback = []
        elif not isinstance(callback, (list, tuple)):
            callback = [callback]
        self._callbacks = [item if isinstance(item, Every) else Every(1, _callable(item)) for item in callback]
        self._takes_result = [_takes_result(item.callback) for item in self._callbacks]

    def rounds_until_due(self, rounds: int) -> int | None:
        """The number of updates or epochs until the next callback is due; None without callbacks."""
        if not self._callbacks:
            return None
        return min(item.n - rounds % item.n for item in self._callbacks)

    def require_savable(self, method: Any) -> None:
        """Raise a TypeError if a checkpoint can't save this method."""
        if any(isinstance(item.callback, Checkpoint) for item in self._callbacks):
            require_savable(method)

    def warn_if_never_due(self, epochs: int) -> None:
        """Warn a user who may have counted updates instead of epochs."""
        for item in self._callbacks:
            if item.n > epochs:
                unit = "on training runs it counts epochs, not updates"
                warn(f"every({item.n}, ...) is never called in {epochs} epochs; {unit}")

    def call(self, rounds: int, snapshot: Callable[[bool], OptimizeResult]) -> bool:
        """Call all callbacks due after this many updates or epochs; True if one asks to stop."""
        stop = False
        for item, takes_result in zip(self._callbacks, self._takes_result, strict=True):
            if rounds % item.n:
                continue
            result = snapshot(isinstance(item.callback, Checkpoint))
            try:
                answer = item.callback(intermediate_result=result) if takes_result else item.callback(result.x)
            except StopIteration:
                answer = True
            stop |= isinstance(answer, (bool, np.bool_)) and bool(answer)
        return stop


def _takes_result(callback: Callable[..., Any]) -> bool:
    """Whether a callback takes the result: as in scipy, if its first parameter is named intermediate_result, else x."""
    try:
        parameters = signature(callback)
    except (TypeError, ValueError):  # builtins without a signature
        return False
    takes_result = list(parameters.parameters)[:1] == ["intermediate_result"]
    try:
        parameters.bind(**{"intermediate_result": None}) if takes_result else parameters.bind(None)
    except TypeError as error:
        message = f"callback must take one argument, x or intermediate_result; {validate.shown(callback)}: {error}"
        raise TypeError(message) from None
    return takes_result
