"""Comparison of gradients with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradopt._core import validate
from gradopt._core.protocol import value_and_grad
from gradopt.problems import Problem
from gradopt.problems.functions.function import as_problem
from gradopt.problems.functions.given_curvature import GivenCurvature

# By finite-difference method: exponent of the step, relative tolerance.
_METHODS = {"2-point": (1 / 2, 1e-5), "3-point": (1 / 3, 1e-6)}
_FLOAT32_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """The result of `check_gradient`. True if the gradient passed; prints as a report.

    Attributes
    ----------
    passed : bool
        Whether `max_rel_error` <= `tolerance`.
    max_abs_error : float
        The largest abs(gradient - differences).
    max_rel_error : float
        The largest error relative to the larger of the two, or to what the differences can resolve despite rounding.
    worst : str
        The parameter with that relative error, such as "x[0]", or "layer 1 weight[2, 0]" for a network.
    tolerance : float
        The largest relative error that passes.
    x, grad, differences : ndarray (n,)
        The point of the check, and the two gradients.
    resolution : ndarray (n,)
        The absolute error below which rounding of the objective hides errors.

    Examples
    --------
    >>> import gradopt
    >>> check = gradopt.check_gradient(lambda x: x[0] ** 2 * x[1], [1.0, 2.0], jac=lambda x: 2.0 * x)
    >>> bool(check), check.worst, check.max_abs_error.__round__(3)
    (False, 'x[1]', 3.0)
    """

    passed: bool
    max_abs_error: float
    max_rel_error: float
    worst: str
    tolerance: float
    x: NDArray[Any]
    grad: NDArray[Any]
    differences: NDArray[np.float64]
    resolution: NDArray[np.float64]
    _index: int | tuple[int, int]
    _of: str
    _what: str = "gradient"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        i = self._index
        where = f"parameter {self.worst} = {self.x[i]:.6g}" if isinstance(i, int) else f"element {self.worst}"
        return (
            f"{self._what} of {self._of}: {'passed' if self.passed else 'FAILED'}\n"
            f"  largest error   {self.max_abs_error:.1e} absolute, {self.max_rel_error:.1e} relative"
            f" (tolerance {self.tolerance:.0e})\n"
            f"  worst {where}: {self._what} {self.grad[i]:.9g},"
            f" differences {self.differences[i]:.9g}"
            + f"\n  rounding of the {'objective' if isinstance(i, int) else 'gradient'} hides errors below"
            f" {self.resolution[i]:.1e}" * self._hidden
        )

    @property
    def _hidden(self) -> bool:
        i = self._index
        return bool(self.resolution[i] > self.tolerance * max(abs(self.grad[i]), abs(self.differences[i])))

    __repr__ = __str__


def check_gradient(
    problem: Problem | Callable[..., Any],
    x: ArrayLike | None = None,
    *,
    jac: Callable[..., Any] | bool | str | None = None,
    args: Any = (),
    hess: Callable[..., Any] | None = None,
    hessian: bool = False,
    method: Literal["2-point", "3-point"] = "3-point",
    rng: int | np.random.Generator | None = None,
) -> GradientCheck:
    """Compare a gradient with the finite differences of scipy.optimize.

    Parameters
    ----------
    problem : Problem or callable
        As for `optimize`.
    x : array_like (n,), optional
        The point to compare at. Default a random point near the problem's start where the gradient is not small;
        required for a callable. float32 is computed in float32 and compared with differences in float64.
    jac : callable or True
        For a callable, as for `optimize`. By default the gradient of its trace is checked.
    args : tuple
        For a callable, as for `optimize`.
    hess : callable, optional
        For a callable, as for `optimize`: checked in place of the Hessian of its trace.
    hessian : bool
        Check the second derivatives, by the differences of the gradient. `grad`, `differences` and `resolution` of the
        result are then (n, n).
    method : {"3-point", "2-point"}
        Central or forward differences.
    rng : None, int or numpy.random.Generator
        For the random point.

    Returns
    -------
    GradientCheck

    Raises
    ------
    TypeError, ValueError
        An argument is wrong, or the objective or the gradient is not finite at x.
    TraceError
        A callable without jac can't be traced, so there is no gradient to check.

    Examples
    --------
    >>> import gradopt
    >>> print(gradopt.check_gradient(gradopt.problems.DoubleWell(), x=[0.5]))  # doctest: +ELLIPSIS
    gradient of DoubleWell(tilt=0.2): passed
      largest error   ... absolute, ... relative (tolerance 1e-06)
      worst parameter x[0] = 0.5: gradient -1.3, differences -1.3
    """
    from scipy.optimize._numdiff import approx_derivative  # the module behind scipy's own finite differences

    validate.choice("method", method, _METHODS)
    if isinstance(problem, Problem):
        if jac is not None or args != ():
            raise ValueError(f"jac and args belong to a callable; {problem} has its own gradient and data")
    elif x is None:
        raise ValueError("x must be given for a callable")
    else:  # by trace, not by differences: comparing differences with differences would check nothing
        problem = as_problem(problem, "trace" if jac is None else jac, args, validate.array("x", x, 1))
    if hess is not None:
        if not validate.flag("hessian", hessian):
            raise ValueError("hess needs hessian=True")
        problem = GivenCurvature(problem, hess, None, args if isinstance(args, tuple) else (args,))
    problem.plain.require(value_and_grad)
    point = _random_point(problem, validate.generator("rng", rng)) if x is None else problem.checked("x", x)
    value, grad = problem.value_and_grad(point)
    if not (np.isfinite(value) and np.isfinite(grad).all()):
        raise ValueError(f"objective and gradient must be finite at x, got {value} and {validate.shown(grad)}")

    wide = point.astype(np.float64)
    if validate.flag("hessian", hessian):
        return _check_of_hessian(problem, point, wide, method)
    differences = approx_derivative(problem.value, wide, method=method)
    if not np.isfinite(differences).all():
        raise ValueError("the objective must be finite around x, where differences are taken; choose another x")
    exponent, tolerance = _METHODS[method]
    epsilon = np.finfo(np.float64).eps
    # The differences can't resolve the rounding of the objective divided by the step.
    noise = 10 * epsilon * abs(value) / (epsilon**exponent * np.maximum(np.abs(wide), 1.0))
    if point.dtype == np.float32:
        tolerance = _FLOAT32_TOLERANCE
        noise += 10 * np.finfo(np.float32).eps * np.abs(grad).max()  # plus the rounding of the gradient
    errors = np.abs(grad - differences)
    relative = errors / np.maximum(
        np.maximum(np.abs(grad), np.abs(differences)), noise / tolerance + np.finfo(np.float64).tiny
    )
    index = int(np.argmax(relative))
    return GradientCheck(
        passed=bool(relative[index] <= tolerance),
        max_abs_error=float(errors.max()),
        max_rel_error=float(relative[index]),
        worst=problem.parameter_name(index),
        tolerance=tolerance,
        x=point,
        grad=grad,
        differences=differences,
        resolution=noise,
        _index=index,
        _of=str(problem),
    )


def _check_of_hessian(problem: Problem, point: NDArray[Any], wide: NDArray[np.float64], method: str) -> GradientCheck:
    """The check of second derivatives, each relative to itself, or to a thousandth of those by its two parameters."""
    from scipy.optimize._numdiff import approx_derivative

    matrix = problem.hessian(point)
    differences = np.atleast_2d(approx_derivative(problem.plain.grad, wide, method=method))
    if not (np.isfinite(matrix).all() and np.isfinite(differences).all()):
        raise ValueError("the second derivatives, and the gradient around x, must be finite; choose another x")
    exponent, tolerance = _METHODS[method]
    epsilon, grad = np.finfo(np.float64).eps, problem.plain.grad(wide)
    steps = epsilon**exponent * np.maximum(np.abs(wide), 1.0)
    noise = 10 * epsilon * (np.abs(grad)[:, None] + np.abs(differences) @ np.abs(wide)[:, None]) / steps
    if point.dtype == np.float32:
        tolerance = _FLOAT32_TOLERANCE
        noise += 10 * np.finfo(np.float32).eps * np.abs(matrix).max()
    errors = np.abs(matrix - differences)
    root = np.sqrt(np.abs(np.diag(differences)))
    largest = np.maximum(np.maximum(np.abs(matrix), np.abs(differences)), 1e-3 * root[:, None] * root)
    sizes = np.maximum(largest, noise / tolerance + np.finfo(np.float64).tiny)
    relative = errors / sizes
    i, j = map(int, np.unravel_index(np.argmax(relative), relative.shape))
    return GradientCheck(
        passed=bool(relative[i, j] <= tolerance),
        max_abs_error=float(errors.max()),
        max_rel_error=float(relative[i, j]),
        worst=f"{problem.parameter_name(i)}, {problem.parameter_name(j)}",
        tolerance=tolerance,
        x=point,
        grad=matrix,
        differences=differences,
        resolution=noise,
        _index=(i, j),
        _of=str(problem),
        _what="Hessian",
    )


def _random_point(problem: Problem, rng: np.random.Generator) -> NDArray[Any]:
    """The draw near the start with the largest gradient, of a few: differences say little where the gradient is 0."""
    start = problem.start(rng)
    start = np.zeros(problem.n) if start is None else start
    draws = (start + rng.normal(size=start.size) * np.maximum(np.abs(start), 1.0) for _ in range(4))
    return max((draw.astype(start.dtype) for draw in draws), key=lambda draw: float(np.abs(problem.grad(draw)).max()))
