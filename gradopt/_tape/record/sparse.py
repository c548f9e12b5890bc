"""Sparse matrices in products with traced arrays: only their elements are multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._tape.graph.geometry import Geometry, Positions
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix or array of scipy; scipy.sparse is not imported for it."""
    return type(value).__module__.startswith("scipy.sparse") and hasattr(value, "tocoo")


class TracedSparse:
    """A sparse matrix of scipy, whose products may be traced; everything else it does itself.

    Parameters
    ----------
    trace : Trace
    matrix : sparse matrix or array (m, n)
        As it is now; its owner may change it.
    """

    __array_ufunc__ = None  # numpy arrays leave products to this class

    def __init__(self, trace: Trace, matrix: Any) -> None:
        self._trace, self._matrix = trace, matrix.copy()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._matrix, name)

    def __repr__(self) -> str:
        return f"<traced sparse matrix of shape {self._matrix.shape}>"

    @property
    def T(self) -> TracedSparse:
        return TracedSparse(self._trace, self._matrix.T)

    def transpose(self) -> TracedSparse:
        return self.T

    def __matmul__(self, other: Any) -> Any:
        """The product with a vector (n,) or a matrix (n, k): A[i, j] times row j is added to row i."""
        if isinstance(other, TracedSparse):
            return TracedSparse(self._trace, self._matrix @ other._matrix)
        if not isinstance(other, TracedArray):
            return self._matrix @ other
        rows, columns = self._matrix.shape
        if other.ndim not in (1, 2) or other.shape[0] != columns:
            raise ValueError(f"matrices of shapes {self._matrix.shape} and {other.shape} have no product")
        elements, width = self._matrix.tocoo(), other.shape[1:]
        shape = (rows, *width)
        if not elements.nnz or not other.size:
            return np.zeros(shape)
        terms = other[elements.col] * elements.data.reshape(-1, *[1 for _ in width])
        places = np.arange(rows * int(np.prod(width))).reshape(shape)[elements.row]
        graph = self._trace.graph
        return TracedArray(self._trace, graph.accumulated([(Geometry(0, None, Positions(places)), terms.node)], shape))

    dot = __matmul__

    def __rmatmul__(self, other: Any) -> Any:
        """The product of a vector (m,) or a matrix (k, m) with this one."""
        if not isinstance(other, TracedArray):
            return other @ self._matrix
        return (self.T @ other.T).T

    def __mul__(self, other: Any) -> Any:
        if np.ndim(other) and type(self._matrix).__name__.endswith("_matrix"):  # there, * is the product of matrices
            return self @ array_of(self._trace, other)
        if not isinstance(other, TracedArray):
            return TracedSparse(self._trace, self._matrix * other)
        return array_of(self._trace, self._matrix.toarray()) * other

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, TracedArray):
            return array_of(self._trace, self._matrix.toarray()) * other
        return TracedSparse(self._trace, other * self._matrix)

    def toarray(self) -> Any:
        return array_of(self._trace, self._matrix.toarray())
