"""What all runs have in common: they move on in chunks, and can go back to an update within the last chunks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, flushed_subnormals, interrupts_held_back
from gradopt._loops.types import RUNNING, Steering
from gradopt._results.result import OptimizeResult
from gradopt._run.chunk_sizes import ChunkSizes
from gradopt.methods import Method
from gradopt.problems import Problem


class Snapshot(NamedTuple):
    """A run as it was before a chunk."""

    nit: int
    facts: Any  # all that is replaced and not written to
    arrays: list[tuple[NDArray[Any], NDArray[Any]]]  # pairs of an array that is written to, and its copy


class Run:
    """A run in progress. A round is what callbacks, limits and the bar count: an update, or an epoch.

    Parameters
    ----------
    problem : Problem
    method : Method
    steering : Steering
    first_nit : int
        Updates that earlier runs did.
    kernels_bound : bool
        Whether the loop has been given the addresses of all kernels that are bound late.

    Attributes
    ----------
    problem, method
    retries : int
        Attempts after divergence.
    failed_at_start : bool
        Whether objective or gradient were not finite there.
    """

    snapshots_kept: ClassVar[int] = 1

    def __init__(
        self, problem: Problem, method: Method, steering: Steering, first_nit: int, kernels_bound: bool
    ) -> None:
        self.problem, self.method = problem, method
        self.retries, self.failed_at_start = 0, False
        self._steering, self._first_nit = steering, first_nit
        self._chunk_sizes = ChunkSizes()
        self._snapshots: list[Snapshot] = []
        self._arithmetic = _arithmetic(problem.interpreted)
        # Ctrl-C during the compilation of a kernel that the loop asks for would be lost, and the kernel with it.
        safe = not COMPILING or problem.interpreted or kernels_bound
        self._patience: Callable[[], AbstractContextManager[Any]] = nullcontext if safe else interrupts_held_back

    # What a run tells.

    @property
    def nit(self) -> int:
        """Updates done, those of earlier runs included."""
        raise NotImplementedError

    @property
    def updates(self) -> int:
        """Updates done in this run."""
        return self.nit - self._first_nit

    @property
    def rounds(self) -> int:
        """Rounds done in this run."""
        raise NotImplementedError

    @property
    def total(self) -> tuple[int, str]:
        """The rounds of this run at most, sys.maxsize for no limit, and what a round is."""
        raise NotImplementedError

    @property
    def fun(self) -> float:
        """The objective after the last round."""
        raise NotImplementedError

    @property
    def rate(self) -> float:
        """The learning rate of the last update that was tried, or of the next one."""
        raise NotImplementedError

    @property
    def scale(self) -> float:
        """The factor on the schedule's rates."""
        return self._steering.scale

    def intermediate(self, with_state: bool) -> OptimizeResult:
        """What a callback sees: copies. Only the state, for callbacks that save it at once, is not copied."""
        raise NotImplementedError

    def result(self) -> OptimizeResult:
        """All that the run knows, without how it ended."""
        raise NotImplementedError

    # What the supervisor asks for. Each returns a `Status`, or RUNNING.

    def start(self, unobserved: bool) -> int:
        """Begin; if nobody observes the run, some updates may be done at once."""
        return RUNNING

    def limit_reached(self) -> int:
        """The status where nothing is left to do."""
        raise NotImplementedError

    def advance(self, at_most: int | None) -> int:
        """Do a chunk, of that many rounds at most."""
        raise NotImplementedError

    def after_round(self) -> int:
        """The status of a run that ends with this round."""
        return RUNNING

    def confirmed(self, status: int) -> int:
        """The status after a last look at where the run stands."""
        return status

    def retry(self, factor: float) -> int:
        """Go back to the best point, with rates lower by a factor."""
        raise NotImplementedError

    # Going back.

    def _facts(self) -> Any:
        """What `_set_facts` needs."""
        raise NotImplementedError

    def _set_facts(self, facts: Any) -> None:
        raise NotImplementedError

    def _replay(self, updates: int) -> None:
        """Do that many updates again, from where a chunk began."""
        raise NotImplementedError

    def _take_snapshot(self, arrays: Any) -> None:
        """Remember the run as it is now; arrays : all that the next chunk writes to, as far as it may matter."""
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
        """Write a point to x, let the method forget all, and lower the rates by a factor."""
        x[:] = point
        for slot in slots:
            slot[:] = 0.0
        self._steering = self._steering._replace(scale=self._steering.scale * factor)
        self._snapshots.clear()
        self.retries += 1


def _arithmetic(interpreted: bool) -> Callable[[], AbstractContextManager[Any]]:
    """The floating-point mode of a loop."""
    if not COMPILING:  # as in machine code, where nothing warns
        return lambda: np.errstate(all="ignore")
    if interpreted:  # a user's Python code keeps the mode it was written for
        return nullcontext
    return flushed_subnormals
