"""The forward and the backward pass of a network over a block of rows.

Layer l has weights w (n_in, n_out) and a bias b (n_out,), and computes z = x w + b and its output a(z) for each row x
of the block, the output of the layer before. With d the gradient of the loss with respect to its outputs, that

- with respect to z is delta = d a'(z), element by element;
- with respect to w is x' delta: the outer products of inputs and delta, summed over the rows;
- with respect to b is the sum of delta over the rows;
- with respect to x is delta w', which is d for the layer before.

D. E. Rumelhart, G. E. Hinton and R. J. Williams, Learning representations by back-propagating errors, 1986.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import elementwise, in_place, kernel, matrix, repeated
from gradopt._core.aligned import aligned_zeros
from gradopt._network.activations import activate
from gradopt._numerics.matmul import product

# Rows that are computed together at the most: what lies between the layers then stays in the cache.
BLOCK_ROWS = 256


class Shape(NamedTuple):
    """What kernels know of a network."""

    sizes: NDArray[np.int64]  # (layers + 1,) the widths: of the input, and of each layer's output
    activations: NDArray[np.int64]  # (layers,) numbers of activations
    biased: NDArray[np.int64]  # (layers,) 1 where the layer has a bias


class Scratch(NamedTuple):
    """What the passes write, for up to so many rows. Each layer's part begins where the one before ends, C order."""

    inputs: NDArray[Any]  # the rows, (rows, n_in), where they are to be gathered
    outputs: NDArray[Any]  # of each layer, (rows, n_out)
    slopes: NDArray[Any]  # of each layer, (rows, n_out); after the backward pass delta
    d: NDArray[Any]  # the gradient at the outputs of one layer, or at the input, (rows, n)
    transposed: NDArray[Any]  # the weights of one layer, (n_out, n_in)
    ones: NDArray[Any]  # (rows,)


def scratch(sizes: NDArray[np.int64], rows: int, dtype: Any) -> Scratch:
    """Allocate for blocks of up to so many rows."""
    units = int(sizes[1:].sum())
    return Scratch(
        inputs=aligned_zeros(rows * sizes[0], dtype),
        outputs=aligned_zeros(rows * units, dtype),
        slopes=aligned_zeros(rows * units, dtype),
        d=aligned_zeros(rows * sizes.max(), dtype),
        transposed=aligned_zeros((sizes[1:] * sizes[:-1]).max(), dtype),
        ones=np.ones(rows, dtype),
    )


@kernel(late_bound=True)
def forward(shape, work, inputs, theta):
    """Compute the outputs and slopes of all layers; returns where the last outputs begin.

    shape : Shape
    work : Scratch, written
    inputs : float array (rows, n_in), C order, read
    theta : float array (n,), C order, read
    """
    at = end = parameter = 0
    x, rows = inputs, inputs.shape[0]
    for layer in range(shape.activations.size):
        m, n = shape.sizes[layer], shape.sizes[layer + 1]
        at, end = end, end + rows * n
        z = matrix(work.outputs, at, rows, n)
        biased = shape.biased[layer]
        bias = repeated(theta, parameter + m * n, biased * rows, n)
        product(z, bias, x, matrix(theta, parameter, m, n))
        activate(shape.activations[layer], work.outputs[at:end], work.slopes[at:end])
        parameter += (m + biased) * n
        x = z
    return at


@kernel(late_bound=True)
def backward(shape, d_theta, work, inputs, theta, add, to_inputs) -> None:
    """Compute the gradient with respect to theta, and to the inputs, from that with respect to the outputs.

    d_theta : float array (n,), C order, written
    work : Scratch as `forward` left it, but for the gradient at the outputs in `d`; written
    inputs, theta : as `forward` had them, read
    add : 1 to add to d_theta, else 0
    to_inputs : bool, whether to leave the gradient at the inputs in `d`
    """
    at, parameter, rows = 0, theta.size, inputs.shape[0]
    for n in shape.sizes[1:]:
        at += rows * n
    for layer in range(shape.activations.size - 1, -1, -1):
        m, n = shape.sizes[layer], shape.sizes[layer + 1]
        at -= rows * n
        delta = matrix(work.slopes, at, rows, n)
        multiply(work.slopes[at : at + rows * n], work.d)
        if shape.biased[layer]:
            parameter -= n
            d_bias = matrix(d_theta, parameter, 1, n)
            product(d_bias, repeated(d_theta, parameter, add, n), matrix(work.ones, 0, 1, rows), delta)
        parameter -= m * n
        x = matrix(work.outputs, at - rows * m, rows, m) if layer > 0 else inputs
        d_weight = matrix(d_theta, parameter, m, n)
        product(d_weight, d_weight[: add * m, :], x.T, delta)
        if layer > 0 or to_inputs:
            w_transposed = matrix(work.transposed, 0, n, m)
            transpose(w_transposed, matrix(theta, parameter, m, n))
            product(matrix(work.d, 0, rows, m), w_transposed[:0, :], delta, w_transposed)


@elementwise
def multiply(out, v) -> None:
    """out[i] *= v[i] for each element of out."""
    for i in range(out.size):
        out[i] *= v[i]


@elementwise
def transpose(out, a) -> None:
    """Copy a (m, n) to out (n, m)."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = a[j, i]


@kernel(late_bound=True)
def gather(out, X, rows, known_finite):
    """Copy rows of X one after the other to out; returns the first of them that is not finite, else -1.

    out : float array (at least rows.size * n_in,), C order, written
    X : real array (m, n_in), read
    rows : int64 array, each in [0, m), read
    known_finite : bool, whether there is nothing to find
    """
    infinity, n, faults = out.dtype.type(np.inf), X.shape[1], 0
    for i in range(rows.size):
        row = rows[i]
        for j in range(n):
            out[i * n + j] = X[row, j]
    if known_finite:
        return -1
    for i in range(rows.size * n):
        faults += not abs(out[i]) < infinity
    if faults == 0:
        return -1
    position = 0
    while abs(out[position]) < infinity:
        position += 1
    return rows[position // n]


@kernel(inline=True)
def inputs_of(work, X, rows, known_finite):
    """(bad, inputs): what `gather` returns, and the rows as a matrix, where they are if that can be.

    work : Scratch, written
    X, rows, known_finite : as for `gather`
    """
    inputs = in_place(X, rows, work.inputs)
    if known_finite and inputs.shape[0] > 0:
        return -1, inputs
    return gather(work.inputs, X, rows, known_finite), matrix(work.inputs, 0, rows.size, X.shape[1])


@kernel(late_bound=True)
def outputs_of(out, shape, work, X, theta, every_row, known_finite):
    """The last layer's outputs for all rows, block by block; returns as `gather` does.

    out : float array (m, n_out), C order, written
    shape : Shape
    work : Scratch for min(m, BLOCK_ROWS) rows, written
    X : real array (m, n_in), read
    theta : float array (n,), C order, read
    every_row : int64 array (m,), 0, 1, ..., read
    known_finite : bool, as for `gather`
    """
    for start in range(0, X.shape[0], BLOCK_ROWS):
        rows = every_row[start : start + BLOCK_ROWS]
        bad, inputs = inputs_of(work, X, rows, known_finite)
        if bad >= 0:
            return bad
        at = forward(shape, work, inputs, theta)
        for i in range(rows.size):
            for j in range(out.shape[1]):
                out[start + i, j] = work.outputs[at + i * out.shape[1] + j]
    return -1
