"""A NumPy function recorded as a tape: exact gradients, and nothing to compile."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, address_of
from gradopt._core import validate
from gradopt._core.protocol import value_and_grad
from gradopt._numerics.bounds import Box
from gradopt._tape.curvature import columns_at_once, hessian_tape, product_tape
from gradopt._tape.graph import archive
from gradopt._tape.graph.node import TooLarge
from gradopt._tape.machine import run as machine
from gradopt._tape.tape import Tape
from gradopt.problems.base import Curved, Problem
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem, argument_types
from gradopt.problems.functions.traced_curvature import TracedCurvature

# Up to this number of parameters, one tape gives the whole Hessian; beyond, it gives that many columns at once.
_COLUMNS = 64

_making = threading.RLock()  # second derivatives become part of the graph


class Traced(Problem):
    """A traced function: the problem that `gradopt.trace` returns, with an exact gradient and without compiling.

    Attributes
    ----------
    tape : Tape
        The operations; print(problem.tape) lists them with their shapes.
    n : int
        The number of parameters.
    x0 : ndarray (n,)
        The start passed to `trace`.

    Notes
    -----
    The gradient is exact to rounding: reverse mode, at about two to four times the cost of the function. Slopes at
    kinks: abs has slope 0 at 0; maximum, minimum and clip split the slope evenly at a tie, max and min among all tied
    elements; sign, floor, ceil, rint and comparisons have slope 0; the norm has slope 0 at 0, and the standard
    deviation where all deviations are 0. For example, np.maximum(x, 0) has slope 1/2 at 0.

    Everything is computed in the precision of x. Values from outside the function, such as a global array, are part of
    the tape as they were when the function was traced; `with_args` can replace arrays in `args`.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> problem = gradopt.trace(lambda x: np.sum(np.exp(x) - 2.0 * x), [1.0, 2.0])
    >>> print(gradopt.optimize(problem).x.round(4))
    [0.6931 0.6931]
    """

    Lowered = ProblemByAddress.Lowered

    def __init__(
        self,
        tape: Tape,
        x0: NDArray[Any],
        args: tuple[Any, ...],
        frozen: frozenset[Any],
        name: str,
        values: dict[int, NDArray[Any]] | None = None,
        calls_before: int = 0,
        outside: dict[str, NDArray[Any]] | None = None,
    ) -> None:
        self.tape, self._x0, self._args, self._frozen, self._name = tape, x0, args, frozen, name
        self._values, self._outside = values or {}, outside or {}
        self._calls_before = calls_before
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

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._calls_before + evaluations, evaluations

    @property
    def values(self) -> dict[int, NDArray[Any]]:
        """The values of nodes that depend on arguments, where they are not those of the trace."""
        return self._values

    def workspace(self, dtype: Any) -> Any:
        return self.tape.workspace(np.dtype(dtype), self._values)

    def by_values(self) -> Problem:
        nothing = np.zeros(self.n)
        with _making:
            tape = Tape(self.tape.paths, lambda path: (path.results[0], path.graph.constant(nothing)))
        arguments = self._x0, self._args, self._frozen, self._name, self._values, self._calls_before, self._outside
        return _Values(tape, *arguments)

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        made, key = self.__dict__.setdefault("_curvatures", {}), (whole, len(self.tape.paths.known))
        if key not in made:
            try:
                made[key] = self._with_curvature(whole)
            except TooLarge:
                made[key] = super().by_curvature(x)
        found: Curved = made[key]
        return found

    def _with_curvature(self, whole: bool) -> TracedCurvature:
        paths, columns, values = self.tape.paths, 1, self._values
        if whole:
            columns = 0 if self.n <= _COLUMNS else min(_COLUMNS, columns_at_once(paths))
        with _making:
            if columns > 0:
                tape, values = product_tape(paths, self._values, columns), {}
            else:
                tape = self.tape.hessian = self.tape.hessian or hessian_tape(paths)
        start = np.zeros(self.n * (1 + columns))
        second = Traced(tape, start, (), frozenset(), f"the second derivatives of {self._name}", values)
        return TracedCurvature(self, second, columns)

    def _program(self, dtype: Any) -> Any:
        """The program for the machine, made once per dtype."""
        key = dtype, len(self.tape.paths.known)
        if key not in self._programs:
            self._programs[key] = self.tape.program(dtype, self._values)
        return self._programs[key]

    @property
    def may_branch(self) -> bool:
        return self.tape.paths.branches

    @property
    def known_paths(self) -> int:
        return len(self.tape.paths.known)

    def met_unknown_path(self, work: Any) -> bool:
        return self.tape.met_unknown_path(work)

    def learn_path(self, work: Any) -> None:
        with _making:
            x = self.tape.unknown_x(work)
            lowered, own = self.prepared(x)
            out = np.empty(max(outputs.size for _, outputs in self.tape.written), work.dtype)
            value_and_grad(lowered, out, own, x)
            if self.met_unknown_path(own):  # else another thread has traced it
                self.tape.add_path(own, self._arguments if self._values else {})

    def _renewed(self, work: Any) -> Any:
        return self.workspace(work.dtype)

    @property
    def _arguments(self) -> dict[Any, NDArray[Any]]:
        """The arrays in args and from outside, by their places in the graph."""
        leaves = {i: argument for i, argument in enumerate(self._args) if is_leaf(argument)}
        return {**self._outside, **leaves}

    def written(self, out: NDArray[Any], x: NDArray[Any]) -> float:
        """Evaluate the tape at x, which writes to `out`; returns its result."""
        return float(self._on_known_path(x, lambda problem, work: value_and_grad(problem, out, work, x)))

    def _lower(self, dtype: Any) -> Any:
        program = self._program(dtype)
        if not COMPILING:
            return PythonProblem.Lowered(
                lambda grad, work, x: machine.run(program, grad, work, x), None, memory=self.tape.memory
            )
        packed = TupleInMemory(program)
        self.__dict__.setdefault("_in_memory", []).append(packed)  # lives as long as the problem
        return ProblemByAddress.Lowered(machine_address(np.dtype(dtype)), 0, packed.address, memory=self.tape.memory)

    def with_args(self, *args: Any) -> Traced:
        """The same function with other arrays in `args`, without tracing it again.

        Parameters
        ----------
        *args
            As many as for `trace`: arrays of the same shapes, booleans or numbers as before; everything else unchanged.

        Returns
        -------
        Traced

        Raises
        ------
        TypeError, ValueError
            The number of arguments or a shape differs, or booleans replace numbers; or a value that is part of the tape
            differs: an argument that is not an array, or an array that supplied indices or branches. Trace again then.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> problem = gradopt.trace(lambda x, center: np.sum((x - center) ** 2), [0.0, 0.0], (np.array([1.0, 2.0]),))
        >>> problem.with_args(np.array([3.0, 5.0])).value([0.0, 0.0])
        34.0
        """
        if len(args) != len(self._args):
            raise TypeError(f"with_args takes {len(self._args)} arguments, as trace did, got {len(args)}")
        arrays: dict[Any, NDArray[Any]] = dict(self._outside)
        for i, (old, new) in enumerate(zip(self._args, args, strict=True)):
            if not is_leaf(old):
                if not _equal(old, new):
                    raise ValueError(
                        f"args[{i}] is not an array and is part of the tape as {validate.shown(old)}; trace again"
                    )
                continue
            array = leaf(i, new)
            if array.shape != old.shape:
                raise ValueError(f"args[{i}] must have the shape {old.shape}, as in trace, got {array.shape}")
            if old.dtype.kind == "f" and array.dtype.kind in "iu":
                array = array.astype(old.dtype)  # the tape was written for real numbers
            if (array.dtype.kind == "b") != (old.dtype.kind == "b"):
                kinds = "booleans", "numbers"
                wanted, got = kinds if old.dtype.kind == "b" else kinds[::-1]
                raise ValueError(f"args[{i}] must be an array of {wanted}, as in trace, got one of {got}; trace again")
            if i in self._frozen | self.tape.paths.frozen and not _equal(old, array):
                raise ValueError(
                    f"args[{i}] supplied indices, branches or numbers that are part of the tape; trace again"
                )
            arrays[i] = array
        values = self.tape.values(arrays)
        self.tape.paths.shared = True
        args = tuple(arrays.get(i, new) for i, new in enumerate(args))
        return Traced(self.tape, self._x0, args, self._frozen, self._name, values, outside=self._outside)

    def described(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts for JSON and arrays by name, from which `made` builds the problem again; no code."""
        arguments = {i: np.asarray(argument) for i, argument in enumerate(self._args) if is_leaf(argument)}
        facts, arrays = archive.described(self.tape.paths, arguments, self._outside)
        others = [None if is_leaf(a) else _plain(a) for a in self._args]
        frozen = sorted(place for place in self._frozen if isinstance(place, int))
        facts |= {"name": self._name, "frozen": frozen, "args": others}
        return facts, arrays | {"x0": self._x0} | {f"argument.{i}": array for i, array in arguments.items()}

    def __reduce__(self) -> Any:
        return Traced.made, self.described()

    def __deepcopy__(self, memo: Any) -> Traced:
        return self

    def __copy__(self) -> Traced:
        return self

    @staticmethod
    def made(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Traced:
        """The problem from the output of `described`."""
        args = tuple(arrays.get(f"argument.{i}", other) for i, other in enumerate(facts["args"]))
        paths = archive.made(facts, arrays)
        x0 = validate.array("x0", arrays["x0"], 1)
        if x0.size != paths.n:
            raise ValueError("x0 is not that of the tape")
        return Traced(Tape(paths), x0, args, frozenset(facts["frozen"]), str(facts["name"]))


class _Values(Traced):
    """A traced function without its gradient."""

    Lowered = ProblemByAddress.Lowered

    @property
    def gradient_source(self) -> str | None:
        return None

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._calls_before + evaluations, 0


@functools.cache
def machine_address(dtype: Any) -> Any:
    """The address of the machine code of `machine.evaluate`."""
    return address_of(machine.evaluate, argument_types(dtype))


def _plain(argument: Any) -> Any:
    """A non-array argument for JSON; one that is not a number, string or None will not equal anything when loaded."""
    argument = argument.item() if isinstance(argument, np.generic) else argument
    return argument if isinstance(argument, (bool, int, float, str, type(None))) else {"other": repr(argument)}


def is_leaf(argument: Any) -> bool:
    return type(argument) in (np.ndarray, np.memmap) and argument.dtype.kind in "biuf"


def values_of(argument: Any) -> Any:
    """The values of a pandas object as an array; everything else as it is."""
    is_pandas = type(argument).__module__.split(".")[0] == "pandas" and hasattr(argument, "to_numpy")
    return argument.to_numpy() if is_pandas else argument


def leaf(i: int, argument: Any) -> NDArray[Any]:
    array = np.array(argument)  # the owner may change it
    if array.dtype.kind not in "biuf":
        raise ValueError(f"args[{i}] must be an array of real numbers, got {validate.shown(argument)}")
    return array


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(np.array_equal(a, b, equal_nan=True)) if isinstance(a, np.ndarray) else bool(a == b)
    except (TypeError, ValueError):
        return a is b
