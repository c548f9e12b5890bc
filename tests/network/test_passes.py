"""Parts of the backward pass: the ways that are chosen by sizes give the same bits."""

import numpy as np
import pytest

from gradopt._compiler import COMPILING
from gradopt._network.passes import multiply_and_sum, product_of_columns
from gradopt._numerics.matmul import product

from marks import compiled_only


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("sizes", [(1, 1), (100, 1), (100, 3), (33, 10), (4, 100), (20, 20), (3, 3)])
def test_products_of_columns(sizes, add, dtype, rng):
    (m, n), rows = sizes, 37
    x, delta = rng.normal(size=(rows, m)).astype(dtype), rng.normal(size=(rows, n)).astype(dtype)
    out = rng.normal(size=(m, n)).astype(dtype)
    expected = out.copy()
    product(expected, expected[: add * m], x.T, delta)
    product_of_columns(out, x, delta, np.empty(m * n, dtype), add)
    if COMPILING:
        np.testing.assert_array_equal(out, expected)
    else:  # by BLAS
        np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)


@compiled_only
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("n", [1, 3, 15, 16, 100])
def test_multiplying_and_summing(n, add, dtype, rng):
    rows = 23
    delta, d = (rng.normal(size=(rows, n)).astype(dtype) for _ in range(2))
    sums, ones = rng.normal(size=(1, n)).astype(dtype), np.ones((1, rows), dtype)
    both, expected = delta * d, sums.copy()
    product(expected, expected[:add], ones, both)
    multiply_and_sum(delta, sums, d, ones, add)
    np.testing.assert_array_equal(delta, both)
    np.testing.assert_array_equal(sums, expected)
