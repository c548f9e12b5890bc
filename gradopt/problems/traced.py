"""A function of NumPy arrays, written down as a tape: exact gradients, and nothing to compile."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted
from numpy.typing import NDArray

import gradopt.tape.numpy_functions  # noqa: F401  makes them known to traced arrays
from gradopt import validate
from gradopt.called import Called, Interpreted, argument_types
from gradopt.compiler import COMPILING, Packed, address_of
from gradopt.problems.base import Problem
from gradopt.tape import archive, machine
from gradopt.tape.errors import TraceError, forget, refusal, where_raised
from gradopt.tape.graph import Copies, Node, TooLong
from gradopt.tape.tape import Tape
from gradopt.tape.traced_array import Trace, TracedArray, node_of

# Operations of a trace at the most: some seconds of it.
_LIMIT = 200_000

# How far the tape may be from the function, relative, before it is taken for another function.
_TOLERANCE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-2}


class Traced(Problem):
    """What `gradopt.trace` makes of a function: a problem with an exact gradient, run without compiling it.

    Attributes
    ----------
    tape : Tape
        The operations; print(problem.tape) lists them with their shapes.
    n : int
        The number of parameters.
    x0 : ndarray (n,)
        The start that was given to `trace`.

    Notes
    -----
    The gradient is exact to rounding: reverse mode, at about two to four times the cost of the function. Slopes at
    kinks: abs has 0 at 0; maximum, minimum and clip share it evenly at a tie, max and min among all that are largest;
    sign, floor, ceil, rint and comparisons have none; the norm and the standard deviation have 0 where all they are
    made of is 0. So np.maximum(x, 0) has slope 1/2 at 0.

    All is computed in the precision of x. What the function takes from outside, such as a global array, is part of the
    tape as it was when the function was traced; arrays in `args` can be replaced by `with_args`.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> problem = gradopt.trace(lambda x: np.sum(np.exp(x) - 2.0 * x), [1.0, 2.0])
    >>> print(gradopt.optimize(problem).x.round(4))
    [0.6931 0.6931]
    """

    Compiled = Called.Compiled

    def __init__(
        self,
        tape: Tape,
        x0: NDArray[Any],
        args: tuple[Any, ...],
        frozen: frozenset[Any],
        name: str,
        values: dict[int, NDArray[Any]] | None = None,
    ) -> None:
        self.tape, self._x0, self._args, self._frozen, self._name = tape, x0, args, frozen, name
        self._values = values or {}
        self._calls_before = 0
        self._programs: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"the traced function {self._name}"

    @property
    def n(self) -> int:
        return self._x0.size

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0.copy()

    @property
    def gradient_source(self) -> str | None:
        return "reverse mode over its trace"

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return 1e-8 * (self.tape.work + 10)

    def calls(self, evaluations: int) -> tuple[int, int]:
        return self._calls_before + evaluations, evaluations

    def workspace(self, dtype: Any) -> Any:
        return self.tape.workspace(np.dtype(dtype), self._values)

    def _program(self, dtype: Any) -> Any:
        """What the machine is given; made once."""
        if dtype not in self._programs:
            self._programs[dtype] = self.tape.program(dtype, self._values)
        return self._programs[dtype]

    def _lowered(self, dtype: Any) -> Any:
        program = self._program(dtype)
        if not COMPILING:
            return Interpreted.Compiled(lambda grad, work, x: machine.run(program, grad, work, x), None)
        packed = Packed(program)
        self.__dict__.setdefault("_packed", []).append(packed)  # lives as long as the problem
        return Called.Compiled(_evaluate(np.dtype(dtype)), 0, packed.address)

    def with_args(self, *args: Any) -> Traced:
        """The same function with other arrays in `args`, without tracing it again.

        Parameters
        ----------
        *args
            As many as were given to `trace`; arrays of the same shapes, all else equal to what it was.

        Returns
        -------
        Traced

        Raises
        ------
        TypeError, ValueError
            Another number of arguments or another shape; another value of what is no array, or of an array that the
            function took indices or branches from: such things are part of the tape. Trace again for these.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> problem = gradopt.trace(lambda x, center: np.sum((x - center) ** 2), [0.0, 0.0], (np.array([1.0, 2.0]),))
        >>> problem.with_args(np.array([3.0, 5.0])).value([0.0, 0.0])
        34.0
        """
        if len(args) != len(self._args):
            raise TypeError(f"with_args takes {len(self._args)} arguments, as trace did, got {len(args)}")
        arrays = {}
        for i, (old, new) in enumerate(zip(self._args, args, strict=True)):
            if not _is_leaf(old):
                if not _equal(old, new):
                    raise ValueError(
                        f"args[{i}] is part of the tape as {validate.shown(old)}, and no array; trace again"
                    )
                continue
            array = _leaf(i, new)
            if array.shape != old.shape:
                raise ValueError(f"args[{i}] must have the shape {old.shape}, as in trace, got {array.shape}")
            if i in self._frozen and not _equal(old, array):
                raise ValueError(
                    f"args[{i}] gave the function indices, branches or numbers that are part of the tape; trace again"
                )
            arrays[i] = array
        values = self.tape.values(arrays)
        args = tuple(arrays.get(i, new) for i, new in enumerate(args))
        return Traced(self.tape, self._x0, args, self._frozen, self._name, values)

    def described(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts for json, and arrays by name, from which `made` makes it again; no code."""
        arguments = {i: np.asarray(argument) for i, argument in enumerate(self._args) if _is_leaf(argument)}
        facts, arrays = archive.described(self.tape.result, arguments)
        others = [None if _is_leaf(a) else _plain(a) for a in self._args]
        facts |= {"name": self._name, "frozen": sorted(self._frozen), "args": others}
        return facts, arrays | {"x0": self._x0} | {f"argument.{i}": array for i, array in arguments.items()}

    @staticmethod
    def made(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Traced:
        """What `described` took apart."""
        args = tuple(arrays.get(f"argument.{i}", other) for i, other in enumerate(facts["args"]))
        result = archive.made(facts, arrays)
        x0 = validate.array("x0", arrays["x0"], 1)
        if x0.size != result.graph.x.size:
            raise ValueError("x0 is not that of the tape")
        return Traced(Tape(result), x0, args, frozenset(facts["frozen"]), str(facts["name"]))


@functools.cache
def _evaluate(dtype: Any) -> int:
    """Where the machine code of `machine.evaluate` lies."""
    return address_of(machine.evaluate, argument_types(dtype))


def _plain(argument: Any) -> Any:
    """An argument that is no array, for json: what is neither number nor string equals nothing when it is back."""
    return argument if isinstance(argument, (bool, int, float, str, type(None))) else {"other": repr(argument)}


def trace(fun: Callable[..., Any], x0: Any, args: Any = ()) -> Traced:
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
    x0 = validate.array("x0", x0, 1)
    args = args if isinstance(args, tuple) else (args,)
    with np.errstate(all="ignore"):
        return traced(fun, args, x0, _plain_value(fun, x0, args))


def traced(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    x0: NDArray[Any],
    value: float,
    *,
    calls: int = 0,
    inside: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> Traced:
    """The same for checked arguments.

    value : of the function at x0
    calls : of the function that were made to know that
    inside : moves a point to where the function may be evaluated
    """
    name = getattr(fun, "__name__", repr(fun))
    taken = tuple(_leaf(i, argument) if _is_leaf(argument) else argument for i, argument in enumerate(args))
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
        problem = Traced(Tape(result), x0, taken, frozenset(first.frozen), name)
    except Exception as error:
        raise TraceError(
            f"no gradient could be made of the trace of {name}: {type(error).__name__}: {error}"
        ) from error
    # At x0 much may be 0 that is not elsewhere. The slope is small enough for where the function is defined.
    other = x0 + (0.01 * np.maximum(1.0, np.abs(x0)) * (1.0 + 0.5 * np.sin(np.arange(x0.size)))).astype(x0.dtype)
    points = [(x0, value)]
    try:
        other = other if inside is None else inside(other)
        with np.errstate(all="ignore"):
            points.append((other, _plain_value(fun, other, args)))
        calls += 1
    except Exception:
        pass  # the function is not defined there
    scale = max((abs(wanted) for _, wanted in points if np.isfinite(wanted)), default=0.0)
    program, work, grad = problem._program(x0.dtype), problem.workspace(x0.dtype), np.empty_like(x0)
    for x, wanted in points:
        ours = machine.run(program, grad, work, x)
        if not _agrees(ours, wanted, scale, x0.dtype):
            raise TraceError(
                f"{name} is {wanted:.10g} where its trace gives {ours:.10g}: it treats arrays otherwise than their"
                " stand-ins, or changes arrays in place"
            )
    problem._calls_before = calls
    return problem


def _traced(fun: Callable[..., Any], n: int, args: tuple[Any, ...], copies: Copies) -> tuple[Trace, Node]:
    """A trace of the function, and the node of its result."""
    function = fun.py_func if is_jitted(fun) else fun  # type: ignore[attr-defined]
    trace = Trace(n, _LIMIT, copies)
    given = [
        TracedArray(trace, trace.graph.argument(i, argument)) if _is_leaf(argument) else argument
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
            reason = TraceError(f"{where_raised(error)}: {type(error).__name__}: {error}")
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


def _is_leaf(argument: Any) -> bool:
    return type(argument) in (np.ndarray, np.memmap) and argument.dtype.kind in "biuf"


def _leaf(i: int, argument: Any) -> NDArray[Any]:
    array = np.array(argument)  # the owner may change it
    if array.dtype.kind not in "biuf":
        raise ValueError(f"args[{i}] must be an array of real numbers, got {validate.shown(argument)}")
    return array


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(np.array_equal(a, b, equal_nan=True)) if isinstance(a, np.ndarray) else bool(a == b)
    except (TypeError, ValueError):
        return a is b
