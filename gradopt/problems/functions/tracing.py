"""Tracing: a function is called with stand-ins for its arrays, and then compared with its tape at two points."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted
from numpy.typing import ArrayLike, NDArray

from gradopt._compiler import Bounded, no_collection
from gradopt._core import validate
from gradopt._core.protocol import value_and_grad
from gradopt._tape.graph.graph import Copies
from gradopt._tape.graph.node import Node, TooLong
from gradopt._tape.names.lookups import Lookups, is_simple
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.errors import TraceError, forget, refusal, where_raised
from gradopt._tape.record.numpy_functions import FUNCTIONS
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, node_of
from gradopt._tape.tape import Tape
from gradopt.problems.functions.plain import disagreement, real, second_point
from gradopt.problems.functions.traced import Traced, is_leaf, leaf, values_of

# Maximum number of operations in a trace, which takes some seconds.
_LIMIT = 200_000
# The number that is always traced; above it, a trace may not cost more than a run by differences, which calls the
# function some times for each parameter. Seconds are those of recording one operation.
_ALWAYS, _CALLS, _SECONDS_EACH = 20_000, 100, 1e-5


# What an error says -> what to do.
_HINTS = {
    "no callable": "; use np.stack instead of np.array, it takes numbers too",
}


class Tracing(NamedTuple):
    """The result of tracing a function."""

    problem: Any  # Traced, or that of another form
    slope_at_start: bool  # whether the gradient is finite at x0 if the objective is


def trace(fun: Callable[..., Any], x0: ArrayLike, args: Any = ()) -> Traced:
    """Record the operations of a NumPy function, as a problem with an exact gradient.

    The function is called with stand-ins for its arrays, which record the operations. A machine that is already
    compiled runs them and their derivatives, so no compiler runs.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> float: plain Python that computes with NumPy, or an `@njit` function, whose Python code is
        traced. Loops are unrolled.
    x0 : array_like (n,)
        The start. It sets the length of x, and the dtype of the problem (float32 or float64).
    args : tuple
        The other arguments. `with_args` can replace the arrays in it; everything else becomes part of the tape.

    Returns
    -------
    Traced
        A problem like any other.

    Raises
    ------
    TraceError
        The function branches or loops on a value that depends on x, calls an unsupported function, does not return a
        single number, does something else at each call, or has more than 200 000 operations. The message says which
        line, and what to do.

    Notes
    -----
    These can be traced: arithmetic with broadcasting, comparisons in np.where, the elementary functions of NumPy; sums,
    products, extrema, cumsum, diff, norm; dot, @, outer, einsum, convolve; sort, median, interp; indexing, functions
    that move elements, and writing into arrays that the function made; fft and complex numbers.

    Of np.linalg and scipy.linalg: solve, inv, det, slogdet, cholesky, cho_factor and cho_solve, solve_triangular, eigh,
    eigvalsh, svd, lstsq and pinv of full rank, qr, matrix_power, multi_dot, expm, norms. A matrix that is not positive
    definite gives NaN. Of scipy.special: gamma, beta and error functions and their kin, entropies, Bessel functions,
    incomplete integrals by their limit, logsumexp and softmax. Of scipy.stats: densities and distribution functions of
    norm, t, cauchy, gamma, chi2, beta, expon, lognorm, uniform, laplace, logistic, weibull_min, poisson, binom,
    bernoulli, nbinom and multivariate_normal.

    Names mean the trace's in the function, its helpers and methods; what it assigns to globals or objects meanwhile is
    dropped.

    The tape is kept for later functions of the same code that find the same outside themselves.

    Counterparts: jax.make_jaxpr, casadi.Function.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> def rosenbrock(x):
    ...     return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    >>> problem = gradopt.trace(rosenbrock, np.zeros(5))
    >>> problem.grad([0.0, 0.0, 0.0, 0.0, 1.0])
    array([ -2.,  -2.,  -2.,  -2., 200.])
    """
    if not callable(fun):
        raise TypeError(f"fun must be a function, got {validate.shown(fun)}")
    start = validate.array("x0", x0, 1)
    args = args if isinstance(args, tuple) else (args,)
    with np.errstate(all="ignore"):
        problem: Traced = traced(fun, args, start, real(fun(start.copy(), *args))).problem
        return problem


class Form:
    """What a function computes, how it is called, and the problem that its trace makes: here an objective."""

    key: Any = "objective"  # tapes of other forms of the same function are others

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> Any:
        """The function at x: a number, or a vector."""
        return real(fun(x, *args))

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Any:
        """The traced results; fun : what the function means in the trace."""
        answer = fun(x, *args)
        if getattr(answer, "size", 0) == 1 and answer.ndim > 0:
            answer = answer.ravel()[0]
        return answer

    def checked(self, nodes: tuple[Node, ...]) -> Any:
        """The tape, or tapes, of the results."""
        (node,) = nodes
        if node.shape != ():
            raise TraceError(f"fun must return a number, got an array of shape {node.shape}")
        return Tape(node)

    def problem(self, tape: Any, *arguments: Any) -> Any:
        return Traced(tape, *arguments)

    def evaluated(self, problem: Any, x: NDArray[Any]) -> tuple[Any, bool]:
        """What `value` should be, from the tape, and whether the slopes there are finite."""
        grad = np.empty_like(x)
        value = value_and_grad(problem.lower(x.dtype), grad, problem.workspace(x.dtype), x)
        return value, bool(np.isfinite(grad).all()) or not np.isfinite(value)


_OBJECTIVE = Form()


def traced(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    x0: NDArray[Any],
    value: Any,
    *,
    calls: int = 0,
    seconds: float = math.inf,
    inside: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    form: Form = _OBJECTIVE,
) -> Tracing:
    """Trace a function with checked arguments.

    value : the function's value at x0
    calls : the number of calls of the function made to get it
    seconds : what a call takes; the trace stops where it would cost more than a run by differences
    inside : moves a point to where the function may be evaluated
    """
    name = getattr(fun, "__name__", repr(fun))
    values = map(values_of, args)
    taken = tuple(leaf(i, argument) if is_leaf(argument) else argument for i, argument in enumerate(values))
    started = time.perf_counter()
    points = [(x0, value), *_at_second_point(form, fun, args, x0, inside)]
    seconds = min(seconds, time.perf_counter() - started) if len(points) > 1 and seconds < math.inf else seconds
    worth = _CALLS * (x0.size + 1) * seconds / _SECONDS_EACH
    limit = int(min(max(worth, _ALWAYS), _LIMIT))
    calls_before = calls + len(points) - 1
    key = _key(form, fun, taken, x0)
    kept = None if key is None else _kept.get(key)
    if kept is not None:
        problem = _of_kept(form, kept, fun, taken, x0, name, calls_before)
        if problem is not None:
            found = _compared(form, problem, x0, points)
            if found.disagreement is None:
                return Tracing(problem, found.slope_at_start)
    copies = Copies()
    with no_collection():
        recorded = _traced(form, fun, x0.size, taken, copies, limit)
        try:
            tape = form.checked(recorded.results)
        except TraceError:
            raise
        except Exception as error:
            reason = f"the trace of {name} could not be differentiated: {type(error).__name__}: {error}"
            raise TraceError(reason) from error
    outside = {place: array for place, (_, array) in recorded.lookups.arrays.items()}
    frozen = frozenset(recorded.trace.frozen)
    problem = form.problem(tape, x0, taken, frozen, name, {}, calls_before, outside)
    found = _compared(form, problem, x0, points)
    if found.disagreement is not None:
        ours, wanted = found.disagreement
        again, once_more = (_traced(form, fun, x0.size, taken, copies, limit).trace.graph for _ in range(2))
        if not again.same_as(once_more):
            raise TraceError(
                f"{name} does something else at each call: random numbers or side effects. Draw random numbers"
                " beforehand and pass them in args"
            )
        raise TraceError(
            f"{name} is {wanted:.10g} but its trace gives {ours:.10g}: it treats stand-ins for arrays differently"
            " from arrays"
        )
    if key is not None and recorded.lookups.complete and not frozen.intersection(outside) and tape.bytes < _KEPT_BYTES:
        _kept[key] = Kept(tape, recorded.lookups, frozen, taken)
    return Tracing(problem, found.slope_at_start)


class Comparison(NamedTuple):
    """A trace compared with plain calls of its function."""

    slope_at_start: bool  # whether the gradient is finite at x0 if the objective is
    disagreement: tuple[float, float] | None  # a value of the trace, and that of the function


def _compared(form: Form, problem: Any, x0: NDArray[Any], points: list[tuple[NDArray[Any], Any]]) -> Comparison:
    ours, slope_at_start = [], True
    for x, _ in points:
        value, finite_slopes = form.evaluated(problem, x)
        if x is x0:
            slope_at_start = finite_slopes
        ours.append(np.atleast_1d(value))
    wanted = [np.atleast_1d(value) for _, value in points]
    return Comparison(slope_at_start, disagreement(np.concatenate(ours), np.concatenate(wanted), x0.dtype))


# Tapes that are kept.


class Kept(NamedTuple):
    """A tape for all functions of the same code that find the same things outside."""

    tape: Any  # what `Form.checked` made
    lookups: Lookups
    frozen: frozenset[Any]
    args: tuple[Any, ...]


_kept: Bounded[Kept] = Bounded(32)

# The most numbers that a kept tape may hold, in bytes.
_KEPT_BYTES = 1 << 22


def _key(form: Form, fun: Any, args: tuple[Any, ...], x0: NDArray[Any]) -> Any:
    """What functions, and calls, have in common that may use the same tape; None if that can't be said."""
    function = fun.py_func if is_jitted(fun) else fun
    if not isinstance(function, FunctionType):
        return None
    if not all([is_leaf(a) or is_simple(a) for a in args]):
        return None
    kinds = [(a.shape, a.dtype.str) if is_leaf(a) else (type(a), a) for a in args]
    return form.key, function.__code__, x0.size, tuple(kinds)


def _of_kept(
    form: Form, kept: Kept, fun: Any, args: tuple[Any, ...], x0: NDArray[Any], name: str, calls_before: int
) -> Any:
    """The problem of a kept tape with the arrays of this call; None if the tape is not that of this function."""
    outside = kept.lookups.again(fun.py_func if is_jitted(fun) else fun)
    if outside is None:
        return None
    outside = {place: array.copy() for place, array in outside.items()}
    both = enumerate(zip(kept.args, args, strict=True))
    pairs: list[tuple[Any, Any, Any]] = [(i, old, new) for i, (old, new) in both if is_leaf(old)]
    pairs += [(place, before, outside[place]) for place, (_, before) in kept.lookups.arrays.items()]
    changed = {place for place, old, new in pairs if not np.array_equal(old, new, equal_nan=old.dtype.kind == "f")}
    if changed & kept.frozen:
        return None
    arrays = {place: new for place, _, new in pairs}
    values = kept.tape.values(arrays) if changed else {}
    return form.problem(kept.tape, x0, args, kept.frozen, name, values, calls_before, outside)


def _at_second_point(
    form: Form, fun: Callable[..., Any], args: tuple[Any, ...], x0: NDArray[Any], inside: Callable[[Any], Any] | None
) -> list[tuple[NDArray[Any], Any]]:
    """The second point and the function there, if it is defined."""
    try:
        other = second_point(x0, inside)
        with np.errstate(all="ignore"):
            return [(other, form.value(fun, other.copy(), args))]
    except Exception:
        return []


class Results(tuple[Any, ...]):
    """Several traced results."""


class Recorded(NamedTuple):
    """A trace, the nodes of its results, and what the function found outside itself."""

    trace: Trace
    results: tuple[Node, ...]
    lookups: Lookups


def _traced(form: Form, fun: Callable[..., Any], n: int, args: tuple[Any, ...], copies: Copies, limit: int) -> Recorded:
    """Call the function with stand-ins."""
    function = fun.py_func if is_jitted(fun) else fun  # type: ignore[attr-defined]
    trace = Trace(n, limit, copies, FUNCTIONS)
    meanings = Meanings(trace)
    given = [
        TracedArray(trace, trace.graph.argument(i, argument)) if is_leaf(argument) else meanings.of_argument(argument)
        for i, argument in enumerate(args)
    ]
    forget()
    try:
        answers = form.recorded(meanings.of(function, ()), TracedArray(trace, trace.graph.x), given, meanings)
        answers = answers if isinstance(answers, Results) else Results((answers,))
        results = tuple([node_of(trace, answer) for answer in answers])
    except TooLong:
        remedy = "; write loops as operations on arrays"
        if limit < _LIMIT:
            remedy = f', and would cost more than a run by differences{remedy}, or take jac="trace"'
        raise TraceError(f"the trace has more than {limit} operations{remedy}") from None
    except Exception as error:
        reason = refusal()
        if reason is None and isinstance(error, NumbaError):
            where = where_raised(error)
            reason = TraceError(f"{where}: a function that Numba compiled can't be traced; remove its @njit")
        if reason is None:
            hint = next((hint for text, hint in _HINTS.items() if text in str(error)), "")
            reason = TraceError(f"{where_raised(error)}: {type(error).__name__}: {error}{hint}")
        raise reason from (None if reason is error else error)
    finally:
        meanings.forget()
    reason = refusal()
    if reason is not None:  # the function has caught the error
        raise reason
    return Recorded(trace, results, meanings.lookups)
