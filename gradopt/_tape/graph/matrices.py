"""Factorisations of matrices, and the solutions of their equations, as operations of a graph, with their derivatives.

All arrays are stacks: (count, n, n), or (count, n, k). The derivatives are those of M. Giles, An extended collection of
matrix derivative results (2008), but for QR (H.-J. Liao and others, Differentiable programming tensor networks, 2019)
and the exponential (A. Al-Mohy and N. Higham, Computing the Frechet derivative of the matrix exponential, 2009).

- `cholesky` : L, with zeros above its diagonal; NaN if the matrix is not positive definite. Reads the lower triangle.
- `triangular_solve` : of t z = y; extra: whether t is the lower triangle, transposed, with ones on its diagonal.
- `lu` : the factors of a, for the operations that follow, which receive a as well: what is derived by a is derived
  there, and the factors have no derivative.
- `lu_solve` : of a z = y, from a, its factors and y; extra: whether a is transposed.
- `determinant`, `log_determinant`, `sign_of_determinant` : from a and its factors; (count,).
- `eigh` : the eigenvalues, ascending, and below them the eigenvectors as rows: (count, n + 1, n). Reads the lower
  triangle.
- `qr` : Q (m, n), and below it R: (count, m + n, n), for m >= n.
- `expm` : the exponential.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from gradopt._numerics.lapack import factor_lu
from gradopt._tape.graph.geometry import Geometry, Shape
from gradopt._tape.graph.node import Node


class Applied(NamedTuple):
    """An operation with its result and its inputs, or with copies of them."""

    result: Node
    inputs: tuple[Node, ...]
    extra: Any


# The adjoint of an input from that of the result; the result's tangent from those of the inputs, None for 0.
Adjoint = Callable[[Node, Applied], Node]
Tangent = Callable[[Applied, list["Node | None"]], "Node | None"]


class Side(NamedTuple):
    """Which matrix of a triangular one is meant."""

    lower: bool
    transposed: bool
    unit: bool

    @property
    def other(self) -> Side:
        return self._replace(transposed=not self.transposed)

    def part(self, t: Any) -> Any:
        """The triangle of NumPy's array that is read."""
        triangle = np.tril(t) if self.lower else np.triu(t)
        if self.unit:
            n = t.shape[-1]
            triangle = triangle * (1.0 - np.eye(n)) + np.eye(n)
        return np.swapaxes(triangle, -1, -2) if self.transposed else triangle


class MatrixOperation(NamedTuple):
    """An operation on stacks of matrices.

    Attributes
    ----------
    numpy : callable
        numpy(extra, *inputs) on NumPy's arrays.
    adjoints : tuple of (callable or None)
        adjoint(d, applied) for each input; None for an input whose adjoint is 0.
    tangent : callable or None
    shape : callable
        shape(extra, *shapes) of the result; a ValueError if the shapes of the inputs don't fit.
    """

    numpy: Callable[..., NDArray[Any]]
    adjoints: tuple[Adjoint | None, ...]
    tangent: Tangent | None
    shape: Callable[..., Shape]


# Parts of stacks, as nodes.


def _turned(a: Node) -> Node:
    return a.graph.rearranged(a, lambda v: np.swapaxes(v, -1, -2))


def _times(a: Node, b: Node) -> Node:
    return a.graph.product(a, b)


def _identity(a: Node) -> Node:
    count, n, _ = a.shape
    return a.graph.constant(np.broadcast_to(np.eye(n), (count, n, n)))


def _triangle(a: Node, lower: bool, diagonal: float) -> Node:
    """One triangle of a stack, the diagonal multiplied by a number, and zeros."""
    n = a.shape[-1]
    mask = np.tril(np.ones((n, n)), -1) if lower else np.triu(np.ones((n, n)), 1)
    return a * (mask + diagonal * np.eye(n))


def _from_lower(a: Node) -> Node:
    """The symmetric matrices of which only the lower triangles are read."""
    half = _triangle(a, True, 0.5)
    return half + _turned(half)


def _into_lower(a: Node) -> Node:
    """The adjoint of `_from_lower`."""
    return _triangle(a + _turned(a), True, 0.5)


def _blocks(corner: Node, right: Node) -> Node:
    """The matrices [[corner, right], [0, corner]]."""
    count, n, _ = corner.shape
    strides = (4 * n * n, 2 * n, 1)
    places = ((0, corner), (n, right), (2 * n * n + n, corner))
    parts = [(Geometry(place, strides), node) for place, node in places]
    return corner.graph.accumulated(parts, (count, 2 * n, 2 * n))


def _upper_right(a: Node) -> Node:
    n = a.shape[-1] // 2
    return a.graph.rearranged(a, lambda v: v[:, :n, n:])


def _rows(a: Node, begin: int, end: int | None) -> Node:
    return a.graph.rearranged(a, lambda v: v[:, begin:end])


def _stacked(first: Node, second: Node) -> Node:
    """Two stacks, the matrices of the second below those of the first."""
    (count, m, n), (_, k, _) = first.shape, second.shape
    strides = ((m + k) * n, n, 1)
    parts = [(Geometry(0, strides), first), (Geometry(m * n, strides), second)]
    return first.graph.accumulated(parts, (count, m + k, n))


def _sum(*terms: Node | None) -> Node | None:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _substituted(t: Node, y: Node, side: Side) -> Node:
    return y.graph.of_matrices("triangular_solve", t, y, extra=side)


# Cholesky.


def _cholesky(extra: Any, a: NDArray[Any]) -> NDArray[Any]:
    result = np.full(a.shape, np.nan)
    for i, matrix in enumerate(a):
        with contextlib.suppress(np.linalg.LinAlgError):
            result[i] = np.linalg.cholesky(matrix)
    return result


def _of_cholesky(d: Node, applied: Applied) -> Node:
    inner = _triangle(_times(_turned(applied.result), d), True, 0.5)
    half = _substituted(applied.result, inner, Side(True, True, False))
    return _into_lower(_substituted(applied.result, _turned(half), Side(True, True, False)))


def _along_cholesky(applied: Applied, inner: list[Node | None]) -> Node:
    (moved,) = inner
    assert moved is not None
    half = _substituted(applied.result, _from_lower(moved), Side(True, False, False))
    whole = _substituted(applied.result, _turned(half), Side(True, False, False))
    return _times(applied.result, _triangle(whole, True, 0.5))


# Triangular matrices.


def _solve_triangular(side: Side, t: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return _solved(side.part(t), y)


def _solved(a: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    result = np.full(y.shape, np.nan)
    for i in range(len(a)):
        with contextlib.suppress(np.linalg.LinAlgError):
            result[i] = np.linalg.solve(a[i], y[i])
    return result


def _of_triangle(d: Node, applied: Applied) -> Node:
    side: Side = applied.extra
    moved = _of_right_side(d, applied)
    outer = _times(applied.result, _turned(moved)) if side.transposed else _times(moved, _turned(applied.result))
    return -_triangle(outer, side.lower, 0.0 if side.unit else 1.0)


def _of_right_side(d: Node, applied: Applied) -> Node:
    return _substituted(applied.inputs[0], d, applied.extra.other)


def _along_triangular_solve(applied: Applied, inner: list[Node | None]) -> Node | None:
    side: Side = applied.extra
    moved_t, moved_y = inner
    through_t = None
    if moved_t is not None:
        triangle = _triangle(moved_t, side.lower, 0.0 if side.unit else 1.0)
        through_t = -_times(_turned(triangle) if side.transposed else triangle, applied.result)
    right = _sum(moved_y, through_t)
    return None if right is None else _substituted(applied.inputs[0], right, side)


# LU.


def _lu(extra: Any, a: NDArray[Any]) -> NDArray[Any]:
    count, n, _ = a.shape
    result = np.empty((count, n * n + n))
    for i, matrix in enumerate(a):
        factors, pivots = np.array(matrix, float), np.empty(n, np.int32)
        factor_lu(factors, pivots)
        result[i, : n * n], result[i, n * n :] = factors.reshape(-1), pivots
    return result


def _lu_solve(transposed: bool, a: NDArray[Any], factors: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return _solved(np.swapaxes(a, -1, -2) if transposed else a, y)


def _lu_solved(applied: Applied, y: Node, transposed: bool) -> Node:
    return y.graph.of_matrices("lu_solve", *applied.inputs[:2], y, extra=transposed)


def _of_solved_matrix(d: Node, applied: Applied) -> Node:
    moved = _lu_solved(applied, d, not applied.extra)
    return -(_times(applied.result, _turned(moved)) if applied.extra else _times(moved, _turned(applied.result)))


def _along_lu_solve(applied: Applied, inner: list[Node | None]) -> Node | None:
    moved_a, _, moved_y = inner
    through_a = None if moved_a is None else -_times(_turned(moved_a) if applied.extra else moved_a, applied.result)
    right = _sum(moved_y, through_a)
    return None if right is None else _lu_solved(applied, right, applied.extra)


def _inverse_transposed(applied: Applied) -> Node:
    return _lu_solved(applied, _identity(applied.inputs[0]), True)


def _over_matrix(d: Node) -> Node:
    return d.graph.reshaped(d, (*d.shape, 1, 1))


def _total(a: Node) -> Node:
    """The sum of the elements of each matrix."""
    return a.graph.accumulated([(Geometry(0, (1, 0, 0)), a)], a.shape[:1])


def _of_determinant(d: Node, applied: Applied) -> Node:
    return _over_matrix(d * applied.result) * _inverse_transposed(applied)


def _along_determinant(applied: Applied, inner: list[Node | None]) -> Node | None:
    logarithm = _along_log_determinant(applied, inner)
    return None if logarithm is None else applied.result * logarithm


def _of_log_determinant(d: Node, applied: Applied) -> Node:
    return _over_matrix(d) * _inverse_transposed(applied)


def _along_log_determinant(applied: Applied, inner: list[Node | None]) -> Node | None:
    return None if inner[0] is None else _total(_inverse_transposed(applied) * inner[0])


# Eigenvalues of symmetric matrices.


def _eigh(extra: Any, a: NDArray[Any]) -> NDArray[Any]:
    count, n, _ = a.shape
    result = np.full((count, n + 1, n), np.nan)
    for i, matrix in enumerate(a):
        if np.isfinite(matrix).all():
            values, vectors = np.linalg.eigh(matrix)
            result[i, 0], result[i, 1:] = values, vectors.T
    return result


def _over_gaps(values: Node, a: Node) -> Node:
    """a_ij / (w_j - w_i); 0 where a_ij and a_ji are 0, and else NaN where the eigenvalues are equal to rounding.

    There the eigenvectors have no derivative. What is made of them may have one, but it does not follow from theirs.
    """
    graph = values.graph
    right = graph.rearranged(values, lambda v: v.reshape(len(v), 1, -1))
    left = graph.rearranged(values, lambda v: v.reshape(len(v), -1, 1))
    gap, size = right - left, graph("maximum", graph("absolute", left), graph("absolute", right))
    equal = graph("less_equal", graph("absolute", gap), 1e-9 * size)
    unused = graph("equal", graph("absolute", a) + graph("absolute", _turned(a)), 0.0)
    over = a / graph("where", equal, 1.0, gap)
    return graph("where", unused, 0.0, graph("where", equal, graph("where", _identity(over), 0.0, np.nan), over))


def _of_eigh(d: Node, applied: Applied) -> Node:
    values, vectors, n = _rows(applied.result, 0, 1), _rows(applied.result, 1, None), applied.result.shape[-1]
    through_values = _rows(d, 0, 1) * np.eye(n)
    inner = through_values + _over_gaps(values, _times(vectors, _turned(_rows(d, 1, None))))
    return _into_lower(_times(_times(_turned(vectors), inner), vectors))


def _along_eigh(applied: Applied, inner: list[Node | None]) -> Node:
    (moved,) = inner
    assert moved is not None
    values, vectors, count, n = (
        _rows(applied.result, 0, 1),
        _rows(applied.result, 1, None),
        applied.result.shape[0],
        applied.result.shape[-1],
    )
    within = _times(_times(vectors, _from_lower(moved)), _turned(vectors))
    diagonal = applied.result.graph.rearranged(within, lambda v: np.diagonal(v, axis1=1, axis2=2).reshape(count, 1, n))
    return _stacked(diagonal, _times(_turned(_over_gaps(values, within)), vectors))


# QR.


def _qr(extra: Any, a: NDArray[Any]) -> NDArray[Any]:
    count, m, n = a.shape
    result = np.full((count, m + n, n), np.nan)
    for i, matrix in enumerate(a):
        if np.isfinite(matrix).all():
            result[i, :m], result[i, m:] = np.linalg.qr(matrix)
    return result


def _over_r(a: Node, r: Node) -> Node:
    """A R^-1."""
    return _turned(_substituted(r, _turned(a), Side(False, True, False)))


def _of_qr(d: Node, applied: Applied) -> Node:
    m = applied.result.shape[1] - applied.result.shape[2]
    q, r, of_q, of_r = _rows(applied.result, 0, m), _rows(applied.result, m, None), _rows(d, 0, m), _rows(d, m, None)
    of_r = _triangle(of_r, False, 1.0)
    inner = _times(r, _turned(of_r)) - _times(_turned(of_q), q)
    half = _triangle(inner, True, 0.5)
    whole = of_q + _times(q, half + _turned(half))
    return _turned(_substituted(r, _turned(whole), Side(False, False, False)))


def _along_qr(applied: Applied, inner: list[Node | None]) -> Node:
    (moved,) = inner
    assert moved is not None
    m = applied.result.shape[1] - applied.result.shape[2]
    q, r = _rows(applied.result, 0, m), _rows(applied.result, m, None)
    over_r = _over_r(moved, r)
    within = _times(_turned(q), over_r)
    below = _triangle(within, True, 0.0)
    upper = within - (below - _turned(below))
    return _stacked(over_r - _times(q, upper), _times(upper, r))


# The exponential.


def _expm(extra: Any, a: NDArray[Any]) -> NDArray[Any]:
    finite = np.isfinite(a).all(axis=(1, 2))
    result = np.full(a.shape, np.nan)
    result[finite] = scipy.linalg.expm(a[finite])
    return result


def _of_expm(d: Node, applied: Applied) -> Node:
    return _upper_right(d.graph.of_matrices("expm", _blocks(_turned(applied.inputs[0]), d)))


def _along_expm(applied: Applied, inner: list[Node | None]) -> Node:
    (moved,) = inner
    assert moved is not None
    return _upper_right(moved.graph.of_matrices("expm", _blocks(applied.inputs[0], moved)))


# Shapes.


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} of matrices whose shapes don't fit")


def _square(extra: Any, a: Shape) -> Shape:
    _require(len(a) == 3 and a[1] == a[2], "an operation")
    return a


def _factors(extra: Any, a: Shape) -> Shape:
    _square(extra, a)
    return a[0], a[1] * a[1] + a[1]


def _right_side(extra: Any, a: Shape, y: Shape) -> Shape:
    _require(_square(extra, a)[:2] == y[:2] and len(y) == 3, "the solution")
    return y


def _right_side_by_factors(extra: Any, a: Shape, factors: Shape, y: Shape) -> Shape:
    _require(_factors(extra, a) == factors, "the solution")
    return _right_side(extra, a, y)


def _numbers(extra: Any, a: Shape, factors: Shape) -> Shape:
    _require(_factors(extra, a) == factors, "a determinant")
    return a[:1]


def _with_values(extra: Any, a: Shape) -> Shape:
    count, n, _ = _square(extra, a)
    return count, n + 1, n


def _with_r(extra: Any, a: Shape) -> Shape:
    _require(len(a) == 3 and a[1] >= a[2], "QR")
    return a[0], a[1] + a[2], a[2]


MATRICES = {
    "cholesky": MatrixOperation(_cholesky, (_of_cholesky,), _along_cholesky, _square),
    "triangular_solve": MatrixOperation(
        _solve_triangular, (_of_triangle, _of_right_side), _along_triangular_solve, _right_side
    ),
    "lu": MatrixOperation(_lu, (None,), None, _factors),
    "lu_solve": MatrixOperation(
        _lu_solve,
        (_of_solved_matrix, None, lambda d, applied: _lu_solved(applied, d, not applied.extra)),
        _along_lu_solve,
        _right_side_by_factors,
    ),
    "determinant": MatrixOperation(
        lambda extra, a, factors: np.linalg.det(a), (_of_determinant, None), _along_determinant, _numbers
    ),
    "log_determinant": MatrixOperation(
        lambda extra, a, factors: np.linalg.slogdet(a)[1], (_of_log_determinant, None), _along_log_determinant, _numbers
    ),
    "sign_of_determinant": MatrixOperation(
        lambda extra, a, factors: np.linalg.slogdet(a)[0], (None, None), None, _numbers
    ),
    "eigh": MatrixOperation(_eigh, (_of_eigh,), _along_eigh, _with_values),
    "qr": MatrixOperation(_qr, (_of_qr,), _along_qr, _with_r),
    "expm": MatrixOperation(_expm, (_of_expm,), _along_expm, _square),
}
