"""How sure the parameters at a minimum are: covariance, standard errors, intervals."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.fit_summary import number
from gradopt.problems import SumOfTerms


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The covariance of the parameters at a minimum, and what follows from it; `gradopt.uncertainty` makes it.

    Attributes
    ----------
    x : ndarray (n,)
        The parameters.
    cov : float64 array (n, n)
        Their covariance. Rows of parameters at a bound are NaN, of undetermined ones inf, of fixed ones 0.
    stderr : float64 array (n,)
        The standard errors: the roots of its diagonal.
    condition : float
        The condition number of the Hessian (with kind="opg", of the outer product), scaled to a unit diagonal.
    names : tuple of str
    kind : {"hessian", "opg", "sandwich"}
    scale : float
        What the inverse of the Hessian was multiplied by; 1 with kind="sandwich", in which it cancels.
    dof : float
        The degrees of freedom of Student's t; infinite for likelihoods.
    active_mask : int64 array (n,)
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    undetermined : bool array (n,)

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> data = np.array([1.0, 2.0, 3.0, 6.0])
    >>> result = gradopt.optimize(lambda x: 0.5 * np.sum((data - x[0]) ** 2), [0.0])
    >>> found = gradopt.uncertainty(result)
    >>> print(result.x, found.stderr, found.confidence_interval(0.95).round(2))
    [3.] [0.5] [[2.02 3.98]]
    """

    x: NDArray[Any]
    cov: NDArray[np.float64]
    stderr: NDArray[np.float64]
    condition: float
    names: tuple[str, ...]
    kind: str
    scale: float
    dof: float
    active_mask: NDArray[np.int64]
    undetermined: NDArray[np.bool_]

    def __repr__(self) -> str:
        return self.summary()

    @property
    def correlation(self) -> NDArray[np.float64]:
        """cov[i, j] / (stderr[i] stderr[j]), (n, n)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.cov / self.stderr[:, None] / self.stderr[None, :]

    def confidence_interval(self, level: float = 0.95) -> NDArray[np.float64]:
        """Wald's intervals, x -+ q stderr.

        Parameters
        ----------
        level : float
            In (0, 1).

        Returns
        -------
        float64 array (n, 2)
            q is the quantile of the normal distribution, or of Student's t for least squares.

        Raises
        ------
        ValueError
            level is not in its range.

        Examples
        --------
        >>> import gradopt
        >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 1.0) ** 2, [0.0])
        >>> print(gradopt.uncertainty(result).confidence_interval(0.95).round(2))
        [[-0.96  2.96]]
        """
        level = validate.number("level", level, 0, 1, above=True, below=True)
        q = float(scipy.stats.t.ppf(0.5 * (1.0 + level), self.dof))
        with np.errstate(invalid="ignore"):
            return np.stack([self.x - q * self.stderr, self.x + q * self.stderr], axis=1)

    def delta_method(self, fun: Callable[[Any], Any]) -> tuple[Any, Any]:
        """A function of the parameters with its standard error, sqrt(g'C g) with g its gradient.

        Parameters
        ----------
        fun : callable
            fun(x) -> float or array_like (k,); traced like an objective, else differentiated by differences.

        Returns
        -------
        float, float, or two float64 arrays (k,)
            The value at x, and its standard error (W. Greene, Econometric Analysis, section 4.4). Parameters at a bound
            count as known.

        Raises
        ------
        TypeError, ValueError
            fun is not such a function.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 1.0) ** 2, [0.0])
        >>> value, error = gradopt.uncertainty(result).delta_method(lambda x: np.exp(x[0]))
        >>> print(round(value, 3), round(error, 3))
        2.718 2.718
        """
        if not callable(fun):
            raise TypeError(f"fun must be a function of x, got {validate.shown(fun)}")
        x = np.asarray(self.x, np.float64)
        answer = np.asarray(fun(x.copy()), np.float64)
        known = ~np.isnan(self.stderr)
        gradients = SumOfTerms(fun, x).scores(x)
        moving = (gradients != 0.0) & known
        parts = np.where(moving, gradients, 0.0)
        with np.errstate(invalid="ignore"):
            inner = np.where(known[:, None] & known, self.cov, 0.0)
            finite = np.where(np.isfinite(inner), inner, 0.0)
            errors = np.sqrt(np.einsum("ki,ij,kj->k", parts, finite, parts))
        errors[(moving & self.undetermined).any(axis=1)] = math.inf
        return (float(answer.reshape(-1)[0]), float(errors[0])) if answer.ndim == 0 else (answer.reshape(-1), errors)

    def _columns(self, level: float) -> dict[str, NDArray[np.float64]]:
        low, high = self.confidence_interval(level).T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.x / self.stderr
        p = 2.0 * scipy.stats.t.sf(np.abs(ratio), self.dof)
        statistic = "z" if math.isinf(self.dof) else "t"
        return {"estimate": self.x, "stderr": self.stderr, statistic: ratio, "p": p, "low": low, "high": high}

    def _remarks(self) -> list[str]:
        def named(which: Any) -> str:
            return ", ".join(name for name, is_it in zip(self.names, which, strict=True) if is_it)

        found = []
        if self.active_mask.any():
            found.append(f"{named(self.active_mask != 0)} at a bound: left out, no standard error")
        if self.undetermined.any():
            found.append(f"undetermined: {named(self.undetermined)}")
        return found

    def summary(self, level: float = 0.95) -> str:
        """A table: each parameter with its error, z = estimate / error, the p-value of 0, and an interval.

        Parameters
        ----------
        level : float
            Of the intervals, in (0, 1).

        Returns
        -------
        str

        Examples
        --------
        >>> import gradopt
        >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 3.0) ** 2, [0.0])
        >>> print(gradopt.uncertainty(result).summary())
        standard errors by the Hessian
              estimate  stderr  z       p  2.5 %  97.5 %
        x[0]         3       1  3  0.0027   1.04    4.96
        """
        columns, tail = self._columns(level), 50.0 * (1.0 - level)
        header = ["", *list(columns)[:4], f"{tail:.3g} %", f"{100.0 - tail:.3g} %"]
        rows = [header]
        for i, name in enumerate(self.names):
            low_to_high = [f"{v[i]:.4g}" for v in (columns["low"], columns["high"])]
            value, error, ratio, p = (list(columns.values())[k][i] for k in range(4))
            rows.append([name, f"{value:.6g}", f"{error:.4g}", f"{ratio:.3g}", f"{p:.2g}", *low_to_high])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                part.ljust(w) if k == 0 else part.rjust(w) for k, (part, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([f"standard errors by {_WORDS[self.kind]}", *lines, *self._remarks()])

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{number(float(value), float(error))}</td></tr>"
            for name, value, error in zip(self.names, self.x, self.stderr, strict=True)
        )
        caption = html.escape("; ".join([f"standard errors by {_WORDS[self.kind]}", *self._remarks()]))
        return f"<table><caption>{caption}</caption>{rows}</table>"

    def to_frame(self, level: float = 0.95) -> Any:
        """The table as a pandas DataFrame, one row a parameter.

        Parameters
        ----------
        level : float
            Of the intervals, in (0, 1).

        Returns
        -------
        DataFrame
            With the columns estimate, stderr, z (t for least squares), p, low, high.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import gradopt
        >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 3.0) ** 2, [0.0])
        >>> list(gradopt.uncertainty(result).to_frame().columns)
        ['estimate', 'stderr', 'z', 'p', 'low', 'high']
        """
        import pandas

        return pandas.DataFrame(self._columns(level), index=list(self.names))


_WORDS = {
    "hessian": "the Hessian",
    "opg": "the outer product of the scores",
    "sandwich": "the sandwich of Hessian and scores",
}
