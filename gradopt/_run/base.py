"""The base of all runs: they advance in chunks, and can go back to an update within the last chunks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, flushing, interrupts_held_back
from gradopt._loops.types import RUNNING, Steering
from gradopt._results.result import OptimizeResult
from gradopt._run.chunk_sizes import ChunkSizes
from gradopt.methods import Method
from gradopt.problems import Problem


class Snapshot(NamedTuple):
    """The state of a run before a chunk."""

    nit: int
    facts: Any  # everything that is replaced, not written in place
    arrays: list[tuple[NDArray[Any], NDArray[Any]]]  # pairs of an array that is written in place, and its copy


class Run:
    """A run in progress. Callbacks, limits and the progress bar count rounds: updates, or epochs.

    Parameters
    ----------
    problem : Problem
    method : Method
    steering : Steering
    first_nit : int
        The number of updates made by earlier runs.

    Attributes
    ----------
    problem, method
    retries : int
        The number of retries after divergence.
    failed_at_start : bool
        Whether the objective or the gradient was not finite at the start.
    never_validated : bool
        Whether no loss on the validation rows was finite.
    between_steps : bool
        Whether the run has a result, which it has not while an operation for the supervisor is under way.
    """

    snapshots_kept: ClassVar[int] = 1

    def __init__(self, problem: Problem, method: Method, steering: Steering, first_nit: int) -> None:
        self.problem, self.method = problem, method
        self.retries, self.failed_at_start, self.never_validated, self.between_steps = 0, False, False, False
        self._steering, self._first_nit = steering, first_nit
        self._chunk_sizes = ChunkSizes()
        self._snapshots: list[Snapshot] = []
        self._use_loop_of(problem.interpreted, kernels_bound=False)

    def _use_loop_of(self, interpreted: bool, kernels_bound: bool) -> None:
        """Prepare to call a loop; kernels_bound : whether it already has the addresses of all late-bound kernels."""
        self._arithmetic = _arithmetic(interpreted)
        # Ctrl-C while a kernel is compiled at the request of the loop would be lost, and the kernel with it.
        safe = not COMPILING or interpreted or kernels_bound
        self._patience: Callable[[], AbstractContextManager[Any]] = nullcontext if safe else interrupts_held_back

    # Progress and results.

    @property
    def nit(self) -> int:
        """The number of updates made, including those of earlier runs."""
        raise NotImplementedError

    @property
    def gradient(self) -> NDArray[Any]:
        """The gradient at the last iterate."""
        raise NotImplementedError

    @property
    def updates(self) -> int:
        """The number of updates made in this run."""
        return self.nit - self._first_nit

    @property
    def rounds(self) -> int:
        """The number of rounds completed in this run."""
        raise NotImplementedError

    @property
    def total(self) -> tuple[int, str]:
        """The maximum number of rounds of this run (sys.maxsize for no limit), and the name of a round."""
        raise NotImplementedError

    @property
    def fun(self) -> float:
        """The objective after the last round."""
        raise NotImplementedError

    @property
    def rate(self) -> float:
        """The learning rate of the last attempted update, or of the next one."""
        raise NotImplementedError

    @property
    def scale(self) -> float:
        """The factor on the schedule's rates."""
        return self._steering.scale

    def intermediate(self, with_state: bool) -> OptimizeResult:
        """The result that a callback sees: copies, except for the state, which callbacks save at once."""
        raise NotImplementedError

    def result(self) -> OptimizeResult:
        """The result of the run, without how it ended."""
        raise NotImplementedError

    # Operations for the supervisor. Each returns a `Status`, or RUNNING.

    def start(self, unobserved: bool) -> int:
        """Begin the run; if nothing observes it, the first updates may be made at once."""
        return RUNNING

    def limit_reached(self) -> int:
        """The status of a run that has reached a limit."""
        raise NotImplementedError

    def advance(self, at_most: int | None) -> int:
        """Run a chunk of at most that many rounds."""
        raise NotImplementedError

    def after_round(self) -> int:
        """The status after a round: whether the run ends with it."""
        return RUNNING

    def confirmed(self, status: int) -> int:
        """The status after a last check of the current point."""
        return status

    def retry(self, factor: float) -> int:
        """Go back to the best point, with rates multiplied by a factor."""
        raise NotImplementedError

    def _call(self, loop: Any, arguments: tuple[Any, ...]) -> Any:
        """Call a loop as loop(*arguments)."""
        with self._patience():
            return self._arithmetic(loop, arguments)

    # Going back.

    def _facts(self) -> Any:
        """The values that `_set_facts` restores."""
        raise NotImplementedError

    def _set_facts(self, facts: Any) -> None:
        raise NotImplementedError

    def _replay(self, updates: int) -> None:
        """Repeat that many updates from the beginning of a chunk."""
        raise NotImplementedError

    def _take_snapshot(self, arrays: Any) -> None:
        """Save the current state of the run; arrays : all relevant arrays that the next chunk writes."""
        del self._snapshots[: len(self._snapshots) + 1 - self.snapshots_kept]
        self._snapshots.append(Snapshot(self.nit, self._facts(), [(array, array.copy()) for array in arrays]))

    def _go_back_to(self, nit: int) -> bool:
        """Restore the run as it was after `nit` updates; False if no snapshot reaches back that far."""
        while self._snapshots:
            snapshot = self._snapshots[-1]
            if snapshot.nit <= nit:
                for array, copy in snapshot.arrays:
                    array[:] = copy
                self._set_facts(snapshot.facts)
                self._replay(nit - snapshot.nit)
                return True
            self._snapshots.pop()
        return False

    def _restart_at(self, x: NDArray[Any], point: NDArray[Any], slots: Any, factor: float) -> None:
        """Write a point to x, clear the method's memory, and multiply the rates by a factor."""
        x[:] = point
        for slot in slots:
            slot[:] = 0.0
        self._steering = self._steering._replace(scale=self._steering.scale * factor)
        self._snapshots.clear()
        self.retries += 1


def _arithmetic(interpreted: bool) -> Callable[[Any, tuple[Any, ...]], Any]:
    """How a loop is called: in which floating-point mode."""
    if not COMPILING:
        return _in_silence
    return _without_warnings if interpreted else flushing  # a user's Python code knows subnormal numbers


def _without_warnings(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a loop in Python whose steps may overflow, as silent as machine code; what a user lets raise, raises."""
    silenced: Any = {kind: "ignore" for kind, mode in np.geterr().items() if mode == "warn"}
    with np.errstate(**silenced):
        return function(*arguments)


def _in_silence(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a loop in Python, as silent as machine code is."""
    with np.errstate(all="ignore"):
        return function(*arguments)
