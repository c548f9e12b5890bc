"""The solvers "sgd" and "adam" of scikit-learn's perceptrons, as methods, schedules and orders of rows of gradopt.

They differ from `gradopt.SGD` and `gradopt.Adam`, which are torch's, in the place of the learning rate and of epsilon.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core.config import config
from gradopt._core.protocol import rate as rate_of
from gradopt._core.protocol import update
from gradopt._run.training_plan import RowOrders
from gradopt.methods import FirstOrderMethod
from gradopt.schedules import LearningRate, Schedule


@config
class Velocity(FirstOrderMethod):
    """Momentum whose velocity contains the rate: v = momentum v - rate g; x += v, or momentum v - rate g by Nesterov.

    With a constant rate this is `SGD`. I. Sutskever et al., On the importance of initialization and momentum in deep
    learning, 2013.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    learning_rate: LearningRate
    momentum: float
    nesterov: bool


@update.on(Velocity)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    rate, momentum = real(rate), real(method.momentum)
    (velocity,) = slots
    for j in range(x.size):
        step = rate * grad[j]
        velocity[j] = momentum * velocity[j] - step
        x[j] += momentum * velocity[j] - step if method.nesterov else velocity[j]


@config
class AdamOfThePaper(FirstOrderMethod):
    """Adam in the order of computation that the end of section 2 of its paper proposes, where epsilon is not corrected.

    With t = k + 1: m = beta_1 m + (1 - beta_1) g; v = beta_2 v + (1 - beta_2) g**2;
    x -= rate sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + eps). D. P. Kingma and J. Ba, Adam, 2015.
    """

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")

    learning_rate: LearningRate
    beta_1: float
    beta_2: float
    eps: float


@update.on(AdamOfThePaper)
def _(method, slots, x, grad, rate, k):
    real, t = x.dtype.type, k + 1.0
    beta_1, beta_2, eps = real(method.beta_1), real(method.beta_2), real(method.eps)
    step = real(rate * math.sqrt(1.0 - method.beta_2**t) / (1.0 - method.beta_1**t))
    rest_1, rest_2 = real(1.0 - method.beta_1), real(1.0 - method.beta_2)
    first, second = slots
    for j in range(x.size):
        first[j] = beta_1 * first[j] + rest_1 * grad[j]
        second[j] = beta_2 * second[j] + rest_2 * (grad[j] * grad[j])
        x[j] -= step * first[j] / (math.sqrt(second[j]) + eps)


@config
class InverseScaling(Schedule):
    """A rate by epoch: `first` in the first one, then initial / (samples seen so far + 1)**power."""

    first: float
    initial: float
    power: float
    seen: int  # samples, before the first epoch
    rows: int  # samples in each epoch


@rate_of.on(InverseScaling)
def _(schedule, k):
    return schedule.first if k == 0 else schedule.initial / (schedule.seen + k * schedule.rows + 1.0) ** schedule.power


class ShuffledAgain(RowOrders):
    """The orders of scikit-learn: each epoch shuffles the order of the one before.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    rows : int
    shuffled : bool
    """

    def __init__(self, random_state: np.random.RandomState, rows: int, shuffled: bool) -> None:
        self._random_state, self._shuffled, self._order = random_state, shuffled, np.arange(rows)
        self._state: dict[str, Any] | None = None  # of the RandomState, which takes a while to make

    @cached_property
    def rng(self) -> np.random.Generator:  # type: ignore[override]
        """A generator for what scikit-learn does not draw."""
        state = self.state["state"]
        return np.random.default_rng([int(number) for number in state["key"][:4]] + [int(state["pos"])])

    @property
    def bit_generator(self) -> str:
        return "MT19937"

    @property
    def state(self) -> Any:
        if self._state is None:
            self._state = dict(self._random_state.get_state(legacy=False), order=self._order)
        return self._state

    @state.setter
    def state(self, state: Any) -> None:
        self._order, self._state = state["order"], state
        self._random_state.set_state(state)

    def draw(self, epochs: int) -> NDArray[np.int64]:
        if not self._shuffled:
            return self._order[None]
        self._state = None
        orders = np.tile(np.arange(self._order.size), (epochs, 1))
        for order in orders:
            self._random_state.shuffle(order)
            order[:] = self._order = self._order.take(order, mode="clip")  # which checks nothing
        return orders
