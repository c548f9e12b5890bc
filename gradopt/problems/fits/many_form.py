"""How the model of `fit_many` becomes residuals: those of one fit, with its parameters and data as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._losses.robust import curvature_of, of_counts, of_squares
from gradopt._tape.graph.paths import Paths
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.traced_array import TracedArray
from gradopt._tape.residuals import ResidualTapes
from gradopt.problems.fits.curve_form import model_values
from gradopt.problems.functions.residuals import Table
from gradopt.problems.functions.traced_residuals import ResidualForm, TracedResiduals, as_vector
from gradopt.problems.functions.tracing import Results


class Layout(NamedTuple):
    """What the vector of a fit consists of, in this order."""

    free: tuple[int, ...]  # the parameters that are fitted, by their places in the model
    held: tuple[int, ...]  # the parameters that are not
    m: int  # the data; then as many sigmas, and as many marks of valid points, if there are any
    has_sigma: bool
    masked: bool
    predictors: int  # how many predictors each fit has of its own, m numbers each; 0 if they are shared
    stacked: bool  # whether the model takes its predictors as a matrix (k, m), not as a vector

    @property
    def size(self) -> int:
        """The length of the vector."""
        return len(self.free) + len(self.held) + self.m * (1 + self.has_sigma + self.masked + self.predictors)

    def parts(self, x: Any) -> tuple[list[Any], Any, Any, Any, Any]:
        """All parameters, the data, sigmas, marks and predictors of a vector (..., size); None for what it lacks."""
        n, m = len(self.free), self.m
        places = {**{p: i for i, p in enumerate(self.free)}, **{p: n + i for i, p in enumerate(self.held)}}
        parameters = [x[..., places[p]] for p in range(len(places))]
        at = len(places)
        vectors: list[Any] = []
        for there in (True, self.has_sigma, self.masked):
            vectors.append(x[..., at : at + m] if there else None)
            at += m * there
        own = x[..., at:] if self.predictors else None
        if own is not None and self.stacked:
            own = own.reshape(*own.shape[:-1], self.predictors, m)
        y, sigma, valid = vectors
        return parameters, y, sigma, valid, own


class ManyForm(ResidualForm):
    """The residuals of one of many fits, as a function of a vector as `Layout` describes it.

    The other arguments of the function are (predictors that all fits share or None, *args). Points that are not marked
    as valid have residuals of 0.

    Parameters
    ----------
    loss, scale
        As for `CurveForm`.
    layout : Layout
    """

    def __init__(self, loss: Any, scale: float, layout: Layout) -> None:
        super().__init__(loss, scale)
        self._layout = layout
        self.key = ("many", loss, scale, layout)

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> NDArray[np.float64]:
        shared, *others = args
        parameters, y, sigma, valid, own = self._layout.parts(x)
        values = model_values(fun(shared if own is None else own, *parameters, *others), y.size)
        residual = values - y if sigma is None else (values - y) / sigma
        return residual if valid is None else np.where(valid != 0.0, residual, 0.0)

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        shared, *others = args
        parameters, y, sigma, valid, own = self._layout.parts(x)
        values = as_vector(fun(shared if own is None else own, *parameters, *others))
        if values.shape != y.shape:
            values = np.broadcast_to(values, y.shape)

        def where_valid(array: Any, other: float = 0.0) -> Any:
            return array if valid is None else np.where(valid != 0.0, array, other)

        if self._loss == "poisson":
            residual = where_valid(values - y)
            fun, slopes, weights = of_counts(where_valid(values, 1.0), y, 0.0)
            return Results((fun, residual, where_valid(slopes), weights))
        residual = where_valid(values - y if sigma is None else (values - y) / sigma)
        loss = meanings.of(self._loss) if callable(self._loss) else self._loss
        fun, weights = of_squares(loss, residual, self._scale)
        if weights is None:
            return Results((fun, residual, residual))
        curvatures = where_valid(curvature_of(loss, residual, self._scale))
        return Results((fun, residual, weights * residual, weights, curvatures))

    def tape(self, paths: Paths) -> ResidualTapes:
        return ResidualTapes(paths, len(self._layout.free))

    def evaluated(self, problem: TracedResiduals, x: NDArray[Any]) -> tuple[Any, bool]:
        table: Table = problem.table(x.astype(np.float64))
        return table.residual, True
