"""Cholesky's factorisation and the solutions by it, against NumPy."""

import numpy as np
import pytest

from gradopt._numerics.cholesky import factor, solve_lower, solve_upper


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_factor_and_solve(n, rng):
    A = rng.normal(size=(n + 3, n))
    matrix = A.T @ A
    lower, v = matrix.copy(), rng.normal(size=n)
    assert factor(lower)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(matrix), rtol=1e-10, atol=1e-12)
    x = v.copy()
    solve_lower(lower, x)
    solve_upper(lower, x)
    np.testing.assert_allclose(matrix @ x, v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.0]],
        [[-1.0]],
        [[np.nan]],
        [[1.0, 2.0], [2.0, 4.0]],
        [[1.0, 0.0], [0.0, 0.0]],
        [[1.0, 3.0], [3.0, 1.0]],
    ],
)
def test_not_positive_definite(matrix):
    assert not factor(np.array(matrix))
