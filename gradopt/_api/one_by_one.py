"""Many fits of a model that can't be put into lanes: each by `curve_fit`, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._api.curve_fit import curve_fit
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING, StopTests
from gradopt._results.curve_fit_result import CurveFitResult, FitError
from gradopt._run.many_fits import Block, Fitted, ManyTask, vectors
from gradopt.problems.fits.many_form import Layout


class OneByOne(ManyTask):
    """A function that fits blocks by `curve_fit`.

    Parameters
    ----------
    names, layout, dtype, covariance
        As for `ManyTask`.
    f : callable
        The model.
    shared : float64 array (m,) or (k, m), or None
        The predictors, if all fits share them.
    args : tuple
    tests : StopTests
    max_iter, polish : int
    loss, scale, absolute
        As for `curve_fit`.
    """

    route = "one by one"

    def __init__(
        self,
        names: tuple[str, ...],
        layout: Layout,
        dtype: Any,
        covariance: str | None,
        f: Callable[..., Any],
        shared: NDArray[np.float64] | None,
        args: tuple[Any, ...],
        tests: StopTests,
        max_iter: int,
        polish: int,
        loss: Any,
        scale: float,
        absolute: bool,
    ) -> None:
        super().__init__(names, layout, dtype, covariance, lanes=1)
        self._f, self._shared, self._args = f, shared, args
        self._absolute = absolute
        self._settings = {"loss": loss, "f_scale": scale, "max_iter": max_iter, "polish": polish}
        self._settings |= {"gtol": tests.gtol, "ftol": tests.ftol, "xtol": tests.xtol}
        self._counts = isinstance(loss, str) and loss == "poisson"

    def __call__(self, block: Block) -> Fitted:
        """Fit all."""
        inputs, counts, status = vectors(self.layout, block, np.dtype(np.float64), self._counts)
        n, free, fits = len(self.layout.free), list(self.layout.free), len(inputs)
        low, high = (np.broadcast_to(side, (fits, n)) for side in (block.low, block.high))
        x, cost, mask = inputs[:, :n].copy(), np.full(fits, np.nan), np.zeros((fits, n), np.int8)
        inverse = np.full((fits, n, n), np.nan) if self._covariance == "full" else np.full((fits, n), np.nan)
        nit, nfev = np.zeros(fits, np.int32), np.zeros(fits, np.int32)
        for i in np.flatnonzero(status == RUNNING):
            fit = self._fit(inputs[i], low[i], high[i])
            if fit is None:
                status[i] = Status.NON_FINITE
                continue
            status[i], x[i], cost[i], nfev[i], nit[i] = fit.reason, fit.popt[free], fit.cost, fit.nfev, fit.nit
            mask[i] = fit.active_mask[free]
            if fit.reason != Status.NON_FINITE:
                inverse[i] = fit.pcov[np.ix_(free, free)] if self._covariance == "full" else fit.stderr[free]
        dtype, dof = self._dtype, (counts - n).astype(np.int32)
        errors = None if self._covariance is None else inverse.astype(dtype)
        return Fitted(x.astype(dtype), errors, cost, dof, nit, nfev, status, mask)

    def _fit(self, vector: NDArray[np.float64], low: NDArray[Any], high: NDArray[Any]) -> CurveFitResult | None:
        """One fit; None if the model raises an error."""
        parameters, y, sigma, valid, own = self.layout.parts(vector)
        points = self._shared if own is None else own
        if valid is not None:
            kept = valid != 0.0
            points, y = points[..., kept], y[kept]  # type: ignore[index]
            sigma = None if sigma is None else sigma[kept]
        below, above = np.full(len(parameters), -np.inf), np.full(len(parameters), np.inf)
        below[list(self.layout.free)], above[list(self.layout.free)] = low, high
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                return curve_fit(
                    self._f,
                    points,
                    y,
                    np.array(parameters, np.float64),
                    sigma,
                    self._absolute,
                    bounds=(below, above),
                    fixed={self.names[i]: float(parameters[i]) for i in self.layout.held},
                    args=self._args,
                    **self._settings,
                )
            except FitError as error:
                result: CurveFitResult = error.result
                return result
            except Exception:
                return None
