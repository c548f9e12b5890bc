"""Test problems 1 to 18 of J. More, B. Garbow and K. Hillstrom, Testing unconstrained optimization software, ACM TOMS 7
(1981): sums of squares, each with its standard start.

A problem is a function residual(i, x, d), which returns residual i at x and writes its derivatives to d. The paper
numbers equations and parameters from 1, this file from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, address_of, kernel, silent
from gradopt._core import validate
from gradopt._core.config import config
from gradopt.problems.base import Problem
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem, argument_types
from gradopt.problems.functions.python_residuals import PythonResiduals


class _Entry(NamedTuple):
    """A problem of the set."""

    name: str
    residuals: int
    start: tuple[float, ...]
    minimum: float
    minimizer: tuple[float, ...] | None
    local_minimum: float | None
    evaluate: Any
    residual: Callable[..., float]


# The objective is the sum of squares, not half of it.
_ROOT_2 = math.sqrt(2.0)

_SET: dict[int, _Entry] = {}


@config
class MGH(Problem):
    """A problem of the More-Garbow-Hillstrom set: f(x) = sum over i of r[i](x)**2.

    Parameters
    ----------
    number : int
        The number in the paper, in [1, 18]: Rosenbrock, Freudenstein and Roth, Powell badly scaled, Brown badly scaled,
        Beale, Jennrich and Sampson, helical valley, Bard, Gaussian, Meyer, Gulf, Box, Powell singular, Wood, Kowalik
        and Osborne, Brown and Dennis, Osborne 1, Biggs EXP6.

    Raises
    ------
    TypeError, ValueError
        number is not an integer in this range.

    Notes
    -----
    `name` and `residuals` describe the problem. The start is that of the paper, the minimum the lowest known one;
    problems 2 and 18 also have a `local_minimum`, which most methods find. `minimizer` is known if the minimum is 0.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.MGH(5)
    >>> problem.name, problem.x0, problem.minimizer
    ('Beale', array([1., 1.]), array([3. , 0.5]))
    >>> print(gradopt.optimize(problem).x.round(4))
    [3.  0.5]
    """

    Lowered = ProblemByAddress.Lowered

    number: int

    def __post_init__(self) -> None:
        self._check("number", validate.integer, 1)
        if self.number > len(_SET):
            raise ValueError(f"number must be in [1, {len(_SET)}], got {self.number}")

    def _lower(self, dtype: Any) -> Any:
        evaluate = _SET[self.number].evaluate
        if COMPILING:
            return ProblemByAddress.Lowered(address_of(evaluate, argument_types(np.dtype(dtype))), 0, 0)
        return PythonProblem.Lowered(silent(lambda grad, work, x: evaluate(0, grad, work, x)), None)

    def workspace(self, dtype: Any) -> Any:
        return np.zeros(self.n, dtype)

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        count, one = self.residuals, _SET[self.number].residual

        def residuals(x: NDArray[Any]) -> NDArray[np.float64]:
            return np.array([_ROOT_2 * one(i, x, np.empty(x.size)) for i in range(count)])

        def jacobian(x: NDArray[Any], at_x: NDArray[Any], scales: NDArray[Any]) -> NDArray[np.float64]:
            result = np.empty((count, x.size))
            for i in range(count):
                one(i, x, result[i])
            return _ROOT_2 * result

        def of_sum(residual: NDArray[Any]) -> tuple[Any, Any, Any]:
            return 0.5 * float(residual @ residual), residual, None

        return PythonResiduals(residuals, jacobian, of_sum, self.x0, count, None, 0)

    @property
    def inlined(self) -> bool:
        return False

    @property
    def name(self) -> str:
        """The name of the problem."""
        return _SET[self.number].name

    @property
    def residuals(self) -> int:
        """The number of squares in the sum."""
        return _SET[self.number].residuals

    @property
    def n(self) -> int:
        return len(_SET[self.number].start)

    @property
    def x0(self) -> NDArray[np.float64]:
        return np.array(_SET[self.number].start)

    @property
    def minimizer(self) -> NDArray[np.float64] | None:
        minimizer = _SET[self.number].minimizer
        return None if minimizer is None else np.array(minimizer)

    @property
    def minimum(self) -> float:
        return _SET[self.number].minimum

    @property
    def local_minimum(self) -> float | None:
        """Another minimum near the start."""
        return _SET[self.number].local_minimum


def _entry(
    name: str,
    residuals: int,
    start: tuple[float, ...],
    minimum: float,
    minimizer: tuple[float, ...] | None = None,
    local_minimum: float | None = None,
) -> Any:
    """Add the problem of a residual function to the set."""

    def add(residual: Callable[..., float]) -> Callable[..., float]:
        function = _sum_of_squares(register_jitable(residual), residuals)
        function.__qualname__ = f"sum_of_squares.{residual.__name__}"  # see `kernel`
        evaluate = kernel(function)
        _SET[len(_SET) + 1] = _Entry(name, residuals, start, minimum, minimizer, local_minimum, evaluate, residual)
        return residual

    return add


def _sum_of_squares(residual: Any, count: int) -> Any:
    def evaluate(data, grad, work, x):
        real = x.dtype.type
        f = 0.0
        for j in range(x.size):
            grad[j] = 0.0
        for i in range(count):
            r = residual(i, x, work)
            f += r * r
            for j in range(x.size):
                grad[j] += real(2.0 * r) * work[j]
        return np.float64(f)

    return evaluate


@_entry("Rosenbrock", 2, (-1.2, 1.0), 0.0, (1.0, 1.0))
def rosenbrock(i, x, d):
    if i == 0:
        d[0], d[1] = -20.0 * x[0], 10.0
        return 10.0 * (x[1] - x[0] ** 2)
    d[0], d[1] = -1.0, 0.0
    return 1.0 - x[0]


@_entry("Freudenstein and Roth", 2, (0.5, -2.0), 0.0, (5.0, 4.0), 48.984253679240)
def freudenstein_roth(i, x, d):
    d[0] = 1.0
    if i == 0:
        d[1] = (10.0 - 3.0 * x[1]) * x[1] - 2.0
        return -13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1]
    d[1] = (3.0 * x[1] + 2.0) * x[1] - 14.0
    return -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1]


@_entry("Powell badly scaled", 2, (0.0, 1.0), 0.0, (1.0981593296998176e-05, 9.106146739867453))
def powell_badly_scaled(i, x, d):
    if i == 0:
        d[0], d[1] = 1e4 * x[1], 1e4 * x[0]
        return 1e4 * x[0] * x[1] - 1.0
    a, b = np.exp(-x[0]), np.exp(-x[1])
    d[0], d[1] = -a, -b
    return a + b - 1.0001


@_entry("Brown badly scaled", 3, (1.0, 1.0), 0.0, (1e6, 2e-6))
def brown_badly_scaled(i, x, d):
    if i == 0:
        d[0], d[1] = 1.0, 0.0
        return x[0] - 1e6
    if i == 1:
        d[0], d[1] = 0.0, 1.0
        return x[1] - 2e-6
    d[0], d[1] = x[1], x[0]
    return x[0] * x[1] - 2.0


@_entry("Beale", 3, (1.0, 1.0), 0.0, (3.0, 0.5))
def beale(i, x, d):
    power = x[1] ** (i + 1)
    d[0], d[1] = power - 1.0, (i + 1.0) * x[0] * x[1] ** i
    return 3.0 - 3.0 / 2.0 ** (i + 1) - x[0] * (1.0 - power)  # 1.5, 2.25, 2.625


@_entry("Jennrich and Sampson", 10, (0.3, 0.4), 124.36218235561)
def jennrich_sampson(i, x, d):
    k = i + 1.0
    a, b = np.exp(k * x[0]), np.exp(k * x[1])
    d[0], d[1] = -k * a, -k * b
    return 2.0 + 2.0 * k - (a + b)


@_entry("helical valley", 3, (-1.0, 0.0, 0.0), 0.0, (1.0, 0.0, 0.0))
def helical_valley(i, x, d):
    squares = x[0] ** 2 + x[1] ** 2
    if i == 0:
        turn = np.arctan2(x[1], x[0]) / (2.0 * math.pi)
        if turn < -0.25:  # the paper's angle is in [-1/4, 3/4) of a turn
            turn += 1.0
        d[0], d[1], d[2] = 50.0 / math.pi * x[1] / squares, -50.0 / math.pi * x[0] / squares, 10.0
        return 10.0 * (x[2] - 10.0 * turn)
    if i == 1:
        radius = math.sqrt(squares)
        d[0], d[1], d[2] = 10.0 * x[0] / radius, 10.0 * x[1] / radius, 0.0
        return 10.0 * (radius - 1.0)
    d[0], d[1], d[2] = 0.0, 0.0, 1.0
    return x[2]


_BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


@_entry("Bard", 15, (1.0, 1.0, 1.0), 8.2148773065790e-3)
def bard(i, x, d):
    u, v = i + 1.0, 15.0 - i
    w = min(u, v)
    denominator = v * x[1] + w * x[2]
    slope = u / denominator**2
    d[0], d[1], d[2] = -1.0, v * slope, w * slope
    return _BARD[i] - (x[0] + u / denominator)


_GAUSSIAN = np.array([9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9], float)


@_entry("Gaussian", 15, (0.4, 1.0, 0.0), 1.1279327696189e-8)
def gaussian(i, x, d):
    distance = (7.0 - i) / 2.0 - x[2]
    bell = np.exp(-x[1] * distance**2 / 2.0)
    d[0], d[1], d[2] = bell, -x[0] * bell * distance**2 / 2.0, x[0] * bell * x[1] * distance
    return x[0] * bell - _GAUSSIAN[i] / 10000.0


_MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872], float
)


@_entry("Meyer", 16, (0.02, 4000.0, 250.0), 87.945855170395)
def meyer(i, x, d):
    shifted = 50.0 + 5.0 * i + x[2]
    e = np.exp(x[1] / shifted)
    d[0], d[1], d[2] = e, x[0] * e / shifted, -x[0] * e * x[1] / shifted**2
    return x[0] * e - _MEYER[i]


@_entry("Gulf research and development", 99, (5.0, 2.5, 0.15), 0.0, (50.0, 25.0, 1.5))
def gulf(i, x, d):
    t = (i + 1.0) / 100.0
    distance = 25.0 + (-50.0 * np.log(t)) ** (2.0 / 3.0) - x[1]
    a = abs(distance)
    power = a ** x[2] / x[0]
    e = np.exp(-power)
    d[0] = e * power / x[0]
    d[1] = e * power * x[2] / distance if a > 0.0 else 0.0
    d[2] = -e * power * np.log(a) if a > 0.0 else 0.0
    return e - t


@_entry("Box three-dimensional", 10, (0.0, 10.0, 20.0), 0.0, (1.0, 10.0, 1.0))
def box(i, x, d):
    t = 0.1 * (i + 1.0)
    a, b, c = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t) - np.exp(-10.0 * t)
    d[0], d[1], d[2] = -t * a, t * b, -c
    return a - b - x[2] * c


@_entry("Powell singular", 4, (3.0, -1.0, 0.0, 1.0), 0.0, (0.0, 0.0, 0.0, 0.0))
def powell_singular(i, x, d):
    d[0], d[1], d[2], d[3] = 0.0, 0.0, 0.0, 0.0
    if i == 0:
        d[0], d[1] = 1.0, 10.0
        return x[0] + 10.0 * x[1]
    if i == 1:
        d[2], d[3] = math.sqrt(5.0), -math.sqrt(5.0)
        return math.sqrt(5.0) * (x[2] - x[3])
    if i == 2:
        r = x[1] - 2.0 * x[2]
        d[1], d[2] = 2.0 * r, -4.0 * r
        return r**2
    r = x[0] - x[3]
    d[0], d[3] = 2.0 * math.sqrt(10.0) * r, -2.0 * math.sqrt(10.0) * r
    return math.sqrt(10.0) * r**2


@_entry("Wood", 6, (-3.0, -1.0, -3.0, -1.0), 0.0, (1.0, 1.0, 1.0, 1.0))
def wood(i, x, d):
    d[0], d[1], d[2], d[3] = 0.0, 0.0, 0.0, 0.0
    if i == 0:
        d[0], d[1] = -20.0 * x[0], 10.0
        return 10.0 * (x[1] - x[0] ** 2)
    if i == 1:
        d[0] = -1.0
        return 1.0 - x[0]
    if i == 2:
        d[2], d[3] = -2.0 * math.sqrt(90.0) * x[2], math.sqrt(90.0)
        return math.sqrt(90.0) * (x[3] - x[2] ** 2)
    if i == 3:
        d[2] = -1.0
        return 1.0 - x[2]
    if i == 4:
        d[1], d[3] = math.sqrt(10.0), math.sqrt(10.0)
        return math.sqrt(10.0) * (x[1] + x[3] - 2.0)
    d[1], d[3] = 1.0 / math.sqrt(10.0), -1.0 / math.sqrt(10.0)
    return (x[1] - x[3]) / math.sqrt(10.0)


_KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
_KOWALIK_U = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


@_entry("Kowalik and Osborne", 11, (0.25, 0.39, 0.415, 0.39), 3.0750560384924e-4)
def kowalik_osborne(i, x, d):
    u = _KOWALIK_U[i]
    numerator, denominator = u * (u + x[1]), u * (u + x[2]) + x[3]
    d[0], d[1] = -numerator / denominator, -x[0] * u / denominator
    d[2], d[3] = x[0] * numerator * u / denominator**2, x[0] * numerator / denominator**2
    return _KOWALIK_Y[i] - x[0] * numerator / denominator


@_entry("Brown and Dennis", 20, (25.0, 5.0, -5.0, -1.0), 85822.201626356)
def brown_dennis(i, x, d):
    t = (i + 1.0) / 5.0
    a, b = x[0] + t * x[1] - np.exp(t), x[2] + x[3] * math.sin(t) - math.cos(t)
    d[0], d[1], d[2], d[3] = 2.0 * a, 2.0 * a * t, 2.0 * b, 2.0 * b * math.sin(t)
    return a**2 + b**2


_OSBORNE_1 = np.fromstring(
    """844 908 932 936 925 908 881 850 818 784 751 718 685 658 628 603 580 558 538 522 506 490 478 467 457 448 438 431
    424 420 414 411 406""",
    sep=" ",
)


@_entry("Osborne 1", 33, (0.5, 1.5, -1.0, 0.01, 0.02), 5.4648946974837e-5)
def osborne_1(i, x, d):
    t = 10.0 * i
    a, b = np.exp(-x[3] * t), np.exp(-x[4] * t)
    d[0], d[1], d[2], d[3], d[4] = -1.0, -a, -b, x[1] * t * a, x[2] * t * b
    return _OSBORNE_1[i] / 1000.0 - (x[0] + x[1] * a + x[2] * b)


@_entry("Biggs EXP6", 13, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0), 0.0, (1.0, 10.0, 1.0, 5.0, 4.0, 3.0), 5.6556499255e-3)
def biggs_exp6(i, x, d):
    t = 0.1 * (i + 1.0)
    a, b, c = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t * x[4])
    d[0], d[1], d[2], d[3], d[4], d[5] = -t * x[2] * a, t * x[3] * b, a, -b, -t * x[5] * c, c
    return x[2] * a - x[3] * b + x[5] * c - (np.exp(-t) - 5.0 * np.exp(-10.0 * t) + 3.0 * np.exp(-4.0 * t))
