"""The matrix product, for all shapes and layouts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
