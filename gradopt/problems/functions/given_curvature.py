"""A callable with second derivatives from a user's own functions, which run in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt.problems.base import Curved, InPython, Problem

# The largest difference between elements [i, j] and [j, i], relative to the largest element.
_ASYMMETRY = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-2}


class GivenCurvature(Curved):
    """A callable with its second derivatives from functions.

    Parameters
    ----------
    plain : Problem
        The callable with its gradient.
    hess : callable or None
        hess(x, *args) -> array_like (n, n)
    hessp : callable or None
        hessp(x, v, *args) -> array_like (n,); at least one of the two is given.
    args : tuple
    """

    Lowered = InPython.Lowered

    def __init__(
        self, plain: Problem, hess: Callable[..., Any] | None, hessp: Callable[..., Any] | None, args: tuple[Any, ...]
    ) -> None:
        super().__init__(plain)
        for name, value in (("hess", hess), ("hessp", hessp)):
            if value is not None and not callable(value):
                hint = "; exact second derivatives need no hess" if isinstance(value, str) else ""
                raise TypeError(f"{name} must be a function, got {validate.shown(value)}{hint}")
        self._hess, self._hessp, self._args = hess, hessp, args

    @property
    def interpreted(self) -> bool:
        return True

    @property
    def seconds(self) -> float:
        return np.inf

    def by_curvature(self, x: NDArray[Any], box: Any = None, *, whole: bool = True) -> Curved:
        return self

    def _lower(self, dtype: Any) -> Any:
        return InPython.Lowered(self._plain.lower(dtype), self._write_hessian, self._write_product)

    def _write_hessian(self, matrix: NDArray[Any], work: Any, x: NDArray[Any]) -> None:
        if self._hess is None:
            for j, column in enumerate(np.eye(x.size, dtype=x.dtype)):
                self._write_product(matrix[:, j], work, x, column)
            matrix[:] = 0.5 * matrix + 0.5 * matrix.T
        else:
            work[1][0] += 1
            matrix[:] = self._called(x)

    def _write_product(self, out: NDArray[Any], work: Any, x: NDArray[Any], v: NDArray[Any]) -> None:
        if self._hessp is None:
            work[1][0] += 1
            out[:] = self._called(x) @ v
            return
        work[1][1] += 1
        answer = _numbers("hessp", self._hessp(x.copy(), v.copy(), *self._args), x)
        if answer.shape != x.shape:
            raise ValueError(f"hessp must return an array of the shape of x, {x.shape}, got {answer.shape}")
        out[:] = answer

    def _called(self, x: NDArray[Any]) -> NDArray[Any]:
        assert self._hess is not None
        answer = _numbers("hess", self._hess(x.copy(), *self._args), x)
        if answer.ndim < 2 and answer.size == x.size == 1:
            answer = answer.reshape(1, 1)
        if answer.shape != (x.size, x.size):
            raise ValueError(f"hess must return an array of shape {(x.size, x.size)}, got {answer.shape}")
        with np.errstate(invalid="ignore"):
            difference = np.abs(answer - answer.T)
            wrong = difference > _ASYMMETRY[x.dtype] * np.max(np.abs(answer), initial=0.0)
        if wrong.any():
            i, j = map(int, np.unravel_index(np.argmax(np.where(wrong, difference, 0.0)), wrong.shape))
            raise ValueError(
                f"hess must return a symmetric matrix, got {answer[i, j]:.10g} in [{i}, {j}] and {answer[j, i]:.10g} in"
                f" [{j}, {i}]"
            )
        return 0.5 * answer + 0.5 * answer.T  # type: ignore[no-any-return]


def _numbers(name: str, answer: Any, x: NDArray[Any]) -> NDArray[Any]:
    result = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)  # from a sparse matrix
    if result.dtype.kind not in "iuf":
        raise TypeError(f"{name} must return an array of real numbers, got {validate.shown(answer)}")
    return result.astype(x.dtype)  # type: ignore[no-any-return]
