"""The functions of np.linalg and scipy.linalg: solutions of equations, determinants, factorisations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.matrices import Side
from gradopt._tape.graph.node import Node
from gradopt._tape.record.errors import may_be_caught, refused
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of, depends_on_x

# Options of scipy's functions that change no number.
_WITHOUT_EFFECT = (
    "overwrite_a",
    "overwrite_b",
    "overwrite_c",
    "check_finite",
    "driver",
    "turbo",
    "lapack_driver",
)


def _function(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of traced arrays; options that change no number are dropped, unknown ones refused."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(implementation)
        def function(trace: Trace, *arguments: Any, **options: Any) -> Any:
            options = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}
            known = implementation.__kwdefaults__ or {}
            names = implementation.__code__.co_varnames[: implementation.__code__.co_argcount]
            for name in options:
                if name not in known and name not in names:
                    raise NotSupported(f"with {name}")
            return implementation(trace, *arguments, **options)

        FUNCTIONS.update(dict.fromkeys(functions, function))
        return implementation

    return register


# Matrices and their stacks.


def _matrix(trace: Trace, a: Any, *, square: bool = True) -> TracedArray:
    array = array_of(trace, a)
    if array.ndim < 2:
        raise np.linalg.LinAlgError(f"{array.ndim}-dimensional array given. Array must be at least two-dimensional")
    if square and array.shape[-1] != array.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return TracedArray(trace, trace.graph.widened(array.node))


def _stack(array: TracedArray) -> Node:
    """The matrices as a stack (count, m, n)."""
    return _reshaped(array.node, (-1, *array.shape[-2:]))


def _reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    return node.graph.rearranged(node, lambda v: v.reshape(shape))


def _shaped(trace: Trace, stack: Node, shape: tuple[int, ...]) -> Any:
    return TracedArray(trace, _reshaped(stack, shape))


def _turned(array: Any) -> Any:
    return np.swapaxes(array, -1, -2)


def _broadcast(a: TracedArray, y: TracedArray) -> tuple[tuple[int, ...], Node, Node]:
    """The common leading shape of two arrays of matrices, and both as stacks of it."""
    shape = np.broadcast_shapes(a.shape[:-2], y.shape[:-2])
    whole: list[Any] = [np.broadcast_to(one, (*shape, *one.shape[-2:])) for one in (a, y)]
    return shape, _stack(whole[0]), _stack(whole[1])


def _require(trace: Trace, ok: Node, message: str) -> None:
    """Where numbers are not defined, they are NaN; but a function that catches NumPy's error goes its own way there."""
    if trace.choices is not None and ok.value is None and may_be_caught() and not trace.choices.of(ok):
        raise np.linalg.LinAlgError(message)


def _require_regular(trace: Trace, stack: Node, factors: Node) -> None:
    if trace.choices is not None and may_be_caught():
        sign = trace.graph.of_matrices("sign_of_determinant", stack, factors)
        _require(trace, _all_not_zero(trace, sign), "Singular matrix")


def _all_not_zero(trace: Trace, node: Node) -> Node:
    size = trace.graph("absolute", node)
    smallest = trace.graph.accumulated([(Geometry(0, (0,) * len(node.shape)), size)], (), "minimum")
    return trace.graph("not_equal", smallest, 0.0)


# Solutions of equations.


def _solve_stacks(trace: Trace, a: TracedArray, y: TracedArray) -> Any:
    """The solutions of a z = y, (..., n, n) and (..., n, k)."""
    graph, n = trace.graph, a.shape[-1]
    if y.shape[-2] != n:
        raise ValueError(f"matrices of shapes {a.shape} and {y.shape} don't fit in an equation")
    shape, left, right = _broadcast(a, y)
    if n == 1:
        return y / a
    triangle = _known_triangle(left)
    if triangle is not None:
        factor, side = triangle
        solved = graph.of_matrices("triangular_solve", factor, right, extra=side)
    else:
        factors = graph.of_matrices("lu", left)
        _require_regular(trace, left, factors)
        solved = graph.of_matrices("lu_solve", left, factors, right, extra=False)
    return _shaped(trace, solved, (*shape, *y.shape[-2:]))


def _known_triangle(stack: Node) -> tuple[Node, Side] | None:
    """The Cholesky factor that a stack is, or of which it is the transpose."""
    if stack.operation != "view":
        return (stack, Side(True, False, False)) if stack.operation == "cholesky" else None
    base, geometry, n = stack.inputs[0], stack.extra, stack.shape[-1]
    if base.operation != "cholesky" or base.shape != stack.shape or geometry.strides is None or geometry.offset:
        return None
    if geometry.strides[-2:] == (1, n) and (stack.shape[0] == 1 or geometry.strides[0] == n * n):
        return base, Side(True, True, False)
    return None


@_function(np.linalg.solve)
def _solve(trace: Trace, a: Any, b: Any) -> Any:
    matrix, right = _matrix(trace, a), array_of(trace, b)
    vector = right.ndim == 1
    result = _solve_stacks(trace, matrix, right[:, None] if vector else right)
    return result[..., 0] if vector else result


@_function(scipy.linalg.solve)
def _scipy_solve(
    trace: Trace, a: Any, b: Any, lower: bool = False, *, assume_a: Any = None, transposed: bool = False
) -> Any:
    matrix = _matrix(trace, a)
    if assume_a in ("pos", "positive definite", "sym", "symmetric", "her", "hermitian"):
        matrix = _from_triangle(matrix, lower)
    elif assume_a in ("upper triangular", "lower triangular"):
        return _solve_triangular(trace, matrix, b, transposed, lower=assume_a.startswith("lower"))
    elif assume_a not in (None, "gen", "general"):
        raise NotSupported(f"with assume_a={assume_a!r}")
    return _solve(trace, _turned(matrix) if transposed else matrix, b)


def _from_triangle(a: Any, lower: bool) -> Any:
    """The symmetric matrix of which only one triangle is read."""
    half = np.tril(a) if lower else np.triu(a)
    other = np.tril(a, -1) if lower else np.triu(a, 1)
    return half + _turned(other)


@_function(scipy.linalg.solve_triangular)
def _solve_triangular(
    trace: Trace, a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False
) -> Any:
    matrix, right = _matrix(trace, a), array_of(trace, b)
    vector = right.ndim == 1
    columns = right[:, None] if vector else right
    if columns.shape[-2] != matrix.shape[-1]:
        raise ValueError(f"shapes of a {matrix.shape} and b {right.shape} are incompatible")
    shape, left, stacked = _broadcast(matrix, columns)
    if trace.choices is not None and may_be_caught() and not unit_diagonal:
        diagonal = trace.graph.rearranged(left, lambda v: np.diagonal(v, axis1=1, axis2=2))
        _require(trace, _all_not_zero(trace, diagonal), "singular matrix")
    side = Side(bool(lower), trans in (1, 2, "T", "C", True), bool(unit_diagonal))
    result = _shaped(
        trace, trace.graph.of_matrices("triangular_solve", left, stacked, extra=side), (*shape, *columns.shape[-2:])
    )
    return result[..., 0] if vector else result


@_function(np.linalg.inv, scipy.linalg.inv)
def _inv(trace: Trace, a: Any) -> Any:
    matrix = _matrix(trace, a)
    n = matrix.shape[-1]
    if n == 1:
        return 1.0 / matrix
    if n == 2 and not (trace.choices is not None and may_be_caught()):
        (p, q), (r, s) = (_elements(matrix, i, (0, 1)) for i in (0, 1))
        whole = np.stack([np.stack([s, -q], -1), np.stack([-r, p], -1)], -2)
        return whole / (p * s - q * r)[..., None, None]
    return _solve_stacks(trace, matrix, array_of(trace, np.eye(n)))


def _elements(matrix: Any, i: int, columns: tuple[int, ...]) -> list[Any]:
    return [matrix[..., i, j] for j in columns]


@_function(np.linalg.tensorsolve, np.linalg.tensorinv)
def _tensor_equations(trace: Trace, *arguments: Any) -> Any:
    raise NotSupported("of tensors")


@_function(np.linalg.pinv, scipy.linalg.pinv)
def _pinv(trace: Trace, a: Any) -> Any:
    matrix = _matrix(trace, a, square=False)
    if matrix.shape[-2] < matrix.shape[-1]:
        return _turned(_pinv(trace, _turned(matrix)))
    q, r = _qr_parts(trace, matrix)
    return _solve_triangular(trace, r, _turned(q))


@_function(scipy.linalg.lstsq)
def _scipy_lstsq(trace: Trace, a: Any, b: Any, cond: Any = None) -> Any:
    x, rest, rank, values = _lstsq(trace, a, b, cond)
    return x, rest[0] if x.ndim == 1 and rest.size else rest, rank, values


@_function(np.linalg.lstsq)
def _lstsq(trace: Trace, a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution of full rank: (x, sums of squares of the residuals, rank, singular values)."""
    matrix, right = _matrix(trace, a, square=False), array_of(trace, b)
    if matrix.ndim > 2:
        raise NotSupported("of more than one matrix")
    (m, n), vector = matrix.shape, right.ndim == 1
    columns = right[:, None] if vector else right
    if m >= n:
        q, r = _qr_parts(trace, matrix)
        x = _solve_triangular(trace, r, q.T @ columns)
    else:
        q, r = _qr_parts(trace, matrix.T)
        x = q @ _solve_triangular(trace, r, columns, 1)
    rest = np.sum((matrix @ x - columns) ** 2, axis=0) if m > n else np.zeros(0)
    return x[:, 0] if vector else x, rest, min(m, n), _svdvals(trace, matrix)


# Determinants.


@_function(np.linalg.det, scipy.linalg.det)
def _det(trace: Trace, a: Any) -> Any:
    matrix = _matrix(trace, a)
    n = matrix.shape[-1]
    if n > 3:
        return _number_of(trace, "determinant", matrix)
    rows = [_elements(matrix, i, tuple(range(n))) for i in range(n)]
    if n == 1:
        return rows[0][0]
    if n == 2:
        return rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    p, q, r = rows
    minors = [q[1] * r[2] - q[2] * r[1], q[2] * r[0] - q[0] * r[2], q[0] * r[1] - q[1] * r[0]]
    return p[0] * minors[0] + p[1] * minors[1] + p[2] * minors[2]


def _number_of(trace: Trace, operation: str, matrix: TracedArray) -> Any:
    stack = _stack(matrix)
    factors = trace.graph.of_matrices("lu", stack)
    return _shaped(trace, trace.graph.of_matrices(operation, stack, factors), matrix.shape[:-2])


class _SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


@_function(np.linalg.slogdet)
def _slogdet(trace: Trace, a: Any) -> Any:
    matrix = _matrix(trace, a)
    if matrix.shape[-1] <= 3:
        determinant = _det(trace, matrix)
        return _SlogdetResult(np.sign(determinant), np.log(np.abs(determinant)))
    names = ("sign_of_determinant", "log_determinant")
    return _SlogdetResult(*[_number_of(trace, name, matrix) for name in names])


# Factorisations.


@_function(np.linalg.cholesky)
def _cholesky(trace: Trace, a: Any, /, *, upper: bool = False) -> Any:
    matrix = _matrix(trace, a)
    matrix = _turned(matrix) if upper else matrix
    stack = trace.graph.of_matrices("cholesky", _stack(matrix))
    found, given = (trace.graph.total(node) for node in (stack, stack.inputs[0] if stack.inputs else stack))
    lost = trace.graph("not_equal", given, given)  # NumPy's factor of NaN is NaN
    _require(
        trace, trace.graph("logical_or", trace.graph("equal", found, found), lost), "Matrix is not positive definite"
    )
    factor = _shaped(trace, stack, matrix.shape)
    return _turned(factor) if upper else factor


@_function(scipy.linalg.cholesky)
def _scipy_cholesky(trace: Trace, a: Any, lower: bool = False) -> Any:
    return _cholesky(trace, a, upper=not lower)


@_function(scipy.linalg.cho_factor)
def _cho_factor(trace: Trace, a: Any, lower: bool = False) -> Any:
    return _scipy_cholesky(trace, a, lower), lower


@_function(scipy.linalg.cho_solve)
def _cho_solve(trace: Trace, c_and_lower: Any, b: Any) -> Any:
    factor, lower = c_and_lower
    half = _solve_triangular(trace, factor, b, 0 if lower else 1, lower)
    return _solve_triangular(trace, factor, half, 1 if lower else 0, lower)


class _EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


@_function(np.linalg.eigh)
def _eigh(trace: Trace, a: Any, UPLO: str = "L") -> Any:
    matrix = _matrix(trace, a)
    n = matrix.shape[-1]
    both = trace.graph.of_matrices("eigh", _stack(_turned(matrix) if UPLO.upper() == "U" else matrix))
    whole = _shaped(trace, both, (*matrix.shape[:-2], n + 1, n))
    return _EighResult(whole[..., 0, :], _turned(whole[..., 1:, :]))


@_function(np.linalg.eigvalsh)
def _eigvalsh(trace: Trace, a: Any, UPLO: str = "L") -> Any:
    return _eigh(trace, a, UPLO)[0]


@_function(scipy.linalg.eigh)
def _scipy_eigh(trace: Trace, a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False) -> Any:
    """Eigenvalues and vectors, of a v = w b v too: those of L^-1 a L^-T for b = L L'."""
    matrix = a if lower else _turned(_matrix(trace, a))
    factor = None
    if b is not None:
        factor = _scipy_cholesky(trace, b if lower else _turned(_matrix(trace, b)), True)
        half = _solve_triangular(trace, factor, _from_triangle(_matrix(trace, matrix), True), 0, True)
        matrix = _solve_triangular(trace, factor, _turned(half), 0, True)
    values, vectors = _eigh(trace, matrix)
    if eigvals_only:
        return values
    return values, vectors if factor is None else _solve_triangular(trace, factor, vectors, 1, True)


@_function(scipy.linalg.eigvalsh)
def _scipy_eigvalsh(trace: Trace, a: Any, b: Any = None, *, lower: bool = True) -> Any:
    return _scipy_eigh(trace, a, b, lower=lower, eigvals_only=True)


class _SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


def _svd_parts(trace: Trace, matrix: TracedArray) -> Any:
    """The thin singular value decomposition, from the eigenvalues of [[0, a], [a', 0]]: s and -s."""
    (*shape, m, n), k = matrix.shape, min(matrix.shape[-2:])
    upper = np.concatenate([np.zeros((*shape, m, m)), matrix], axis=-1)
    lower = np.concatenate([_turned(matrix), np.zeros((*shape, n, n))], axis=-1)
    values, vectors = _eigh(trace, np.concatenate([upper, lower], axis=-2))
    largest, root = slice(m + n - 1, m + n - 1 - k, -1), math.sqrt(2.0)
    right = vectors[..., largest] * root
    return right[..., :m, :], values[..., largest], _turned(right[..., m:, :])


@_function(np.linalg.svd, scipy.linalg.svd)
def _svd(trace: Trace, a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    matrix = _matrix(trace, a, square=False)
    parts = _svd_parts(trace, matrix)
    if not compute_uv:
        return parts[1]
    if full_matrices and matrix.shape[-2] != matrix.shape[-1]:
        raise NotSupported("with full_matrices=True")
    return _SVDResult(*parts)


@_function(scipy.linalg.svdvals, np.linalg.svdvals if hasattr(np.linalg, "svdvals") else scipy.linalg.svdvals)
def _svdvals(trace: Trace, a: Any) -> Any:
    return _svd(trace, a, compute_uv=False)


def _qr_parts(trace: Trace, matrix: Any) -> tuple[Any, Any]:
    """Q and R of matrices with no more columns than rows."""
    *shape, m, n = matrix.shape
    both = _shaped(trace, trace.graph.of_matrices("qr", _stack(matrix)), (*shape, m + n, n))
    return both[..., :m, :], both[..., m:, :]


class _QRResult(NamedTuple):
    Q: Any
    R: Any


@_function(scipy.linalg.qr)
def _scipy_qr(trace: Trace, a: Any, *, mode: str = "full") -> Any:
    matrix = _matrix(trace, a, square=False)
    if mode == "r" or (mode == "full" and matrix.shape[-2] != matrix.shape[-1]):
        raise NotSupported(f"with mode={mode!r}")
    q, r = _qr(trace, matrix)
    return q, r


@_function(np.linalg.qr)
def _qr(trace: Trace, a: Any, mode: str = "reduced") -> Any:
    matrix = _matrix(trace, a, square=False)
    if mode not in ("reduced", "r") or matrix.shape[-2] < matrix.shape[-1]:
        raise NotSupported(f"with mode={mode!r} of a matrix of shape {matrix.shape}")
    q, r = _qr_parts(trace, matrix)
    return r if mode == "r" else _QRResult(q, r)


# Functions of matrices.


@_function(scipy.linalg.expm)
def _expm(trace: Trace, A: Any) -> Any:
    matrix = _matrix(trace, A)
    return _shaped(trace, trace.graph.of_matrices("expm", _stack(matrix)), matrix.shape)


@_function(np.linalg.matrix_power)
def _matrix_power(trace: Trace, a: Any, n: Any) -> Any:
    if depends_on_x(n):
        raise refused("a matrix power that depends on x", "make it a constant, or take another jac")
    matrix, left = _matrix(trace, a), int(n)
    if left == 0:
        return np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape) + np.zeros_like(matrix)
    base = _inv(trace, matrix) if left < 0 else matrix
    left, result = abs(left), None
    while left:
        if left & 1:
            result = base if result is None else result @ base
        left >>= 1
        base = base @ base if left else base
    return result


@_function(np.linalg.multi_dot)
def _multi_dot(trace: Trace, arrays: Any) -> Any:
    return functools.reduce(np.dot, [array_of(trace, a) for a in arrays])


@_function(np.linalg.cond)
def _cond(trace: Trace, x: Any, p: Any = None) -> Any:
    if p not in (None, 2):
        return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(_inv(trace, x), p, axis=(-2, -1))
    values = _svdvals(trace, x)
    return values[..., 0] / values[..., -1]


FUNCTIONS[scipy.linalg.norm] = lambda trace, a, ord=None, axis=None, keepdims=False, check_finite=True: np.linalg.norm(
    array_of(trace, a), ord, axis, keepdims
)
