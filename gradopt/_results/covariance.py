"""The covariance of fitted parameters, from the derivatives of the residuals at the end of a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from gradopt._loops.many_errors import SHARE
from gradopt._losses.robust import spread_of
from gradopt.problems.functions.residuals import Table


class Covariance(NamedTuple):
    """What the data tell of the parameters.

    With J the derivatives of the residuals by the free parameters, W the weights that the loss gives them, and s^2 the
    variance of a residual, the covariance is s^2 (J'WJ)^-1. It is found from a QR factorisation of J with pivots, not
    from J'J, which would lose half of the digits (A. Bjorck, Numerical Methods for Least Squares Problems, 1996,
    section 2.8.3).
    """

    matrix: NDArray[np.float64]  # (n, n) NaN in rows and columns of held parameters, inf in those of undetermined ones
    stderr: NDArray[np.float64]  # (n,)
    rank: int  # of J over the free parameters
    condition: float  # the ratio of its largest to its smallest singular value, with columns of length 1
    undetermined: NDArray[np.bool_]  # (n,) whether the residuals do not change along it, alone or with others


def variance_of(
    table: Table, loss: Any, scale: float, absolute: bool, dof: int, rss: float
) -> tuple[float, NDArray[np.float64]]:
    """s^2, and the weights of the residuals in the covariance."""
    ones = np.ones(table.residual.size)
    if loss == "poisson":
        return 1.0, table.weights
    if loss == "linear":
        return (1.0 if absolute else rss / dof if dof > 0 else np.inf), ones
    mean = spread_of(loss, table.residual, scale)
    if dof <= 0 or mean <= 0.0:
        return np.inf, ones
    return float(table.slopes @ table.slopes) / dof / mean**2, ones


def covariance_of(
    jacobian: NDArray[Any], weights: NDArray[Any], free: NDArray[np.bool_], variance: float
) -> Covariance:
    """The covariance of the parameters.

    jacobian : float64 array (m, n)
    weights : float64 array (m,), >= 0
    free : bool array (n,), false for parameters that are at a bound
    variance : s^2; NaN if unknown
    """
    n = jacobian.shape[1]
    matrix, undetermined = np.full((n, n), np.nan), np.zeros(n, bool)
    rows = jacobian[:, free] * np.sqrt(np.maximum(weights, 0.0))[:, None]
    count = rows.shape[1]
    if count == 0:
        return Covariance(matrix, np.full(n, np.nan), 0, 1.0, undetermined)
    norms = np.sqrt(np.sum(rows**2, axis=0))
    sound = bool(np.isfinite(norms).all())
    scaled = rows / np.where(norms > 0.0, norms, 1.0) if sound else np.zeros_like(rows)
    _, R, pivots = scipy.linalg.qr(scaled, mode="economic", pivoting=True)
    R = np.vstack([R, np.zeros((count - len(R), count))])[:count]
    _, singular, directions = np.linalg.svd(R)
    few = max(rows.shape) * float(np.finfo(float).eps)
    rank = int(np.sum(singular > few * singular[0])) if singular[0] > 0.0 else 0
    condition = float(singular[0] / singular[-1]) if singular[-1] > 0.0 else np.inf
    inverse = directions[:rank].T / singular[:rank]  # R^-1 without the directions in which nothing changes
    inner = np.empty((count, count))
    inner[np.ix_(pivots, pivots)] = inverse @ inverse.T
    free_places = np.flatnonzero(free)
    unknown = np.empty(count, bool)
    unknown[pivots] = (np.abs(directions[rank:]) > SHARE).any(axis=0)
    undetermined[free_places] = unknown
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = variance * inner / norms[:, None] / norms[None, :]
    inner[unknown, :] = inner[:, unknown] = np.inf
    matrix[np.ix_(free, free)] = inner
    stderr = np.full(n, np.nan)
    stderr[free] = np.sqrt(np.diag(inner))
    return Covariance(matrix, stderr, rank, condition, undetermined)
