"""`uncertainty`: standard errors of the parameters at a minimum, from second derivatives and scores."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradopt._core import validate
from gradopt._core.warnings import warn
from gradopt._results.curve_fit_result import CurveFitResult
from gradopt._results.uncertainty import Uncertainty
from gradopt.problems import Problem
from gradopt.problems.base import WithDifferences

_KINDS = "hessian", "opg", "sandwich"

# Scaled curvatures below this share of the largest are 0: exact ones; differences of gradients; those of differences.
_NOTHING, _BY_DIFFERENCES, _BY_DIFFERENCES_TWICE = 1e-13, 1e-8, 1e-5
_SHARE = 0.1  # a parameter with at least this part in a direction without curvature is undetermined
_FAR = 0.1  # the distance to the minimum, in standard errors, at which they mean little


def uncertainty(
    result: Any,
    kind: Literal["hessian", "opg", "sandwich"] = "hessian",
    *,
    scale: float | None = None,
    groups: ArrayLike | None = None,
) -> Uncertainty:
    """Standard errors of the parameters that minimise a likelihood or a sum of squares.

    Parameters
    ----------
    result : OptimizeResult, LeastSquaresResult or CurveFitResult
        A result that holds its problem: every one but those that were loaded from a file, and those of callables that
        can't be traced; make these a `problems.SumOfTerms`.
    kind : {"hessian", "opg", "sandwich"}
        With H the Hessian of the objective f, and s[i] the gradient of the term of observation i:
        "hessian": the inverse of H; right if the model is.
        "opg": the inverse of sum s[i] s[i]'; right if the model is, and in large samples.
        "sandwich": H^-1 (sum s[i] s[i]') H^-1; right in large samples where the model is wrong in its distribution (P.
        Huber, 1967; H. White, Maximum likelihood estimation of misspecified models, Econometrica 50, 1982).
        The last two need the terms: LeastSquares, CurveFit, PolynomialFit, SumOfTerms, Classifier and Regressor.
    scale : float, optional
        The covariance is scale H^-1, > 0; not for the sandwich, in which it cancels. Default: 1 for callables and
        SumOfTerms, whose f is minus a log-likelihood; 1 / rows for a mean of such terms (Classifier); s^2, the variance
        of a residual, for sums of squares. A callable that returns a mean over m observations needs scale=1/m.
    groups : array_like (m,), optional
        Only with "sandwich": the cluster of each observation. Scores are summed in each before the outer product; there
        is no correction for few clusters.

    Returns
    -------
    Uncertainty
        With `cov`, `stderr`, `correlation`, `condition`, `confidence_interval`, `delta_method`, `summary`, `to_frame`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the result does not hold its problem; the problem has no terms; x is no minimum: a
        curvature is negative there.

    Warns
    -----
    RuntimeWarning
        x is far from the minimum, by its gradient; or parameters are undetermined: f does not change along a direction.

    Notes
    -----
    Parameters at a bound are left out: the others' errors are those with them held.

    Counterparts: statsmodels' cov_type, R's sandwich.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> hours, passed = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    >>> def minus_log_likelihood(x):
    ...     z = x[0] + x[1] * hours
    ...     return np.logaddexp(0.0, z) - passed * z
    >>> result = gradopt.optimize(gradopt.problems.SumOfTerms(minus_log_likelihood, [0.0, 0.0]))
    >>> for kind in ("hessian", "opg", "sandwich"):
    ...     print(kind, gradopt.uncertainty(result, kind).stderr.round(2))
    hessian [3.39 0.91]
    opg [6.25 1.76]
    sandwich [2.04 0.47]
    """
    validate.choice("kind", kind, _KINDS)
    if groups is not None and kind != "sandwich":
        raise ValueError(f"groups need kind='sandwich', got kind={kind!r}")
    minimum = minimum_of(result)
    problem, x, free = minimum.problem, minimum.x, minimum.active == 0
    if kind == "sandwich" and scale is not None:
        raise ValueError(f"scale has no meaning for kind='sandwich', in which it cancels, got {scale}")
    factor, dof = (1.0, math.inf) if kind == "sandwich" else scale_of(minimum, scale)
    grad = problem.grad(x).astype(np.float64)
    hessian = problem.hessian(x).astype(np.float64)[np.ix_(free, free)]
    if not np.isfinite(hessian).all():
        raise ValueError("the second derivatives are NaN or infinite at the result")
    bread = _Inverse(hessian, _noise_of(problem, x), minimum.names_of(free))
    bread.require_minimum()
    inverse, unknown, condition = bread.matrix, bread.undetermined, bread.condition
    if kind == "hessian":
        inner = factor * inverse
    else:
        scores = _scores(problem, x, groups)[:, free]
        products = scores.T @ scores
        if kind == "opg":
            meat = _Inverse(products, _NOTHING, minimum.names_of(free))
            inner, unknown, condition = factor**2 * meat.matrix, meat.undetermined, meat.condition
        else:
            inner = inverse @ products @ inverse
    inner[unknown, :] = inner[:, unknown] = np.inf
    everything, fitted = minimum.everything, minimum.fitted
    n = everything.size
    cov, stderr = np.zeros((n, n)), np.zeros(n)  # of fixed parameters
    undetermined, active = np.zeros(n, bool), np.zeros(n, np.int64)
    cov[np.ix_(fitted, fitted)], stderr[fitted], active[fitted] = np.nan, np.nan, minimum.active
    places = fitted[free]
    cov[np.ix_(places, places)], undetermined[places] = inner, unknown
    stderr[places] = np.sqrt(np.diag(inner))
    _warn_if_far(result, bread.matrix @ grad[free], np.diag(inner))
    if unknown.any():
        warn(f"the data do not determine {(bread if kind != 'opg' else meat).direction}: standard errors are infinite")
    names = minimum.all_names
    return Uncertainty(everything.copy(), cov, stderr, condition, names, kind, factor, dof, active, undetermined)


class Minimum(NamedTuple):
    """A result as `uncertainty` looks at it."""

    problem: Problem
    x: NDArray[Any]  # (n,) the parameters of the problem
    names: tuple[str, ...]
    active: NDArray[np.int64]  # (n,) which bounds hold
    absolute: bool  # whether the variance of a residual is 1
    bounds: NDArray[np.float64]  # (n, 2)
    everything: NDArray[Any]  # (N,) the parameters with those that were fixed
    all_names: tuple[str, ...]
    fitted: NDArray[np.int64]  # (n,) the places of the others among them

    def names_of(self, which: NDArray[np.bool_]) -> list[str]:
        return [name for name, is_it in zip(self.names, which, strict=True) if is_it]


def minimum_of(result: Any) -> Minimum:
    """The problem of a result, and where its minimum is."""
    if isinstance(result, CurveFitResult):
        problem = result.problem
        if problem is None:
            raise ValueError(_LOST)
        free = [i for i, fixed in enumerate(result.fixed) if not fixed]
        names = tuple(result.names[i] for i in free)
        facts = names, result.active_mask[free], result.absolute_sigma, result.ends
        return Minimum(problem, result.popt[free], *facts, result.popt, result.names, np.array(free))
    if not isinstance(result, dict) or "x" not in result:
        raise TypeError(f"result must be that of optimize, least_squares or curve_fit, got {validate.shown(result)}")
    problem = result.get("problem")
    if not isinstance(problem, Problem):
        raise ValueError(_LOST)
    x = result["x"]
    names = tuple(problem.parameter_name(i) for i in range(x.size))
    active = np.asarray(result.get("active_mask", np.zeros(x.size, np.int64)))
    problem.checked("x", x)  # a problem that learns its size from the parameters
    everywhere = np.tile([-np.inf, np.inf], (x.size, 1))
    bounds = np.asarray(result.get("bounds", everywhere), np.float64)
    return Minimum(problem, x, names, active, False, bounds, x, names, np.arange(x.size))


_LOST = (
    "the result does not hold its problem: it came from a file or another process, or is that of a function which was"
    " not traced; minimise gradopt.problems.SumOfTerms(terms, x0), or pass a result of this process"
)


def _noise_of(problem: Problem, x: NDArray[Any]) -> float:
    """The error of the scaled second derivatives."""
    if not isinstance(problem.by_curvature(x), WithDifferences):
        return _NOTHING
    return _BY_DIFFERENCES_TWICE if problem.differentiates else _BY_DIFFERENCES


def scale_of(minimum: Minimum, scale: float | None) -> tuple[float, float]:
    """What the inverse of the Hessian is multiplied by, and the degrees of freedom of Student's t."""
    if scale is not None:
        return validate.number("scale", scale, 0, above=True), math.inf
    if minimum.absolute:
        return 1.0, math.inf
    found = minimum.problem.error_scale(minimum.x)
    if found is None:
        raise ValueError(f"scale must be given: {minimum.problem} is no likelihood")
    if not np.isfinite(found[0]):
        raise ValueError("there are no more observations than parameters, so that the errors are unknown; give scale")
    return found


def _scores(problem: Problem, x: NDArray[Any], groups: ArrayLike | None) -> NDArray[np.float64]:
    """The gradient of each term, or their sums over groups."""
    scores = problem.scores(x)
    if scores is None:
        raise ValueError(
            f"opg and sandwich need the terms of the objective, one an observation, and {problem} has none; make it a"
            " gradopt.problems.SumOfTerms"
        )
    if not np.isfinite(scores).all():
        raise ValueError("the gradients of the terms are NaN or infinite at the result")
    if groups is None:
        return scores
    labels = np.asarray(groups)
    if labels.shape != (len(scores),):
        raise ValueError(f"groups must have {len(scores)} elements, one for each term, got the shape {labels.shape}")
    try:
        kinds, number = np.unique(labels, return_inverse=True)
    except TypeError:
        raise ValueError("groups must be labels of one kind that can be sorted, such as numbers or strings") from None
    if kinds.size < 2:
        raise ValueError(f"groups must be at least two, got {kinds.size}: {validate.shown(groups)}")
    sums = np.zeros((kinds.size, scores.shape[1]))
    np.add.at(sums, number.reshape(-1), scores)
    return sums


class _Inverse:
    """The inverse of a symmetric matrix over the directions in which it has a curvature.

    Attributes
    ----------
    matrix : float64 array (n, n)
    condition : float
        Of the matrix scaled to a unit diagonal.
    undetermined : bool array (n,)
    """

    def __init__(self, matrix: NDArray[np.float64], noise: float, names: list[str]) -> None:
        root = np.sqrt(np.abs(np.diag(matrix)))
        root[root == 0.0] = 1.0
        values, vectors = np.linalg.eigh(matrix / root[:, None] / root) if root.size else (root, matrix)
        least = noise * max(root.size, 1) * np.max(np.abs(values), initial=0.0)
        sure = values > least
        self._values, self._vectors, self._least, self._root, self._names = values, vectors, least, root, names
        inner = vectors[:, sure] / values[sure]
        self.matrix = inner @ vectors[:, sure].T / root[:, None] / root
        self.condition = float(values[-1] / values[0]) if sure.all() and values.size else math.inf
        self.undetermined = (np.abs(vectors[:, ~sure]) > _SHARE).any(axis=1)

    def require_minimum(self) -> None:
        """Raise a ValueError that names a direction of negative curvature, if there is one."""
        if self._values.size and self._values[0] < -max(self._least, 1e-8):
            raise ValueError(
                f"the result is no minimum: the curvature along {self._named(0)} is negative; go on from there with"
                " method=TrustRegion(), which leaves saddles"
            )

    @property
    def direction(self) -> str:
        """The parameters, or the combination of them, that has no curvature."""
        return self._named(0)

    def _named(self, k: int) -> str:
        """Column k of the eigenvectors, in words."""
        parts = self._vectors[:, k] / self._root
        parts = parts / parts[int(np.argmax(np.abs(parts)))]
        named = [(part, name) for part, name in zip(parts, self._names, strict=True) if abs(part) > 1e-3]
        text = " ".join(
            f"{'-' if p < 0 else '+'} {'' if abs(p) == 1.0 else f'{abs(p):.3g} '}{name}" for p, name in named
        )
        return text.removeprefix("+ ")


def _warn_if_far(result: Any, step: NDArray[np.float64], variances: NDArray[np.float64]) -> None:
    """Warn if Newton's step from the result is not small beside the standard errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = float(np.nanmax(np.abs(step) / np.sqrt(variances), initial=0.0))
    if distance > _FAR:
        reason = getattr(result, "message", "")
        warn(f"the result is {distance:.2g} standard errors from the minimum, so that they mean little: {reason}")
