"""`curvefit` for xarray: fits along dimensions of a DataArray or Dataset, all others side by side."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._api.fit_many import fit_many
from gradopt._core import validate
from gradopt._results.curve_fit_result import FitError
from gradopt._results.many_fits import ManyFits

_SETTINGS = ("absolute_sigma", "loss", "f_scale", "ftol", "xtol", "gtol", "max_iter", "polish", "args", "dtype")
# scipy's names for the limit on evaluations, and settings of scipy that change nothing here.
_LIMITS, _WITHOUT_EFFECT = ("maxfev", "max_nfev"), ("method", "check_finite", "jac", "nan_policy")


def curvefit(
    obj: Any,
    coords: Any,
    func: Callable[..., Any],
    reduce_dims: Any = None,
    skipna: bool = True,
    p0: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    param_names: Iterable[str] | None = None,
    errors: str = "ignore",
    kwargs: Mapping[str, Any] | None = None,
    *,
    sigma: Any = None,
    workers: Any = None,
) -> Any:
    """Fit a function to data along dimensions: xarray's curvefit, argument by argument, with all fits side by side.

    Parameters
    ----------
    obj : xarray.DataArray or xarray.Dataset
        The data; lazily, chunk by chunk, if they are in arrays of Dask.
    coords : str, xarray.DataArray, or a list of these
        The points: coordinates of obj, or arrays that may also differ from fit to fit.
    func : callable
        func(x, *params) -> array (m,); with several coords, x is an array (k, m). It is traced.
    reduce_dims : str or list of str, optional
        Dimensions to fit along besides those of coords.
    skipna : bool
        Whether NaN in the data is left out. If not, it is an error.
    p0 : dict, optional
        Starts by name: numbers, or a DataArray with one for each fit. Default the defaults of func's arguments, else 1;
        where that is outside the bounds, a point within.
    bounds : dict, optional
        (lower, upper) by name: numbers, or DataArrays.
    param_names : list of str, optional
        Names of the parameters, for a func that takes any number of them.
    errors : {"ignore", "raise"}
        What a fit that fails does: leave NaN, or raise `FitError` after all have been run.
    kwargs : dict, optional
        Settings of `fit_many`: absolute_sigma, loss, f_scale, ftol, xtol, gtol, max_iter (also maxfev), polish, args,
        dtype. method, check_finite, jac and nan_policy of scipy are accepted and change nothing: derivatives are exact.
    sigma : xarray.DataArray or float, optional
        The standard deviations of the data.
    workers : int, optional
        As for `fit_many`; for data in memory.

    Returns
    -------
    xarray.Dataset
        For a DataArray: curvefit_coefficients (..., param), curvefit_covariance (..., cov_i, cov_j), and beside them
        curvefit_stderr (..., param) and curvefit_status (...), a `Status` for each fit. For a Dataset, the same for
        each variable with its name in front, such as signal_curvefit_coefficients. Attributes and coordinates are those
        of obj.

    Raises
    ------
    ImportError
        xarray is not installed.
    TypeError, ValueError
        An argument is wrong; or a dimension to fit along is cut into chunks.
    FitError
        errors="raise", and a fit failed; the message says how many.

    Notes
    -----
    Counterpart: xarray.DataArray.curvefit.

    Examples
    --------
    >>> import gradopt.integrations.xarray, numpy as np, xarray
    >>> t = xarray.DataArray(np.linspace(0.0, 2.0, 9), dims="t", name="t")
    >>> rates = xarray.DataArray([0.5, 1.0], dims="x")
    >>> data = (3.0 * np.exp(-rates * t)).assign_coords(t=t)
    >>> def decay(t, amount, rate):
    ...     return amount * np.exp(-rate * t)
    >>> fitted = gradopt.integrations.xarray.curvefit(data, "t", decay)
    >>> fitted.curvefit_coefficients.sel(param="rate").values.round(6)
    array([0.5, 1. ])
    """
    xarray = _xarray()
    if not isinstance(obj, (xarray.DataArray, xarray.Dataset)):
        raise TypeError(f"obj must be a DataArray or a Dataset, got {validate.shown(obj)}")
    validate.choice("errors", errors, ("raise", "ignore"))
    names, starts = _parameters(func, p0, bounds, param_names)
    ends = _ends(bounds, names)
    settings = _settings(kwargs)
    points, dims = _points(obj, coords, reduce_dims)
    if isinstance(obj, xarray.Dataset):
        variables = {f"{name}_": obj[name] for name in obj.data_vars if set(dims) <= set(obj[name].dims)}
        if not variables:
            raise ValueError(f"no variable of the Dataset has the dimensions {', '.join(map(str, dims))}")
    else:
        variables = {"": obj}
    result = xarray.Dataset(attrs=dict(obj.attrs))
    given = tuple(name in (p0 or {}) for name in names)
    for prefix, data in variables.items():
        request = _Request(
            func, names, skipna, errors, settings, workers, len(dims), len(points), sigma is not None, given
        )
        if data.chunks is not None:  # Dask has threads of its own
            request = request._replace(workers=1)
        fitted = _fitted(request, data, points, dims, starts, ends, sigma)
        for name, array in zip(("coefficients", "covariance", "stderr", "status"), fitted, strict=True):
            result[f"{prefix}curvefit_{name}"] = array
    result = result.assign_coords({"param": list(names), "cov_i": list(names), "cov_j": list(names)})
    result.attrs = dict(obj.attrs)
    return result


def _xarray() -> Any:
    try:
        import xarray
    except ImportError:
        raise ImportError('curvefit needs xarray: pip install "gradopt[xarray]", or pip install xarray') from None
    return xarray


def _parameters(func: Any, p0: Any, bounds: Any, param_names: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the parameters, and their starts."""
    if not callable(func):
        raise TypeError(f"func must be a function, got {validate.shown(func)}")
    defaults: dict[str, Any] = {}
    if param_names is not None:
        names = tuple([param_names] if isinstance(param_names, str) else param_names)
    else:
        parameters = list(inspect.signature(func).parameters.values())[1:]
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise ValueError("param_names must be given: func takes any number of parameters")
        names = tuple(p.name for p in parameters)
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    for what, given in (("p0", p0), ("bounds", bounds)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"{what} must be a dictionary by parameter, got {validate.shown(given)}")
        for name in given or {}:
            if name not in names:
                raise ValueError(f"{what} must name parameters of func, which are {', '.join(names)}, got {name!r}")
    return names, {name: defaults.get(name, 1.0) for name in names} | dict(p0 or {})


def _ends(bounds: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """The bounds of all parameters."""
    ends: dict[str, tuple[Any, Any]] = {}
    for name in names:
        pair = (bounds or {}).get(name, (None, None))
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"bounds[{name!r}] must be (lower, upper), got {validate.shown(pair)}")
        ends[name] = (-np.inf if pair[0] is None else pair[0], np.inf if pair[1] is None else pair[1])
    return ends


def _settings(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in (kwargs or {}).items():
        if name in _LIMITS:
            settings["max_iter"] = validate.integer(f"kwargs[{name!r}]", value, 0)
        elif name in _SETTINGS:
            settings[name] = value
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"kwargs has no setting {name!r}; it takes {', '.join(_SETTINGS)}")
    return settings


def _points(obj: Any, coords: Any, reduce_dims: Any) -> tuple[list[Any], list[Hashable]]:
    """The coordinates as DataArrays, and the dimensions to fit along."""
    xarray = _xarray()
    several = isinstance(coords, (list, tuple))
    points = []
    for coord in coords if several else [coords]:
        if isinstance(coord, xarray.DataArray):
            points.append(coord)
        elif coord in obj.coords or coord in obj.dims:
            points.append(obj[coord])
        else:
            raise ValueError(f"coords must name coordinates of obj, got {coord!r}")
    named = [] if reduce_dims is None else [reduce_dims] if isinstance(reduce_dims, str) else list(reduce_dims)
    of_points = [dim for point in points for dim in point.dims]
    # A coordinate given as an array may differ from fit to fit: then it is fitted along its last dimension.
    differs = any(isinstance(c, xarray.DataArray) and c.ndim > 1 for c in (coords if several else [coords]))
    if differs and named:
        dims = named
    elif differs:
        dims = [points[0].dims[-1]]
    else:
        dims = [*dict.fromkeys([*named, *of_points])]
    missing = [dim for dim in dims if dim not in obj.dims]
    if missing or not dims:
        raise ValueError(f"obj must have the dimensions to fit along, and lacks {', '.join(map(str, missing))}")
    return points, dims


class _Request(NamedTuple):
    """What the fits of a block of data need besides their arrays."""

    func: Callable[..., Any]
    names: tuple[str, ...]
    skipna: bool
    errors: str
    settings: dict[str, Any]
    workers: Any
    dims: int  # the number of axes to fit along, the last ones
    points: int  # the number of coordinates
    has_sigma: bool
    given: tuple[bool, ...]  # whether the start of each parameter was asked for; others are moved into the bounds


def _fitted(
    request: _Request, data: Any, points: list[Any], dims: list[Hashable], starts: Any, ends: Any, sigma: Any
) -> tuple[Any, ...]:
    """Coefficients, covariances, errors and statuses of one DataArray."""
    xarray = _xarray()
    along = xarray.ones_like(data.isel({dim: 0 for dim in data.dims if dim not in dims}, drop=True), dtype=float)
    full = [xarray.broadcast(point, along)[0] for point in points]
    arrays = [data, *full]
    core: list[list[Hashable]] = [dims] * len(arrays)
    if sigma is not None:
        arrays.append(xarray.broadcast(xarray.DataArray(sigma), along)[0])
        core.append(dims)
    for name in request.names:
        low, high = ends[name]
        arrays += [starts[name], low, high]
        core += [[]] * 3
    n = len(request.names)
    result: tuple[Any, ...] = xarray.apply_ufunc(
        _fit_block,
        *arrays,
        kwargs={"request": request},
        input_core_dims=core,
        output_core_dims=[["param"], ["cov_i", "cov_j"], ["param"], []],
        dask="parallelized",
        output_dtypes=[np.float64, np.float64, np.float64, np.int8],
        dask_gufunc_kwargs={"output_sizes": {"param": n, "cov_i": n, "cov_j": n}},
        keep_attrs=False,
    )
    return result


def _fit_block(data: NDArray[Any], *arrays: Any, request: _Request) -> tuple[NDArray[Any], ...]:
    """Fit a block; the axes to fit along are the last ones of data, points and sigma."""
    lead = data.shape[: data.ndim - request.dims]
    m = int(np.prod(data.shape[data.ndim - request.dims :]))
    if not request.skipna and np.isnan(np.asarray(data, np.float64)).any():
        raise ValueError("the data contain NaN; skipna=True leaves it out")

    def flat(array: Any) -> NDArray[Any]:
        """(m,) where all fits share it, else of the shape of the data."""
        array = np.asarray(array, np.float64)
        before = array.shape[: array.ndim - request.dims]
        array = array.reshape(*before, m)
        return array.reshape(m) if all(k == 1 for k in before) else np.broadcast_to(array, (*lead, m))

    points = tuple(flat(array) for array in arrays[: request.points])
    rest = list(arrays[request.points :])
    sigma = flat(rest.pop(0)) if request.has_sigma else None

    def by_fit(array: Any) -> NDArray[Any]:
        array = np.asarray(array, np.float64)
        return array.reshape(()) if array.size == 1 else np.broadcast_to(array, lead)

    start, low, high = (np.stack(np.broadcast_arrays(*map(by_fit, rest[i::3])), axis=-1) for i in range(3))
    with np.errstate(invalid="ignore"):
        inside = np.where(np.isfinite(low), low + 1.0, np.where(np.isfinite(high), high - 1.0, 1.0))
        inside = np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), inside)
        outside = ~((low <= start) & (start <= high)) & ~np.array(request.given)
    start = np.where(outside, inside, start)
    n = len(request.names)
    if not np.prod(lead, dtype=int):
        return np.empty((*lead, n)), np.empty((*lead, n, n)), np.empty((*lead, n)), np.empty(lead, np.int8)
    fits: ManyFits = fit_many(
        _Named(request.func, request.names),
        points if request.points > 1 else points[0],
        data.reshape(*lead, m),
        start,
        bounds=(low, high),
        sigma=sigma,
        covariance="full",
        workers=request.workers,
        **request.settings,
    )
    failed = ~fits.success
    if request.errors == "raise" and failed.any():
        raise FitError(f"{int(failed.sum())} of {failed.size} fits failed:\n{fits.summary()}", fits)
    x, cov, stderr = (np.array(array, np.float64) for array in (fits.x, fits.cov, fits.stderr))
    for array in (x, cov, stderr):
        array[failed] = np.nan
    return x, cov, stderr, fits.status


class _Named:
    """A function with so many parameters, whatever its own signature says."""

    def __init__(self, func: Callable[..., Any], names: tuple[str, ...]) -> None:
        self._func = func
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("x", *names)])
        self.__name__ = getattr(func, "__name__", repr(func))

    def __call__(self, x: Any, *params: Any) -> Any:
        return self._func(x, *params)
