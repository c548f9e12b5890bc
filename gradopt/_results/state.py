"""Where a run stands: what `optimize(..., state=...)` goes on from."""

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
    """Where a training run stands beside its parameters.

    Attributes
    ----------
    batch_size : int or None
        Rows of a batch; None: all.
    shuffle : bool
        Whether each epoch has an order of its own.
    rows : int
        Rows of the data.
    bit_generator : str
        The class of the source of random orders, in numpy.random.
    rng_state : dict
        Its state before the order of the current epoch was drawn.
    epoch : int
        Epochs completed.
    row : int
        Rows of the current epoch that were used.
    total : float
        The sum of their losses.
    monitor : str
        What is monitored.
    best : float
        The lowest value of it so far.
    waited : int
        Epochs since then.
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
    """Where a run stands: everything that `optimize(..., state=...)` needs to go on. Not changed by use.

    Attributes
    ----------
    method : Method
        The method of the run.
    nit : int
        Updates done.
    x : ndarray (n,)
        The last accepted iterate.
    slots : tuple of ndarray
        What the method remembers.
    memory_starts_at : int
        The updates before those that the slots remember; 0 unless a run was recovered.
    schedule_state : ndarray (5,)
        What the schedule remembers.
    scale : float
        What the rates of the schedule are multiplied by; 1 unless a run was recovered.
    fun, best_fun : float
        The objective at x and at best_x.
    best_x : ndarray (n,)
        Where the lowest objective was seen.
    training : TrainingState or None
        What a training run needs beside that.
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
        """The state as plain facts and as arrays, by the names of its fields."""
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
        """The state that `described` took apart."""
        count = sum(name.startswith("slots.") for name in arrays)
        slots = tuple(arrays[f"slots.{i}"] for i in range(count))
        values = facts | {name: value for name, value in arrays.items() if not name.startswith("slots.")}
        values["memory_starts_at"] = values.pop("origin")
        values["method"] = made(facts["method"], Method)
        if facts["training"] is not None:
            values["training"] = TrainingState(**facts["training"])
        return State(slots=slots, **values)
