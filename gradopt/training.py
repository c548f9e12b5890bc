"""A training run in progress: epochs of batches, validation, the best epoch, and what is needed to go on."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt.aligned import aligned
from gradopt.chunks import Chunks
from gradopt.compiler import COMPILING, flushed_subnormals, interrupts_held_back
from gradopt.config import Config
from gradopt.epoch import RUNNING, Position, TrainingMemory, descend_batches
from gradopt.history import History
from gradopt.methods import Method
from gradopt.plan import Plan, Watch
from gradopt.problems import RowProblem
from gradopt.problems.rows import random_order
from gradopt.protocol import batch_value_and_grad, look, update
from gradopt.result import OptimizeResult, State, TrainingState
from gradopt.status import Status
from gradopt.steering import NoClipping, Steering
from gradopt.trial import try_method, try_problem


class _Backup(NamedTuple):
    """Where a chunk began."""

    position: Position
    order: NDArray[np.int64]
    rng_state: Any
    arrays: list[NDArray[Any]]  # x and the slots
    best: _Best


class _Best(NamedTuple):
    """The best epoch so far."""

    measure: float  # what is monitored, lower is better; infinite before the first epoch
    fun: float  # the loss
    x: NDArray[Any]
    waited: int  # epochs since then


class Training:
    """Allocates what the training loop needs once, and calls it in chunks that end with the epoch at the latest.

    Parameters
    ----------
    problem : RowProblem
    method : Method
    x : float array (n,)
        The start.
    plan : Plan
    watch : Watch
    clipping : Config
        What is done to gradients before updates.
    recovers : bool
        Whether `retry` may be called.
    record : {"scalars", "x", None}
    state : State or None
        Where an earlier run stood, at x.
    """

    def __init__(
        self,
        problem: RowProblem,
        method: Method,
        x: NDArray[Any],
        plan: Plan,
        watch: Watch,
        clipping: Config,
        recovers: bool,
        record: str | None,
        state: State | None,
    ) -> None:
        problem.require(batch_value_and_grad)
        method.require(update)
        try_problem(problem, x, in_batches=True)
        try_method(method, x)
        self.method, self._problem, self._plan, self._watch, self._record = method, problem, plan, watch, record
        self._twins = problem.compiled(x.dtype), method.compiled()
        self._batch_size = plan.batch_size or problem.rows
        slots = method.new_slots(x) if state is None else method.fitting_slots(state.slots)
        work = problem.batch_workspace(x.dtype, self._batch_size)
        order, x, grad = np.arange(problem.rows), aligned(x), aligned(x)
        spare = grad if isinstance(clipping, NoClipping) else aligned(x)
        schedule_state = np.zeros(5) if state is None else state.schedule_state.copy()
        self._steering = Steering(clipping.compiled(), 1.0 if state is None else state.scale)
        self._memory = TrainingMemory(x, grad, spare, slots, schedule_state, work, order)
        self._recovers, self.retries = recovers, 0
        self._is_first_call = True
        self._start = x.copy()
        origin = 0 if state is None else state.origin
        earlier = None if state is None else state.training
        if state is None or earlier is None:
            self._position = Position(0 if state is None else state.nit, origin, 0, 0, 0.0, 0.0, 0.0)
        else:
            self._position = Position(state.nit, origin, earlier.epoch, earlier.row, earlier.total, 0.0, 0.0)
        self._first_nit, self._first_epoch = self._position.nit, self._position.epoch
        if state is not None and earlier is not None and earlier.monitor == self._measure:
            self._best = _Best(earlier.best, state.best_fun, state.best_x.copy(), earlier.waited)
        else:
            self._best = _Best(np.inf, np.inf, x.copy(), 0)
        self._rows: list[dict[str, Any]] = []
        self._evaluations, self._assessments = 0, 0
        self._known_loss: float | None = None
        self._rejected_rate = 0.0
        self.failed_at_start = False
        self._chunks = Chunks()
        self._backups: list[_Backup] = []
        self._begin_epoch()

    @property
    def _measure(self) -> str:
        """What is monitored, and of which rows."""
        return f"{'epoch' if self._watch.validation is None else 'validation'} {self._watch.monitor}"

    @property
    def updates(self) -> int:
        """Updates done in this run."""
        return self._position.nit - self._first_nit

    @property
    def epochs(self) -> int:
        """Epochs completed in this run."""
        return self._position.epoch - self._first_epoch

    @property
    def rate(self) -> float:
        """The learning rate of the last update, even if that was taken back."""
        return self._rejected_rate or self._position.rate

    @property
    def nit(self) -> int:
        """Updates done, those of earlier runs included."""
        return self._position.nit

    @property
    def fun(self) -> float:
        """The loss of the last epoch."""
        return float(self._last["fun"])

    def _begin_epoch(self) -> None:
        self._rng_state = self._plan.rng.bit_generator.state  # NumPy makes a new dictionary each time
        if self._plan.shuffle and self._plan.batch_size is not None:
            self._memory = self._memory._replace(order=random_order(self._plan.rng, self._problem.rows))

    def advance(self, at_most: int) -> int:
        """Do as many updates as fit into a chunk and the epoch, not more than `at_most`; a `Status` or RUNNING."""
        left = -(-(self._problem.rows - self._position.row) // self._batch_size)
        count = min(self._chunks.size(), at_most, left)
        before = self._position
        arrays = [array.copy() for array in self._changing]
        backup = _Backup(before, self._memory.order, self._rng_state, arrays, self._best)
        self._backups = [*self._backups[-1:], backup]
        started = time.perf_counter()
        status = self._call_loop(count)
        done = self._position.nit - before.nit
        self._evaluations += done + (status != RUNNING)
        self._chunks.took(time.perf_counter() - started, max(done, 1))
        if status == Status.NON_FINITE:
            start = self._position.row
            self._problem.require_finite(self._memory.order[start : start + self._batch_size])
            self.failed_at_start = not self._take_back()
        return status

    @property
    def _changing(self) -> tuple[NDArray[Any], ...]:
        """The arrays that updates change, or the schedule between epochs."""
        return (self._memory.x, *self._memory.slots, self._memory.schedule_state)

    def _call_loop(self, updates: int) -> int:
        arithmetic: Any = flushed_subnormals() if COMPILING else np.errstate(all="ignore")
        # The first call of a run may ask for kernels; Ctrl-C there would be lost.
        patience: Any = interrupts_held_back() if COMPILING and self._is_first_call else nullcontext()
        self._is_first_call, self._known_loss = False, None
        by_epoch = self.method.by_epoch
        with arithmetic, patience:
            status, *position = descend_batches(
                *self._twins, self._steering, self._memory, self._position, self._batch_size, by_epoch, updates
            )
        self._position = Position(*position)
        return int(status)

    def _take_back(self) -> bool:
        """Undo the last update of this run, in x and in what the method remembers; False if there is none to undo.

        The objective was finite where that update began; after it, it is not. The chunk is run again up to there.
        """
        self._rejected_rate = self._position.rate
        while self._backups:
            backup = self._backups[-1]
            updates = self._position.nit - backup.position.nit - 1
            if updates >= 0:
                for array, copied in zip(self._changing, backup.arrays, strict=True):
                    array[:] = copied
                self._position, self._rng_state, self._best = backup.position, backup.rng_state, backup.best
                self._memory = self._memory._replace(order=backup.order)
                self._known_loss = None
                if updates:
                    self._call_loop(updates)
                    self._evaluations += updates
                del self._rows[self.epochs :]  # of an epoch that is not over any more
                return True
            self._backups.pop()
        return False

    def take_back_what_diverged(self) -> bool:
        """Undo the last updates until the loss over all rows is finite, if it is not; whether it was not."""
        diverged = not math.isfinite(self._loss())
        while not math.isfinite(self._loss()) and self._take_back():
            pass
        self.failed_at_start |= self.updates == 0 and not math.isfinite(self._loss())
        return diverged

    def _loss(self) -> float:
        """Over all rows, at x; found once for each x."""
        if self._known_loss is None:
            self._known_loss = self._assessed(self._memory.x)
        return self._known_loss

    def _assessed(self, x: NDArray[Any]) -> float:
        self._assessments += 1
        return float(self._problem.assess(x)["fun"])

    def retry(self, factor: float) -> None:
        """Go back to the best epoch's parameters, or the start, with rates lower by a factor."""
        # An epoch's loss is finite long before a run diverges: the best epoch may be worse than the start.
        points = (self._start, self._best.x)
        self._memory.x[:] = min(points, key=lambda x: np.nan_to_num(self._assessed(x), nan=np.inf))
        for slot in self._memory.slots:
            slot[:] = 0.0
        self._position = self._position._replace(origin=self._position.nit)
        self._steering = self._steering._replace(scale=self._steering.scale * factor)
        self._backups, self._rejected_rate, self._known_loss = [], 0.0, None
        self.retries += 1

    @property
    def scale(self) -> float:
        """What the schedule's rates are multiplied by."""
        return self._steering.scale

    @property
    def epoch_is_over(self) -> bool:
        return self._position.row >= self._problem.rows

    def close_epoch(self) -> None:
        """Look at the epoch that is over, and begin the next one."""
        self._last = self._look()
        if self._record is not None:
            self._rows.append(self._last | ({"x": self._memory.x.copy()} if self._record == "x" else {}))
        seen = self._last["fun" if self._watch.validation is None else "val_fun"]
        value = -self._last["val_accuracy"] if self._watch.monitor == "accuracy" else seen
        if value < self._best.measure:
            self._best = _Best(value, seen, self._memory.x.copy(), 0)
        else:
            self._best = self._best._replace(waited=self._best.waited + 1)
        look(self._twins[1].learning_rate, self._memory.schedule_state, seen, 0)
        self._position = self._position._replace(epoch=self._position.epoch + 1, row=0, total=0.0)
        self._begin_epoch()

    def _look(self) -> dict[str, Any]:
        position = self._position
        row = {
            "nit": position.nit,
            "fun": position.total / position.row,
            "learning_rate": position.rate,
            "grad_norm": position.grad_norm,
            "retry": self.retries,
        }
        if self._watch.validation is not None:
            row |= {f"val_{name}": value for name, value in self._watch.validation.assess(self._memory.x).items()}
        return row

    @property
    def patience_is_over(self) -> bool:
        return self._watch.patience is not None and self._best.waited >= self._watch.patience

    def intermediate(self, with_state: bool) -> OptimizeResult:
        """What a callback sees after an epoch: copies. The state, which is none, is for those that save it at once."""
        known = {
            name: value for name, value in self._last.items() if name not in ("learning_rate", "grad_norm", "retry")
        }
        if with_state:
            known["state"] = self.state(self.fun)
        return OptimizeResult(x=self._memory.x.copy(), epoch=self._position.epoch, **known)

    def result(self) -> OptimizeResult:
        """All that the run knows, without how it ended."""
        position, memory, best = self._position, self._memory, self._best
        has_best, with_validation = best.measure < np.inf, self._watch.validation is not None
        x, fun = memory.x, self._loss()
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
        """Where the run stands; not a copy. fun : the objective over all rows, or the epoch's"""
        position, memory, plan = self._position, self._memory, self._plan
        training = TrainingState(
            batch_size=plan.batch_size,
            shuffle=plan.shuffle,
            rows=self._problem.rows,
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
            x=memory.x,
            slots=memory.slots,
            origin=position.origin,
            schedule_state=memory.schedule_state,
            scale=self._steering.scale,
            fun=fun,
            best_fun=self._best.fun,
            best_x=self._best.x,
            training=training,
        )

    def _history(self) -> History:
        rows = list(self._rows)
        if self._position.row and self._record is not None:  # an epoch that is not over
            rows.append(self._look() | {"x": self._memory.x.copy()})
        names = ["nit", "fun", "learning_rate", "grad_norm"] + ["retry"] * self._recovers
        if self._watch.validation is not None:
            names += [f"val_{name}" for name in self._watch.validation.measures]
        columns = {
            name: np.array([row[name] for row in rows], np.int64 if name in ("nit", "retry") else np.float64)
            for name in names
        }
        if self._record == "x":
            x = [row["x"] for row in rows]
            columns["x"] = np.array(x) if x else np.empty((0, self._memory.x.size), self._memory.x.dtype)
        return History(**columns)
