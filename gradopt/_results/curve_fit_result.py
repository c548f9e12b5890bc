"""The result of `curve_fit`: the parameters, how sure they are, and how well the model fits."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._core.warnings import warn
from gradopt._results import fit_summary, storage
from gradopt._results.covariance import Covariance, covariance_of, variance_of
from gradopt.problems.fits.curve_form import CurveForm

_IER = {Status.FTOL: 1, Status.XTOL: 2, Status.GTOL: 4}
_WALD, _PROFILE = "wald", "profile"
_NUMBERS = ("rss", "dof", "reduced_chi_squared", "r_squared", "aic", "bic", "rank", "condition", "cost", "nit", "nfev")
_ARRAYS = ("popt", "pcov", "stderr", "correlation", "residuals", "active_mask", "undetermined")
# How far a profile is followed, in standard errors; and how exactly its end is found.
_FARTHEST, _EXACT = 1e4, 1e-4


class FitError(RuntimeError):
    """A fit that failed; what it has reached is in `result`, a `CurveFitResult`, or `ManyFits` where it was many.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> try:
    ...     gradopt.curve_fit(lambda t, a: 0.0 * a * t, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    ... except gradopt.FitError as error:
    ...     print(error)
    no parameter changes the model: the derivatives are all 0
    """

    def __init__(self, text: str, result: Any) -> None:
        super().__init__(text)
        self.result = result


class Observations(NamedTuple):
    """What was fitted to what."""

    f: Callable[..., Any]
    x: Any
    y: NDArray[np.float64]
    sigma: NDArray[np.float64] | None  # (m,) the standard deviations
    spread: NDArray[np.float64] | None  # as in `CurveForm`
    args: tuple[Any, ...]
    form: CurveForm
    names: tuple[str, ...]
    free: tuple[int, ...]  # the places of the parameters that are not fixed


class CurveFitResult(tuple[Any, ...]):
    """The result of `curve_fit`: the tuple (popt, pcov), or of five with full_output, with attributes.

    Attributes
    ----------
    popt : float64 array (n,)
        The parameters.
    pcov : float64 array (n, n)
        Their covariance, s^2 (J'J)^-1 with J the derivatives of (f - y) / sigma; s^2 is 1 with absolute_sigma, else
        rss / dof. With a robust loss, s^2 is sum psi^2 / dof / mean(psi')^2, where psi is the slope of the loss of a
        residual (P. Huber, Robust Statistics, 1981, section 7.6). With "poisson" it is the inverse of the expected
        information. Rows of parameters at a bound are NaN, of fixed ones 0; inf throughout if a parameter is
        undetermined or there are no more points than parameters.
    stderr : float64 array (n,)
        The standard errors: the roots of its diagonal, but inf for undetermined parameters alone.
    correlation : float64 array (n, n)
        pcov[i, j] / (stderr[i] stderr[j]).
    names : tuple of str
    residuals : float64 array (m,)
        y - f, not divided by sigma.
    rss : float
        The weighted sum of squares, sum of ((y - f) / sigma)^2; with a covariance matrix S, (y - f)'S^-1 (y - f); of
        counts, with the variance f, Pearson's sum of (y - f)^2 / f.
    dof : int
        m minus the number of parameters that are not fixed.
    reduced_chi_squared : float
        rss / dof.
    r_squared : float
        1 - rss / tss, with tss the weighted sum of squares about the weighted mean of y; NaN for counts.
    aic, bic : float
        m log(rss / m) + 2 k and m log(rss / m) + k log m, with k parameters that are not fixed (H. Akaike, 1974; G.
        Schwarz, 1978): of use between models of the same data with errors of unknown size. Of counts, with minus twice
        the log-likelihood in place of m log(rss / m).
    rank : int
    condition : float
        Of J, with columns of length 1.
    active_mask : int64 array (n,)
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    cost : float
        The objective that was minimised, 1/2 sum of rho of ((f - y) / sigma)^2, or minus the log-likelihood of counts.
    nit, nfev : int
        Updates, and evaluations of f.
    reason : Status
    message : str

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t = np.arange(6.0)
    >>> fit = gradopt.curve_fit(lambda t, slope, offset: slope * t + offset, t, [0.1, 0.9, 2.2, 2.9, 4.1, 5.0])
    >>> print(fit.popt.round(3), fit.dof, round(fit.r_squared, 4))
    [0.994 0.048] 4 0.9958
    >>> print(fit.confidence_interval(0.95).round(2))
    [[ 0.9   1.08]
     [-0.22  0.32]]
    """

    plotter: ClassVar[Callable[..., Any]]  # `plot.fits.fitted_curve`, set by the package

    popt: NDArray[np.float64]
    pcov: NDArray[np.float64]
    stderr: NDArray[np.float64]
    correlation: NDArray[np.float64]
    names: tuple[str, ...]
    residuals: NDArray[np.float64]
    rss: float
    dof: int
    reduced_chi_squared: float
    r_squared: float
    aic: float
    bic: float
    rank: int
    condition: float
    active_mask: NDArray[np.int64]
    undetermined: NDArray[np.bool_]
    cost: float
    nit: int
    nfev: int
    reason: Status
    message: str
    problem: Any  # the residuals, as a function of the free parameters; None if loaded
    _data: Observations
    _refit: Callable[..., Any]
    _loss: Any
    _absolute: bool
    _variance: float
    _ends: list[list[float]]  # the bounds on the free parameters

    @classmethod
    def of(
        cls,
        fit: Any,
        box: Any,
        data: Observations,
        absolute: bool,
        refit: Callable[..., Any],
        loss: Any,
        scale: float,
        full_output: bool,
    ) -> CurveFitResult:
        """The result of a fit that has ended."""
        run, status, message, problem = fit
        free, n = list(data.free), len(data.names)
        table = problem.table(run.x)
        popt = np.array(data.form.all_parameters(run.x), np.float64)
        mask = np.zeros(n, np.int64)
        if box is not None:
            mask[free] = np.where(run.x <= box.low, -1, np.where(run.x >= box.high, 1, 0))
        dof = data.y.size - len(free)
        counts = loss == "poisson"
        rss = float(np.sum(table.residual**2 * table.weights)) if counts else float(table.residual @ table.residual)
        variance, weights = variance_of(table, loss, scale, absolute, dof, rss)
        covariance = _in_all(covariance_of(table.jacobian, weights, mask[free] == 0, variance), free, n)
        pcov = covariance.matrix.copy()
        if covariance.undetermined.any() or not np.isfinite(variance):
            pcov[:] = np.inf
        infodict = {"nfev": run.nfev, "fvec": table.residual.copy()}
        parts = (popt, pcov, infodict, message, _IER.get(status, 5)) if full_output else (popt, pcov)
        self = cls(parts)
        self.popt, self.pcov, self.stderr, self.names = popt, pcov, covariance.stderr, data.names
        with np.errstate(divide="ignore", invalid="ignore"):
            self.correlation = covariance.matrix / covariance.stderr[:, None] / covariance.stderr[None, :]
        self.residuals, self.rss, self.dof = -_in_units(table.residual, data.spread), rss, dof
        self.reduced_chi_squared = rss / dof if dof > 0 else math.nan
        total = math.nan if counts else _total(data)
        self.r_squared = 1.0 - rss / total if total > 0.0 else math.nan
        m, logs = data.y.size, -math.inf if rss == 0.0 else math.log(rss / data.y.size)
        unlikely = 2.0 * table.fun if counts else m * logs
        self.aic, self.bic = unlikely + 2 * len(free), unlikely + len(free) * math.log(m)
        self.rank, self.condition = covariance.rank, covariance.condition
        self.active_mask, self.undetermined = mask, covariance.undetermined
        self.nfev, self.reason, self.message = run.nfev, status, message
        self._data, self._refit, self._loss, self._absolute = data, refit, loss, absolute
        self.cost, self.nit, self._variance = float(table.fun), int(run.nit), variance
        self.problem = problem
        infinite = np.full(len(free), np.inf)
        self._ends = np.stack([-infinite, infinite] if box is None else [box.low, box.high], axis=1).tolist()
        return self

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        return fit_summary.table(self)

    def summary(self) -> str:
        """The fit as a text: each parameter with its error, how well the model fits, and what to beware of.

        Returns
        -------
        str

        Examples
        --------
        >>> import gradopt
        >>> fit = gradopt.curve_fit(lambda t, a: a * t, [1.0, 2.0, 3.0], [2.0, 4.1, 5.9])
        >>> fit.summary().splitlines()[1]
        '  a  1.993 +/- 0.026'
        """
        return fit_summary.text(self)

    def predict(self, x: Any) -> NDArray[np.float64]:
        """The model at other points.

        Parameters
        ----------
        x : array_like (m,) or (k, m), or what f takes
            The points.

        Returns
        -------
        float64 array (m,)

        Examples
        --------
        >>> import gradopt
        >>> fit = gradopt.curve_fit(lambda t, a: a * t, [1.0, 2.0, 3.0], [2.0, 4.1, 5.9])
        >>> fit.predict([10.0]).round(2)
        array([19.93])
        """
        return self._values(self._points(x), self.popt)

    def _points(self, x: Any) -> Any:
        return np.asarray(x, np.float64) if isinstance(x, (list, tuple, int, float)) else x

    def _values(self, x: Any, params: NDArray[np.float64]) -> NDArray[np.float64]:
        answer = np.atleast_1d(np.asarray(self._data.f(x, *params, *self._data.args), np.float64))
        size = np.shape(x)[-1] if np.ndim(x) and isinstance(x, np.ndarray) else answer.size
        return np.broadcast_to(answer, max(size, answer.size)).copy()

    def confidence_interval(self, level: float = 0.95, kind: str = "wald") -> NDArray[np.float64]:
        """Intervals for the parameters.

        Parameters
        ----------
        level : float
            In (0, 1).
        kind : {"wald", "profile"}
            "wald": popt -+ q stderr, with q the quantile of Student's t with dof degrees of freedom, or of the normal
            distribution if the size of the errors is known. "profile": where the best sum of squares with the parameter
            held is q^2 s^2 above the least (D. Bates and D. Watts, Nonlinear Regression Analysis, 1988, section 6.1);
            right where the model is far from linear in the parameter. It needs some more fits.

        Returns
        -------
        float64 array (n, 2)
            Lower and upper ends; infinite for undetermined parameters, NaN for those at a bound, the value for fixed
            ones. A profile may end at a bound.

        Raises
        ------
        ValueError
            level or kind is wrong, or kind is "profile" and the loss is robust.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> t = np.array([1.0, 2.0, 3.0, 4.0])
        >>> fit = gradopt.curve_fit(lambda t, a, b: a * np.exp(b * t), t, [2.6, 7.5, 20.3, 54.1], p0=[1.0, 1.0])
        >>> print(fit.confidence_interval(kind="profile").round(2))
        [[0.93 1.17]
         [0.96 1.02]]
        """
        q = self._quantile(level)
        validate.choice("kind", kind, (_WALD, _PROFILE))
        if kind == _WALD:
            with np.errstate(invalid="ignore"):
                return np.stack([self.popt - q * self.stderr, self.popt + q * self.stderr], axis=1)
        if self._loss not in ("linear", "poisson"):
            raise ValueError("kind='profile' needs loss='linear' or 'poisson': a robust loss is no likelihood")
        ends = np.stack([self.popt, self.popt], axis=1)
        for j, place in enumerate(self._data.free):
            error = self.stderr[place]
            if np.isnan(error):
                ends[place] = math.nan
            elif error == 0.0:  # a perfect fit
                continue
            elif not np.isfinite(error):
                ends[place] = -math.inf, math.inf
            else:
                ends[place] = [self._end(j, place, side, q) for side in (-1.0, 1.0)]
        return ends

    def _quantile(self, level: float) -> float:
        level = validate.number("level", level, 0, 1, above=True, below=True)
        tail = 0.5 * (1.0 + level)
        if self._absolute:
            return float(scipy.stats.norm.ppf(tail))
        return float(scipy.stats.t.ppf(tail, self.dof)) if self.dof > 0 else math.inf

    def _end(self, j: int, place: int, side: float, q: float) -> float:
        """The end of a profile: the value of free parameter j at which the fit is q standard deviations worse."""
        center, error = float(self.popt[place]), float(self.stderr[place])
        start = self.popt[list(self._data.free)].copy()

        def excess(value: float) -> float:
            nonlocal start
            run = self._refit(start, j, value).result
            if not np.isfinite(run.fun):
                return q
            start = run.x
            return math.sqrt(max(2.0 * (run.fun - self.cost), 0.0) / self._variance) - q

        low, high = self._ends[j]
        inner, step = center, q * error
        while step <= _FARTHEST * error:
            outer = min(max(center + side * step, low), high)
            if excess(outer) > 0.0:
                return float(scipy.optimize.brentq(excess, inner, outer, xtol=_EXACT * error))
            if outer in (low, high):
                return outer
            inner, step = outer, 2.0 * step
        return side * math.inf

    def confidence_band(self, x: Any, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the model's curve is, point by point: predict(x) -+ q sqrt(g'C g).

        Parameters
        ----------
        x : array_like (m,) or (k, m), or what f takes
            The points.
        level : float
            In (0, 1).

        Returns
        -------
        two float64 arrays (m,)
            The lower and the upper edge. With g the derivatives of the model by the parameters and C their covariance
            (Bates and Watts, section 2.3); parameters at a bound count as known.

        Examples
        --------
        >>> import gradopt
        >>> fit = gradopt.curve_fit(lambda t, a: a * t, [1.0, 2.0, 3.0], [2.0, 4.1, 5.9])
        >>> lower, upper = fit.confidence_band([10.0])
        >>> print(lower.round(1), upper.round(1))
        [18.8] [21.1]
        """
        return self._band(x, level, 0.0)

    def prediction_band(self, x: Any, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where new data will be, point by point: predict(x) -+ q sqrt(g'C g + s^2).

        Parameters
        ----------
        x : array_like (m,) or (k, m), or what f takes
            The points.
        level : float
            In (0, 1).

        Returns
        -------
        two float64 arrays (m,)
            The lower and the upper edge. s^2 is the variance of a point: that in `pcov`, times the mean of sigma^2 over
            the data where sigma was given; of counts, the model's value. A robust loss has new data without outliers.

        Examples
        --------
        >>> import gradopt
        >>> fit = gradopt.curve_fit(lambda t, a: a * t, [1.0, 2.0, 3.0], [2.0, 4.1, 5.9])
        >>> lower, upper = fit.prediction_band([10.0])
        >>> bool(upper[0] - lower[0] > fit.confidence_band([10.0])[1][0] - fit.confidence_band([10.0])[0][0])
        True
        """
        if self._loss == "poisson":
            return self._band(x, level, self.predict(x))
        sigma = self._data.sigma
        mean = 1.0 if sigma is None else float(np.mean(sigma**2))
        return self._band(x, level, mean * self._variance)

    def _band(self, x: Any, level: float, more: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        q, x = self._quantile(level), self._points(x)
        center = self._values(x, self.popt)
        sure = np.isfinite(self.stderr) & (self.stderr > 0.0)
        rows = []
        for j in np.flatnonzero(sure):
            h = 1e-3 * self.stderr[j] if self.popt[j] == 0.0 else 6e-6 * abs(self.popt[j])
            up, down = self.popt.copy(), self.popt.copy()
            up[j], down[j] = up[j] + h, down[j] - h
            with np.errstate(all="ignore"):
                rows.append((self._values(x, up) - self._values(x, down)) / (up[j] - down[j]))
        g = np.array(rows).reshape(len(rows), center.size)
        matrix = self.correlation[np.ix_(sure, sure)] * self.stderr[sure][:, None] * self.stderr[sure][None, :]
        variance = np.maximum(np.einsum("im,ij,jm->m", g, matrix, g), 0.0)
        if self.undetermined.any():
            variance = np.full(center.size, math.inf)
        width = q * np.sqrt(variance + more)
        return center - width, center + width

    def warn(self) -> None:
        """Give an OptimizeWarning where the covariance is infinite."""
        if np.isinf(self.pcov).any():
            text = "; ".join(fit_summary.remarks(self))
            warn(f"the covariance of the parameters could not be estimated: {text}", scipy.optimize.OptimizeWarning)

    @property
    def fixed(self) -> tuple[bool, ...]:
        """Whether each parameter was fixed."""
        return tuple(i not in self._data.free for i in range(len(self.names)))

    @property
    def ends(self) -> NDArray[np.float64]:
        """The bounds on the parameters that were not fixed, (k, 2)."""
        return np.asarray(self._ends, np.float64).reshape(-1, 2)

    @property
    def absolute_sigma(self) -> bool:
        """Whether the size of the errors was known, and used."""
        return bool(self._loss == "poisson" or (self._absolute and self._loss == "linear"))

    @property
    def model_name(self) -> str:
        """The name of the fitted function."""
        return str(getattr(self._data.f, "__name__", "f"))

    @property
    def data(self) -> tuple[Any, NDArray[np.float64], NDArray[np.float64] | None]:
        """What was fitted: xdata, ydata (m,), and the standard deviations (m,) or None."""
        return self._data.x, self._data.y, self._data.sigma

    def plot(self, *, level: float = 0.95, figure: Any = None) -> Any:
        """The data with error bars, the model with its bands, and the residuals below (needs matplotlib).

        Parameters
        ----------
        level : float
            The level of the bands, in (0, 1).
        figure : matplotlib Figure or SubFigure, optional
            The figure to draw in. Default a new one.

        Returns
        -------
        tuple of Axes
            Of the curve and of the residuals.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            xdata is not a vector.

        Examples
        --------
        >>> import gradopt
        >>> fit = gradopt.curve_fit(lambda t, a, b: a * t + b, [1.0, 2.0, 3.0, 4.0], [2.0, 4.1, 5.9, 8.2])
        >>> curve, residuals = fit.plot()
        >>> residuals.get_ylabel()
        'residual'
        """
        return type(self).plotter(self, level=level, figure=figure)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to a file that `load` can read: all figures and the data, but not the model.

        Parameters
        ----------
        path : str or path
            An .npz file, without pickle.

        Raises
        ------
        OSError
            The file can't be written.

        Examples
        --------
        >>> import gradopt, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "fit.npz")
        >>> fit = gradopt.curve_fit(lambda t, a, b: a * t + b, [1.0, 2.0, 3.0, 4.0], [2.0, 4.1, 5.9, 8.2])
        >>> fit.save(path)
        >>> bool((gradopt.load(path).confidence_interval() == fit.confidence_interval()).all())
        True
        """
        facts = {name: getattr(self, name) for name in _NUMBERS}
        facts |= {"kind": "curve_fit", "names": list(self.names), "reason": int(self.reason), "message": self.message}
        facts |= {"free": list(self._data.free), "absolute": self._absolute, "loss": str(self._loss)}
        facts |= {"model": self.model_name}
        arrays = {name: getattr(self, name) for name in _ARRAYS} | {"ydata": self._data.y}
        for name, part in (("xdata", self._data.x), ("sigma", self._data.sigma)):
            if isinstance(part, np.ndarray):
                arrays[name] = part
        storage.write(Path(path), facts, arrays)

    @classmethod
    def made(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CurveFitResult:
        """The result from what `save` wrote."""
        self = cls((arrays["popt"], arrays["pcov"]))
        for name in _NUMBERS:
            setattr(self, name, facts[name])
        for name in _ARRAYS:
            setattr(self, name, arrays[name])
        self.names, self.message, self.reason = tuple(facts["names"]), facts["message"], Status(facts["reason"])

        def lost(*arguments: Any) -> Any:
            raise ValueError("the model is not in the file: fit again to predict, for profiles and bands")

        lost.__name__ = facts["model"]
        form = CurveForm("linear", 1.0, tuple(None for _ in self.names))
        x, sigma = arrays.get("xdata"), arrays.get("sigma")
        self._data = Observations(lost, x, arrays["ydata"], sigma, None, (), form, self.names, tuple(facts["free"]))
        self._refit, self._loss, self._absolute = lost, facts["loss"], facts["absolute"]
        self.cost = self._variance = math.nan
        self.problem = None
        self._ends = [[-math.inf, math.inf] for _ in self.names]
        return self


def _in_all(covariance: Covariance, free: list[int], n: int) -> Covariance:
    """The covariance of all parameters; fixed ones have none."""
    matrix, stderr, undetermined = np.zeros((n, n)), np.zeros(n), np.zeros(n, bool)
    matrix[np.ix_(free, free)] = covariance.matrix
    stderr[free], undetermined[free] = covariance.stderr, covariance.undetermined
    return covariance._replace(matrix=matrix, stderr=stderr, undetermined=undetermined)


def _in_units(residual: NDArray[Any], spread: Any) -> NDArray[np.float64]:
    """F - y, of residuals that were divided by sigma."""
    if spread is None:
        return residual.copy()
    return residual * spread if spread.ndim == 1 else np.linalg.solve(spread, residual)


def _total(data: Observations) -> float:
    """The weighted sum of squares of y about its weighted mean."""
    spread, ones, y = data.spread, np.ones(data.y.size), data.y
    if spread is not None:
        ones, y = (ones / spread, y / spread) if spread.ndim == 1 else (spread @ ones, spread @ y)
    mean = (ones @ y) / (ones @ ones)
    return float(np.sum((y - mean * ones) ** 2))
