"""Objectives that are sums of terms, one an observation: likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._tape.curvature import jacobian_tape
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Paths
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.errors import TraceError
from gradopt._tape.record.traced_array import TracedArray
from gradopt._tape.tape import Tape
from gradopt.problems.base import Problem
from gradopt.problems.fits.by_objective import ByObjective
from gradopt.problems.functions.function import Function
from gradopt.problems.functions.python_residuals import central
from gradopt.problems.functions.residuals import checked_residuals
from gradopt.problems.functions.traced import Traced
from gradopt.problems.functions.traced_residuals import as_vector
from gradopt.problems.functions.tracing import Form, Results, traced


@config
class SumOfTerms(ByObjective):
    """f(x) = sum over i of terms[i](x), such as minus the log-likelihood of each observation.

    `gradopt.uncertainty` finds three kinds of standard errors of its minimum.

    Parameters
    ----------
    terms : callable
        terms(x, *args) -> array_like (m,), m >= 1: plain Python that computes with NumPy; traced like an objective.
    x0 : array_like (n,), optional
        The start. It sets the number of parameters, as does the x0 of `optimize`.
    args : tuple
        The other arguments of `terms`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; or `terms` does not return a vector of real numbers, m >= 1.

    Notes
    -----
    One trace gives the sum with its gradient and Hessian, and the derivatives of each term. A function that can't be
    traced has them by differences.

    Counterpart: statsmodels' GenericLikelihoodModel.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> counts = np.array([2.0, 3.0, 1.0, 4.0])
    >>> problem = gradopt.problems.SumOfTerms(lambda x: np.exp(x[0]) - counts * x[0], [0.0])
    >>> result = gradopt.optimize(problem)
    >>> print(np.exp(result.x).round(4), gradopt.uncertainty(result).stderr.round(4))
    [2.5] [0.3162]
    """

    Lowered = ByObjective.Lowered

    terms: Callable[..., Any]
    x0: Any = None  # type: ignore[assignment]
    args: Any = ()

    def __post_init__(self) -> None:
        if not callable(self.terms):
            raise TypeError(f"terms must be a function of x, got {validate.shown(self.terms)}")
        self._check_start_and_args()

    def __repr__(self) -> str:
        return f"SumOfTerms({getattr(self.terms, '__name__', self.terms)})"

    def scores(self, x: Any) -> NDArray[np.float64]:
        """The gradient of each term.

        Parameters
        ----------
        x : array_like (n,)
            The parameters.

        Returns
        -------
        float64 array (m, n)
            Its sum over the terms is the gradient of f.

        Raises
        ------
        ValueError
            x is not a one-dimensional real array of n numbers.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> problem = gradopt.problems.SumOfTerms(lambda x: x[0] ** 2 * np.array([1.0, 2.0]), [1.0])
        >>> problem.scores([3.0])
        array([[ 6.],
               [12.]])
        """
        x = self.checked("x", x)
        terms: _Terms = self.latest(x)
        return terms.scores(x.astype(np.float64))

    def made_for(self, start: NDArray[Any]) -> _Terms:
        return _terms_of(self.terms, start, self.args)


def _terms_of(terms: Callable[..., Any], x0: NDArray[Any], args: tuple[Any, ...]) -> _Terms:
    """The trace of the terms; where there is none, they are computed in Python."""
    form, start = TermsForm(), x0.copy()
    with np.errstate(all="ignore"):
        first = form.value(terms, start.astype(np.float64), args)
    try:
        tracing = traced(terms, args, start.astype(np.float64), first, calls=1, form=form)
        if tracing.slope_at_start:
            found: _Terms = tracing.problem
            return found
        reason = "at x0 its gradient would be NaN or infinite"
    except TraceError as error:
        reason = str(error)

    def vector(x: NDArray[Any], *others: Any) -> NDArray[np.float64]:
        answer = form.value(terms, x.copy(), others)
        if answer.size != first.size:
            raise ValueError(f"there must always be {first.size} terms, as at x0, got {answer.size}")
        return answer

    def total(x: NDArray[Any], *others: Any) -> float:
        return float(np.sum(vector(x, *others)))

    total.__name__ = getattr(terms, "__name__", "terms")
    return _PlainTerms(Function(total, None, args, start, None, None, reason), lambda x: vector(x, *args))


class TermsForm(Form):
    """How `SumOfTerms` traces a function: fun(x, *args) -> (m,)."""

    key = "terms"

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> NDArray[np.float64]:
        return checked_residuals(fun(x, *args))

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        terms = as_vector(fun(x, *args))
        return Results((terms.sum(), terms))

    def require(self, nodes: tuple[Node, ...], first: tuple[Node, ...]) -> None:
        if nodes[1].size != first[1].size:
            raise TraceError(f"terms must always return {first[1].size} numbers, got {nodes[1].size} on another path")

    def tape(self, paths: Paths) -> _TermTapes:
        return _TermTapes(paths)

    def problem(self, tape: Any, *arguments: Any) -> _TracedTerms:
        return _TracedTerms(tape, *arguments)

    def evaluated(self, problem: Any, x: NDArray[Any]) -> tuple[Any, bool]:
        terms, scores = problem.terms_and_scores(x.astype(np.float64))
        return terms, bool(np.isfinite(scores).all()) or not np.isfinite(terms).all()


class _TermTapes:
    """The tapes of a sum of terms."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.m = paths, paths.known[0].results[1].size

    @cached_property
    def objective(self) -> Tape:
        return Tape(self.paths)

    @cached_property
    def jacobian(self) -> Tape:
        return jacobian_tape(self.paths)

    @property
    def bytes(self) -> int:
        return self.objective.bytes + self.jacobian.bytes

    def values(self, arguments: dict[Any, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        self.objective, self.jacobian  # noqa: B018  # they add nodes
        return self.objective.values(arguments)


class _Terms:
    """A sum of terms as an objective, and the derivatives of each term."""

    objective: Problem

    @property
    def n(self) -> int:
        """The number of parameters."""
        return self.objective.n

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError


class _TracedTerms(_Terms):
    """Traced terms; the arguments are those of `Traced`, but for the tapes."""

    def __init__(self, tapes: _TermTapes, *arguments: Any) -> None:
        self._m = tapes.m
        self.objective = Traced(tapes.objective, *arguments)
        self._jacobian = Traced(tapes.jacobian, *arguments)

    def terms_and_scores(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The terms (m,) and their derivatives (m, n)."""
        out = np.empty(self._m * (1 + x.size))
        self._jacobian.written(out, np.ascontiguousarray(x))
        return out[: self._m].copy(), out[self._m :].reshape(self._m, x.size)

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.terms_and_scores(x)[1]


class _PlainTerms(_Terms):
    """Terms that are computed in Python."""

    def __init__(self, objective: Problem, vector: Callable[[NDArray[Any]], NDArray[np.float64]]) -> None:
        self.objective, self._vector = objective, vector

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        infinite = np.full(x.size, np.inf)
        differences = central(self._vector, -infinite, infinite)
        return differences(x, self._vector(x), np.abs(x))
