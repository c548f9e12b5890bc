"""The problem that a perceptron with numbers as targets is trained on."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.output import BinaryCrossEntropy, Poisson, output_loss
from gradopt._losses.residual import HalfSquaredError, Huber, Loss, MeanAbsoluteError, Quantile, from_mean
from gradopt.problems.networks.regressor import r_squared
from gradopt.problems.networks.supervised import Data, Supervised


@config
class SumOfBinaryCrossEntropies(Loss):
    """Binary cross-entropies, summed over the outputs: independent labels."""

    mean_over_outputs = False


@config
class SquaredError(Loss):
    """r**2 / 2, as scikit-learn's perceptrons have it: its mean over the outputs, with the gradient of its sum."""

    mean_over_outputs = False


_OF_ONE_OUTPUT, _OF_LABELS = HalfSquaredError.Lowered(), BinaryCrossEntropy.Lowered()


@output_loss.on(SquaredError)
def _(loss, d, outputs, y, rows, scale):
    return output_loss(_OF_ONE_OUTPUT, d, outputs, y, rows, scale) / outputs.shape[1]


@output_loss.on(SumOfBinaryCrossEntropies)
def _(loss, d, outputs, y, rows, scale):
    return output_loss(_OF_LABELS, d, outputs, y, rows, scale)


@from_mean.on(SquaredError)
@from_mean.on(SumOfBinaryCrossEntropies)
def _(loss, mean):
    return mean, 1.0


@config
class Targets(Supervised):
    """Numbers as the targets of a network: y (rows, n_out), with a loss, and a score by which more is better."""

    Lowered = Data
    __repr__ = Supervised.__repr__
    measures: ClassVar[tuple[str, ...]] = ("fun", "score")

    loss: Loss = field(default_factory=HalfSquaredError)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "y", validate.array("y", self.y, 2, self.dtype))
        self._check_length(self.y)
        if self.y.shape[1] != self.network.n_out:
            raise ValueError(f"y must have {self.network.n_out} columns, the network's outputs, got {self.y.shape[1]}")

    def _loss(self) -> Loss:
        return self.loss

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        measured = {"fun": self.value(x)}
        outputs = np.concatenate([outputs for _, outputs in self._outputs_by_block(x)])
        if isinstance(self.loss, SumOfBinaryCrossEntropies):
            right = ((outputs > 0.0) == self.y.astype(bool)).all(axis=1)
            return measured | {"score": float(np.average(right, weights=self.weights))}
        predicted = np.exp(outputs) if isinstance(self.loss, Poisson) else outputs
        return measured | {"score": r_squared(self.y, predicted, self.weights)}


# The losses of MLPRegressor by name; `quantile` is its parameter of that name.
LOSSES: dict[str, Any] = {
    "squared_error": lambda quantile: SquaredError(),
    "poisson": lambda quantile: Poisson(),
    "absolute_error": lambda quantile: MeanAbsoluteError(),
    "mae": lambda quantile: MeanAbsoluteError(),
    "huber": lambda quantile: Huber(),
    "quantile": Quantile,
}
