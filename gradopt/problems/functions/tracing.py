"""How a function becomes a traced problem: called with stand-ins for its arrays, twice, and compared with its tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted
from numpy.typing import ArrayLike, NDArray

from gradopt._core import validate
from gradopt._core.protocol import value_and_grad
from gradopt._tape.graph.graph import Copies
from gradopt._tape.graph.node import Node, TooLong
from gradopt._tape.record.errors import TraceError, forget, refusal, where_raised
from gradopt._tape.record.numpy_functions import FUNCTIONS
from gradopt._tape.record.traced_array import Trace, TracedArray, node_of
from gradopt._tape.tape import Tape
from gradopt.problems.functions.traced import Traced, is_leaf, leaf

# Operations of a trace at the most: some seconds of it.
_LIMIT = 200_000

# How far the tape may be from the function, relative, before it is taken for another function.
_TOLERANCE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-2}


class Tracing(NamedTuple):
    """What came of tracing a function."""

    problem: Traced
    slope_at_start: bool  # whether the gradient is finite at x0 if the objective is


def trace(fun: Callable[..., Any], x0: ArrayLike, args: Any = ()) -> Traced:
    """Write down what a function of NumPy arrays does, as a problem with an exact gradient.

    The function is called with stand-ins for its arrays, which note the operations. These are run, with their
    derivatives, by a machine that was compiled before: no compiler runs.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> float: plain Python that computes with NumPy, or an `@njit` function, of which the Python code
        is traced. Loops are unrolled.
    x0 : array_like (n,)
        The start. Its length is that of x from then on, and its dtype, float32 or float64, that of the problem.
    args : tuple
        Further arguments. `with_args` can replace the arrays in it; all else becomes part of the tape.

    Returns
    -------
    Traced
        A problem as any other.

    Raises
    ------
    TraceError
        The function does something with what depends on x that is no array operation: a branch, float(x), math.sin(x),
        assignment into an array; or it calls a function that is not known here, returns no single number, gives
        something else at each call, or has more than 200 000 operations. The message says which line, and what to do.

    Notes
    -----
    What can be traced: arithmetic with broadcasting, comparisons in np.where, the elementary functions of NumPy, expit
    and erf of scipy.special; sum, mean, prod, max, min, var, std, cumsum, diff, norm; dot, @, outer, einsum, tensordot;
    indexing by all that does not depend on x, and what moves elements, such as reshape, concatenate, stack.

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
        return traced(fun, args, start, _plain_value(fun, start, args)).problem


def traced(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    x0: NDArray[Any],
    value: float,
    *,
    calls: int = 0,
    inside: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> Tracing:
    """The same for checked arguments.

    value : of the function at x0
    calls : of the function that were made to know that
    inside : moves a point to where the function may be evaluated
    """
    name = getattr(fun, "__name__", repr(fun))
    taken = tuple(leaf(i, argument) if is_leaf(argument) else argument for i, argument in enumerate(args))
    copies = Copies()
    first, result = _traced(fun, x0.size, taken, copies)
    second, _ = _traced(fun, x0.size, taken, copies)
    if not first.graph.same_as(second.graph):
        raise TraceError(
            f"{name} does not do the same at each call: random numbers, or side effects. Draw them before, and pass"
            " them in args"
        )
    second.graph.dissolve()
    try:
        tape = Tape(result)
    except Exception as error:
        raise TraceError(
            f"no gradient could be made of the trace of {name}: {type(error).__name__}: {error}"
        ) from error
    points = [(x0, value), *_second_point(fun, args, x0, inside)]
    problem = Traced(tape, x0, taken, frozenset(first.frozen), name, calls_before=calls + len(points) - 1)
    scale = max((abs(wanted) for _, wanted in points if np.isfinite(wanted)), default=0.0)
    lowered, work, grad, slope_at_start = problem.lower(x0.dtype), problem.workspace(x0.dtype), np.empty_like(x0), True
    for x, wanted in points:
        ours = value_and_grad(lowered, grad, work, x)
        if x is x0:
            slope_at_start = bool(np.isfinite(grad).all()) or not np.isfinite(ours)
        if not _agrees(ours, wanted, scale, x0.dtype):
            raise TraceError(
                f"{name} is {wanted:.10g} where its trace gives {ours:.10g}: it treats arrays otherwise than their"
                " stand-ins, or changes arrays in place"
            )
    return Tracing(problem, slope_at_start)


def _second_point(
    fun: Callable[..., Any], args: tuple[Any, ...], x0: NDArray[Any], inside: Callable[[Any], Any] | None
) -> list[tuple[NDArray[Any], float]]:
    """A point near x0 and the function there, if it is defined there: at x0 much may be 0 that is not elsewhere."""
    # The step is small enough for where the function is defined.
    other = x0 + (0.01 * np.maximum(1.0, np.abs(x0)) * (1.0 + 0.5 * np.sin(np.arange(x0.size)))).astype(x0.dtype)
    try:
        other = other if inside is None else inside(other)
        with np.errstate(all="ignore"):
            return [(other, _plain_value(fun, other, args))]
    except Exception:
        return []


def _traced(fun: Callable[..., Any], n: int, args: tuple[Any, ...], copies: Copies) -> tuple[Trace, Node]:
    """A trace of the function, and the node of its result."""
    function = fun.py_func if is_jitted(fun) else fun  # type: ignore[attr-defined]
    trace = Trace(n, _LIMIT, copies, FUNCTIONS)
    given = [
        TracedArray(trace, trace.graph.argument(i, argument)) if is_leaf(argument) else argument
        for i, argument in enumerate(args)
    ]
    forget()
    try:
        result = node_of(trace, function(TracedArray(trace, trace.graph.x), *given))
    except TooLong:
        raise TraceError(f"the trace has more than {_LIMIT} operations; write loops as operations on arrays") from None
    except Exception as error:
        reason = refusal()
        if reason is None and isinstance(error, NumbaError):
            where = where_raised(error)
            reason = TraceError(f"{where}: a function that Numba compiled can't be traced; leave its @njit out")
        if reason is None:
            hint = "; np.stack in place of np.array takes plain numbers too" if "no callable" in str(error) else ""
            reason = TraceError(f"{where_raised(error)}: {type(error).__name__}: {error}{hint}")
        raise reason from (None if reason is error else error)
    reason = refusal()
    if reason is not None:  # which the function has caught
        raise reason
    if result.shape != ():
        raise TraceError(f"fun must return a number, got an array of shape {result.shape}")
    return trace, result


def _plain_value(fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> float:
    answer = fun(x.copy(), *args)
    number = np.asarray(answer)
    if number.ndim or number.dtype.kind not in "iuf":
        raise TypeError(f"fun must return a real number, got {validate.shown(answer)}")
    return float(number)


def _agrees(a: float, b: float, scale: float, dtype: Any) -> bool:
    """Whether two values are the same, to rounding; scale : of values elsewhere, where these cancel."""
    if a == b or (a != a and b != b):
        return True
    tolerance = _TOLERANCE[dtype]
    return bool(abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-3 * scale))
