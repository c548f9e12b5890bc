"""Sparse matrices and pandas objects in traced functions."""

import numpy as np
import pytest
import scipy.sparse

import gradopt
from gradopt import trace

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(6, 4)) * (RNG.random((6, 4)) < 0.5)
X = RNG.normal(size=4)
FUNCTIONS = {
    "by a vector": lambda x, A: np.sum((A @ x) ** 2),
    "transposed": lambda x, A: np.sum((A.T @ (A @ x)) ** 2) + np.sum((x @ A.T) ** 2),
    "by a matrix": lambda x, A: np.sum(A.dot(np.outer(x, x)) ** 3),
    "by a matrix from the left": lambda x, A: np.sum((np.outer(x, np.ones(6)) @ A) ** 2),
    "its numbers": lambda x, A: np.sum(A.toarray() @ x) + A.nnz * x[0] + A.shape[0],
    "scaled": lambda x, A: np.sum((2.0 * A @ x) ** 2) + np.sum((A * 2.0) @ x),
}


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_matrix"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_of_sparse_matrices(name, kind):
    f, A = FUNCTIONS[name], getattr(scipy.sparse, kind)(DENSE)
    problem = trace(f, X, (A,))
    assert problem.value(1.2 * X) == pytest.approx(f(1.2 * X, A), rel=1e-12)
    assert gradopt.check_gradient(problem, 1.2 * X).passed


def test_sparse_matrices_stay_sparse():
    n = 3000
    A = scipy.sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n), format="csr")
    problem = trace(lambda x: np.sum((A @ x) ** 2), np.ones(n))
    np.testing.assert_allclose(problem.grad(np.arange(float(n))), 2.0 * A.T @ (A @ np.arange(float(n))), atol=1e-6)
    assert problem.tape.bytes < 2**20


def test_sparse_matrices_of_wrong_shapes():
    with pytest.raises(ValueError, match="dimension mismatch"):
        trace(lambda x, A: np.sum(A @ x), np.ones(5), (scipy.sparse.csr_matrix(DENSE),))


def test_series_and_frames_from_outside():
    pandas = pytest.importorskip("pandas")
    series, frame = pandas.Series([1.0, 2.0, 3.0]), pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 2.0]})

    def f(x):
        return np.sum((x[0] * series - 2.0 * frame["b"]) ** 2) + np.sum(series * x[2] + frame["a"].to_numpy() * x[1])

    assert trace(f, X).value(1.2 * X) == pytest.approx(f(1.2 * X), rel=1e-12)
