"""A run in progress: its arrays, and the calls of the compiled loop that move it on."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt.aligned import aligned
from gradopt.box import Box
from gradopt.chunks import Chunks
from gradopt.compiler import COMPILING, flushed_subnormals, interrupts_held_back
from gradopt.config import Config
from gradopt.history import Recorder
from gradopt.loop import Memory, Progress, StopTests, iterate, iterate_in_python
from gradopt.methods import LineSearchMethod, Method
from gradopt.problems import Problem
from gradopt.protocol import direction, update, value_and_grad
from gradopt.result import OptimizeResult, State
from gradopt.search_loop import search, search_in_python
from gradopt.status import Status
from gradopt.steering import Steering
from gradopt.trial import try_method, try_problem

# The updates that come along with the evaluation of the start, at the most and by the seconds they may take.
_FIRST_UPDATES, _AN_INSTANT = 64, 1e-3

# The kinds of runs that made an update in this process: no kernel is left that their loops have not asked for.
_all_asked_for: set[Any] = set()

# Up to this many parameters their number is part of the type, so that they stay in registers.
IN_REGISTERS = 4


class Descent:
    """Allocates what the loop needs once, and calls it in chunks. Chunking does not change a bit of the result.

    Parameters
    ----------
    problem : Problem
    method : Method
    x : float array (n,)
        The start; a new array, kept.
    tests : StopTests
    limits : Config, Box or None
        What gradients are clipped to before updates; of a line-search method, the bounds on x.
    recovers : bool
        Whether `retry` may be called.
    record : {"scalars", "x", None}
    state : State or None
        Where an earlier run stood, at x.
    """

    def __init__(
        self,
        problem: Problem,
        method: Method,
        x: NDArray[Any],
        tests: StopTests,
        limits: Config | Box | None,
        recovers: bool,
        record: str | None,
        state: State | None,
    ) -> None:
        problem.require(value_and_grad)
        self._searches = isinstance(method, LineSearchMethod)
        method.require(direction if self._searches else update)
        try_problem(problem, x, in_batches=False)
        try_method(method, x)
        self._source, self._tests = problem, tests
        self._problem, self._method = problem.compiled(x.dtype), method.compiled()
        loops = (search, search_in_python) if self._searches else (iterate, iterate_in_python)
        interpreted = problem.interpreted
        self._loop = loops[interpreted]
        # Kernels that the loop asks for at their first call should not be met by Ctrl-C, which would be lost there.
        kinds = type(self._problem), type(self._method), limits is None, x.dtype, min(x.size, 16)
        self._kinds = kinds if COMPILING and not interpreted else None
        self._patience: Any = nullcontext if self._kinds is None or kinds in _all_asked_for else interrupts_held_back
        if not COMPILING:  # as in machine code, where nothing warns
            self._arithmetic: Any = lambda: np.errstate(all="ignore")
        elif interpreted:  # a user's Python code keeps the mode it was written for
            self._arithmetic = nullcontext
        else:
            self._arithmetic = flushed_subnormals
        self.method, self._remembers = method, method.remembers
        self.failed_at_start = False
        if state is None:
            slots = method.new_slots(x)
            self._progress = Progress(0, 0, 0, np.inf, np.inf, 0.0)
            best_x, schedule_state, scale = x.copy(), np.zeros(5), 1.0
        else:
            slots, best_x = method.fitting_slots(state.slots), state.best_x.copy()
            self._progress = Progress(state.nit, state.origin, 0, state.fun, state.best_fun, 0.0)
            schedule_state, scale = state.schedule_state.copy(), state.scale
        self._steering = limits if self._searches else Steering(limits.compiled(), scale)  # type: ignore[union-attr]
        self._recovers, self.retries = recovers, 0
        length = (0,) * x.size if COMPILING and problem.inlined and x.size <= IN_REGISTERS else None
        new_x, grad, new_grad = aligned(x), aligned(x), aligned(x)
        work = problem.workspace(x.dtype)
        self._memory = Memory(length, x, grad, new_x, new_grad, best_x, slots, schedule_state, work)
        self._first_nit = self._progress.nit
        self._recorder = Recorder(record, x.size, x.dtype, self._first_nit)
        self._earlier = state
        self._evaluations_again = 0
        self._chunks = Chunks()

    @property
    def updates(self) -> int:
        """Updates done in this run."""
        return self._progress.nit - self._first_nit

    @property
    def nit(self) -> int:
        """Updates done, those of earlier runs included."""
        return self._progress.nit

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations of the objective and of its gradient in this run."""
        return self._source.calls(self._progress.nfev + self._evaluations_again)

    @property
    def fun(self) -> float:
        """The objective at the last accepted iterate."""
        return self._progress.fun

    @property
    def rate(self) -> float:
        """The learning rate of the next update."""
        return self._progress.rate

    def start(self, at_most: int) -> int:
        """Evaluate the start, and do what of the first updates is sure to take no time; a `Status` or RUNNING."""
        quick = int(_AN_INSTANT / max(self._source.seconds, 1e-9))
        updates = 0 if self._earlier is not None else max(1, min(_FIRST_UPDATES, quick))
        status = self._advance(1 + min(updates, at_most))
        self.failed_at_start = status == Status.NON_FINITE and self._progress.nfev == 1
        if self.failed_at_start:
            self._progress = self._progress._replace(best_fun=self._progress.fun)
        if self._earlier is not None and self._progress.fun != self._earlier.fun:
            # The state comes from another objective, whose lowest value means nothing for this one.
            self._memory.best_x[:] = self._memory.x
            self._progress = self._progress._replace(best_fun=self._progress.fun)
        return status

    def advance(self, at_most: int) -> int:
        """Do as many updates as fit into a chunk, not more than `at_most`; returns a `Status` or RUNNING."""
        return self._advance(min(self._chunks.size(), at_most))

    def _advance(self, iterates: int) -> int:
        rows = self._recorder.next_rows(iterates)
        before = self._progress
        started = time.perf_counter()
        backup = self._backup(iterates)
        status = self._call_loop(rows, iterates)
        if status == Status.NON_FINITE and self._progress.nfev > 1 and not self._searches:
            self._forget_rejected_update(before, backup, rows)
        accepted = self._progress.nit - before.nit + (before.nfev == 0)
        self._chunks.took(time.perf_counter() - started, max(accepted, 1))
        self._recorder.keep(accepted)
        return status

    def _call_loop(self, rows: Any, iterates: int) -> int:
        memory, progress = self._memory, self._progress
        with self._arithmetic(), self._patience():
            status, *progress = self._loop(
                self._problem, self._method, self._steering, memory, progress, self._tests, rows, iterates
            )
        self._progress = Progress(*progress)
        return int(status)

    def _backup(self, iterates: int) -> tuple[NDArray[Any], ...]:
        """Copies of what the updates change, if the method remembers anything."""
        if not self._remembers:
            return ()
        kept = (*self._memory.slots, self._memory.schedule_state)
        if iterates > 1:
            kept = (*kept, self._memory.x, self._memory.grad, self._memory.best_x, self._memory.new_x)
        return tuple(array.copy() for array in kept)

    def _forget_rejected_update(self, before: Progress, backup: tuple[NDArray[Any], ...], rows: Any) -> None:
        """Take back what the method remembers of an update whose outcome was not finite.

        x and its gradient still are those of the last finite iterate, but the slots are one update ahead. Going on from
        there, with a smaller rate, would count that update twice. So the chunk is run again, up to that iterate.
        """
        failed, memory = self._progress, self._memory
        changed = (*memory.slots, memory.schedule_state, memory.x, memory.grad, memory.best_x, memory.new_x)
        for array, copy in zip(changed, backup, strict=False):
            array[:] = copy
        evaluations = failed.nfev - before.nfev - 1
        if backup and evaluations:
            self._progress = before
            self._call_loop(rows, evaluations)
            self._progress = failed
            self._evaluations_again += evaluations

    def retry(self, factor: float) -> int:
        """Go back to the best iterate, with rates lower by a factor; returns a `Status` or RUNNING."""
        memory, progress = self._memory, self._progress
        for array in (memory.x, memory.new_x):
            array[:] = memory.best_x
        for slot in memory.slots:
            slot[:] = 0.0
        self._evaluations_again += progress.nfev
        self._progress = progress._replace(nfev=0, origin=progress.nit)
        assert isinstance(self._steering, Steering)  # line-search methods do not recover
        self._steering = self._steering._replace(scale=self._steering.scale * factor)
        self.retries += 1
        self._recorder.mark_retry()
        return self._advance(1)

    @property
    def scale(self) -> float:
        """What the schedule's rates are multiplied by."""
        return self._steering.scale if isinstance(self._steering, Steering) else 1.0

    def intermediate(self, with_state: bool) -> OptimizeResult:
        """What a callback sees: copies. The state, which is none, is for those that save it at once."""
        memory, progress = self._memory, self._progress
        state = {"state": self.state()} if with_state else {}
        return OptimizeResult(x=memory.x.copy(), fun=progress.fun, jac=memory.grad.copy(), nit=progress.nit, **state)

    def state(self) -> State:
        """Where the run stands; not a copy."""
        memory, progress = self._memory, self._progress
        return State(
            method=self.method,
            nit=progress.nit,
            x=memory.x,
            slots=memory.slots,
            origin=progress.origin,
            schedule_state=memory.schedule_state,
            scale=self.scale,
            fun=float(progress.fun),
            best_fun=float(progress.best_fun),
            best_x=memory.best_x,
        )

    def result(self) -> OptimizeResult:
        """All that the run knows, without how it ended."""
        memory, progress = self._memory, self._progress
        nfev, njev = self.calls
        if self.updates > 0:
            _all_asked_for.add(self._kinds)
        return OptimizeResult(
            x=memory.x.copy(),
            fun=float(progress.fun),
            jac=memory.grad,
            best_x=memory.best_x.copy(),
            best_fun=float(progress.best_fun),
            nit=progress.nit,
            nfev=nfev,
            njev=njev,
            history=self._recorder.history(self._recovers),
            state=self.state(),
        )
