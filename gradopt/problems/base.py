"""What all problems have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.protocol import value_and_grad


class Problem(Config):
    """Base of the problems: an objective f of n parameters, with its gradient.

    A problem is a frozen configuration with the properties below and a kernel registered with
    `protocol.value_and_grad`.

    Attributes
    ----------
    n : int
        The number of parameters.
    x0 : ndarray (n,) or None
        Where a run starts unless told otherwise, in the dtype of the problem's data.
    minimizer : ndarray (n,) or None
        A global minimizer, where known.
    minimum : float or None
        The objective there.
    """

    @property
    def n(self) -> int:
        raise TypeError(f"{type(self).__name__} does not say its number of parameters n")

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
        """How the gradient is found, where it is not given."""
        return None

    @property
    def interpreted(self) -> bool:
        """Whether it can't be compiled, and the loop must be Python."""
        return False

    @property
    def inlined(self) -> bool:
        """Whether its kernel becomes part of the loop, which then holds few parameters in registers."""
        return True

    @property
    def seconds(self) -> float:
        """What an evaluation takes at most, where that is known."""
        return 1e-6 if self.inlined and self.n <= 4 else np.inf

    def calls(self, evaluations: int) -> tuple[int, int]:
        """How often value and gradient were evaluated in a run with so many evaluations of both."""
        return evaluations, evaluations

    def start(self, rng: Any = None) -> NDArray[Any] | None:
        """Where a run starts unless told otherwise; drawn from rng where the problem has no fixed `x0`."""
        return self.x0

    def parameter_name(self, i: int) -> str:
        """What parameter i is called."""
        return f"x[{i}]"

    def workspace(self, dtype: Any) -> Any:
        """Arrays that the kernel may write: allocated once a run. A tuple of none here."""
        return ()

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
            Parameters; float32 is computed in float32, all else in float64.

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
        x = self.checked("x", x, finite=False)
        grad = np.empty_like(x)
        return float(value_and_grad(self.lower(x.dtype), grad, self.workspace(x.dtype), x)), grad

    def checked(self, name: str, x: Any, *, finite: bool = True) -> NDArray[Any]:
        """A copy of x as float32 or float64 array (n,), or a ValueError that calls it `name`."""
        result = validate.array(name, x, 1, finite=finite)
        if result.size != self.n:
            raise ValueError(f"{name} must have {self.n} elements for {self}, got {result.size}")
        return result
