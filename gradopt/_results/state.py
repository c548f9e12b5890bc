"""The state of a run, from which `optimize(..., state=...)` goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.configurations import described, made
from gradopt.methods import Method


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The part of a training run's state that only training needs.

    Attributes
    ----------
    batch_size : int or None
        Rows per batch; None for all rows.
    shuffle : bool
        Whether the rows are shuffled for each epoch.
    rows : int
        The number of rows of the data.
    bit_generator : str
        The numpy.random class of the bit generator that draws the orders.
    rng_state : dict
        Its state before the order of the current epoch was drawn.
    epoch : int
        The number of completed epochs.
    row : int
        The number of rows of the current epoch already used.
    total : float
        The sum of their losses.
    monitor : str
        The name of the monitored measure.
    best : float
        Its lowest value so far.
    waited : int
        The number of epochs since that value.
    """

    batch_size: int | None
    shuffle: bool
    rows: int
    bit_generator: str
    rng_state: Mapping[str, Any]
    epoch: int
    row: int
    total: float
    monitor: str
    best: float
    waited: int

    def require_consistent(self) -> None:
        """Raise a ValueError for the first part that can't be."""
        if self.batch_size is not None:
            validate.integer("state.training.batch_size", self.batch_size, 1)
        rows = validate.integer("state.training.rows", self.rows, 1)
        if validate.integer("state.training.row", self.row, 0) > rows:
            raise ValueError(f"state.training.row must be at most rows = {rows}, got {self.row}")
        validate.integer("state.training.epoch", self.epoch, 0)
        validate.integer("state.training.waited", self.waited, 0)


@dataclass(frozen=True, eq=False)
class State:
    """The state of a run: everything that `optimize(..., state=...)` needs to go on. A run from it leaves it unchanged.

    Attributes
    ----------
    method : Method
        The method of the run.
    nit : int
        The number of updates made.
    x : ndarray (n,)
        The last accepted iterate.
    slots : tuple of ndarray
        The memory of the method.
    memory_starts_at : int
        The update count at which the memory in the slots begins; 0 unless a run was recovered.
    schedule_state : ndarray (5,)
        The memory of the schedule.
    scale : float
        The factor on the rates of the schedule; 1 unless a run was recovered.
    fun, best_fun : float
        The objective at x and at best_x.
    best_x : ndarray (n,)
        The point with the lowest objective so far.
    problem_memory : float array
        What the problem remembers of the run, such as scales for differences; mostly empty.
    training : TrainingState or None
        The additional state of a training run.
    """

    method: Method
    nit: int
    x: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    memory_starts_at: int
    schedule_state: NDArray[np.float64]
    scale: float
    fun: float
    best_fun: float
    best_x: NDArray[Any]
    training: TrainingState | None = None
    problem_memory: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    def __repr__(self) -> str:
        return f"State(after {self.nit} updates by {self.method}, {self.x.size} parameters of {self.x.dtype})"

    def require_consistent(self) -> None:
        """Raise a ValueError for the first part that does not fit x; compiled code would read or write beyond it."""
        if not isinstance(self.x, np.ndarray) or self.x.ndim != 1 or self.x.dtype not in (np.float32, np.float64):
            raise ValueError(f"state.x must be a one-dimensional array of float32 or float64, got {self.x!r:.60}")
        wanted = self.method.new_slots(self.x)
        if len(self.slots) != len(wanted):
            raise ValueError(f"state.slots must be {len(wanted)} arrays for {self.method}, got {len(self.slots)}")
        for i, (slot, like) in enumerate(zip(self.slots, wanted, strict=True)):
            _require_like(f"state.slots[{i}]", slot, like)
        _require_like("state.best_x", self.best_x, self.x)
        _require_like("state.schedule_state", self.schedule_state, np.empty(5))
        if not isinstance(self.problem_memory, np.ndarray) or self.problem_memory.dtype.kind != "f":
            raise ValueError(f"state.problem_memory must be an array, got {validate.shown(self.problem_memory)}")
        if not (self.problem_memory >= 0.0).all():
            raise ValueError(f"state.problem_memory must be >= 0, got {validate.shown(self.problem_memory)}")
        nit = validate.integer("state.nit", self.nit, 0)
        if validate.integer("state.memory_starts_at", self.memory_starts_at, 0) > nit:
            raise ValueError(f"state.memory_starts_at must be at most nit = {nit}, got {self.memory_starts_at}")
        validate.number("state.scale", self.scale, 0)
        for name, value in (("state.fun", self.fun), ("state.best_fun", self.best_fun)):
            if not isinstance(value, (float, int, np.floating, np.integer)):
                raise TypeError(f"{name} must be a number, got {validate.shown(value)}")
        if self.training is not None:
            self.training.require_consistent()

    def schedule_state_for(self, method: Method) -> NDArray[np.float64]:
        """A copy of the memory of the schedule; empty for a method with another schedule."""
        same = getattr(method, "learning_rate", None) == getattr(self.method, "learning_rate", None)
        return self.schedule_state.copy() if same else np.zeros_like(self.schedule_state)

    def described(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The state as plain facts and arrays, by the names of its fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        slots = values.pop("slots")
        values["origin"] = values.pop("memory_starts_at")  # its name in files
        values["method"] = described(self.method)
        if self.training is not None:
            values["training"] = {field.name: getattr(self.training, field.name) for field in fields(TrainingState)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        facts = {name: value for name, value in values.items() if name not in arrays}
        return facts, arrays | {f"slots.{i}": slot for i, slot in enumerate(slots)}

    @staticmethod
    def made(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> State:
        """The state from the output of `described`."""
        count = sum(name.startswith("slots.") for name in arrays)
        slots = tuple(arrays[f"slots.{i}"] for i in range(count))
        values = facts | {name: value for name, value in arrays.items() if not name.startswith("slots.")}
        values["memory_starts_at"] = values.pop("origin")
        values["method"] = made(facts["method"], Method)
        if facts["training"] is not None:
            values["training"] = TrainingState(**facts["training"])
        return State(slots=slots, **values)


def _require_like(name: str, value: Any, like: NDArray[Any]) -> None:
    """Raise a ValueError unless a value is an array of the shape, the dtype and the order of another one."""
    if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (like.shape, like.dtype):
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else validate.shown(value)
        raise ValueError(f"{name} must be an array of {like.dtype} {like.shape}, got {got}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name} must be in C order")
