"""The result of `least_squares`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core.status import Status
from gradopt._results.fit_summary import number
from gradopt._results.history import History
from gradopt._results.shown import as_html, as_text, verdict

if TYPE_CHECKING:
    _Base = dict[str, Any]  # scipy's class is untyped and would hide wrong names
else:
    from scipy.optimize import OptimizeResult as _Base


_SHOWN = 12  # parameters, each with its standard error


class LeastSquaresResult(_Base):
    """The result of `least_squares`: a dictionary whose keys are also attributes, those of scipy's and some more.

    Attributes
    ----------
    x : float64 array (n,)
    cost : float
        1/2 sum of rho.
    fun : float64 array (m,)
        The residuals at x.
    jac : float64 array (m, n)
        Their derivatives; with a loss as in scipy: the rows times the root of rho' + 2 rho'' r^2, so that jac'jac is
        near the Hessian of the cost.
    grad : float64 array (n,)
        The gradient of the cost.
    optimality : float
        The largest absolute element of the gradient over the parameters that no bound holds.
    active_mask : int64 array (n,)
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    nfev, njev : int
        The evaluations of residuals, those for differences included, and of derivatives.
    status : int
        scipy's: 0 for the limit of evaluations or updates, 1 for gtol, 2 for ftol, 3 for xtol, -2 for a callback; -1 if
        the fit failed otherwise.
    success : bool
        status > 0.
    message : str
    reason : Status
        The status of this package.
    cov : float64 array (n, n)
        The covariance of the parameters if the residuals are independent and have the same variance, as for
        `CurveFitResult.pcov`: s^2 (J'J)^-1, with s^2 = sum of r^2 / (m - n) where the loss is linear. NaN for
        parameters at a bound, inf for those that the residuals do not determine, NaN throughout if m <= n.
    stderr : float64 array (n,)
        The roots of its diagonal.
    rank : int
        The rank of the derivatives by the parameters that are not at a bound.
    condition : float
        Their condition number, with columns scaled to length 1.
    history : History
    problem : Problem
        What `optimize` can run again.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t, y = np.arange(4.0), np.array([3.0, 1.8, 1.1, 0.7])
    >>> result = gradopt.least_squares(lambda x: x[0] * np.exp(-x[1] * t) - y, [1.0, 1.0])
    >>> result.stderr.round(3), result.rank, result.reason.success
    (array([0.024, 0.008]), 2, True)
    """

    x: NDArray[np.float64]
    cost: float
    fun: NDArray[np.float64]
    jac: NDArray[np.float64]
    grad: NDArray[np.float64]
    optimality: float
    active_mask: NDArray[np.int64]
    nfev: int
    njev: int
    status: int
    success: bool
    message: str
    reason: Status
    cov: NDArray[np.float64]
    stderr: NDArray[np.float64]
    rank: int
    condition: float
    history: History
    problem: Any

    def __repr__(self) -> str:
        """The verdict, and what was found; `dict(result)` has everything."""
        return as_text(self._described())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        return as_html(self._described())

    def _described(self) -> list[tuple[str, str]]:
        n = self.x.size
        sides = {-1: " (at its lower bound)", 0: "", 1: " (at its upper bound)"}
        rows = [(verdict(self.reason), self.message), ("problem", str(self.problem))]
        rows.append(("cost", f"{self.cost:.8g}, {self.fun.size} residual{'s' * (self.fun.size != 1)}"))
        rows += [
            (f"x[{j}]", number(float(self.x[j]), float(self.stderr[j])) + sides[int(self.active_mask[j])])
            for j in range(min(n, _SHOWN))
        ]
        if n > _SHOWN:
            rows.append(("...", f"{n} parameters in all"))
        rows.append(("gradient", f"at most {self.optimality:.1e}"))
        rows.append(("rank", f"{self.rank}, condition number {self.condition:.2g}"))
        rows.append(("evaluations", f"{self.nfev} of the residuals, {self.njev} of the derivatives"))
        return rows
