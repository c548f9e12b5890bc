"""The base class of the problems, and problems with second derivatives for the methods that take them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.parts import Part
from gradopt._core.protocol import hessian, hessian_product, note_iterate, value_and_grad
from gradopt._numerics.bounds import Box
from gradopt.problems.second_differences import differences_hessian, differences_product

_NATIVE = np.dtype(np.float32), np.dtype(np.float64)


class Problem(Config):
    """Base of the problems: an objective f of n parameters, with its gradient.

    A problem is a frozen configuration with the properties below and a kernel registered with
    `gradopt.extend.value_and_grad`.

    Attributes
    ----------
    n : int
        The number of parameters.
    x0 : ndarray (n,) or None
        The default start of a run, in the dtype of the problem's data.
    minimizer : ndarray (n,) or None
        A global minimizer, if known.
    minimum : float or None
        The objective at the minimizer.
    """

    @property
    def n(self) -> int:
        raise TypeError(f"{type(self).__name__} does not define its number of parameters n")

    @property
    def known_n(self) -> int:
        """The number of parameters, or -1 if only the start of a run tells it."""
        try:
            return self.n
        except TypeError:
            return -1

    @property
    def x0(self) -> NDArray[Any] | None:
        return None

    @property
    def minimizer(self) -> NDArray[np.float64] | None:
        return None

    @property
    def minimum(self) -> float | None:
        return None

    @property
    def gradient_source(self) -> str | None:
        """The way the gradient is found, if it is not given."""
        return None

    @property
    def interpreted(self) -> bool:
        """Whether the problem can't be compiled, so that the loop must run in Python."""
        return False

    @property
    def inlined(self) -> bool:
        """Whether the kernel is inlined in the loop, which then keeps a small number of parameters in registers."""
        return True

    @property
    def seconds(self) -> float:
        """The maximum time of an evaluation; infinite if unknown."""
        return 1e-6 if self.inlined and self.n <= 4 else np.inf

    @property
    def remark(self) -> str | None:
        """What the message of a result should say about how the problem was run."""
        return None

    def is_sum_of_squares(self, x0: Any) -> bool:
        """Whether a method for sums of squares is the default; x0 : the start, as the user gave it."""
        return False

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        """The same problem for methods that look at residuals, with a `gauss_newton` kernel; None if it has none.

        x : float array (n,), the start
        """
        return None

    @property
    def plain(self) -> Problem:
        """The problem itself, if this one only adds second derivatives to it."""
        return self

    def as_it_is(self) -> Problem:
        """The problem as results hold it: one that does not change with what its functions take from outside."""
        return self

    @property
    def differentiates(self) -> bool:
        """Whether the gradient is found by differences."""
        return False

    def forget_traces(self) -> None:
        """Have what the problem made of a user's function made anew, once its trace was given up."""

    def by_values(self) -> Problem:
        """The same problem for methods that look at values alone; its gradient need not be right."""
        return self

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        """The same problem for methods that look at second derivatives, with `hessian` and `hessian_product` kernels.

        x : float array (n,), the start
        box : the bounds; the objective is not evaluated outside them
        whole : whether whole Hessians are evaluated; else products with vectors alone
        """
        exact = self._lowered_class in hessian.registry
        return WithKernels(self) if exact else WithDifferences(self, x, box)

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        """What the inverse of the Hessian at x is multiplied by to be a covariance, and degrees of freedom.

        By default, the objective is minus a log-likelihood. None if it is no likelihood.
        """
        return 1.0, np.inf

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each observation, (m, n), whose sum is the gradient; None if there are none."""
        return None

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        """The numbers of value and gradient evaluations in a run that evaluated both together this many times.

        work : the workspace of the run
        """
        return evaluations, evaluations

    def start(self, rng: Any = None) -> NDArray[Any] | None:
        """The default start of a run; drawn from rng if the problem has no fixed `x0`."""
        return self.x0

    def parameter_name(self, i: int) -> str:
        """The name of parameter i."""
        return f"x[{i}]"

    def workspace(self, dtype: Any) -> Any:
        """Arrays that the kernel may write, allocated once per run. By default an empty tuple."""
        return ()

    def workspace_for(self, x: NDArray[Any]) -> Any:
        """The same for parameters like x, for problems that do not know their number."""
        return self.workspace(x.dtype)

    def parts(self) -> tuple[Part, ...] | None:
        """The parts of x, from the first element to the last; None if there is nothing to tell apart."""
        return None

    def memory(self, work: Any) -> NDArray[Any]:
        """The part of the workspace that a later run needs to go on with the same bits; a view, or an empty array."""
        return np.empty(0)

    def remember(self, work: Any, memory: NDArray[Any]) -> None:
        """Write the `memory` of an earlier run to the workspace of a new one, if it fits."""
        own = self.memory(work)
        if own.shape == memory.shape:
            own[:] = memory

    def evaluations_until_compiling(self, work: Any) -> int | None:
        """How many evaluations run interpreted before `compile` pays; None if it does not, or has been called."""
        return None

    def compile(self, work: Any, x: NDArray[Any]) -> None:
        """Run compiled from now on; work : the workspace of the run, written; x : float array (n,), the iterate."""

    @property
    def may_branch(self) -> bool:
        """Whether a run may come to a branch of the function that its trace has not seen."""
        return False

    def met_unknown_path(self, work: Any) -> bool:
        """Whether a run with this workspace came to a branch of the function that its trace has not seen."""
        return False

    def learn_path(self, work: Any) -> None:
        """Trace the path that a run with this workspace met."""
        raise NotImplementedError

    def prepared(self, x: NDArray[Any], work: Any = None) -> tuple[Any, Any]:
        """The lowered problem and a workspace that fit together; other threads may learn paths meanwhile.

        work : an earlier workspace, of which counts are kept
        """
        while True:
            known = self.known_paths
            both = self.lower(x.dtype), self.workspace_for(x) if work is None else self._renewed(work)
            if self.known_paths == known:
                return both

    def _renewed(self, work: Any) -> Any:
        """The workspace for the paths that are known now."""
        return work

    def value(self, x: Any) -> float:
        """The objective at x; see `value_and_grad`."""
        return self.value_and_grad(x)[0]

    def grad(self, x: Any) -> NDArray[Any]:
        """The gradient at x, (n,); see `value_and_grad`."""
        return self.value_and_grad(x)[1]

    def value_and_grad(self, x: Any) -> tuple[float, NDArray[Any]]:
        """The objective and its gradient at x.

        Parameters
        ----------
        x : array_like (n,)
            Parameters; float32 is computed in float32, everything else in float64.

        Returns
        -------
        float, ndarray (n,)

        Raises
        ------
        ValueError
            x is not a one-dimensional real array of n numbers.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.problems.Rosenbrock().value_and_grad([0.0, 0.0])
        (1.0, array([-2.,  0.]))
        """
        x = self._readable(x)
        grad = np.empty_like(x)
        fun = self._on_known_path(x, lambda problem, work: value_and_grad(problem, grad, work, x))
        return float(fun), grad

    def _on_known_path(self, x: NDArray[Any], evaluate: Callable[[Any, Any], Any]) -> Any:
        """Call evaluate(lowered problem, workspace), again for each path of the function that is first met at x."""
        if not self.may_branch:
            with self._spare_workspace(x) as work:
                return evaluate(self.lower(x.dtype), work)
        while True:
            lowered, work = self.prepared(x)
            result = evaluate(lowered, work)
            if not self.met_unknown_path(work):
                return result
            self.learn_path(work)

    def hessian(self, x: Any) -> NDArray[Any]:
        """The second derivatives of the objective at x.

        Exact for traced functions, and where the problem has a kernel for them; else central differences of the
        gradient.

        Parameters
        ----------
        x : array_like (n,)
            Parameters; float32 is computed in float32, everything else in float64.

        Returns
        -------
        ndarray (n, n)
            Symmetric.

        Raises
        ------
        ValueError
            x is not a one-dimensional real array of n numbers.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.problems.Rosenbrock().hessian([1.0, 1.0])
        array([[ 802., -400.],
               [-400.,  200.]])
        """
        x = self._readable(x)
        curved, matrix = self.by_curvature(x), np.empty((x.size, x.size), x.dtype)
        if curved.may_branch:  # the tape of values learns paths
            curved.plain.value(x)
            curved = self.by_curvature(x)
        curved._on_known_path(x, lambda problem, work: hessian(problem, matrix, work, x))
        symmetric: NDArray[Any] = 0.5 * matrix + 0.5 * matrix.T
        return symmetric

    def hessp(self, x: Any, v: Any) -> NDArray[Any]:
        """The product of the second derivatives at x with a vector; see `hessian`.

        Parameters
        ----------
        x : array_like (n,)
            Parameters.
        v : array_like (n,)
            The vector.

        Returns
        -------
        ndarray (n,)

        Raises
        ------
        ValueError
            x or v is not a one-dimensional real array of n numbers.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.problems.Rosenbrock().hessp([1.0, 1.0], [1.0, 0.0])
        array([ 802., -400.])
        """
        x = self._readable(x)
        v = validate.array("v", v, 1, x.dtype, finite=False)
        if v.size != x.size:
            raise ValueError(f"v must have {x.size} elements, as x, got {v.size}")
        curved = self.by_curvature(x, whole=False)
        if curved.may_branch:
            curved.plain.value(x)
            curved = self.by_curvature(x, whole=False)
        out: NDArray[Any] = np.empty_like(x)
        curved._on_known_path(x, lambda problem, work: hessian_product(problem, out, work, x, v))
        return out

    def _readable(self, x: Any) -> NDArray[Any]:
        """The parameters as kernels read them; x itself if it has that form: a copy may cost more than the kernel."""
        if type(x) is np.ndarray and x.dtype in _NATIVE and x.flags.carray and x.shape == (self.known_n,):
            return x
        return self.checked("x", x, finite=False)

    @contextlib.contextmanager
    def _spare_workspace(self, x: NDArray[Any]) -> Iterator[Any]:
        """A workspace for one evaluation, kept for the next one; threads that evaluate at once have one each."""
        spare = self.__dict__.setdefault("_spare", {}).setdefault((x.dtype, x.size), [])
        try:
            work = spare.pop()
            self.memory(work)[...] = 0.0
        except IndexError:
            work = self.workspace_for(x)
        yield work
        spare.append(work)

    def checked(self, name: str, x: Any, *, finite: bool = True) -> NDArray[Any]:
        """A copy of x as a float32 or float64 array (n,); raises a ValueError that calls it `name`."""
        result = validate.array(name, x, 1, finite=finite)
        if result.size != self.n:
            raise ValueError(f"{name} must have {self.n} elements for {self}, got {result.size}")
        return result


class Curved(Problem):
    """Base of the problems that add second derivatives to another one.

    The workspace is a tuple: that of the plain problem; the numbers of Hessians and of products evaluated, int64 (2,);
    and whatever else is needed.

    Parameters
    ----------
    plain : Problem
    """

    def __init__(self, plain: Problem) -> None:
        self._plain = plain

    def __repr__(self) -> str:
        return repr(self._plain)

    @property
    def plain(self) -> Problem:
        return self._plain

    @property
    def n(self) -> int:
        return self._plain.n

    @property
    def gradient_source(self) -> str | None:
        return self._plain.gradient_source

    @property
    def interpreted(self) -> bool:
        return self._plain.interpreted

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return self._plain.seconds

    @property
    def remark(self) -> str | None:
        return self._plain.remark

    def parameter_name(self, i: int) -> str:
        return self._plain.parameter_name(i)

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._plain.calls(evaluations, work[0])

    def counts(self, work: Any) -> tuple[int, int]:
        """The numbers of Hessians and of products evaluated."""
        return int(work[1][0]), int(work[1][1])

    def workspace_for(self, x: NDArray[Any]) -> Any:
        return self._plain.workspace_for(x), np.zeros(2, np.int64), self._own_workspace(x)

    def _own_workspace(self, x: NDArray[Any]) -> Any:
        return ()

    def memory(self, work: Any) -> NDArray[Any]:
        return self._plain.memory(work[0])

    def remember(self, work: Any, memory: NDArray[Any]) -> None:
        self._plain.remember(work[0], memory)

    def evaluations_until_compiling(self, work: Any) -> int | None:
        return self._plain.evaluations_until_compiling(work[0])

    def compile(self, work: Any, x: NDArray[Any]) -> None:
        self._plain.compile(work[0], x)

    @property
    def may_branch(self) -> bool:
        return self._plain.may_branch

    @property
    def known_paths(self) -> int:
        return self._plain.known_paths

    def met_unknown_path(self, work: Any) -> bool:
        return self._plain.met_unknown_path(work[0])

    def learn_path(self, work: Any) -> None:
        self._plain.learn_path(work[0])

    def _renewed(self, work: Any) -> Any:
        return self._plain._renewed(work[0]), *work[1:]

    def lower(self, dtype: Any = np.float64) -> Any:
        return self._lower(np.dtype(dtype))  # the plain problem may have been compiled meanwhile


class WithKernels(Curved):
    """A problem with second derivatives by kernels of its own."""

    class Lowered(NamedTuple):
        plain: Any

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(self._plain.lower(dtype))


class WithDifferences(Curved):
    """A problem with second derivatives by central differences of its gradient, on one side next to a bound.

    Parameters
    ----------
    plain : Problem
    x : float array (n,)
        The start.
    box : Box or None
        The bounds.
    """

    class Lowered(NamedTuple):
        plain: Any
        low: NDArray[Any]
        high: NDArray[Any]
        power: float  # of eps: the relative step

    def __init__(self, plain: Problem, x: NDArray[Any], box: Box | None) -> None:
        super().__init__(plain)
        infinite = np.full_like(x, np.inf)
        self._low, self._high = (-infinite, infinite) if box is None else (box.low, box.high)

    @property
    def seconds(self) -> float:
        return self._plain.seconds * (2 * self._low.size + 1)

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._plain.calls(evaluations + int(work[2][1][0]), work[0])

    def _own_workspace(self, x: NDArray[Any]) -> Any:
        return np.empty((4, x.size), x.dtype), np.zeros(1, np.int64)

    def _lower(self, dtype: Any) -> Any:
        facts = self._low, self._high, 1 / 4 if self._plain.differentiates else 1 / 3
        plain = self._plain.lower(dtype)
        if self._plain.interpreted:
            return InPython.Lowered(
                plain,
                lambda matrix, work, x: differences_hessian(plain, *facts, matrix, work, x),
                lambda out, work, x, v: differences_product(plain, *facts, out, work, x, v),
            )
        return self.Lowered(plain, *facts)


class InPython(Config):
    """A problem with second derivatives that run in Python: the functions of the two generics."""

    class Lowered(NamedTuple):
        plain: Any
        hessian: Callable[[Any, Any, Any], None]
        product: Callable[[Any, Any, Any, Any], None]


def delegate(wrapper: Any) -> None:
    """Register for a wrapper the kernels of the plain problem."""

    @value_and_grad.on(wrapper)
    def _(problem, grad, work, x):
        return value_and_grad(problem.plain, grad, work[0], x)

    @note_iterate.on(wrapper)
    def _(problem, work, x):
        note_iterate(problem.plain, work[0], x)


delegate(WithKernels)
delegate(WithDifferences)


@hessian.on(WithKernels)
def _(problem, matrix, work, x):
    work[1][0] += 1
    hessian(problem.plain, matrix, work[0], x)


@hessian_product.on(WithKernels)
def _(problem, out, work, x, v):
    work[1][1] += 1
    hessian_product(problem.plain, out, work[0], x, v)


@hessian.on(WithDifferences)
def _(problem, matrix, work, x):
    differences_hessian(problem.plain, problem.low, problem.high, problem.power, matrix, work, x)


@hessian_product.on(WithDifferences)
def _(problem, out, work, x, v):
    differences_product(problem.plain, problem.low, problem.high, problem.power, out, work, x, v)


@value_and_grad.in_python(InPython)
def _(problem, grad, work, x):
    return value_and_grad(problem.plain, grad, work[0], x)


@note_iterate.in_python(InPython)
def _(problem, work, x):
    note_iterate(problem.plain, work[0], x)


@hessian.in_python(InPython)
def _(problem, matrix, work, x):
    problem.hessian(matrix, work, x)


@hessian_product.in_python(InPython)
def _(problem, out, work, x, v):
    problem.product(out, work, x, v)
