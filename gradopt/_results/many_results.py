"""The result of `optimize_many` and `multistart`: arrays with one entry for each run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._results import storage

_ARRAYS = ("x", "fun", "nit", "nfev", "status")


def by_status(status: NDArray[np.int8], what: str) -> str:
    """A text with the counts by status; what : what is counted, such as "fits of a, b"."""
    codes, counts = np.unique(status, return_counts=True)
    known = [Status(int(code)) for code in codes]
    good = sum(int(count) for one, count in zip(known, counts, strict=True) if one.success)
    lines = [f"{status.size:,} {what}: {good:,} converged"]
    wide, digits = max([len(s.name) for s in known], default=0), max([len(f"{c:,}") for c in counts], default=0)
    for one, count in zip(known, counts, strict=True):
        meaning = "" if one.success else f"  {one.meaning}"
        lines.append(f"  {one.name:<{wide}}  {count:>{digits},}{meaning}")
    return "\n".join(lines)


class Minima(NamedTuple):
    """Different minima, the lowest first."""

    x: NDArray[Any]  # (k, n)
    fun: NDArray[np.float64]  # (k,)
    counts: NDArray[np.int64]  # (k,) how many runs ended there


class ManyResults:
    """The result of `optimize_many` and `multistart`: arrays with one entry for each run.

    Attributes
    ----------
    x : float array (..., n)
        The last iterates.
    fun : float64 array (...)
    nit, nfev : int64 arrays (...)
    status : int8 array (...)
        The `Status` of each run.
    success : bool array (...)
    best : OptimizeResult
        The lowest of the runs that converged; of all that are finite, if none did.

    Examples
    --------
    >>> import gradopt
    >>> runs = gradopt.optimize_many(lambda x: (x[0] ** 2 - 1.0) ** 2, [[-2.0], [0.5], [3.0]])
    >>> runs.x.round(4).ravel()
    array([-1.,  1.,  1.])
    >>> runs
    3 runs: 3 converged
      GTOL  3
    """

    x: NDArray[Any]
    fun: NDArray[np.float64]
    nit: NDArray[np.int64]
    nfev: NDArray[np.int64]
    status: NDArray[np.int8]

    def __init__(self, arrays: dict[str, Any]) -> None:
        for name in _ARRAYS:
            setattr(self, name, arrays[name])

    @classmethod
    def empty(cls, shape: tuple[int, ...], n: int, dtype: Any) -> ManyResults:
        """The result of runs that have not been run."""
        numbers = {name: np.zeros(shape, np.int64) for name in ("nit", "nfev")}
        status = np.full(shape, Status.NOT_RUN, np.int8)
        return cls(
            {"x": np.full((*shape, n), np.nan, dtype), "fun": np.full(shape, np.nan), "status": status} | numbers
        )

    def take(self, begin: int, end: int, done: dict[str, NDArray[Any]]) -> None:
        """Store the results of the runs from begin to end."""
        n = self.x.shape[-1]
        for name in _ARRAYS:
            array = getattr(self, name)
            (array.reshape(-1, n) if name == "x" else array.reshape(-1))[begin:end] = done[name]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether each run has converged."""
        return self.status < int(Status.MAX_ITER)

    @property
    def message(self) -> str:
        """How many runs are done."""
        return f"{int(np.sum(self.status != Status.NOT_RUN)):,} of {self.status.size:,} runs are done"

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, place: Any) -> Any:
        """One run, as an OptimizeResult, or several, as ManyResults."""
        arrays = {name: getattr(self, name)[place] for name in _ARRAYS}
        return ManyResults(arrays) if np.ndim(arrays["status"]) else _one(arrays)

    @property
    def best(self) -> OptimizeResult:
        """The lowest of the runs that converged; of all that are finite, if none did."""
        fun = self.fun.reshape(-1)
        usable = self.success.reshape(-1) if self.success.any() else np.isfinite(fun)
        if not usable.any():
            raise ValueError("no run has a finite objective")
        i = int(np.argmin(np.where(usable & np.isfinite(fun), fun, np.inf)))
        arrays = {name: getattr(self, name).reshape(-1)[i] for name in _ARRAYS[1:]}
        return _one(arrays | {"x": self.x.reshape(-1, self.x.shape[-1])[i]})

    def distinct(self, rtol: float = 1e-4) -> Minima:
        """The different minima that the runs found.

        Parameters
        ----------
        rtol : float
            Minima are different if an element of x differs by more than rtol max(1, abs(x)).

        Returns
        -------
        Minima
            x (k, n), fun (k,), counts (k,) of the runs that converged, the lowest first.

        Examples
        --------
        >>> import gradopt
        >>> runs = gradopt.optimize_many(lambda x: (x[0] ** 2 - 1.0) ** 2, [[-2.0], [0.5], [3.0]])
        >>> minima = runs.distinct()
        >>> sorted(minima.x.round(4).ravel().tolist()), sorted(minima.counts.tolist())
        ([-1.0, 1.0], [1, 2])
        """
        rtol = validate.number("rtol", rtol, 0)
        good = self.success.reshape(-1)
        x, fun = self.x.reshape(-1, self.x.shape[-1])[good], self.fun.reshape(-1)[good]
        centers: list[int] = []
        counts: list[int] = []
        for i in np.argsort(fun, kind="stable"):
            scale = rtol * np.maximum(1.0, np.abs(x[i]))
            near = next((k for k, c in enumerate(centers) if (np.abs(x[c] - x[i]) <= scale).all()), None)
            if near is None:
                centers.append(int(i))
                counts.append(1)
            else:
                counts[near] += 1
        return Minima(x[centers], fun[centers], np.array(counts, np.int64))

    def summary(self) -> str:
        """How many runs ended with which status.

        Returns
        -------
        str

        Examples
        --------
        >>> import gradopt
        >>> print(gradopt.optimize_many(lambda x: x[0] ** 2, [[1.0], [2.0]], max_iter=0).summary())
        2 runs: 0 converged
          MAX_ITER  2  the maximal number of updates was done
        """
        return by_status(self.status, "runs")

    __repr__ = summary

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the results to a file that `load` can read.

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
        >>> path = os.path.join(tempfile.mkdtemp(), "runs.npz")
        >>> gradopt.optimize_many(lambda x: x[0] ** 2, [[1.0], [2.0]]).save(path)
        >>> len(gradopt.load(path))
        2
        """
        storage.write(Path(path), {"kind": "optimize_many"}, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def made(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ManyResults:
        """The results from what `save` wrote."""
        shape = arrays["status"].shape
        if any(arrays[name].shape != shape for name in _ARRAYS[1:]) or arrays["x"].shape[:-1] != shape:
            raise ValueError("the arrays have different shapes")
        if not set(np.unique(arrays["status"]).tolist()) <= {int(status) for status in Status}:
            raise ValueError("status has numbers that are no statuses")
        return cls(dict(arrays))


def _one(arrays: dict[str, Any]) -> OptimizeResult:
    status = Status(int(arrays["status"]))
    return OptimizeResult(
        x=np.array(arrays["x"]),
        fun=float(arrays["fun"]),
        nit=int(arrays["nit"]),
        nfev=int(arrays["nfev"]),
        status=status,
        success=status.success,
        message=status.meaning,
    )
