"""The matrix product, for all shapes and layouts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradopt._compiler import COMPILING
from gradopt._numerics.matmul import product


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    dtype=st.sampled_from([np.float32, np.float64]),
    transposed=st.booleans(),
    add=st.booleans(),
)
def test_product_for_all_shapes(shape, dtype, transposed, add):
    (m, k, n), rng = shape, np.random.default_rng(0)
    a = rng.normal(size=(k, m)).astype(dtype).T if transposed else rng.normal(size=(m, k)).astype(dtype)
    b, around = rng.normal(size=(k, n)).astype(dtype), rng.normal(size=m * n + 2).astype(dtype)
    before = around.copy()
    c = around[1:-1].reshape(m, n)
    product(c, c if add else c[:0], a, b)
    expected = a @ b + (before[1:-1].reshape(m, n) if add else 0)
    np.testing.assert_allclose(c, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
    assert (around[0], around[-1]) == (before[0], before[-1])  # nothing is written beside c


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 300),
    dtype=st.sampled_from([np.float32, np.float64]),
    start=st.sampled_from(["nothing", "itself", "a repeated row"]),
)
def test_a_few_rows_have_the_bits_that_they_have_among_many(rows, columns, dtype, start):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(11, 17)).astype(dtype), rng.normal(size=(17, columns)).astype(dtype)
    c = rng.normal(size=(11, columns)).astype(dtype)
    bias = np.broadcast_to(rng.normal(size=columns).astype(dtype), c.shape)
    few = c[:rows].copy()
    for out in (c, few):
        first = {"nothing": out[:0], "itself": out, "a repeated row": bias[: len(out)]}[start]
        product(out, first, a[: len(out)], b)
    if COMPILING:
        np.testing.assert_array_equal(few, c[:rows])
    else:  # by BLAS
        np.testing.assert_allclose(few, c[:rows], rtol=1e-4, atol=1e-5)
