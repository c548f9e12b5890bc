"""Tracing: a function is called with stand-ins for its arrays, and then compared with its tape at two points."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numba import NumbaError
from numba.extending import is_jitted
from numpy.typing import ArrayLike, NDArray

from gradopt._compiler import Bounded, no_collection
from gradopt._core import validate
from gradopt._tape.graph.graph import Copies, Graph
from gradopt._tape.graph.node import Node, TooLong
from gradopt._tape.graph.paths import Choices, Path, Paths
from gradopt._tape.names.lookups import Lookups, is_simple
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.errors import BranchError, TraceError, forget, refusal, where_raised
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


def trace(fun: Callable[..., Any], x0: ArrayLike, args: Any = (), *, paths_from: Sequence[ArrayLike] = ()) -> Traced:
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
    paths_from : sequence of array_like (n,)
        Points at which the function may go another way at its branches than at x0. `optimize` finds such ways by
        itself; `descend` can't.

    Returns
    -------
    Traced
        A problem like any other.

    Raises
    ------
    TraceError
        The function calls an unsupported function, does not return a single number, does something else at each call,
        or has more than 200 000 operations, or more than 64 ways at its branches. The message says which line, and
        what to do.

    Notes
    -----
    These can be traced: arithmetic with broadcasting, comparisons in np.where, the elementary functions of NumPy; sums,
    products, extrema, cumsum, diff, norm; dot, @, outer, einsum, convolve; sort, median, interp; indexing, functions
    that move elements, and writing into arrays that the function made; fft and complex numbers.

    Of np.linalg and scipy.linalg: solve, inv, det, slogdet, cholesky, cho_factor and cho_solve, solve_triangular, eigh,
    eigvalsh, svd, lstsq and pinv of full rank, qr, matrix_power, multi_dot, expm, norms. A matrix that is not positive
    definite gives NaN; eigenvectors of equal eigenvalues have NaN as their slopes.

    Of scipy.special: gamma, beta and error functions and their kin, entropies, Bessel functions, incomplete integrals
    by their limit, logsumexp and softmax. Of scipy.stats: densities and distribution functions of norm, t, cauchy,
    gamma, chi2, beta, expon, lognorm, uniform, laplace, logistic, weibull_min, poisson, binom, bernoulli, nbinom and
    multivariate_normal.

    Branches and loops on x: `if`, `while`, `and`, int(x) as an index or a count. The trace follows the way that the
    function goes at x0, and the machine tests at each x whether it goes the same way; where it does not, that way is
    traced, then too. At a jump, the gradient is that of the side taken.

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
        problem: Traced = traced(fun, args, start, real(fun(start.copy(), *args)), insists=True).problem
        for x in paths_from:
            problem.value(x)
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

    def require(self, nodes: tuple[Node, ...], first: tuple[Node, ...]) -> None:
        """Raise a TraceError if these can't be results, or not those of another path than that of the first ones."""
        (node,) = nodes
        if node.shape != ():
            raise TraceError(f"fun must return a number, got an array of shape {node.shape}")

    def tape(self, paths: Paths) -> Any:
        """The tape, or tapes, of the results."""
        return Tape(paths)

    def problem(self, tape: Any, *arguments: Any) -> Any:
        return Traced(tape, *arguments)

    def evaluated(self, problem: Any, x: NDArray[Any]) -> tuple[Any, bool]:
        """What `value` should be, from the tape, and whether the slopes there are finite."""
        value, grad = problem.value_and_grad(x)
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
    insists: bool = False,
) -> Tracing:
    """Trace a function with checked arguments.

    value : the function's value at x0
    calls : the number of calls of the function made to get it
    seconds : what a call takes; the trace stops where it would cost more than a run by differences
    inside : moves a point to where the function may be evaluated
    insists : whether a function that an earlier run gave up is traced again
    """
    name = getattr(fun, "__name__", repr(fun))
    reason = _why_given_up(fun, form, x0.size)
    if reason is not None and not insists:
        raise TraceError(reason)
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
    with no_collection():
        recording = Recording(form, fun, taken, x0, limit, remembers=not insists)
        first = recording.path(x0)
        paths = Paths(first, recording if first.guards else None)
        try:
            tape = form.tape(paths)
        except Exception as error:
            reason = f"the trace of {name} could not be differentiated: {type(error).__name__}: {error}"
            raise TraceError(reason) from error
    lookups, frozen = recording.lookups, frozenset(recording.frozen)
    outside = {place: array for place, (_, array) in lookups.arrays.items()}
    problem = form.problem(tape, x0, taken, frozen, name, {}, calls_before, outside)
    found = _compared(form, problem, x0, points)
    if found.disagreement is not None:
        ours, wanted = found.disagreement
        again, once_more = (Recording(form, fun, taken, x0, limit) for _ in range(2))
        if not again.path(x0).graph.same_as(once_more.path(x0).graph):
            raise TraceError(
                f"{name} does something else at each call: random numbers or side effects. Draw random numbers"
                " beforehand and pass them in args"
            )
        raise TraceError(
            f"{name} is {wanted:.10g} but its trace gives {ours:.10g}: it treats stand-ins for arrays differently"
            " from arrays"
        )
    # A tape with branches may have to trace its own function again.
    whole = lookups.complete and not frozen.intersection(outside) and not paths.branches
    if not paths.branches:
        lookups.forget()
    if key is not None and whole and tape.bytes < _KEPT_BYTES:
        _kept[key] = Kept(tape, lookups, frozen, taken)
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

    tape: Any  # what `Form.tape` made
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


class Recording:
    """The traces of a function, one for each path.

    Attributes
    ----------
    lookups : Lookups
        What the function found outside itself.
    frozen : set
        The places of arguments whose numbers became part of the graph.

    Parameters
    ----------
    remembers : bool
        Whether later runs know that a function was given up.
    """

    def __init__(
        self,
        form: Form,
        fun: Callable[..., Any],
        args: tuple[Any, ...],
        x0: NDArray[Any],
        limit: int,
        remembers: bool = False,
    ) -> None:
        self._remembers = remembers
        self._form, self._fun, self._args, self._limit, self._size = form, fun, args, limit, x0.size
        self._first: tuple[Node, ...] | None = None
        self._graphs: list[Graph] = []
        self._copies, self.lookups, self.frozen = Copies(), Lookups(), set[Any]()

    def path(
        self, x: NDArray[Any], arguments: Mapping[Any, NDArray[Any]] | None = None, before: tuple[float, ...] = ()
    ) -> Path:
        """Trace the function where it goes at x; see `Paths`."""
        function = self._fun.py_func if is_jitted(self._fun) else self._fun  # type: ignore[attr-defined]
        if self._first is not None and not self.lookups.still_hold(function):
            raise self.give_up("what it takes from outside has changed since it was traced; trace it again")
        with _tracing:
            left = self._limit - sum([len(graph.nodes) for graph in self._graphs])
            graph = Graph(self._size, max(left, 1), self._copies, len(self._graphs) << 32)
            self._graphs.append(graph)
            try:
                choices = Choices(graph, np.asarray(x, np.float64), arguments or {}, before)
                results = self._results(graph, choices)
                self._form.require(results, self._first or results)
            except TraceError as error:
                if self._first is None:
                    raise
                if error.__cause__ is not None:  # the function itself may raise an exception there
                    args = tuple([(arguments or {}).get(i, argument) for i, argument in enumerate(self._args)])
                    self._form.value(self._fun, x.copy(), args)
                raise self.give_up(str(error)) from error
        self._first = self._first or results
        return Path(choices.guards, results)

    def give_up(self, reason: str) -> BranchError:
        """The exception for a function that can't be followed any further."""
        if self._remembers:
            with contextlib.suppress(TypeError):  # it can't be hashed, or there are no weak references to it
                _given_up.setdefault(self._fun, {})[self._form.key, self._size] = reason
        return BranchError(f"{getattr(self._fun, '__name__', self._fun)}: {reason}")

    def _results(self, graph: Graph, choices: Choices) -> tuple[Node, ...]:
        """Call the function with stand-ins."""
        fun, form = self._fun, self._form
        function = fun.py_func if is_jitted(fun) else fun  # type: ignore[attr-defined]
        trace = Trace(graph, FUNCTIONS, choices)
        meanings = Meanings(trace, self.lookups)
        given = [
            TracedArray(trace, trace.graph.argument(i, argument))
            if is_leaf(argument)
            else meanings.of_argument(argument)
            for i, argument in enumerate(self._args)
        ]
        forget()
        try:
            answers = form.recorded(meanings.of(function, ()), TracedArray(trace, trace.graph.x), given, meanings)
            answers = answers if isinstance(answers, Results) else Results((answers,))
            results = tuple([node_of(trace, answer) for answer in answers])
        except TooLong:
            remedy = "; write loops as operations on arrays"
            if self._limit < _LIMIT:
                remedy = f', and would cost more than a run by differences{remedy}, or take jac="trace"'
            raise TraceError(f"the trace has more than {self._limit} operations{remedy}") from None
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
            self.frozen |= trace.frozen
        reason = refusal()
        if reason is not None:  # the function has caught the error
            raise reason
        return results


_tracing = threading.RLock()  # a graph has one trace at a time

# Functions with branches that can't be followed -> the form and the size of x -> the reason.
_given_up: WeakKeyDictionary[Any, dict[Any, str]] = WeakKeyDictionary()


def _why_given_up(fun: Any, form: Form, n: int) -> str | None:
    try:
        return _given_up.get(fun, {}).get((form.key, n))
    except TypeError:
        return None
