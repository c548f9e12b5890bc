"""A user's function as a problem: with a given gradient or by differences, compiled or interpreted."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, type_of
from gradopt._compiler.identity import identity
from gradopt._compiler.user_functions import NotCompilable, compiled_function, evaluator, name_of
from gradopt._core import protocol, validate
from gradopt._core.warnings import warn
from gradopt._numerics.bounds import Box
from gradopt._tape.record.errors import TraceError
from gradopt.problems.base import Problem
from gradopt.problems.functions import differences
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem, argument_types
from gradopt.problems.functions.tracing import traced

_SOURCES = {"2-point": "2-point differences", "3-point": "3-point differences", "cs": "the complex step"}
_MAKERS: dict[str, Callable[..., Any]] = {
    "2-point": differences.two_point,
    "3-point": differences.three_point,
    "cs": differences.complex_step,
}
_DEFAULT = "3-point"

# The allowed difference between the complex step and differences, relative to the gradient, in addition to rounding.
_DISAGREEMENT = 1e-3


# Functions that can't be traced, with their arguments -> the reason.
_untraceable: dict[Any, str] = {}

# Identities of functions, the source of their gradients and the types of their data -> the address of the evaluator.
_addresses: dict[Any, int] = {}


@functools.cache
def _nothing() -> TupleInMemory:
    """The data of functions that have none."""
    return TupleInMemory(((),))


class FirstCall(NamedTuple):
    """The first call of a function, in Python at x0, so that a wrong result or an exception is reported clearly."""

    value: Any  # the objective, or (objective, gradient) with jac=True
    seconds: float


def as_problem(fun: Callable[..., Any], jac: Any, args: Any, x0: NDArray[Any], box: Box | None = None) -> Problem:
    """A callable as a problem: its trace, if it can be traced and no other gradient is requested, else a `Function`.

    The parameters are those of `Function`; jac may also be "trace", which raises TraceError if tracing fails.
    """
    insists = isinstance(jac, str) and jac == "trace"
    jac, args = None if insists else jac, args if isinstance(args, tuple) else (args,)
    first, reason = first_call(fun, jac, args, x0), None
    if jac is None:
        case = _case(fun, args, x0)
        reason = _untraceable.get(case) if not insists else None
        if reason is None:
            inside = None if box is None else lambda x: np.clip(x, box.low, box.high)
            try:
                tracing = traced(fun, args, x0, first.value, calls=1, inside=inside)
                if insists or tracing.slope_at_start:
                    return tracing.problem
                reason = "at x0 its gradient would be NaN or infinite"  # may be finite elsewhere
            except TraceError as error:
                if insists:
                    raise
                reason = _untraceable[case] = str(error)
    return Function(fun, jac, args, x0, box, first, reason)


def _case(fun: Any, args: tuple[Any, ...], x0: NDArray[Any]) -> Any:
    """A key for whether a function can be traced."""
    kinds = tuple((a.shape, a.dtype) if isinstance(a, np.ndarray) else identity(a) for a in args)
    return identity(fun), x0.size, kinds


def first_call(fun: Any, jac: Any, args: tuple[Any, ...], x0: NDArray[Any]) -> FirstCall:
    """Call a user's function once at the start, and its jac if that is a function."""
    if not (jac is None or jac is True or callable(jac) or (isinstance(jac, str) and jac in _SOURCES)):
        choices = "a function that returns the gradient, True if fun returns (value, gradient), None, or one of"
        ways = ", ".join(map(repr, ("trace", *_SOURCES)))
        raise TypeError(f"jac must be {choices} {ways}, got {validate.shown(jac)}")
    started = time.perf_counter()
    try:
        answers = [part(x0.copy(), *args) for part in _python_parts(fun, jac)[: 1 + callable(jac)]]
    except TypeError as error:
        if args == () and "missing" in str(error):
            error.add_note("Pass the other arguments of the function in args=(...).")
        raise
    return FirstCall(answers[0], time.perf_counter() - started)


def _python_parts(fun: Any, jac: Any) -> tuple[Any, ...]:
    """The user's functions in Python, with checks of their results."""

    def value(x: Any, *args: Any) -> float:
        return _real(fun(x, *args))

    def gradient(x: Any, *args: Any) -> NDArray[Any]:
        return _gradient("what jac returns", jac(x, *args), x)

    def both(x: Any, *args: Any) -> tuple[float, NDArray[Any]]:
        answer = fun(x, *args)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(f"with jac=True, fun must return (value, gradient), got {validate.shown(answer)}")
        return _real(answer[0]), _gradient("the gradient that fun returns", answer[1], x)

    if jac is True:
        return (both,)
    if callable(jac):
        return value, gradient
    return (value, fun) if jac == "cs" else (value,)


class Function(Problem):
    """A callable as a problem.

    It is called once in Python, so that a wrong result or an exception is reported clearly, and is compiled with bounds
    checks when a loop needs it. A function that Numba can't compile runs interpreted, with one warning.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> float, or (float, gradient) with jac=True. x is a copy each time.
    jac : callable, True, "2-point", "3-point", "cs" or None
        jac(x, *args) -> array (n,), or how to find the gradient.
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
        self.fun, self._x0 = fun, x0
        self.args = args if isinstance(args, tuple) else (args,)
        first = first or first_call(fun, jac, self.args, x0)
        self.jac: Any = _DEFAULT if jac is None else jac
        if isinstance(self.jac, str):  # only differences need the bounds
            infinite = np.full_like(x0, np.inf)
            self._low, self._high = (-infinite, infinite) if box is None else (box.low, box.high)
        self._why_not_traced, self._seconds, self._calls_before = why_not_traced, first.seconds, 1
        self._lowered: Any = None

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
        source = _SOURCES.get(self.jac) if isinstance(self.jac, str) else None
        return source if self._why_not_traced is None else f"{source}, since it can't be traced: {self._why_not_traced}"

    @property
    def interpreted(self) -> bool:
        return isinstance(self.lower(), PythonProblem.Lowered)

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return self._seconds * self._calls_each

    def calls(self, evaluations: int) -> tuple[int, int]:
        gradients = evaluations if isinstance(self.jac, str) else evaluations + 1  # one in the constructor
        return self._calls_before + evaluations * self._calls_each, gradients

    @property
    def _calls_each(self) -> int:
        if not isinstance(self.jac, str):
            return 1
        movable = int(np.count_nonzero(self._low < self._high))
        return {"2-point": 1 + movable, "3-point": 1 + 2 * movable, "cs": 1 + self.n}[self.jac]

    def workspace(self, dtype: Any) -> Any:
        """The copy of x passed to the function."""
        return np.empty(self.n, dtype)

    def lower(self, dtype: Any = np.float64) -> Any:
        if self._lowered is None:
            self._lowered = self._make_lowered()
            if self.jac == "cs":
                self._check_complex_step()
        return self._lowered

    def _make_lowered(self) -> Any:
        if COMPILING:
            try:
                return self._called()
            except NotCompilable as reason:
                _warn_that_it_is_interpreted(self.fun, reason)
        return PythonProblem.Lowered(self._in_python(), None)

    def _called(self) -> Any:
        try:
            data = self._data()
            self._in_memory = _nothing() if data == ((),) else TupleInMemory(data)  # the lowered form needs it alive
        except Exception as error:  # Numba's errors have no common base
            raise NotCompilable(str(error)) from None
        jac = self.jac if isinstance(self.jac, (str, bool)) else identity(self.jac)
        key = identity(self.fun), jac, self._in_memory.type, self._x0.dtype
        address = _addresses.get(key)
        if address is None:
            types = argument_types(self._x0.dtype)
            _, address = evaluator(self._maker, self._compiled_parts(), self._in_memory.type, types)
            _addresses[key] = address
        return ProblemByAddress.Lowered(address, 0, self._in_memory.address)

    def _in_python(self) -> Callable[..., float]:
        """evaluate(grad, work, x), run by the interpreter."""
        data = self._data()
        evaluate = self._maker(*_python_parts(self.fun, self.jac), lambda address: data)
        return lambda grad, work, x: float(evaluate(0, grad, work, x))

    @property
    def _maker(self) -> Any:
        """The maker of the evaluator, from `differences`."""
        if isinstance(self.jac, str):
            return _MAKERS[self.jac]
        return differences.together if self.jac is True else differences.given

    def _data(self) -> tuple[Any, ...]:
        """The data that the evaluator unpacks."""
        if self.jac == "cs":
            return self.args, np.empty(self.n, np.result_type(self._x0, np.complex64))
        return (self.args, self._low, self._high) if isinstance(self.jac, str) else (self.args,)

    def _compiled_parts(self) -> tuple[Any, ...]:
        """The user's functions as dispatchers."""
        given = tuple(type_of(argument) for argument in (self._x0, *self.args))
        if self.jac is True:
            return (compiled_function(self.fun, given, _is_pair),)
        fun = compiled_function(self.fun, given, _is_number)
        if callable(self.jac):
            return fun, compiled_function(self.jac, given, _is_vector)
        if self.jac == "cs":
            complex_x = numba.typeof(self._data()[1])
            return fun, compiled_function(self.fun, (complex_x, *given[1:]), _is_complex)
        return (fun,)

    def value(self, x: Any) -> float:
        x = self.checked("x", x, finite=False)
        answer = _python_parts(self.fun, self.jac)[0](x, *self.args)
        return float(answer[0] if self.jac is True else answer)

    def value_and_grad(self, x: Any) -> tuple[float, NDArray[Any]]:
        x = self.checked("x", x, finite=False)
        grad = np.empty_like(x)
        return self._in_python()(grad, np.empty_like(x), x), grad

    def _check_complex_step(self) -> None:
        """Raise a ValueError if the complex step and differences disagree at the start."""
        x, movable = self._x0, self._low < self._high
        by_step, by_differences = np.zeros_like(x), np.zeros_like(x)
        try:
            value = protocol.value_and_grad(self._lowered, by_step, self.workspace(x.dtype), x)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"jac='cs' needs a function that takes complex numbers: {error}") from None
        differ = differences.three_point(
            _python_parts(self.fun, self.jac)[0], lambda address: (self.args, self._low, self._high)
        )
        differ(0, by_differences, np.empty_like(x), x)
        self._calls_before += self._calls_each + 1 + 2 * int(np.count_nonzero(movable))
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


_warned: set[Any] = set()


def _warn_that_it_is_interpreted(function: Callable[..., Any], reason: NotCompilable) -> None:
    """Issue a RuntimeWarning at the user's line, once per function and reason."""
    key = identity(function), str(reason)
    if key not in _warned:
        _warned.add(key)
        name = name_of(function)
        warn(f"{name} runs interpreted, because it could not be compiled: {str(reason).removeprefix(f'{name}: ')}")


def _real(value: Any) -> float:
    pair = isinstance(value, tuple) and len(value) == 2
    number = np.asarray(None if pair else value)
    if number.size != 1 or number.dtype.kind not in "iuf":
        hint = "; use np.sum or one element" if number.ndim and number.dtype != object else ""
        hint = "; if this is (value, gradient), pass jac=True" if pair else hint
        raise TypeError(f"fun must return a real number, got {validate.shown(value)}{hint}")
    return float(number.item())


def _gradient(source: str, grad: Any, x: NDArray[Any]) -> NDArray[Any]:
    result = np.asarray(grad)
    if result.dtype.kind not in "iuf":
        raise TypeError(f"{source} must be an array of real numbers, got {validate.shown(grad)}")
    if result.shape != x.shape:
        raise ValueError(f"{source} must have the shape of x, {x.shape}, got {result.shape}")
    return result.astype(x.dtype)


def _is_number(returned: Any) -> bool:
    return isinstance(returned, (types.Float, types.Integer))


def _is_vector(returned: Any) -> bool:
    return isinstance(returned, types.Array) and returned.ndim == 1 and _is_number(returned.dtype)


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, types.BaseTuple) and _is_number(returned[0]) and _is_vector(returned[1])  # type: ignore[index]


def _is_complex(returned: Any) -> bool:
    return isinstance(returned, types.Complex)
