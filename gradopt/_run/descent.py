"""A deterministic run: each update uses the whole objective."""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING
from gradopt._core.aligned import aligned_copy
from gradopt._core.config import Config
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING, Progress, RunArrays, Steering, StopTests
from gradopt._numerics.bounds import Box, active_bounds, true_slopes
from gradopt._results.result import OptimizeResult
from gradopt._results.state import State
from gradopt._run.base import Run
from gradopt._run.chunk_sizes import ChunkSizes
from gradopt._run.dry_run import dry_run_method, dry_run_problem
from gradopt._run.recorder import Recorder
from gradopt.methods import Method
from gradopt.problems import Problem
from gradopt.problems.base import Curved

# Limits of the updates made together with the evaluation of the start: their number and their seconds.
_FIRST_UPDATES, _AN_INSTANT = 64, 1e-3

# The kinds of runs that have made an update in this process: their loops already have all the kernels they call.
_bound_kinds: set[Any] = set()

# Up to this number of parameters, the number is part of the type, so that the parameters stay in registers.
IN_REGISTERS = 4


class Limits(NamedTuple):
    """The limits of a deterministic run.

    Attributes
    ----------
    tests : StopTests
    max_iter : int
        Maximum number of updates.
    max_nfev : int
        Maximum number of evaluations of the objective; the start is always evaluated.
    clipping : Config
        The clipping of gradients before updates.
    box : Box or None
        The bounds on x.
    """

    tests: StopTests
    max_iter: int
    max_nfev: int
    clipping: Config
    box: Box | None


class Descent(Run):
    """A deterministic run: allocates the loop's arrays once and calls it in chunks, which do not change the result.

    Parameters
    ----------
    problem : Problem
    method : Method
    x : float array (n,)
        The start; a new array that the run keeps.
    limits : Limits
    recovers : bool
        Whether `retry` may be called.
    record : {"scalars", "x", None}
    state : State or None
        The state of an earlier run at x.
    """

    def __init__(
        self,
        problem: Problem,
        method: Method,
        x: NDArray[Any],
        limits: Limits,
        recovers: bool,
        record: str | None,
        state: State | None,
    ) -> None:
        problem.require(method.loop.evaluates)
        method.require_kernels()
        dry_run_problem(problem, x, in_batches=False)
        dry_run_method(method, x)
        self.limits = limits
        self._tests, self._max_iter, self._max_nfev, clipping, box = limits
        if state is None:
            self._progress = Progress(0, 0, 0, np.inf, np.inf, 0.0)
            slots, best_x, schedule_state, scale = method.new_slots(x), x.copy(), np.zeros(5), 1.0
        else:
            self._progress = Progress(state.nit, state.memory_starts_at, 0, state.fun, state.best_fun, 0.0)
            slots, best_x = method.fitting_slots(state.slots), state.best_x.copy()
            schedule_state, scale = state.schedule_state_for(method), state.scale
        steering = Steering(clipping.lower(), scale, box, method.parts(problem.parts()))
        super().__init__(problem, method, steering, self._progress.nit)
        static_length = (0,) * x.size if COMPILING and problem.inlined and x.size <= IN_REGISTERS else None
        new_x, grad, new_grad = aligned_copy(x), aligned_copy(x), aligned_copy(x)
        work = problem.workspace_for(x)
        if state is not None:
            problem.remember(work, state.problem_memory)
        self._arrays = RunArrays(static_length, x, grad, new_x, new_grad, best_x, slots, schedule_state, work)
        self._recovers, self._recorder = recovers, Recorder(record, x.size, x.dtype, self._first_nit)
        self._earlier, self._evaluations_again = state, 0
        self._choose_loop()

    def _choose_loop(self) -> None:
        """Choose the loop for the problem as it runs now: interpreted or compiled."""
        problem, method, x = self.problem, self.method, self._arrays.x
        lowered, work = problem.prepared(x, self._arrays.work)
        self._lowered, self._arrays = (lowered, method.lower()), self._arrays._replace(work=work)
        self._loop = method.loop.in_python if problem.interpreted else method.loop.kernel
        self._memory = problem.memory(self._arrays.work)
        clipping, _, box, parts = self._steering
        self._kinds = (*map(type, self._lowered), type(clipping), box is None, parts is None, x.dtype, min(x.size, 16))
        self._use_loop_of(problem.interpreted, self._kinds in _bound_kinds)

    @property
    def nit(self) -> int:
        return self._progress.nit

    @property
    def rounds(self) -> int:
        return self.updates

    @property
    def total(self) -> tuple[int, str]:
        return self._max_iter, "update"

    @property
    def fun(self) -> float:
        return self._progress.fun

    @property
    def gradient(self) -> NDArray[Any]:
        """The gradient at the last iterate."""
        return self._arrays.grad

    @property
    def rate(self) -> float:
        return self._progress.rate

    def start(self, unobserved: bool) -> int:
        """Evaluate the start, and make the first updates if they are sure to take almost no time."""
        quick = int(_AN_INSTANT / max(self.problem.seconds, 1e-9))
        updates = 0 if self._earlier is not None else max(1, min(_FIRST_UPDATES, quick))
        status = self._advance(1 + min(updates, self._max_iter if unobserved else 0))
        self.failed_at_start = status == Status.NON_FINITE and self._progress.nfev == 1
        if self.failed_at_start:
            self._progress = self._progress._replace(best_fun=self._progress.fun)
        if self._earlier is not None and self._progress.fun != self._earlier.fun:
            # The state comes from another objective, so its lowest value means nothing here.
            self._arrays.best_x[:] = self._arrays.x
            self._progress = self._progress._replace(best_fun=self._progress.fun)
        return status

    def limit_reached(self) -> int:
        if self.updates >= self._max_iter:
            return Status.MAX_ITER
        return Status.MAX_NFEV if self._evaluations_left() <= 0 else RUNNING

    def _evaluations_left(self) -> int:
        """The number of evaluations, each with its gradient, that max_nfev still allows."""
        if self._max_nfev == sys.maxsize:
            return sys.maxsize
        (calls, _), (one_more, _) = self._calls(0), self._calls(1)
        return (self._max_nfev - calls) // (one_more - calls)

    def _calls(self, more: int) -> tuple[int, int]:
        """The evaluations of objective and gradient made, with that many more of both together."""
        return self.problem.calls(self._progress.nfev + self._evaluations_again + more, self._arrays.work)

    def advance(self, at_most: int | None) -> int:
        if self._interpreted_evaluations_left() == 0:
            self.problem.compile(self._arrays.work, self._arrays.x)
            self._choose_loop()
            self._chunk_sizes = ChunkSizes()
        left = self._max_iter - self.updates
        return self._advance(min(self._chunk_sizes.next(), left if at_most is None else min(left, at_most)))

    def _interpreted_evaluations_left(self) -> int | None:
        return self.problem.evaluations_until_compiling(self._arrays.work)

    def _advance(self, iterates: int) -> int:
        arrays, before = self._arrays, self._progress
        left, interpreted_left = max(self._evaluations_left(), before.nfev == 0), self._interpreted_evaluations_left()
        self._tests = self._tests._replace(
            max_nfev=before.nfev + min(left, sys.maxsize - before.nfev),
            pause_at=sys.maxsize if interpreted_left is None else before.nfev + interpreted_left,
        )
        iterates = min(iterates, left, sys.maxsize if interpreted_left is None else max(interpreted_left, 1))
        self._rows = self._recorder.next_rows(iterates)
        started = time.perf_counter()
        everything = self._everything() if self.problem.may_branch else None
        if self.method.has_memory:
            written = (*arrays.slots, arrays.schedule_state, self._memory)
            if iterates > 1:  # with one iterate, x changes only after the update is known to be finite
                written = (*written, arrays.x, arrays.grad, arrays.best_x, arrays.new_x)
            self._take_snapshot(written)
        status = self._call_loop(iterates)
        while everything is not None and self.problem.met_unknown_path(self._arrays.work):
            self._learn_path(*everything)
            status = self._call_loop(iterates)
        if status == Status.NON_FINITE and self._progress.nfev > 1:
            self._forget_rejected_update()
        self._snapshots.clear()
        accepted = self._progress.nit - before.nit + (before.nfev == 0)
        self._chunk_sizes.took(time.perf_counter() - started, max(accepted, 1))
        self._recorder.keep(accepted)
        return status

    def _everything(self) -> tuple[Any, list[tuple[NDArray[Any], NDArray[Any]]]]:
        """The state of the run before a chunk, but for the workspace."""
        _, x, grad, new_x, new_grad, best_x, slots, schedule_state, _ = self._arrays
        arrays = (x, grad, new_x, new_grad, best_x, *slots, schedule_state)
        return self._progress, [(array, array.copy()) for array in arrays]

    def _learn_path(self, progress: Progress, copies: list[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Trace the path of the function that the last chunk met, and go back to the beginning of the chunk."""
        self.problem.learn_path(self._arrays.work)
        for array, copy in copies:
            array[...] = copy
        self._progress = progress
        self._choose_loop()

    def _call_loop(self, iterates: int) -> int:
        what = self._steering, self._arrays, self._progress, self._tests, self._rows, iterates
        status, *progress = self._call(self._loop, (*self._lowered, *what))
        self._progress = Progress(*progress)
        return int(status)

    def _forget_rejected_update(self) -> None:
        """Undo the method's memory of an update whose result was not finite.

        x and its gradient belong to the last finite iterate, but the slots are one update ahead. Continuing from there
        with a smaller rate would count that update twice.
        """
        rejected = self._progress
        if self._go_back_to(rejected.nit):
            self._progress = rejected

    def _facts(self) -> Progress:
        return self._progress

    def _set_facts(self, facts: Progress) -> None:
        self._progress = facts

    def _replay(self, updates: int) -> None:
        iterates = updates + (self._progress.nfev == 0)
        if iterates:
            self._call_loop(iterates)
            self._evaluations_again += iterates

    def retry(self, factor: float) -> int:
        arrays, progress = self._arrays, self._progress
        self._restart_at(arrays.x, arrays.best_x, arrays.slots, factor)
        arrays.new_x[:] = arrays.best_x
        self._evaluations_again += progress.nfev
        self._progress = progress._replace(nfev=0, memory_starts_at=progress.nit)
        self._recorder.mark_retry()
        return self._advance(1)

    def intermediate(self, with_state: bool) -> OptimizeResult:
        arrays, progress = self._arrays, self._progress
        state = {"state": self.state()} if with_state else {}
        jac = true_slopes(self._steering.box, arrays.grad)
        return OptimizeResult(x=arrays.x.copy(), fun=progress.fun, jac=jac, nit=progress.nit, **state)

    def state(self) -> State:
        """The state of the run; not a copy."""
        arrays, progress = self._arrays, self._progress
        return State(
            method=self.method,
            nit=progress.nit,
            x=arrays.x,
            slots=arrays.slots,
            memory_starts_at=progress.memory_starts_at,
            schedule_state=arrays.schedule_state,
            scale=self.scale,
            fun=float(progress.fun),
            best_fun=float(progress.best_fun),
            best_x=arrays.best_x,
            problem_memory=self._memory,
        )

    def result(self) -> OptimizeResult:
        arrays, progress = self._arrays, self._progress
        nfev, njev = self._calls(0)
        if self.updates > 0:
            _bound_kinds.add(self._kinds)
        box = self._steering.box
        result = OptimizeResult(
            x=arrays.x.copy(),
            fun=float(progress.fun),
            jac=true_slopes(box, arrays.grad),
            best_x=arrays.best_x.copy(),
            best_fun=float(progress.best_fun),
            nit=progress.nit,
            nfev=nfev,
            njev=njev,
            history=self._recorder.history(self._recovers),
            state=self.state(),
        )
        result.update(self.method.facts(arrays.slots))
        if isinstance(self.problem, Curved):
            result.nhev, result.nhpv = self.problem.counts(arrays.work)
        if box is not None:
            result.active_mask = active_bounds(box, arrays.x)
            result.at_bound = result.active_mask != 0
            result.bounds = np.stack([box.low, box.high], axis=1)
        return result
