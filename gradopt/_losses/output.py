"""Losses of a network's raw outputs, each with its gradient with respect to the outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradopt._compiler import elementwise, generic, kernel, matrix, noinline, summation
from gradopt._core.config import config
from gradopt._losses.residual import (
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Quantile,
    RootMeanSquaredError,
    from_mean,
    pointwise,
)
from gradopt._numerics import elementary


@generic
def output_loss(loss: Any, d: Any, outputs: Any, y: Any, rows: Any, scale: float) -> float:
    """The sum of the losses of a block of rows; `from_mean` converts the mean.

    d : float array (block, n_out), C order, written: `scale` times the slopes
    outputs : float array (block, n_out), C order, read
    y : the data of all rows, read; int64 array (m,) for CrossEntropy, else real array (m, n_out)
    rows : int64 array (block,), the rows of y for this block, read
    """
    raise TypeError(f"{type(loss).__name__} is not registered as a loss of outputs")


@config
class CrossEntropy(Loss):
    """-log p[label], with p = softmax(outputs); "cross_entropy".

    With m the largest output z, log p[i] = z[i] - m - log sum exp(z - m): no exponential overflows, and the sum is at
    least 1. The derivative of log sum exp(z) is p, so that of the loss is p - e[label], with e the unit vector.
    """

    mean_over_outputs = False


@config
class BinaryCrossEntropy(Loss):
    """-t log p - (1 - t) log(1 - p), with p = sigmoid(z) and t the target in [0, 1]; "binary_cross_entropy".

    Since log p = z - log(1 + exp(z)) and log(1 - p) = -log(1 + exp(z)), the loss is softplus(z) - t z, which never
    overflows, and its derivative is p - t.
    """


@config
class Poisson(Loss):
    """exp(z) - t z + t log t - t, with the target t >= 0; "poisson".

    Half the deviance of counts t with mean exp(z): minus the logarithm of their probability, but for terms without z,
    which make it 0 where exp(z) = t. The derivative is exp(z) - t.
    """

    mean_over_outputs = False


@kernel(inline=True)
def weighted_loss(loss, d, outputs, y, rows, weights, scale):
    """The sum of `output_loss` over a block of rows, each times its weight; d is written as there.

    weights : float array (m,), the weights of all rows, read; or None, for weights of 1
    """
    if weights is None:
        return output_loss(loss, d, outputs, y, rows, scale)
    total, n = 0.0, outputs.shape[1]
    for i in range(rows.size):
        weight = np.float64(weights[rows[i]])
        row_d, row_outputs = matrix(d, i * n, 1, n), matrix(outputs, i * n, 1, n)
        total += weight * output_loss(loss, row_d, row_outputs, y, rows[i : i + 1], scale * weight)
    return total


@output_loss.on(CrossEntropy)
def _(loss, d, outputs, y, rows, scale):
    return _cross_entropy(d, outputs, y, rows, d.dtype.type(scale))


@elementwise
def _cross_entropy(d, z, labels, rows, scale):
    one = d.dtype.type(1.0)
    block, n = z.shape
    of_labels = 0.0
    for i in range(block):
        largest = z[i, 0]
        for j in range(1, n):
            largest = z[i, j] if z[i, j] > largest else largest
        for j in range(n):
            d[i, j] = z[i, j] - largest
        of_labels += np.float64(d[i, labels[rows[i]]])
    flat = d.reshape(d.size)
    for i in range(flat.size):
        flat[i] = elementary.exp_of_negative(flat[i])
    # The logarithm of a product replaces the sum of logarithms: each factor is in [1, n].
    logarithms, factors = 0.0, 1.0
    for i in range(block):
        total = d.dtype.type(0.0)
        for j in range(n):
            total += d[i, j]
        factors *= np.float64(total)
        if not factors < 1e200:
            logarithms += math.log(factors)
            factors = 1.0
        share = scale * (one / total)
        for j in range(n):
            d[i, j] *= share
        d[i, labels[rows[i]]] -= scale
    return logarithms + math.log(factors) - of_labels


@output_loss.on(BinaryCrossEntropy)
def _(loss, d, outputs, y, rows, scale):
    return _binary_cross_entropy(d, outputs, y, rows, d.dtype.type(scale))


@elementwise
def _binary_cross_entropy(d, z, y, rows, scale):
    total = 0.0
    for i in range(z.shape[0]):
        row = rows[i]
        for j in range(z.shape[1]):
            target = d.dtype.type(y[row, j])
            total += np.float64(elementary.softplus(z[i, j]) - target * z[i, j])
            d[i, j] = scale * (elementary.sigmoid(z[i, j]) - target)
    return total


@output_loss.on(Poisson)
def _(loss, d, outputs, y, rows, scale):
    return _poisson(d, outputs, y, rows, d.dtype.type(scale))


@elementwise
def _poisson(d, z, y, rows, scale):
    total = 0.0
    for i in range(z.shape[0]):
        row = rows[i]
        for j in range(z.shape[1]):
            target = np.float64(y[row, j])
            mean = math.exp(np.float64(z[i, j]))
            total += mean - target * z[i, j] - target
            if target > 0.0:
                total += target * math.log(target)
            d[i, j] = scale * d.dtype.type(mean - target)
    return total


@output_loss.on(MeanSquaredError)
@output_loss.on(MeanAbsoluteError)
@output_loss.on(RootMeanSquaredError)
@output_loss.on(HalfSquaredError)
@output_loss.on(Huber)
@output_loss.on(Quantile)
def _(loss, d, outputs, y, rows, scale):
    return _of_residuals(loss, d, outputs, y, rows, scale)


@summation
def _of_residuals(loss, d, z, y, rows, scale):
    noinline()
    total = 0.0
    for i in range(z.shape[0]):
        row = rows[i]
        for j in range(z.shape[1]):
            value, slope = pointwise(loss, z[i, j] - y[row, j])
            total += np.float64(value)
            d[i, j] = scale * slope
    return total


@from_mean.on(CrossEntropy)
@from_mean.on(BinaryCrossEntropy)
@from_mean.on(Poisson)
def _(loss, mean):
    return mean, 1.0
