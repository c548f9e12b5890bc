"""The result of `fit_many`: arrays with one entry for each fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._results import storage
from gradopt._results.many_results import by_status

_ARRAYS = ("x", "stderr", "cov", "cost", "dof", "nit", "nfev", "status", "active_mask")
_PER_PARAMETER = {"x": 1, "stderr": 1, "active_mask": 1, "cov": 2}  # the axes after those that count the fits
_LEAST = int(Status.MAX_ITER)  # statuses below are successes


class ManyFits:
    """The result of `fit_many`: arrays with one entry for each fit, and the axes of the data before their last.

    Of data in Dask arrays, they are Dask arrays, which `compute` computes together.

    Attributes
    ----------
    x : float array (..., n)
        The parameters, fixed ones included; NaN for fits with NO_DATA or a start that is not finite, else the last
        iterate.
    stderr : float array (..., n) or None
        Their standard errors, from s^2 (J'J)^-1 as in `CurveFitResult`: 0 for fixed parameters, NaN for those at a
        bound and for fits that have not been run, inf for undetermined ones.
    cov : float array (..., n, n) or None
        Their covariances, with covariance="full".
    cost : float64 array (...)
        The objective, 1/2 sum of rho of ((f - y) / sigma)^2, or minus the log-likelihood of counts.
    dof : int32 array (...)
        The number of valid points minus that of free parameters.
    nit, nfev : int32 arrays (...)
        Updates, and evaluations.
    status : int8 array (...)
        The `Status` of each fit.
    success : bool array (...)
    active_mask : int8 array (..., n)
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    names : tuple of str
    route : str
        How the fits were run: "lanes", side by side on the tape of the model; or "one by one", each by `curve_fit`,
        where it can't be traced.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t = np.arange(5.0)
    >>> fits = gradopt.fit_many(lambda t, slope, offset: slope * t + offset, t, [2.0 * t, 1.0 - t], p0=[1.0, 0.0])
    >>> fits
    2 fits of slope, offset: 2 converged
      GTOL  2
    >>> fits.x.round(6)
    array([[ 2.,  0.],
           [-1.,  1.]])
    >>> fits[1].success, fits[1].status
    (True, <Status.GTOL: 0>)
    """

    x: NDArray[Any]
    stderr: NDArray[Any] | None
    cov: NDArray[Any] | None
    cost: NDArray[np.float64]
    dof: NDArray[np.int32]
    nit: NDArray[np.int32]
    nfev: NDArray[np.int32]
    status: NDArray[np.int8]
    active_mask: NDArray[np.int8]

    def __init__(self, names: tuple[str, ...], free: tuple[int, ...], route: str, arrays: dict[str, Any]) -> None:
        self.names, self.route, self._free = names, route, free
        for name in _ARRAYS:
            setattr(self, name, arrays.get(name))

    @classmethod
    def empty(
        cls,
        shape: tuple[int, ...],
        names: tuple[str, ...],
        free: tuple[int, ...],
        dtype: Any,
        covariance: str | None,
        route: str,
    ) -> ManyFits:
        """The result of fits that have not been run.

        shape : the axes that count the fits
        covariance : as for `fit_many`
        """
        n = len(names)
        nothing = np.full((*shape, n), np.nan, dtype)
        arrays = {
            "x": nothing,
            "stderr": None if covariance is None else nothing.copy(),
            "cov": np.full((*shape, n, n), np.nan, dtype) if covariance == "full" else None,
            "cost": np.full(shape, np.nan),
            "dof": np.zeros(shape, np.int32),
            "nit": np.zeros(shape, np.int32),
            "nfev": np.zeros(shape, np.int32),
            "status": np.full(shape, Status.NOT_RUN, np.int8),
            "active_mask": np.zeros((*shape, n), np.int8),
        }
        return cls(names, free, route, arrays)

    def take(self, begin: int, end: int, fitted: Any, held: NDArray[np.float64]) -> None:
        """Store the results of the fits from begin to end, `_run.many_fits.Fitted`; held : the fixed parameters."""
        n, free = len(self.names), list(self._free)
        fixed = [i for i in range(n) if i not in self._free]
        x = self.x.reshape(-1, n)[begin:end]
        x[:, free], x[:, fixed] = fitted.x, held
        x[fitted.status == Status.NO_DATA] = np.nan
        self.active_mask.reshape(-1, n)[begin:end, free] = fitted.active_mask
        for name in ("cost", "dof", "nit", "nfev", "status"):
            getattr(self, name).reshape(-1)[begin:end] = getattr(fitted, name)
        if fitted.inverse is None or self.stderr is None:
            return
        stderr = self.stderr.reshape(-1, n)[begin:end]
        stderr[:, fixed] = 0.0
        if self.cov is None:
            stderr[:, free] = fitted.inverse
            return
        cov = self.cov.reshape(-1, n, n)[begin:end]
        cov[:, fixed, :] = cov[:, :, fixed] = 0.0
        cov[np.ix_(range(len(cov)), free, free)] = fitted.inverse
        with np.errstate(invalid="ignore"):
            stderr[:, free] = np.sqrt(np.diagonal(fitted.inverse, axis1=1, axis2=2))

    def packed(self) -> NDArray[np.float64]:
        """All arrays as one, (..., numbers)."""
        parts = [getattr(self, name) for name in _ARRAYS]
        return (
            np.concatenate(
                [np.asarray(part, np.float64).reshape(*self.shape, -1) for part in parts if part is not None], axis=-1
            )
            if self.status.size
            else np.empty((*self.shape, sum(self._widths().values())))
        )

    def unpacked(self, packed: Any) -> ManyFits:
        """Fits of the same kind from what `packed` returned; also of an array of Dask."""
        arrays, at = {}, 0
        for name, width in self._widths().items():
            part, kind = packed[..., at : at + width], getattr(self, name)
            arrays[name] = part.reshape((*packed.shape[:-1], *kind.shape[len(self.shape) :])).astype(kind.dtype)
            at += width
        return ManyFits(self.names, self._free, self.route, arrays)

    def _widths(self) -> dict[str, int]:
        """How many numbers each array has for a fit."""
        n = len(self.names)
        return {name: n ** _PER_PARAMETER.get(name, 0) for name in _ARRAYS if getattr(self, name) is not None}

    def compute(self, **settings: Any) -> ManyFits:
        """The same with NumPy's arrays in place of those of Dask.

        Parameters
        ----------
        **settings
            As for `dask.compute`, such as scheduler.

        Returns
        -------
        ManyFits

        Examples
        --------
        >>> import gradopt
        >>> fits = gradopt.fit_many(lambda t, a: a * t, [1.0, 2.0], [[1.0, 2.0], [3.0, 6.0]], p0=[1.0])
        >>> fits.compute() is fits  # nothing is left to compute
        True
        """
        if isinstance(self.status, np.ndarray):
            return self
        import dask

        names = [name for name in _ARRAYS if getattr(self, name) is not None]
        arrays = dask.compute(*[getattr(self, name) for name in names], **settings)
        return ManyFits(self.names, self._free, self.route, dict(zip(names, arrays, strict=True)))

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether each fit has converged."""
        return self.status < _LEAST

    @property
    def fitted_names(self) -> tuple[str, ...]:
        """The parameters that are not fixed."""
        return tuple(self.names[i] for i in self._free)

    @property
    def message(self) -> str:
        """How many fits have been run."""
        return f"{int(np.sum(self.status != Status.NOT_RUN)):,} of {self.status.size:,} fits have been run"

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes that count the fits."""
        return self.status.shape

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("this is the result of one fit, which has no length")
        return self.shape[0]

    def __getitem__(self, place: Any) -> Any:
        """One fit, as an OptimizeResult, or several, as ManyFits."""
        status = self.status[place]
        places = place if isinstance(place, tuple) else (place,)
        # An ellipsis must not reach the axes of the parameters.
        after = slice(None) if any(part is Ellipsis for part in places) else None
        arrays: dict[str, Any] = {}
        for name in _ARRAYS:
            array = getattr(self, name)
            others = () if after is None else (after,) * _PER_PARAMETER.get(name, 0)
            arrays[name] = None if array is None else array[(*places, *others)]
        if np.ndim(status):
            return ManyFits(self.names, self._free, self.route, arrays)
        reason = Status(int(status))
        numbers = {name: arrays[name].item() for name in ("cost", "dof", "nit", "nfev")}
        rest = {name: arrays[name] for name in ("x", "stderr", "cov", "active_mask") if arrays[name] is not None}
        return OptimizeResult(
            **rest, **numbers, status=reason, success=reason.success, message=reason.meaning, names=self.names
        )

    def summary(self) -> str:
        """How many fits ended with which status.

        Returns
        -------
        str

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> Y = [[1.0, 2.0, 3.0], [np.nan, np.nan, 1.0], [3.0, 3.0, 3.0]]
        >>> fits = gradopt.fit_many(lambda t, a, b: a * t + b, [0.0, 1.0, 2.0], Y, p0=[1.0, 1.0])
        >>> print(fits.summary())
        3 fits of a, b: 2 converged
          GTOL     2
          NO_DATA  1  there are fewer valid points than parameters
        """
        if not isinstance(self.status, np.ndarray):
            return f"{self.status.size:,} fits of {', '.join(self.names)}, not computed yet: call compute()"
        return by_status(self.status, f"fits of {', '.join(self.names)}")

    __repr__ = summary

    def to_frame(self) -> Any:
        """The fits as a pandas DataFrame, one row for each.

        Returns
        -------
        pandas.DataFrame
            Columns: the parameters by name, their standard errors (name_stderr), cost, dof, nit, nfev, and status by
            name. The index counts along the axes of the fits.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import gradopt
        >>> fits = gradopt.fit_many(lambda t, a: a * t, [1.0, 2.0], [[1.0, 2.0], [3.0, 6.0]], p0=[1.0])
        >>> fits.to_frame()[["a", "status"]]
             a status
        0  1.0   GTOL
        1  3.0   GTOL
        """
        try:
            import pandas
        except ImportError:
            raise ImportError('to_frame needs pandas: pip install "gradopt[frame]", or pip install pandas') from None
        n = len(self.names)
        columns: dict[str, Any] = {name: self.x.reshape(-1, n)[:, i] for i, name in enumerate(self.names)}
        if self.stderr is not None:
            columns |= {f"{name}_stderr": self.stderr.reshape(-1, n)[:, i] for i, name in enumerate(self.names)}
        columns |= {name: getattr(self, name).reshape(-1) for name in ("cost", "dof", "nit", "nfev")}
        words = {int(status): status.name for status in Status}
        columns["status"] = pandas.Categorical([words[int(code)] for code in self.status.reshape(-1)])
        index = pandas.MultiIndex.from_product([range(k) for k in self.shape]) if len(self.shape) > 1 else None
        return pandas.DataFrame(columns, index=index)

    def to_xarray(self, dims: Any = None) -> Any:
        """The fits as an xarray Dataset.

        Parameters
        ----------
        dims : sequence of str, optional
            Names for the axes that count the fits. Default dim_0, dim_1, and so on.

        Returns
        -------
        xarray.Dataset
            x, stderr, active_mask along `param` too; cov along `cov_i`, `cov_j`; cost, dof, nit, nfev, status.

        Raises
        ------
        ImportError
            xarray is not installed.
        ValueError
            dims are not as many as the axes.

        Examples
        --------
        >>> import gradopt
        >>> fits = gradopt.fit_many(lambda t, a: a * t, [1.0, 2.0], [[1.0, 2.0], [3.0, 6.0]], p0=[1.0])
        >>> fits.to_xarray(["pixel"]).x.sel(param="a").values  # doctest: +SKIP
        array([1., 3.])
        """
        try:
            import xarray
        except ImportError:
            raise ImportError('to_xarray needs xarray: pip install "gradopt[xarray]", or pip install xarray') from None
        axes = [f"dim_{i}" for i in range(len(self.shape))] if dims is None else list(dims)
        if len(axes) != len(self.shape):
            raise ValueError(f"dims must be {len(self.shape)} names, got {validate.shown(dims)}")
        after = {0: [], 1: ["param"], 2: ["cov_i", "cov_j"]}
        variables = {
            name: ([*axes, *after[_PER_PARAMETER.get(name, 0)]], getattr(self, name))
            for name in _ARRAYS
            if getattr(self, name) is not None
        }
        names = list(self.names)
        coords = {"param": names} | ({} if self.cov is None else {"cov_i": names, "cov_j": names})
        return xarray.Dataset(variables, coords)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fits to a file that `load` can read.

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
        >>> fits = gradopt.fit_many(lambda t, a: a * t, [1.0, 2.0], [[1.0, 2.0], [3.0, 6.0]], p0=[1.0])
        >>> path = os.path.join(tempfile.mkdtemp(), "fits.npz")
        >>> fits.save(path)
        >>> gradopt.load(path).x.ravel()
        array([1., 3.])
        """
        facts = {"kind": "fit_many", "names": list(self.names), "free": list(self._free), "route": self.route}
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        storage.write(Path(path), facts, arrays)

    @classmethod
    def made(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ManyFits:
        """The fits from what `save` wrote."""
        names, shape = tuple(str(name) for name in facts["names"]), arrays["status"].shape
        for name in _ARRAYS:
            wanted = (*shape, *[len(names)] * _PER_PARAMETER.get(name, 0))
            if name in arrays and arrays[name].shape != wanted:
                raise ValueError(f"{name} has the shape {arrays[name].shape} where {wanted} is needed")
        known = {int(status) for status in Status}
        if not set(np.unique(arrays["status"]).tolist()) <= known:
            raise ValueError("status has numbers that are no statuses")
        return cls(names, tuple(int(i) for i in facts["free"]), str(facts["route"]), dict(arrays))
