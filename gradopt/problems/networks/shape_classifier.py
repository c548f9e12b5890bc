"""The three-sample worked example of a single neuron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradopt._network import Dense, Network
from gradopt.problems.networks.regressor import Regressor


class _ShapeClassifier(Regressor):
    """The regressor with the weights of the example as its start."""

    @property
    def x0(self) -> NDArray[np.float64]:
        return np.array([1 / 200, np.nextafter(-3000 / 11_600_000, 0.0), 1 / 5800])


def shape_classifier() -> Regressor:
    """The worked example of a neuron that learns from one mistake: three samples, three weights, no bias.

    Returns
    -------
    Regressor
        A problem with one relu neuron and half the squared error. Its `x0` is the weights 1/200, -3000/11600000 and
        1/5800; a sample is of class 1 if its output is above 0.5, else of class 0.

    Notes
    -----
    The samples (100, 2000, 100), (200, 0, 0) and (0, 2000, 3000) have classes 0, 1 and 1. In rational numbers the
    first and the third have pre-activation 0, and the neuron learns from the third because relu'(0) = 1: one epoch at
    rate 1e-7, sample by sample in the given order, does not change the weights at the first two samples, then adds 2e-4
    to the second weight and 3e-4 to the third. In float64 the two pre-activations round to just below 0, where relu is
    flat. So the second weight is the next float64 after -3000/11600000 toward 0, which makes them >= 0 in any order of
    summation.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.shape_classifier()
    >>> result = gradopt.optimize(problem, method=gradopt.SGD(1e-7), batch_size=1, epochs=1, shuffle=False)
    >>> (result.x - problem.x0).round(6), problem.predict(result.x, problem.X).round(6)
    (array([0.    , 0.0002, 0.0003]), array([0.43, 1.  , 1.3 ]))
    """
    samples = np.array([[100.0, 2000.0, 100.0], [200.0, 0.0, 0.0], [0.0, 2000.0, 3000.0]])
    network = Network([Dense(3, 1, "relu", bias=False)])  # type: ignore[arg-type]
    return _ShapeClassifier(network, samples, np.array([0.0, 1.0, 1.0]), "half_squared_error")
