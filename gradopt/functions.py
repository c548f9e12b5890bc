"""A user's own function as a problem: compiled where that is possible, else run by the interpreter."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import is_jitted
from numpy.typing import NDArray

from gradopt import validate
from gradopt.compiler import COMPILING, interrupts_held_back, kernel
from gradopt.config import Config
from gradopt.problems import Problem
from gradopt.protocol import value_and_grad
from gradopt.vectors import copy


class Function(Problem):
    """A callable with its gradient, as `optimize` takes it.

    Both are called once in Python, so that a wrong result or an exception shows itself as it is, and are compiled with
    bounds checks when a loop wants them. What Numba can't compile runs interpreted, with one warning.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> float, or (float, gradient) with jac=True. x is a copy each time.
    jac : callable or True
        jac(x, *args) -> array (n,).
    args : tuple
        Further arguments.
    x0 : float array (n,)
        The start.
    """

    def __init__(self, fun: Callable[..., Any], jac: Any, args: Any, x0: NDArray[Any]) -> None:
        if jac is not True and not callable(jac):
            raise TypeError(
                "jac must be a function that returns the gradient, or True if fun returns (value, gradient),"
                f" got {validate.shown(jac)}"
            )
        self.fun, self.jac, self._x0 = fun, jac, x0
        self.args = args if isinstance(args, tuple) else (args,)
        self._evaluate(x0)
        self._twin: Any = None

    def __repr__(self) -> str:
        return f"the function {getattr(self.fun, '__name__', self.fun)}"

    @property
    def n(self) -> int:
        return self._x0.size

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0

    @property
    def interpreted(self) -> bool:
        """Whether the function can't be compiled; compiles it."""
        return isinstance(self.compiled(), _Interpreted.Compiled)

    def compiled(self, dtype: Any = np.float64) -> Any:
        if self._twin is None:
            self._twin = self._make_twin()
        return self._twin

    def workspace(self, dtype: Any) -> Any:
        """The copy of x that the function is given."""
        return np.empty(self.n, dtype)

    def _make_twin(self) -> Any:
        arguments = (self._x0, *self.args)
        if COMPILING and self.jac is True:
            fun_and_grad = _compiled(self.fun, arguments, _is_pair)
            if fun_and_grad is not None:
                return _Together.Compiled(fun_and_grad, self.args)
        elif COMPILING:
            fun, jac = _compiled(self.fun, arguments, _is_number), _compiled(self.jac, arguments, _is_vector)
            if fun is not None and jac is not None:
                return _Separate.Compiled(fun, jac, self.args)
        return _Interpreted.Compiled(self._evaluate)

    def value_and_grad(self, x: Any) -> tuple[float, NDArray[Any]]:
        return self._evaluate(self.checked("x", x, finite=False))

    def _evaluate(self, x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Call fun and jac in Python and check what they return."""
        if self.jac is True:
            answer = self.fun(x.copy(), *self.args)
            if not isinstance(answer, tuple) or len(answer) != 2:
                raise TypeError(f"with jac=True, fun must return (value, gradient), got {validate.shown(answer)}")
            value, grad = answer
            source = "the gradient that fun returns"
        else:
            value, grad = self.fun(x.copy(), *self.args), self.jac(x.copy(), *self.args)
            source = "what jac returns"
        return _real(value), _gradient(source, grad, x)


def _real(value: Any) -> float:
    number = np.asarray(value)
    if number.ndim or number.dtype.kind not in "iuf":
        raise TypeError(f"fun must return a real number, got {validate.shown(value)}")
    return float(number)


def _gradient(source: str, grad: Any, x: NDArray[Any]) -> NDArray[Any]:
    result = np.asarray(grad)
    if result.dtype.kind not in "iuf":
        raise TypeError(f"{source} must be an array of real numbers, got {validate.shown(grad)}")
    if result.shape != x.shape:
        raise ValueError(f"{source} must have the shape of x, {x.shape}, got {result.shape}")
    return result.astype(x.dtype)


class _Together(Config):
    class Compiled(NamedTuple):
        fun_and_grad: Any
        args: tuple[Any, ...]


class _Separate(Config):
    class Compiled(NamedTuple):
        fun: Any
        jac: Any
        args: tuple[Any, ...]


class _Interpreted(Config):
    class Compiled(NamedTuple):
        evaluate: Any


@kernel(inline=True)
def _take(grad, answer):
    """Copy a user's gradient, whose length may have changed since the first call."""
    if answer.size != grad.size:
        raise ValueError("the gradient must have the shape of x at every x")
    copy(grad, answer)


@value_and_grad.on(_Together)
def _(problem, grad, work, x):
    copy(work, x)
    value, answer = problem.fun_and_grad(work, *problem.args)
    _take(grad, answer)
    return float(value)


@value_and_grad.on(_Separate)
def _(problem, grad, work, x):
    copy(work, x)
    value = problem.fun(work, *problem.args)
    copy(work, x)
    answer = problem.jac(work, *problem.args)
    _take(grad, answer)
    return float(value)


@value_and_grad.in_python(_Interpreted)
def _(problem, grad, work, x):
    value, grad[:] = problem.evaluate(x)
    return value


# What `_identity` says of a function, with its argument types -> a dispatcher, or None for what can't be compiled.
_known: dict[Any, Any] = {}


def _compiled(function: Callable[..., Any], arguments: tuple[Any, ...], returns: Any) -> Any:
    """The function as a Numba dispatcher for these arguments, or None, with a warning at the first time."""
    types = tuple(_numba_type(argument) for argument in arguments)
    key = (_identity(function), types)
    if key not in _known:
        try:
            _known[key] = _dispatcher(function, types, returns)
        except (numba.core.errors.NumbaError, NotImplementedError, TypeError) as error:
            _known[key] = None
            name = getattr(function, "__name__", repr(function))
            warnings.warn(f"{name} runs interpreted, it could not be compiled: {error}", RuntimeWarning, stacklevel=6)
    return _known[key]


def _numba_type(argument: Any) -> Any:
    try:
        return numba.typeof(argument)
    except ValueError:
        return type(argument)


def _dispatcher(function: Callable[..., Any], types: tuple[Any, ...], returns: Any) -> Any:
    for numba_type in types:
        if isinstance(numba_type, type):
            raise TypeError(f"Numba has no type for an argument of {numba_type}")
        if _holds_a_list(numba_type):
            raise TypeError(f"args holds a list or set ({numba_type}); pass a NumPy array or a tuple")
    dispatcher: Any = function if is_jitted(function) else _jitted(function)
    with interrupts_held_back():
        dispatcher.compile(types)
    returned = dispatcher.overloads[types].signature.return_type
    if not returns(returned):
        raise TypeError(f"compiled, it returns {returned}")
    return dispatcher


def _holds_a_list(numba_type: Any) -> bool:
    """Whether there is a list or set of Python in it: inside of a tuple, Numba frees their memory twice."""
    reflected = isinstance(numba_type, (numba.types.List, numba.types.Set))
    return reflected or any(map(_holds_a_list, getattr(numba_type, "types", ())))


def _jitted(function: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A dispatcher for a function in which Python functions that it calls are dispatchers too."""
    inside = (*inside, function)

    def seen(value: Any) -> Any:
        plain = isinstance(value, FunctionType) and value not in inside
        return _jitted(value, inside) if plain else value

    if isinstance(function, FunctionType):
        scope, cells = dict(function.__globals__), list(function.__closure__ or ())
        for name in _names(function.__code__) & scope.keys():
            scope[name] = seen(scope[name])
        for position, cell in enumerate(cells):
            with suppress(ValueError):  # still empty
                cells[position] = CellType(seen(cell.cell_contents))
        copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, tuple(cells))
        copy.__kwdefaults__, copy.__module__ = function.__kwdefaults__, function.__module__
        function = copy
    return numba.njit(boundscheck=True, error_model="numpy")(function)


def _is_number(returned: Any) -> bool:
    return isinstance(returned, (numba.types.Float, numba.types.Integer))


def _is_vector(returned: Any) -> bool:
    return isinstance(returned, numba.types.Array) and returned.ndim == 1 and _is_number(returned.dtype)


def _is_pair(returned: Any) -> bool:
    return isinstance(returned, numba.types.BaseTuple) and _is_number(returned[0]) and _is_vector(returned[1])  # type: ignore[index]


def _identity(value: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A key for what a compiled function depends on: its code, defaults, closure and globals, and those of the
    functions among them. Numbers and strings count by value, all else by identity and is kept alive by the key.
    """
    if isinstance(value, (bool, int, float, complex, str, type(None))):
        return type(value), repr(value)
    if not isinstance(value, FunctionType) or value in inside:
        return _ById(value)
    inside = (*inside, value)
    used = dict(_outside(value))
    defaults = tuple(_identity(default, inside) for default in value.__defaults__ or ())
    return value.__code__, defaults, tuple((name, _identity(item, inside)) for name, item in sorted(used.items()))


def _outside(function: FunctionType) -> Any:
    """Pairs of name and value for all that the code, and the functions inside it, take from outside."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            yield name, cell.cell_contents
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


class _ById:
    """Equal only where the very same object is meant."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
