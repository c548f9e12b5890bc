"""The base class of the problems."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.protocol import value_and_grad

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
        with self._spare_workspace(x) as work:
            return float(value_and_grad(self.lower(x.dtype), grad, work, x)), grad

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
