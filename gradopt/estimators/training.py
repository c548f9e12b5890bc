"""The training of an estimator by batches: one run, from its parameters to its attributes."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gradopt._core.status import Status
from gradopt._loops.clipping import NoClipping
from gradopt._results.state import State, TrainingState
from gradopt._run.callbacks import Callbacks
from gradopt._run.progress_bar import bar_of
from gradopt._run.supervisor import Supervision, supervise
from gradopt._run.training import Training, TrainingLimits
from gradopt._run.training_plan import Plan, Watch
from gradopt.estimators.solvers import AdamOfThePaper, InverseScaling, ShuffledAgain, Velocity
from gradopt.methods import Method
from gradopt.problems.networks.supervised import Supervised
from gradopt.schedules import per_epoch

_SMALLEST_RATE = 1e-6  # of the schedule "adaptive"


class Memory(NamedTuple):
    """What a solver remembers between two calls of `partial_fit`."""

    method: Method
    slots: tuple[NDArray[Any], ...]
    nit: int
    epoch: int
    schedule_state: NDArray[np.float64]
    scale: float


class Best(NamedTuple):
    """The best epoch so far, for fits that go on with it."""

    measure: str  # the name of what is monitored
    value: float  # lower is better
    waited: int  # epochs since the last improvement


class Held(NamedTuple):
    """Rows that are held out of training."""

    X: Any
    y: Any
    sample_weight: Any


class BatchTraining:
    """A training run of an estimator.

    Parameters
    ----------
    estimator : MultilayerPerceptron
        Its parameters are read, its attributes but for the network written.
    problem : Supervised
    held : Held or None
        The validation rows.
    incremental : bool
        Whether it is one epoch that goes on with the memory of the solver.
    """

    def __init__(self, estimator: Any, problem: Supervised, held: Held | None, incremental: bool) -> None:
        self._estimator, self._problem, self._incremental = estimator, problem, incremental
        self._memory: Memory | None = estimator._memory if incremental else None
        self._method = self._chosen_method()
        self._score = problem.measures[1]
        self._watch = self._watch_of(held)
        if not hasattr(estimator, "loss_curve_"):  # the fits before used a solver without epochs
            forget_curves(estimator)

    def run(self, theta: NDArray[Any], random_state: np.random.RandomState) -> NDArray[Any] | None:
        """The parameters after training, from those before it; None if they diverged."""
        it, rows = self._estimator, self._problem.rows
        plan = Plan(self._batch_size(), it.shuffle, ShuffledAgain(random_state, rows, it.shuffle))
        epochs = 1 if self._incremental else it.max_iter
        limits = TrainingLimits(epochs, sys.maxsize, -np.inf, NoClipping())
        state = self._state(theta)
        run = Training(self._problem, self._method, theta, plan, self._watch, limits, False, "scalars", state)
        status = self._supervised(run)
        result, diverged = run.result(), status == Status.NON_FINITE
        if diverged and not (self._watch.restore_best and run.best < np.inf):
            return None
        self._take(run, result)
        if diverged:
            for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
                getattr(it, name).append(np.nan)
        self._warn(status)
        return result.x  # type: ignore[no-any-return]

    # From parameters to settings.

    def _chosen_method(self) -> Method:
        it = self._estimator
        if isinstance(it.solver, Method):
            return it.solver
        if it.solver == "adam":
            return AdamOfThePaper(it.learning_rate_init, it.beta_1, it.beta_2, it.epsilon)
        rate: Any = float(it.learning_rate_init)
        if it.learning_rate == "invscaling":
            first = rate if self._memory is None else rate / (it.t_ + 1.0) ** it.power_t
            rate = per_epoch(InverseScaling(first, rate, float(it.power_t), it.t_, self._problem.rows))
        return Velocity(rate, float(it.momentum), bool(it.nesterovs_momentum))

    def _watch_of(self, held: Held | None) -> Watch:
        it = self._estimator
        patience = None if it.n_iter_no_change == np.inf else int(it.n_iter_no_change) + 1
        validation = None
        if held is not None:
            validation = self._problem.with_data(held.X, held.y)
            if held.sample_weight is not None:
                validation = replace(validation, sample_weight=held.sample_weight)
        by_validation = held is not None and (it.early_stopping or it.monitor in ("score", "validation_loss"))
        monitor = "training loss"
        if by_validation and it.monitor != "loss":
            monitor = "loss" if it.monitor == "validation_loss" else self._score
        return Watch(validation, monitor, patience, by_validation, it.tol)

    def _batch_size(self) -> int:
        size, rows = self._estimator.batch_size, self._problem.rows
        if size == "auto":
            return min(200, rows)
        if size > rows:
            _warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", UserWarning)
        return int(min(size, rows))

    def _state(self, theta: NDArray[Any]) -> State:
        """The state to begin with: what was learned and remembered so far."""
        it, method, memory = self._estimator, self._method, self._memory
        best = it._best
        if best is None or best.measure != self._watch.measure:
            best = Best(self._watch.measure, np.inf, 0)
        if memory is None or type(memory.method) is not type(method):
            memory = Memory(method, method.new_slots(theta), 0, 0, np.zeros(5), 1.0)
        training = TrainingState(
            batch_size=None,
            shuffle=it.shuffle,
            rows=self._problem.rows,
            bit_generator="MT19937",
            rng_state={},
            epoch=memory.epoch if method is it.solver else 0,
            row=0,
            total=0.0,
            monitor=best.measure,
            best=best.value,
            waited=best.waited,
        )
        return State(
            method=memory.method,
            nit=memory.nit,
            x=theta,
            slots=memory.slots,
            memory_starts_at=0,
            schedule_state=memory.schedule_state,
            scale=memory.scale,
            fun=np.inf,
            best_fun=np.inf,
            best_x=theta,
            training=training,
        )

    # The run.

    def _supervised(self, run: Training) -> Status:
        it = self._estimator
        callbacks = Callbacks([*([self._print] if it.verbose else []), *as_list(it.callback)])
        adapts = it.solver == "sgd" and it.learning_rate == "adaptive"
        with bar_of(it.progress, *run.total) as bar:
            try:
                while True:
                    status = supervise(run, Supervision(callbacks, bar, None, np.inf))
                    if status != Status.EARLY_STOPPED or not adapts or run.rate <= _SMALLEST_RATE:
                        return status
                    run.go_on_with_rates_times(0.2)
                    if it.verbose:
                        print(f"{self._why_it_ended()} Setting learning rate to {run.rate * 0.2:f}")
            except KeyboardInterrupt:
                if not run.between_steps:
                    raise
                _warn("Training interrupted by user.", UserWarning)
                return Status.CALLBACK

    def _print(self, intermediate_result: Any) -> None:
        print(f"Iteration {intermediate_result.epoch}, loss = {intermediate_result.fun:.8f}")
        if self._watch.validation is not None:
            print(f"Validation score: {intermediate_result[f'val_{self._score}']:f}")

    # From results to attributes.

    def _take(self, run: Training, result: Any) -> None:
        """Take over what the run found, and what its solver remembers."""
        it, history, state, monitor = self._estimator, result.history, result.state, self._watch.monitor
        it.n_iter_ = run.rounds
        it.t_ += run.rounds * self._problem.rows
        it.loss_curve_ += history.fun.tolist()
        it._best, it._no_improvement_count = Best(self._watch.measure, run.best, run.waited), run.waited
        if it.loss_curve_:
            it.loss_ = it.loss_curve_[-1]
        if self._watch.validation is not None:
            new = {"validation_scores_": history[f"val_{self._score}"], "validation_loss_curve_": history.val_fun}
            for name, values in new.items():
                setattr(it, name, [*(getattr(it, name, None) or []), *values.tolist()])
            it.best_validation_score_ = max(it.validation_scores_, default=None)
        it.best_loss_ = run.best if monitor == "training loss" else None
        if monitor == self._score:
            it.best_validation_score_ = -run.best
        slots = tuple(slot.copy() for slot in state.slots)
        epoch = state.training.epoch
        it._memory = Memory(state.method, slots, state.nit, epoch, state.schedule_state.copy(), state.scale)

    def _warn(self, status: Status) -> None:
        """Say what a user should know of how the run ended."""
        it = self._estimator
        if status == Status.NON_FINITE:
            _warn(
                f"Stochastic Optimizer: the loss became NaN or infinite in epoch {it.n_iter_ + 1}; the weights are"
                " those of the best epoch before. A smaller learning_rate_init, or scaled data, may help.",
                ConvergenceWarning,
            )
        elif status == Status.COMPLETED and not self._incremental:
            _warn(
                f"Stochastic Optimizer: Maximum iterations ({it.max_iter}) reached and the optimization hasn't"
                " converged yet.",
                ConvergenceWarning,
            )
        elif status == Status.EARLY_STOPPED and it.verbose:
            too_small = it.solver == "sgd" and it.learning_rate == "adaptive"
            print(self._why_it_ended() + " Learning rate too small." * too_small + " Stopping.")

    def _why_it_ended(self) -> str:
        it, names = self._estimator, {"training loss": "Training loss", "loss": "Validation loss"}
        what, epochs = names.get(self._watch.monitor, "Validation score"), it.n_iter_no_change
        return f"{what} did not improve more than tol={it.tol:f} for {epochs} consecutive epochs."


def forget_curves(estimator: Any) -> None:
    """Begin the curves of an estimator anew."""
    estimator.loss_curve_, estimator.best_loss_ = [], np.inf
    estimator.validation_scores_ = estimator.validation_loss_curve_ = estimator.best_validation_score_ = None
    if estimator.early_stopping:
        estimator.validation_scores_, estimator.best_validation_score_, estimator.best_loss_ = [], -np.inf, None


def as_list(callback: Any) -> list[Any]:
    """The callbacks, given as one, as several or as None."""
    if callback is None:
        return []
    return list(callback) if isinstance(callback, (list, tuple)) else [callback]


def _warn(message: str, category: type[Warning]) -> None:
    warnings.warn(message, category, stacklevel=6)  # the caller of `fit`
