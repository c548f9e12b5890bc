"""A training run: epochs of batches, validation, the best epoch, and the state to resume from."""

from __future__ import annotations

import math
import sys
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
from gradopt._loops.batches import BatchArrays, EpochRecord, EpochTests, Position, after_epoch
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

_MOST_ORDERS = 2**20  # row numbers that are drawn in advance


class Facts(NamedTuple):
    """The values that a chunk or the end of an epoch replaces."""

    position: Position
    orders: NDArray[np.int64]
    rng_state: Any  # before the orders were drawn
    next_rng_state: Any  # after that
    best_fun: float


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
        self._lowered = problem.lower_for_training(x.dtype), method.lower()
        self._batch_size = plan.batch_size or problem.rows
        slots = method.new_slots(x) if state is None else method.fitting_slots(state.slots)
        work = problem.batch_workspace_for(x, self._batch_size)
        self._memory = problem.memory(work)
        if state is None:
            problem.begin_training(work, plan.orders.rng)
        else:
            problem.remember(work, state.problem_memory)
        x, grad, best_x = aligned_copy(x), aligned_copy(x), aligned_copy(x)
        spare = grad if isinstance(limits.clipping, NoClipping) else aligned_copy(x)
        schedule_state = np.zeros(5) if state is None else state.schedule_state_for(method)
        orders = np.empty((0, problem.rows), np.int64)
        self._arrays = BatchArrays(x, grad, spare, best_x, slots, schedule_state, work, orders)
        scale = 1.0 if state is None else state.scale
        steering = Steering(limits.clipping.lower(), scale, None, method.parts(problem.parts()))
        super().__init__(problem, method, steering, 0 if state is None else state.nit)
        self._best_fun = np.inf
        self._position = self._position_in(state)
        self._first_epoch = self._position.epoch
        self._recovers, self._start = recovers, x.copy()
        self._tests = EpochTests(
            limits.target,
            sys.maxsize if watch.patience is None else watch.patience,
            -1.0 if watch.min_delta is None else watch.min_delta,
        )
        self._epochs_seen: list[dict[str, Any]] = []
        self._last: dict[str, Any] = {}  # the row of the last epoch
        self._evaluations, self._assessments = 0, 0
        self._known_loss: float | None = None
        self._rejected_rate = 0.0
        self._rng_state = plan.orders.state
        if self._position.row:
            self._draw(1)

    def _position_in(self, state: State | None) -> Position:
        """The position at which the run begins, with the best epoch so far."""
        position = Position(0, 0, 0, 0, 0.0, 0.0, 0.0, np.inf, 0)
        if state is None:
            return position
        position = position._replace(nit=state.nit, memory_starts_at=state.memory_starts_at)
        training = state.training
        if training is None:
            return position
        if training.monitor == self._watch.measure:
            self._arrays.best_x[:], self._best_fun = state.best_x, state.best_fun
            position = position._replace(best=training.best, waited=training.waited)
        return position._replace(epoch=training.epoch, row=training.row, total=training.total)

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
        """Make the updates that fit into a chunk: some whole epochs, or a part of one; validate an epoch at its end."""
        count = min(self._chunk_sizes.next(), self._limits.max_iter - self.updates)
        epochs = self._limits.epochs - self.rounds
        self._take_snapshot(self._written)
        before, first_epoch, started = self.nit, self._position.epoch, time.perf_counter()
        status = self._make_updates(count, epochs if at_most is None else min(epochs, at_most))
        done = self.nit - before
        self._evaluations += done + (status == Status.NON_FINITE)
        self._chunk_sizes.took(time.perf_counter() - started, max(done, 1))
        if status == Status.NON_FINITE:
            orders, row = self._arrays.orders, self._position.row
            order = orders[min(self._position.epoch - first_epoch, len(orders) - 1)]
            self.problem.require_finite(order[row : row + self._batch_size])
            self.failed_at_start = not self._take_back_update()
        elif self._position.row >= self.problem.rows:
            self._validate()
        return status

    def _make_updates(self, updates: int, epochs: int) -> int:
        """Make so many updates at most: some whole epochs, or a part of one."""
        row, rows = self._position.row, self.problem.rows
        whole = 0
        if row == 0:
            if self._watch.validation is None:
                whole = min(updates // -(-rows // self._batch_size), epochs, max(_MOST_ORDERS // rows, 1))
            self._draw(max(whole, 1))
        if whole:
            updates = whole * -(-rows // self._batch_size)
        return self._call_loop(min(updates, max(whole, 1) * -(-(rows - row) // self._batch_size)))

    def _draw(self, epochs: int) -> None:
        """Draw the orders of the next epochs."""
        self._rng_state = self._plan.orders.state
        self._arrays = self._arrays._replace(orders=self._plan.orders.draw(epochs))

    @property
    def _written(self) -> tuple[NDArray[Any], ...]:
        """The arrays that updates, or the schedule between epochs, change."""
        arrays = self._arrays
        return (arrays.x, arrays.best_x, *arrays.slots, arrays.schedule_state, self._memory)

    def _call_loop(self, updates: int) -> int:
        self._known_loss = None
        drawn, first_epoch, closes = len(self._arrays.orders), self._position.epoch, self._watch.validation is None
        record = self._new_record(-(-updates // -(-self.problem.rows // self._batch_size)) if closes else 0)
        what = self._steering, self._arrays, self._position, self._tests, record
        loop = self.method.loop.batches
        if COMPILING and self.problem.interpreted:
            loop = loop.py_func
        status, *position = self._call(loop, (*self._lowered, *what, self._batch_size, self.method.by_epoch, updates))
        self._patience = nullcontext
        self._position = Position(*position)
        closed = self._position.epoch - first_epoch
        if closed:
            self._note_epochs(record, closed)
        if status in (Status.TARGET, Status.EARLY_STOPPED) and 0 < closed < drawn:  # as if no more had been drawn
            self._plan.orders.state = self._rng_state
            self._draw(closed)
        return int(status)

    def _new_record(self, epochs: int) -> EpochRecord:
        x, with_x = self._arrays.x, self._record == "x"
        fun, learning_rate, grad_norm = np.empty((3, epochs))
        iterates = np.empty((epochs * with_x, x.size), x.dtype)
        return EpochRecord(np.empty(epochs, np.int64), fun, learning_rate, grad_norm, iterates)

    def _note_epochs(self, record: EpochRecord, closed: int) -> None:
        """Add the first epochs of a record to the history."""
        self._best_fun = self._position.best
        columns = {
            name: getattr(record, name)[:closed].tolist() for name in ("nit", "fun", "learning_rate", "grad_norm")
        }
        epochs = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for epoch in epochs:
            epoch["retry"] = self.retries
        self._last = epochs[-1]
        if self._record == "x":
            for epoch, x in zip(epochs, record.x, strict=False):
                epoch["x"] = x
        if self._record is not None:
            self._epochs_seen += epochs

    def after_round(self) -> int:
        if self.fun <= self._limits.target:
            return Status.TARGET
        return Status.EARLY_STOPPED if self._position.waited >= self._tests.patience else RUNNING

    def confirmed(self, status: int) -> int:
        """NON_FINITE if no validation loss was finite, or if the loss over all rows is not.

        In the second case the last updates are undone until it is.

        The loss of a batch is computed before its update; only the loss over all rows reflects the last update.
        """
        if math.isfinite(self._loss()):
            unseen = self._watch.validation is not None and self._last and not self._position.best < np.inf
            self.never_validated = bool(unseen) and status in (Status.COMPLETED, Status.EARLY_STOPPED)
            return Status.NON_FINITE if self.never_validated else status
        while not math.isfinite(self._loss()) and self._take_back_update():
            pass
        self.failed_at_start |= self.updates == 0 and not math.isfinite(self._loss())
        return Status.NON_FINITE

    def _take_back_update(self) -> bool:
        """Undo the last update, in x and in the method's memory; False if there is none to undo."""
        self._rejected_rate = self._position.rate
        return self._go_back_to(self.nit - 1)

    def _facts(self) -> Facts:
        return Facts(self._position, self._arrays.orders, self._rng_state, self._plan.orders.state, self._best_fun)

    def _set_facts(self, facts: Facts) -> None:
        self._position, orders, self._rng_state, self._plan.orders.state, self._best_fun = facts
        self._arrays = self._arrays._replace(orders=orders)
        self._known_loss = None
        del self._epochs_seen[self.rounds :]  # what is repeated is noted again

    def _replay(self, updates: int) -> None:
        goal = self.nit + updates
        self._evaluations += updates
        while self.nit < goal:
            self._make_updates(goal - self.nit, sys.maxsize)

    def retry(self, factor: float) -> int:
        """Go back to the best epoch's parameters, or to the start."""
        # A run may get worse long before its loss is not finite: the best epoch may be worse than the start.
        points = (self._start, self._arrays.best_x)
        best = min(points, key=lambda x: np.nan_to_num(self._assessed(x), nan=np.inf))
        self._restart_at(self._arrays.x, best, self._arrays.slots, factor)
        self._position = self._position._replace(memory_starts_at=self._position.nit)
        self._rejected_rate, self._known_loss = 0.0, None
        return RUNNING

    def go_on_with_rates_times(self, factor: float) -> None:
        """Go on after an early stop, with other rates."""
        self._steering = self._steering._replace(scale=self._steering.scale * factor)
        self._position = self._position._replace(waited=0)

    @property
    def best(self) -> float:
        """The lowest value of what is monitored; infinite before the first epoch."""
        return self._position.best

    @property
    def waited(self) -> int:
        """The epochs since the last improvement."""
        return self._position.waited

    def _loss(self) -> float:
        """The loss over all rows at x, computed once per x."""
        if self._known_loss is None:
            self._known_loss = self._assessed(self._arrays.x)
        return self._known_loss

    def _assessed(self, x: NDArray[Any]) -> float:
        self._assessments += 1
        return float(self.problem.assess(x)["fun"])

    # Epochs.

    def _validate(self) -> None:
        """Measure the finished epoch on the validation rows, record it, and close it."""
        self._last = self._measured()
        if self._record is not None:
            self._epochs_seen.append(self._last | ({"x": self._arrays.x.copy()} if self._record == "x" else {}))
        seen, position = self._last["val_fun"], self._position
        value = self._watch.value(self._last)
        if value < position.best:
            self._arrays.best_x[:], self._best_fun = self._arrays.x, seen
        best, waited = after_epoch(self._tests.min_delta, value, position.best, position.waited)
        observe(self._lowered[1].learning_rate, self._arrays.schedule_state, seen, 0)
        self._position = position._replace(epoch=position.epoch + 1, row=0, total=0.0, best=best, waited=waited)

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
        position, arrays = self._position, self._arrays
        has_best, with_validation = position.best < np.inf, self._watch.validation is not None
        x, fun = arrays.x, self._loss()
        if self._watch.restore_best and with_validation and has_best:
            x, fun = arrays.best_x, self._assessed(arrays.best_x)
        return OptimizeResult(
            x=x.copy(),
            fun=fun,
            jac=None,
            best_x=arrays.best_x.copy() if has_best else x.copy(),
            best_fun=self._best_fun if has_best else fun,
            nit=position.nit,
            nfev=self._evaluations + self._assessments,
            njev=self._evaluations,
            history=self._history(),
            state=self.state(self._loss()),
        )

    def state(self, fun: float) -> State:
        """The state of the run; not a copy. fun : the objective over all rows, or that of the epoch"""
        position, arrays, plan = self._position, self._arrays, self._plan
        within_epoch = position.row > 0
        training = TrainingState(
            batch_size=plan.batch_size,
            shuffle=plan.shuffle,
            rows=self.problem.rows,
            bit_generator=plan.orders.bit_generator,
            rng_state=self._rng_state if within_epoch else plan.orders.state,
            epoch=position.epoch,
            row=position.row,
            total=position.total,
            monitor=self._watch.measure,
            best=position.best,
            waited=position.waited,
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
            best_fun=self._best_fun,
            best_x=arrays.best_x,
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
