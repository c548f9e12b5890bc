"""The state of a run, from which `optimize(..., state=...)` goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def __repr__(self) -> str:
        return f"State(after {self.nit} updates by {self.method}, {self.x.size} parameters of {self.x.dtype})"

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
