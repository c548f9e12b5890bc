"""The forward and the backward pass of a network over a block of rows.

Layer l has weights w (n_in, n_out) and a bias b (n_out,). For each row x of the block, an output of the layer before,
it computes z = x w + b and its output a(z). With d the gradient of the loss with respect to its outputs, the gradient

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

from gradopt._compiler import VECTOR_BYTES, elementwise, kernel, matrix, repeated
from gradopt._core.aligned import aligned_zeros
from gradopt._network.activations import activate
from gradopt._network.dropout import drop
from gradopt._network.inputs import inputs_of
from gradopt._numerics.matmul import product

# Maximum number of rows computed together, so that the values between the layers stay in the cache.
BLOCK_ROWS = 256

# From this width on, a layer's delta and its sums are computed in one go.
_WIDE = 16


class Shape(NamedTuple):
    """The lowered form of a network, for kernels."""

    sizes: NDArray[np.int64]  # (layers + 1,) the widths: of the input, and of each layer's output
    activations: NDArray[np.int64]  # (layers,) numbers of activations
    biased: NDArray[np.int64]  # (layers,) 1 if the layer has a bias, else 0
    frozen: NDArray[np.int64]  # (layers,) 1 if the layer's gradient counts as 0, else 0


class Scratch(NamedTuple):
    """The arrays that the passes write, flat, for a limited number of rows. The parts of the layers follow each other.

    The shapes below are those of the parts, in C order.
    """

    inputs: NDArray[Any]  # the rows, (rows, n_in), if they must be gathered
    outputs: NDArray[Any]  # of each layer, (rows, n_out)
    slopes: NDArray[Any]  # of each layer, (rows, n_out); delta after the backward pass
    d: NDArray[Any]  # the gradient at the outputs of one layer, or at the input, (rows, n)
    transposed: NDArray[Any]  # the weights of one layer, (n_out, n_in)
    ones: NDArray[Any]  # (rows,)


def scratch(sizes: NDArray[np.int64], rows: int, dtype: Any) -> Scratch:
    """Allocate the arrays for blocks of up to `rows` rows."""
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
def forward(shape, work, inputs, theta, dropout, memory):
    """Compute the outputs and slopes of all layers; returns the position of the last layer's outputs.

    shape : Shape
    work : Scratch, written
    inputs : float array (rows, n_in), C order, read
    theta : float array (n,), C order, read
    dropout : float64 array (layers,), the probability that an output of a layer is dropped, in [0, 1); or None
    memory : float64 array (2,), see `dropout.py`, written; not used if dropout is None
    """
    at = end = parameter = 0
    x, rows = inputs, inputs.shape[0]
    if dropout is not None:
        memory[1] += 1.0
    for layer in range(shape.activations.size):
        m, n = shape.sizes[layer], shape.sizes[layer + 1]
        at, end = end, end + rows * n
        z = matrix(work.outputs, at, rows, n)
        biased = shape.biased[layer]
        bias = repeated(theta, parameter + m * n, biased * rows, n)
        product(z, bias, x, matrix(theta, parameter, m, n))
        activate(shape.activations[layer], work.outputs[at:end], work.slopes[at:end])
        if dropout is not None and dropout[layer] > 0.0:
            drop(work.outputs[at:end], work.slopes[at:end], dropout[layer], memory, layer)
        parameter += (m + biased) * n
        x = z
    return at


@kernel(late_bound=True)
def backward(shape, d_theta, work, inputs, theta, add, to_inputs) -> None:
    """Compute the gradient with respect to theta and the inputs, from the one with respect to the outputs.

    d_theta : float array (n,), C order, written
    work : Scratch as `forward` left it, with the gradient at the outputs in `d`; written
    inputs, theta : the arguments of `forward`, read
    add : 1 to add to d_theta, else 0
    to_inputs : bool, whether to leave the gradient at the inputs in `d`
    """
    at, parameter, rows = 0, theta.size, inputs.shape[0]
    for n in shape.sizes[1:]:
        at += rows * n
    lowest = 0  # the first layer whose gradient is wanted
    while shape.frozen[lowest] and lowest < shape.frozen.size - 1 and not to_inputs:
        lowest += 1
    if add == 0:
        clear_frozen(shape, d_theta)
    for layer in range(shape.activations.size - 1, lowest - 1, -1):
        m, n = shape.sizes[layer], shape.sizes[layer + 1]
        at -= rows * n
        delta = matrix(work.slopes, at, rows, n)
        parameter -= shape.biased[layer] * n
        if shape.biased[layer] and not shape.frozen[layer]:
            d_bias = matrix(d_theta, parameter, 1, n)
            multiply_and_sum(delta, d_bias, matrix(work.d, 0, rows, n), matrix(work.ones, 0, 1, rows), add)
        else:
            multiply(work.slopes[at : at + rows * n], work.d)
        parameter -= m * n
        if not shape.frozen[layer]:
            x = matrix(work.outputs, at - rows * m, rows, m) if layer > 0 else inputs
            product_of_columns(matrix(d_theta, parameter, m, n), x, delta, work.transposed, add)
        if layer > lowest or to_inputs:
            w_transposed = matrix(work.transposed, 0, n, m)
            transpose(w_transposed, matrix(theta, parameter, m, n))
            product(matrix(work.d, 0, rows, m), w_transposed[:0, :], delta, w_transposed)


@kernel(late_bound=True)
def clear_frozen(shape, d_theta) -> None:
    """Set the gradient with respect to the frozen layers to 0."""
    end = 0
    for layer in range(shape.frozen.size):
        start, end = end, end + (shape.sizes[layer] + shape.biased[layer]) * shape.sizes[layer + 1]
        for j in range(start if shape.frozen[layer] else end, end):
            d_theta[j] = 0.0


@kernel(late_bound=True)
def multiply_and_sum(delta, sums, d, ones, add) -> None:
    """Multiply delta by d, element by element, and sum over the rows.

    delta : float array (rows, n), C order, written
    sums : float array (1, n), C order, written
    d : float array (rows, n), C order, read
    ones : float array (1, rows), C order, read
    add : 1 to add to the sums, else 0
    """
    rows, n = delta.shape
    if n < _WIDE:
        multiply(delta.reshape(delta.size), d.reshape(d.size))
        product(sums, sums[:add, :], ones, delta)
        return
    if add == 0:
        for j in range(n):
            sums[0, j] = 0.0
    for i in range(rows):
        for j in range(n):
            delta[i, j] *= d[i, j]
            sums[0, j] += delta[i, j]


@kernel(late_bound=True)
def product_of_columns(out, x, delta, transposed, add) -> None:
    """Compute out = x' delta, or out += x' delta if `add`.

    out : float array (m, n), C order, written
    x : float array (rows, m), C order, read
    delta : float array (rows, n), C order, read
    transposed : float array (at least m * n,), C order, written
    add : 0 or 1

    Both ways sum over the rows in the same order. The product is made by vectors along the rows of its result: if these
    are short, the transposed result is computed.
    """
    (m, n), width = out.shape, VECTOR_BYTES // out.itemsize
    # By the numbers of vectors in both results; a transposition pays if it saves a quarter of them.
    if 4 * n * (-(-m // width)) >= 3 * m * (-(-n // width)):
        product(out, out[: add * m, :], x.T, delta)
        return
    turned = matrix(transposed, 0, n, m)
    if add:
        transpose(turned, out)
    product(turned, turned[: add * n, :], delta.T, x)
    transpose(out, turned)


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
def outputs_of(out, shape, work, X, sparse, theta, every_row, known_finite):
    """Compute the last layer's outputs for all rows, block by block; returns as `gather` does.

    out : float array (m, n_out), C order, written
    shape : Shape
    work : Scratch for min(m, BLOCK_ROWS) rows, written
    X : real array (m, n_in), read
    theta : float array (n,), C order, read
    every_row : int64 array (m,), rows of X, read
    sparse, known_finite : as for `inputs_of`
    """
    for start in range(0, every_row.size, BLOCK_ROWS):
        rows = every_row[start : start + BLOCK_ROWS]
        bad, inputs = inputs_of(work, X, sparse, rows, known_finite)
        if bad >= 0:
            return bad
        at = forward(shape, work, inputs, theta, None, work.ones)
        for i in range(rows.size):
            for j in range(out.shape[1]):
                out[start + i, j] = work.outputs[at + i * out.shape[1] + j]
    return -1
