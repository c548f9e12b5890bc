"""A training run: epochs of batches, validation, the best epoch, and the state to resume from."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING
from gradopt._core.aligned import aligned_copy
from gradopt._core.config import Config
from gradopt._core.protocol import batch_value_and_grad, observe
from gradopt._core.status import Status
from gradopt._loops.batches import BatchArrays, Position
from gradopt._loops.clipping import NoClipping
from gradopt._loops.types import RUNNING, Steering
from gradopt._results.history import History
from gradopt._results.result import OptimizeResult
from gradopt._results.state import State, TrainingState
from gradopt._run.base import Run
from gradopt._run.dry_run import dry_run_method, dry_run_problem
from gradopt._run.training_plan import Plan, Watch
from gradopt.methods import Method
from gradopt.problems import RowProblem
from gradopt.problems.rows import random_order


class Best(NamedTuple):
    """The best epoch so far."""

    measure: float  # the monitored value, lower is better; infinite before the first epoch
    fun: float  # the loss
    x: NDArray[Any]
    waited: int  # epochs since the best one


class Facts(NamedTuple):
    """The values that a chunk or the end of an epoch replaces."""

    position: Position
    order: NDArray[np.int64]
    rng_state: Any
    best: Best


class TrainingLimits(NamedTuple):
    """The limits of a training run; sys.maxsize and -inf mean no limit."""

    epochs: int
    max_iter: int
    target: float
    clipping: Config


class Training(Run):
    """A training run: allocates the arrays of the loop once, and calls it in chunks that end at the latest at an epoch.

    Parameters
    ----------
    problem : RowProblem
    method : Method
    x : float array (n,)
        The start.
    plan : Plan
    watch : Watch
    limits : TrainingLimits
    recovers : bool
        Whether `retry` may be called.
    record : {"scalars", "x", None}
    state : State or None
        The state of an earlier run at x.
    """

    problem: RowProblem
    snapshots_kept: ClassVar[int] = 2  # the loss over all rows may reveal a divergence only after the next chunk

    def __init__(
        self,
        problem: RowProblem,
        method: Method,
        x: NDArray[Any],
        plan: Plan,
        watch: Watch,
        limits: TrainingLimits,
        recovers: bool,
        record: str | None,
        state: State | None,
    ) -> None:
        problem.require(batch_value_and_grad)
        method.require_kernels()
        dry_run_problem(problem, x, in_batches=True)
        dry_run_method(method, x)
        self._plan, self._watch, self._limits, self._record = plan, watch, limits, record
        self._lowered = problem.lower(x.dtype), method.lower()
        self._batch_size = plan.batch_size or problem.rows
        slots = method.new_slots(x) if state is None else method.fitting_slots(state.slots)
        work = problem.batch_workspace_for(x, self._batch_size)
        self._memory = problem.memory(work)
        if state is not None:
            problem.remember(work, state.problem_memory)
        order, x, grad = np.arange(problem.rows), aligned_copy(x), aligned_copy(x)
        spare = grad if isinstance(limits.clipping, NoClipping) else aligned_copy(x)
        schedule_state = np.zeros(5) if state is None else state.schedule_state_for(method)
        self._arrays = BatchArrays(x, grad, spare, slots, schedule_state, work, order)
        steering = Steering(limits.clipping.lower(), 1.0 if state is None else state.scale, None)
        super().__init__(problem, method, steering, 0 if state is None else state.nit)
        self._position = _position_in(state)
        self._first_epoch = self._position.epoch
        self._best = self._best_in(state)
        self._recovers, self._start = recovers, x.copy()
        self._epochs_seen: list[dict[str, Any]] = []
        self._evaluations, self._assessments = 0, 0
        self._known_loss: float | None = None
        self._rejected_rate = 0.0
        self._begin_epoch()

    def _best_in(self, state: State | None) -> Best:
        if state is not None and state.training is not None and state.training.monitor == self._measure:
            return Best(state.training.best, state.best_fun, state.best_x.copy(), state.training.waited)
        return Best(np.inf, np.inf, self._arrays.x.copy(), 0)

    @property
    def _measure(self) -> str:
        """The name of the monitored measure, with its rows."""
        return f"{'epoch' if self._watch.validation is None else 'validation'} {self._watch.monitor}"

    @property
    def nit(self) -> int:
        return self._position.nit

    @property
    def rounds(self) -> int:
        return self._position.epoch - self._first_epoch

    @property
    def total(self) -> tuple[int, str]:
        return self._limits.epochs, "epoch"

    @property
    def fun(self) -> float:
        """The loss of the last epoch."""
        return float(self._last["fun"])

    @property
    def rate(self) -> float:
        """The learning rate of the last update, even if it was undone."""
        return self._rejected_rate or self._position.rate

    def limit_reached(self) -> int:
        done = self.rounds >= self._limits.epochs or self.updates >= self._limits.max_iter
        return Status.COMPLETED if done else RUNNING

    def advance(self, at_most: int | None) -> int:
        """Make the updates that fit into a chunk and the epoch; at the end of the epoch, close it."""
        in_epoch = -(-(self.problem.rows - self._position.row) // self._batch_size)
        count = min(self._chunk_sizes.next(), self._limits.max_iter - self.updates, in_epoch)
        self._take_snapshot(self._written)
        before, started = self.nit, time.perf_counter()
        status = self._call_loop(count)
        done = self.nit - before
        self._evaluations += done + (status != RUNNING)
        self._chunk_sizes.took(time.perf_counter() - started, max(done, 1))
        if status == Status.NON_FINITE:
            row = self._position.row
            self.problem.require_finite(self._arrays.order[row : row + self._batch_size])
            self.failed_at_start = not self._take_back_update()
        elif self._position.row >= self.problem.rows:
            self._close_epoch()
        return status

    @property
    def _written(self) -> tuple[NDArray[Any], ...]:
        """The arrays that updates, or the schedule between epochs, change."""
        return (self._arrays.x, *self._arrays.slots, self._arrays.schedule_state, self._memory)

    def _call_loop(self, updates: int) -> int:
        self._known_loss = None
        what = self._steering, self._arrays, self._position, self._batch_size, self.method.by_epoch, updates
        loop = self.method.loop.batches
        if COMPILING and self.problem.interpreted:
            loop = loop.py_func
        status, *position = self._call(loop, (*self._lowered, *what))
        self._patience = nullcontext
        self._position = Position(*position)
        return int(status)

    def after_round(self) -> int:
        if self.fun <= self._limits.target:
            return Status.TARGET
        patience = self._watch.patience
        return Status.EARLY_STOPPED if patience is not None and self._best.waited >= patience else RUNNING

    def confirmed(self, status: int) -> int:
        """NON_FINITE if no validation loss was finite, or if the loss over all rows is not.

        In the second case the last updates are undone until it is.

        The loss of a batch is computed before its update; only the loss over all rows reflects the last update.
        """
        if math.isfinite(self._loss()):
            unseen = self._watch.validation is not None and self._last and not self._best.measure < np.inf
            self.never_validated = bool(unseen) and status in (Status.COMPLETED, Status.EARLY_STOPPED)
            return Status.NON_FINITE if self.never_validated else status
        while not math.isfinite(self._loss()) and self._take_back_update():
            pass
        self.failed_at_start |= self.updates == 0 and not math.isfinite(self._loss())
        return Status.NON_FINITE

    def _take_back_update(self) -> bool:
        """Undo the last update, in x and in the method's memory; False if there is none to undo."""
        self._rejected_rate = self._position.rate
        undone = self._go_back_to(self.nit - 1)
        del self._epochs_seen[self.rounds :]  # the epoch may be unfinished again
        return undone

    def _facts(self) -> Facts:
        return Facts(self._position, self._arrays.order, self._rng_state, self._best)

    def _set_facts(self, facts: Facts) -> None:
        self._position, order, self._rng_state, self._best = facts
        self._arrays = self._arrays._replace(order=order)
        self._known_loss = None

    def _replay(self, updates: int) -> None:
        if updates:
            self._call_loop(updates)
            self._evaluations += updates

    def retry(self, factor: float) -> int:
        """Go back to the best epoch's parameters, or to the start."""
        # A run may get worse long before its loss is not finite: the best epoch may be worse than the start.
        points = (self._start, self._best.x)
        best = min(points, key=lambda x: np.nan_to_num(self._assessed(x), nan=np.inf))
        self._restart_at(self._arrays.x, best, self._arrays.slots, factor)
        self._position = self._position._replace(memory_starts_at=self._position.nit)
        self._rejected_rate, self._known_loss = 0.0, None
        return RUNNING

    def _loss(self) -> float:
        """The loss over all rows at x, computed once per x."""
        if self._known_loss is None:
            self._known_loss = self._assessed(self._arrays.x)
        return self._known_loss

    def _assessed(self, x: NDArray[Any]) -> float:
        self._assessments += 1
        return float(self.problem.assess(x)["fun"])

    # Epochs.

    def _begin_epoch(self) -> None:
        self._rng_state = self._plan.rng.bit_generator.state  # NumPy makes a new dictionary each time
        if self._plan.shuffle and self._plan.batch_size is not None:
            self._arrays = self._arrays._replace(order=random_order(self._plan.rng, self.problem.rows))

    def _close_epoch(self) -> None:
        """Measure and record the finished epoch, and begin the next one."""
        self._last = self._measured()
        if self._record is not None:
            self._epochs_seen.append(self._last | ({"x": self._arrays.x.copy()} if self._record == "x" else {}))
        seen = self._last["fun" if self._watch.validation is None else "val_fun"]
        value = -self._last["val_accuracy"] if self._watch.monitor == "accuracy" else seen
        if value < self._best.measure:
            self._best = Best(value, seen, self._arrays.x.copy(), 0)
        else:
            self._best = self._best._replace(waited=self._best.waited + 1)
        observe(self._lowered[1].learning_rate, self._arrays.schedule_state, seen, 0)
        self._position = self._position._replace(epoch=self._position.epoch + 1, row=0, total=0.0)
        self._begin_epoch()

    def _measured(self) -> dict[str, Any]:
        """The epoch's row of the history."""
        position = self._position
        row = {
            "nit": position.nit,
            "fun": position.total / position.row,
            "learning_rate": position.rate,
            "grad_norm": position.grad_norm,
            "retry": self.retries,
        }
        if self._watch.validation is not None:
            row |= {f"val_{name}": value for name, value in self._watch.validation.assess(self._arrays.x).items()}
        return row

    # Results.

    def intermediate(self, with_state: bool) -> OptimizeResult:
        known = {
            name: value for name, value in self._last.items() if name not in ("learning_rate", "grad_norm", "retry")
        }
        if with_state:
            known["state"] = self.state(self.fun)
        return OptimizeResult(x=self._arrays.x.copy(), epoch=self._position.epoch, **known)

    def result(self) -> OptimizeResult:
        position, arrays, best = self._position, self._arrays, self._best
        has_best, with_validation = best.measure < np.inf, self._watch.validation is not None
        x, fun = arrays.x, self._loss()
        if self._watch.restore_best and with_validation and has_best:
            x, fun = best.x, self._assessed(best.x)
        return OptimizeResult(
            x=x.copy(),
            fun=fun,
            jac=None,
            best_x=best.x.copy() if has_best else x.copy(),
            best_fun=best.fun if has_best else fun,
            nit=position.nit,
            nfev=self._evaluations + self._assessments,
            njev=self._evaluations,
            history=self._history(),
            state=self.state(self._loss()),
        )

    def state(self, fun: float) -> State:
        """The state of the run; not a copy. fun : the objective over all rows, or that of the epoch"""
        position, arrays, plan = self._position, self._arrays, self._plan
        training = TrainingState(
            batch_size=plan.batch_size,
            shuffle=plan.shuffle,
            rows=self.problem.rows,
            bit_generator=type(plan.rng.bit_generator).__name__,
            rng_state=self._rng_state,
            epoch=position.epoch,
            row=position.row,
            total=position.total,
            monitor=self._measure,
            best=self._best.measure,
            waited=self._best.waited,
        )
        return State(
            method=self.method,
            nit=position.nit,
            x=arrays.x,
            slots=arrays.slots,
            memory_starts_at=position.memory_starts_at,
            schedule_state=arrays.schedule_state,
            scale=self._steering.scale,
            fun=fun,
            best_fun=self._best.fun,
            best_x=self._best.x,
            problem_memory=self._memory,
            training=training,
        )

    def _history(self) -> History:
        rows = list(self._epochs_seen)
        if self._position.row and self._record is not None:  # an unfinished epoch
            rows.append(self._measured() | {"x": self._arrays.x.copy()})
        names = ["nit", "fun", "learning_rate", "grad_norm"] + ["retry"] * self._recovers
        if self._watch.validation is not None:
            names += [f"val_{name}" for name in self._watch.validation.measures]
        columns = {
            name: np.array([row[name] for row in rows], np.int64 if name in ("nit", "retry") else np.float64)
            for name in names
        }
        if self._record == "x":
            x = [row["x"] for row in rows]
            columns["x"] = np.array(x) if x else np.empty((0, self._arrays.x.size), self._arrays.x.dtype)
        return History(**columns)


def _position_in(state: State | None) -> Position:
    """The position at which a run begins."""
    if state is None:
        return Position(0, 0, 0, 0, 0.0, 0.0, 0.0)
    if state.training is None:
        return Position(state.nit, state.memory_starts_at, 0, 0, 0.0, 0.0, 0.0)
    return Position(
        state.nit, state.memory_starts_at, state.training.epoch, state.training.row, state.training.total, 0.0, 0.0
    )
