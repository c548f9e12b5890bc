"""The plan of a training run: how it goes through its rows, and what it checks after each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.state import State, TrainingState
from gradopt.problems import RowProblem
from gradopt.problems.rows import random_orders

MONITORS = ("loss", "accuracy")


class RowOrders:
    """The orders in which the epochs of a run go through the rows: random ones, or 0, 1, ... each time.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the orders.
    rows : int
        The number of rows.
    shuffled : bool
        Whether orders are drawn.
    """

    def __init__(self, rng: np.random.Generator, rows: int, shuffled: bool) -> None:
        self.rng, self._rows, self._shuffled = rng, rows, shuffled

    @property
    def bit_generator(self) -> str:
        """The numpy.random class of the bit generator."""
        return type(self.rng.bit_generator).__name__

    @property
    def state(self) -> Any:
        """The state of the bit generator, a new dictionary; set it to draw the same orders again."""
        return self.rng.bit_generator.state

    @state.setter
    def state(self, state: Any) -> None:
        self.rng.bit_generator.state = state

    def draw(self, epochs: int) -> NDArray[np.int64]:
        """The orders of the next epochs (epochs, rows), or (1, rows) if all are the same."""
        return random_orders(self.rng, epochs, self._rows) if self._shuffled else np.arange(self._rows)[None]


@dataclass(frozen=True)
class Plan:
    """The way a training run goes through its rows.

    batch_size : int, or None for all rows at once
    shuffle : whether the rows are shuffled for each epoch
    orders : the RowOrders
    """

    batch_size: int | None
    shuffle: bool
    orders: RowOrders


class Measured(Protocol):
    """Rows on which a run can be measured, such as a `RowProblem`."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the measures; the first is the loss, "fun"."""

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        """The measures at x, by name."""


@dataclass(frozen=True)
class Watch:
    """The checks after each epoch.

    validation : the same problem with the validation rows, or None
    monitor : "loss", of the validation rows if given, else of the epoch; "training loss", of the epoch in any case; or
        the name of a measure of the validation rows for which more is better, such as "accuracy"
    patience : the number of epochs without improvement after which the run ends, or None
    restore_best : whether the result is the best epoch, if validation rows are given
    min_delta : the least improvement that counts; None for anything above 0
    """

    validation: Measured | None
    monitor: str
    patience: int | None
    restore_best: bool
    min_delta: float | None = None

    @property
    def measure(self) -> str:
        """The name of what is monitored, with its rows."""
        return f"{'epoch' if self.validation is None else 'validation'} {self.monitor}"

    def value(self, epoch: dict[str, float]) -> float:
        """What is monitored, lower is better, in the history's row of an epoch."""
        if self.monitor == "training loss" or self.validation is None:
            return epoch["fun"]
        return epoch["val_fun"] if self.monitor == "loss" else -epoch[f"val_{self.monitor}"]


def plan_of(problem: RowProblem, state: State | None, batch_size: int | None, shuffle: bool, rng: Any) -> Plan:
    """The plan, from checked settings; the state supplies those that are not given."""
    earlier = None if state is None else state.training
    if earlier is not None and earlier.row:
        changed = batch_size not in (None, earlier.batch_size) or rng is not None or problem.rows != earlier.rows
        if changed or (earlier.shuffle and not shuffle):
            raise ValueError(
                f"the state is within an epoch of {earlier.rows} rows, in batches of {earlier.batch_size}: batch_size,"
                " shuffle, rng and the number of rows can't change before its end"
            )
    if earlier is not None:
        batch_size = earlier.batch_size if batch_size is None else batch_size
        shuffle = earlier.shuffle and shuffle
    if batch_size is not None:
        batch_size = problem.checked_batch_size(batch_size)
    generator = validate.generator("rng", rng) if rng is not None or earlier is None else generator_of(earlier)
    return Plan(batch_size, shuffle, RowOrders(generator, problem.rows, shuffle and batch_size is not None))


def watch_of(problem: RowProblem, validation: Any, monitor: str, patience: int | None, restore_best: bool) -> Watch:
    """The watch, from checked settings."""
    validate.choice("monitor", monitor, MONITORS)
    if validation is None:
        for name, given in (("patience", patience is not None), ("monitor='accuracy'", monitor == "accuracy")):
            if given:
                raise ValueError(f"{name} needs validation data")
    else:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ValueError(f"validation must be two arrays, such as (X, y), got {validate.shown(validation)}")
        try:
            validation = problem.with_data(*validation)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None
        if monitor == "accuracy" and "accuracy" not in problem.measures:
            raise ValueError(f"monitor must be 'loss' for {problem}, got 'accuracy'")
    if patience is not None:
        patience = validate.integer("patience", patience, 1)
    return Watch(validation, monitor, patience, restore_best)


def generator_of(state: TrainingState) -> np.random.Generator:
    """The generator of random orders, in its state before the current epoch's order was drawn."""
    kind = getattr(np.random, state.bit_generator, None)
    if kind is np.random.BitGenerator or not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise ValueError(f"the state has a bit generator {state.bit_generator!r}, which NumPy does not have; give rng")
    generator = np.random.Generator(kind(0))
    try:
        generator.bit_generator.state = dict(state.rng_state)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"the state of {state.bit_generator} can't be used ({error}); give rng") from None
    return generator
