"""A user's function as a problem: with a given gradient or by differences, interpreted or compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numba
import numpy as np
from numba import types
from numba.extending import is_jitted
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, type_of
from gradopt._compiler.user_functions import NotCompilable, compiled_function, evaluator, name_of
from gradopt._core.protocol import value_and_grad
from gradopt._core.warnings import warn
from gradopt._numerics.bounds import Box
from gradopt._tape.record.errors import TraceError
from gradopt.problems.base import Problem
from gradopt.problems.functions import differences
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem, argument_types
from gradopt.problems.functions.plain import SOURCES, FirstCall, agree, first_call, python_parts, second_point
from gradopt.problems.functions.tracing import Tracing, traced

_MAKERS: dict[str, Callable[..., Any]] = {
    "2-point": differences.two_point,
    "3-point": differences.three_point,
    "cs": differences.complex_step,
    "none": differences.alone,
}
_DEFAULT = "3-point"

# The number of evaluations after which compiling pays, unless the user asks for it at once.
_INTERPRETED_EVALUATIONS = 500

_MOST_WARNINGS = 1000  # in a process

# The allowed difference between the complex step and differences, relative to the gradient, in addition to rounding.
_DISAGREEMENT = 1e-3

# Functions that can't be traced -> the sizes of x and the kinds of args -> the reason.
_untraceable: WeakKeyDictionary[Any, dict[Any, str]] = WeakKeyDictionary()


def as_problem(
    fun: Callable[..., Any], jac: Any, args: Any, x0: NDArray[Any], box: Box | None = None, by_values: bool = False
) -> Problem:
    """A callable as a problem: its trace, if it can be traced and no other gradient is requested, else a `Function`.

    The parameters are those of `Function`; jac may also be "trace", which raises TraceError if tracing fails.

    by_values : whether no gradient is needed
    """
    insists = isinstance(jac, str) and jac == "trace"
    jac, args = None if insists else jac, args if isinstance(args, tuple) else (args,)
    first, reason = first_call(fun, jac, args, x0), None
    if jac is None:
        reasons, case = _reasons(fun), (x0.size, tuple(map(_kind, args)))
        reason = reasons.get(case) if not insists else None
        if reason is None:
            try:
                tracing = _trace_of(fun, args, x0, box, first, insists)
                if insists or by_values or tracing.slope_at_start:
                    problem: Problem = tracing.problem
                    return problem
                reason = "at x0 its gradient would be NaN or infinite"  # may be finite elsewhere
            except TraceError as error:
                if insists:
                    raise
                reason = reasons[case] = str(error)
    return Function(fun, "none" if by_values else jac, args, x0, box, first, reason)


def _trace_of(fun: Any, args: Any, x0: NDArray[Any], box: Box | None, first: FirstCall, insists: bool) -> Tracing:
    seconds = math.inf if insists else first.seconds
    return traced(fun, args, x0, first.value, calls=1, seconds=seconds, inside=_into(box), insists=insists)


def _reasons(fun: Any) -> dict[Any, str]:
    """Why this function, and no other with the same code, can't be traced: its closure may hold the cause."""
    try:
        return _untraceable.setdefault(fun, {})
    except TypeError:  # it can't be hashed, or there are no weak references to it
        return {}


def _kind(argument: Any) -> Any:
    return (argument.shape, argument.dtype) if isinstance(argument, np.ndarray) else (type(argument), repr(argument))


def _into(box: Box | None) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """The function that moves a point into the bounds."""
    return None if box is None else lambda x: np.clip(x, box.low, box.high)


class Function(Problem):
    """A callable as a problem.

    It runs in Python for its first evaluations; only if there are many, it is compiled, with bounds checks. With
    differences as the user's own choice, it is compiled at once. A function that Numba can't compile, or that has other
    values when it is compiled, runs interpreted, with one warning.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> float, or (float, gradient) with jac=True. x is a copy each time.
    jac : callable, True, "2-point", "3-point", "cs", "none" or None
        jac(x, *args) -> array (n,), or how to find the gradient; "none" for no gradient.
    args : tuple
        The other arguments.
    x0 : float array (n,)
        The start.
    box : Box or None
        The bounds; the function is not evaluated outside them.
    first : FirstCall, optional
        The first call, if it has been made.
    why_not_traced : str, optional
        The reason why the function is not traced, for the message.
    """

    Lowered = ProblemByAddress.Lowered

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: Any,
        x0: NDArray[Any],
        box: Box | None = None,
        first: FirstCall | None = None,
        why_not_traced: str | None = None,
    ) -> None:
        self.fun, self._x0, self._box = fun, x0, box
        self.args = args if isinstance(args, tuple) else (args,)
        first = first or first_call(fun, jac, self.args, x0)
        self.jac: Any = _DEFAULT if jac is None else jac
        if isinstance(self.jac, str):  # only differences need the bounds
            infinite = np.full_like(x0, np.inf)
            self._low, self._high = (-infinite, infinite) if box is None else (box.low, box.high)
        self._why_not_traced, self._seconds, self._calls_before = why_not_traced, first.seconds, 1
        # A user who compiles the functions wants machine code from the first evaluation.
        self._compiled_by_user = is_jitted(fun) and (jac is True or is_jitted(jac))
        self._starts_compiled = COMPILING and ((isinstance(jac, str) and jac != "none") or self._compiled_by_user)
        self._lowered: Any = None
        self._why_not_compiled: str | None = None if COMPILING else ""

    def __repr__(self) -> str:
        return f"the function {getattr(self.fun, '__name__', self.fun)}"

    @property
    def n(self) -> int:
        return self._x0.size

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0

    @property
    def gradient_source(self) -> str | None:
        source = SOURCES.get(self.jac) if isinstance(self.jac, str) else None
        if source is None:
            return None
        return source if self._why_not_traced is None else f"{source}, since it can't be traced: {self._why_not_traced}"

    @property
    def differentiates(self) -> bool:
        return isinstance(self.jac, str) and self.jac not in ("cs", "none")

    @property
    def remark(self) -> str | None:
        return self._why_not_compiled or None

    @property
    def interpreted(self) -> bool:
        return isinstance(self.lower(), PythonProblem.Lowered)

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return self._seconds * self._calls_each

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        if self.jac == "none":
            return self._calls_before + evaluations, 0
        gradients = evaluations if isinstance(self.jac, str) else evaluations + 1  # one in the constructor
        return self._calls_before + evaluations * self._calls_each + int(work[-1]), gradients

    @property
    def _calls_each(self) -> int:
        if not isinstance(self.jac, str):
            return 1
        movable = int(np.count_nonzero(self._low < self._high))
        return {"2-point": 1 + movable, "3-point": 1 + 2 * movable, "cs": 1 + self.n, "none": 1}[self.jac]

    def workspace(self, dtype: Any) -> Any:
        return differences.workspace(self.n, dtype)

    def memory(self, work: Any) -> Any:
        return work[self.n :]

    def remember(self, work: Any, memory: NDArray[Any]) -> None:
        super().remember(work, memory)
        if work[-2] == np.inf:
            self.compile(work, self._x0)
        elif work[-2]:
            work[-2] -= 1  # the evaluation that is done again

    def evaluations_until_compiling(self, work: Any) -> int | None:
        settled = self._why_not_compiled is not None or not self.interpreted
        return None if settled else max(_INTERPRETED_EVALUATIONS - int(work[-2]), 0)

    def compile(self, work: Any, x: NDArray[Any]) -> None:
        """Let the compiled function run from now on, if it is the same one at x and at two other points.

        work : the workspace of the run, in which this is noted
        """
        if COMPILING:
            self._lowered = self._lowered_compiled(x)
            work[-2] = np.inf

    def lower(self, dtype: Any = np.float64) -> Any:
        if self._lowered is None:
            python = PythonProblem.Lowered(self._in_python(), None, self._keeps_scales)
            self._lowered = self._lowered_compiled() if self._starts_compiled else python
            if self.jac == "cs":
                self._check_complex_step()
        return self._lowered

    @property
    def _keeps_scales(self) -> bool:
        return self.differentiates

    def _lowered_compiled(self, *points: NDArray[Any]) -> Any:
        try:
            lowered = self._called()
            if not self._compiled_by_user:  # else both are the same machine code
                self._require_same(lowered, points)
            return lowered
        except NotCompilable as reason:
            self._why_not_compiled = _warn_that_it_is_interpreted(self.fun, str(reason))
            return PythonProblem.Lowered(self._in_python(), None, self._keeps_scales)

    def _require_same(self, lowered: Any, points: tuple[NDArray[Any], ...]) -> None:
        """Raise NotCompilable unless the compiled functions give what they give in Python."""
        plain, plain_jac = (*python_parts(self.fun, self.jac), None)[:2]
        with_slopes = not isinstance(self.jac, str)
        values: list[tuple[Any, Any]] = []
        for x in (self._x0, second_point(self._x0, _into(self._box)), *points):
            try:
                with np.errstate(all="ignore"):
                    wanted = plain(x.copy(), *self.args)
                    slopes = plain_jac(x.copy(), *self.args) if with_slopes and self.jac is not True else None
            except Exception:
                if x is self._x0:
                    raise
                continue  # it may not be defined there
            if self.jac is True:
                wanted, slopes = wanted
            grad, (at_x, calls, _alive) = np.empty_like(x), self._without_differences(lowered, x)
            self._calls_before += 1 + calls
            try:
                with np.errstate(all="ignore"):
                    got = value_and_grad(at_x, grad, self.workspace(x.dtype), x)
            except Exception as error:
                raise NotCompilable(f"compiled, it raises {type(error).__name__}: {error}") from None
            values.append((got, wanted))
            if slopes is not None:
                values += zip(grad.tolist(), slopes.tolist(), strict=True)
        scale = max((abs(wanted) for _, wanted in values if np.isfinite(wanted)), default=0.0)
        for got, wanted in values:
            if not agree(got, wanted, scale, self._x0.dtype):
                raise NotCompilable(
                    f"compiled, it gives {got:.10g} where it gives {wanted:.10g} in Python; integers of Python never"
                    " overflow, those of machine code do: use floats, such as 10.0**k"
                )

    def _without_differences(self, lowered: Any, x: NDArray[Any]) -> tuple[Any, int, Any]:
        """The compiled function between bounds that fix x: (it lowered, its calls for one evaluation, its data)."""
        if not self._keeps_scales:
            return lowered, self._calls_each, None
        packed = TupleInMemory((self._outside, self.args, x, x))
        return lowered._replace(data=packed.address), 1, packed

    def _called(self) -> Any:
        parts = self._compiled_parts()
        self._outside = tuple(part.data for part in parts)
        data = self._data(self._outside)
        try:
            packed = TupleInMemory(data)
        except Exception as error:  # Numba's errors have no common base
            raise NotCompilable(str(error)) from None
        calls = tuple(part.call for part in parts)
        dispatcher, address = evaluator(self._maker, calls, packed.type, argument_types(self._x0.dtype))
        self._alive = dispatcher, packed  # the lowered form needs them
        return ProblemByAddress.Lowered(address, 0, packed.address, self._keeps_scales)

    def _in_python(self) -> Callable[..., float]:
        """evaluate(grad, work, x), run by the interpreter."""
        parts = tuple(map(_ignoring_data, python_parts(self.fun, self.jac)))
        data = self._data(((),) * len(parts))
        evaluate = self._maker(*parts, lambda address: data)
        return lambda grad, work, x: float(evaluate(0, grad, work, x))

    @property
    def _maker(self) -> Any:
        """The maker of the evaluator, from `differences`."""
        if isinstance(self.jac, str):
            return _MAKERS[self.jac]
        return differences.together if self.jac is True else differences.given

    def _data(self, outside: tuple[Any, ...]) -> tuple[Any, ...]:
        """The data that the evaluator unpacks; outside : what each part takes from outside."""
        if self.jac == "cs":
            return outside, self.args, self._complex_x()
        return (outside, self.args, self._low, self._high) if isinstance(self.jac, str) else (outside, self.args)

    def _complex_x(self) -> NDArray[Any]:
        return np.empty(self.n, np.result_type(self._x0, np.complex64))

    def _compiled_parts(self) -> tuple[Any, ...]:
        """The user's functions as machine code."""
        try:
            given = tuple(type_of(argument) for argument in (self._x0, *self.args))
        except Exception as error:  # Numba's errors have no common base
            raise NotCompilable(str(error)) from None
        if self.jac is True:
            return (compiled_function(self.fun, given, _is_pair),)
        fun = compiled_function(self.fun, given, _is_number)
        if callable(self.jac):
            return fun, compiled_function(self.jac, given, _is_vector)
        if self.jac == "cs":
            complex_x = numba.typeof(self._complex_x())
            return fun, compiled_function(self.fun, (complex_x, *given[1:]), _is_complex)
        return (fun,)

    def value(self, x: Any) -> float:
        x = self.checked("x", x, finite=False)
        answer = python_parts(self.fun, self.jac)[0](x, *self.args)
        return float(answer[0] if self.jac is True else answer)

    def value_and_grad(self, x: Any) -> tuple[float, NDArray[Any]]:
        x = self.checked("x", x, finite=False)
        grad = np.empty_like(x)
        return self._in_python()(grad, self.workspace(x.dtype), x), grad

    def _check_complex_step(self) -> None:
        """Raise a ValueError if the complex step and differences disagree at the start."""
        x, movable = self._x0, self._low < self._high
        by_step, by_differences = np.zeros_like(x), np.zeros_like(x)
        try:
            value = value_and_grad(self._lowered, by_step, self.workspace(x.dtype), x)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"jac='cs' needs a function that takes complex numbers: {error}") from None
        plain = _ignoring_data(python_parts(self.fun, self.jac)[0])
        differ = differences.three_point(plain, lambda address: (((),), self.args, self._low, self._high))
        work = self.workspace(x.dtype)
        differ(0, by_differences, work, x)
        self._calls_before += self._calls_each + 1 + 2 * int(np.count_nonzero(movable)) + int(work[-1])
        eps = np.finfo(x.dtype).eps
        hidden = 10 * eps ** (2 / 3) * abs(value)
        scale = np.maximum(np.abs(by_step), np.abs(by_differences))
        wrong = movable & (np.abs(by_step - by_differences) > _DISAGREEMENT * scale + 1e-6 * scale.max() + hidden)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"jac='cs' gives a wrong derivative by x[{i}] at x0: {by_step[i]:.6g}, by differences"
                f" {by_differences[i]:.6g}; abs, max, comparisons or a power in the function behave differently for"
                " complex numbers. Use jac='3-point'"
            )


def _ignoring_data(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function in Python in the form of `UserFunction.call`: it takes what is outside by itself."""
    return lambda outside, *arguments: function(*arguments)


_warned: set[Any] = set()


def _warn_that_it_is_interpreted(function: Callable[..., Any], reason: str) -> str:
    """Issue a RuntimeWarning at the user's line, once per code and reason; returns what it says."""
    reason = reason.removeprefix(f"{name_of(function)}: ")
    what = "compiled code can't call it" if is_jitted(function) else "it could not be compiled"
    text = f"{name_of(function)} runs interpreted, because {what}: {reason}"
    key = getattr(function, "__code__", type(function)), reason
    if key not in _warned and len(_warned) < _MOST_WARNINGS:
        _warned.add(key)
        warn(text)
    return text


def _is_number(returned: Any) -> bool:
    return isinstance(returned, (types.Float, types.Integer))


def _is_vector(returned: Any) -> bool:
    return isinstance(returned, types.Array) and returned.ndim == 1 and _is_number(returned.dtype)


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, types.BaseTuple) and _is_number(returned[0]) and _is_vector(returned[1])  # type: ignore[index]


def _is_complex(returned: Any) -> bool:
    return isinstance(returned, types.Complex)
