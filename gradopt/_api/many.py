"""The data and the parameters of many fits, checked, as arrays with one row for each fit; and their run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._api.fitting import names_of, place_of
from gradopt._core import validate
from gradopt._results.many_fits import ManyFits
from gradopt._run.many import in_pieces
from gradopt._run.many_fits import Block, Fitted, ManyTask


class Given(NamedTuple):
    """Arguments of `fit_many`, as they were given."""

    xdata: Any
    p0: Any
    sigma: Any
    bounds: Any
    fixed: Any

    def checked(
        self, f: Callable[..., Any] | tuple[str, ...], Y: Any, counts: bool, constants: int
    ) -> tuple[Data, Parameters]:
        """The checked data and parameters; the arguments are those of the functions below."""
        data = checked_data(self.xdata, Y, self.sigma, counts)
        p0 = self.p0(self.xdata, Y) if callable(self.p0) else self.p0
        return data, checked_parameters(f, p0, self.bounds, self.fixed, data, constants)

    def each(self, change: Callable[[str, Any, bool], Any]) -> Given:
        """The same with change(name, array, has_last) in place of each array.

        name : that of the argument
        has_last : whether the array has an axis after those that count the fits
        """
        several, xdata, p0, bounds, fixed = isinstance(self.xdata, tuple), self.xdata, self.p0, self.bounds, self.fixed
        xdata = tuple(change("xdata", part, True) for part in xdata) if several else change("xdata", xdata, True)
        if isinstance(p0, Mapping):
            p0 = {name: change("p0", value, False) for name, value in p0.items()}
        elif not callable(p0) and p0 is not None:
            p0 = change("p0", p0, True)
        sigma = None if self.sigma is None else change("sigma", self.sigma, True)
        if isinstance(bounds, Mapping):
            bounds = {name: tuple(change("bounds", side, False) for side in pair) for name, pair in bounds.items()}
        elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            bounds = change("bounds", bounds.lb, True), change("bounds", bounds.ub, True)
        elif np.iterable(bounds):
            bounds = tuple(change("bounds", side, True) for side in bounds)
        if isinstance(fixed, Mapping):
            fixed = {name: change("fixed", value, False) for name, value in fixed.items()}
        return Given(xdata, p0, sigma, bounds, fixed)


class Data(NamedTuple):
    """The data. Arrays that are the same for all fits have the length 1 along their first axis."""

    shape: tuple[int, ...]  # the leading axes of Y
    fits: int
    m: int
    y: NDArray[Any]  # (count, m)
    shared: NDArray[np.float64] | None  # (m,) or (k, m), the predictors that all fits share
    own: tuple[NDArray[Any], ...]  # (count, m) each, if they do not
    stacked: bool  # whether there are several predictors
    valid: NDArray[np.bool_] | None  # (m,) where the shared predictors are finite, if not everywhere
    sigma: NDArray[Any] | None  # (count or 1, m)
    masked: bool  # whether any point of any fit is to be left out


def checked_data(xdata: Any, Y: Any, sigma: Any, counts: bool) -> Data:
    """The checked data."""
    y = _real("Y", Y)
    if y.ndim == 0:
        raise ValueError("Y must have an axis of points, got a number")
    if y.shape[-1] == 0:
        raise ValueError(f"Y must have points along its last axis, got the shape {y.shape}")
    shape, m = y.shape[:-1], y.shape[-1]
    rows = y.reshape(-1, m)
    count = len(rows)
    predictors = [_real("xdata", part) for part in (xdata if isinstance(xdata, tuple) else (xdata,))]
    if not predictors:
        raise ValueError("xdata must not be an empty tuple")
    for part in predictors:
        if part.shape not in ((m,), y.shape):
            remedy = "; several predictors are a tuple of arrays" if part.ndim == 2 and part.shape[-1] == m else ""
            raise ValueError(f"xdata must have the shape ({m},) or {y.shape}, as Y, got {part.shape}{remedy}")
    shared: Any = None
    own: tuple[NDArray[Any], ...] = ()
    valid = None
    if all(part.shape == (m,) for part in predictors):
        shared = np.stack(predictors) if isinstance(xdata, tuple) else predictors[0].astype(np.float64)
        finite = np.isfinite(shared).reshape(-1, m).all(axis=0)
        if not finite.all():
            valid = finite
            fill = shared[..., np.argmax(finite)] if finite.any() else np.zeros(shared.shape[:-1])
            shared = np.where(finite, shared, np.asarray(fill)[..., None])
    else:
        own = tuple(np.broadcast_to(part, y.shape).reshape(count, m) for part in predictors)
    if sigma is not None:
        if counts:
            raise ValueError("sigma must be None with loss='poisson': counts have the variance of their mean")
        sigma = _rows("sigma", _real("sigma", sigma), shape, m, "(..., m)")
    arrays = [rows, *([] if sigma is None else [sigma]), *own]
    masked = valid is not None or not all(_all_finite(array) for array in arrays)
    return Data(shape, count, m, rows, shared, own, isinstance(xdata, tuple), valid, sigma, masked)


def _real(name: str, value: Any) -> NDArray[Any]:
    """The value as an array of floats; NaN where it is masked."""
    try:
        if isinstance(value, np.ma.MaskedArray):
            value = np.ma.filled(value.astype(np.float64), np.nan)
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise ValueError
        if array.dtype.kind not in "biuf":
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of real numbers, got {validate.shown(value)}") from None
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _rows(name: str, array: NDArray[Any], shape: tuple[int, ...], last: int, wanted: str) -> NDArray[Any]:
    """The array as rows, one for each fit, or one for all."""
    if array.ndim == 0 or array.shape == (last,):
        return np.broadcast_to(array, (1, last))
    try:
        if array.shape[-1] not in (1, last):
            raise ValueError
        return np.broadcast_to(array, (*shape, last)).reshape(-1, last)
    except ValueError:
        raise ValueError(
            f"{name} must have the shape {wanted} that broadcasts to {(*shape, last)}, got {array.shape}"
        ) from None


def _all_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are finite, without an array of as many booleans."""
    step = max(1, (1 << 18) // max(array.shape[1], 1))
    return all(bool(np.isfinite(array[begin : begin + step]).all()) for begin in range(0, len(array), step))


class Parameters(NamedTuple):
    """The parameters. Arrays that are the same for all fits have the length 1 along their first axis."""

    names: tuple[str, ...]
    free: tuple[int, ...]  # the places of those that are fitted
    fixed: tuple[int, ...]  # and of those that are not
    start: NDArray[np.float64]  # (count or 1, free)
    held: NDArray[np.float64]  # (count or 1, fixed)
    low: NDArray[np.float64]  # (count or 1, free)
    high: NDArray[np.float64]  # (count or 1, free)


def checked_parameters(
    f: Callable[..., Any] | tuple[str, ...], p0: Any, bounds: Any, fixed: Any, data: Data, constants: int
) -> Parameters:
    """The checked parameters.

    f : the model, or the names of its parameters
    constants : the number of its other arguments
    """
    shape = data.shape
    if p0 is None:
        raise ValueError("p0 must be given: an array (..., n), values by name, or a function of (xdata, Y)")

    def names_for(given: int | None) -> tuple[tuple[str, ...], int]:
        return names_of(f, p0, given, constants) if callable(f) else (f, len(f))

    if isinstance(p0, Mapping):
        names, n = names_for(None)
        start = np.ones((*shape, n)) if any(np.ndim(value) for value in p0.values()) else np.ones(n)
        for name, value in p0.items():
            start[..., place_of(name, names, "p0")] = _number_each(f"p0[{name!r}]", value, shape)
    else:
        start = np.atleast_1d(_real("p0", p0)).astype(np.float64)
        names, n = names_for(start.shape[-1])
    start = _rows("p0", start, shape, n, "(..., n)")
    low, high = _ends(bounds, names, shape)
    held = {} if fixed is None else fixed
    if not isinstance(held, Mapping):
        raise TypeError(f"fixed must be a dictionary of names and values, got {validate.shown(fixed)}")
    values = {place_of(name, names, "fixed"): _number_each(f"fixed[{name!r}]", v, shape) for name, v in held.items()}
    free = tuple(i for i in range(n) if i not in values)
    if not free:
        raise ValueError("fixed must leave a parameter free, got all of them")
    places, by_fit = tuple(sorted(values)), any(np.ndim(value) for value in values.values())
    rows = np.empty((data.fits if by_fit else 1, len(places)))
    for column, place in enumerate(places):
        rows[:, column] = np.broadcast_to(values[place], shape).reshape(-1) if by_fit else values[place]
    columns = list(free)
    return Parameters(names, free, places, start[:, columns], rows, low[:, columns], high[:, columns])


def _number_each(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A number for all fits, or one for each; NaN is allowed."""
    array = _real(name, value).astype(np.float64)
    try:
        return array if array.ndim == 0 else np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} must be a number or have the shape {shape}, got {array.shape}") from None


def _ends(bounds: Any, names: tuple[str, ...], shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lower and the upper ends, (count or 1, n) each."""
    n = len(names)
    if isinstance(bounds, Mapping):
        pairs = {}
        for name, pair in bounds.items():
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ValueError(f"bounds[{name!r}] must be (lower, upper), got {validate.shown(pair)}")
            sides = (-np.inf if pair[0] is None else pair[0], np.inf if pair[1] is None else pair[1])
            pairs[place_of(name, names, "bounds")] = [_number_each(f"bounds[{name!r}]", side, shape) for side in sides]
        by_fit = any(np.ndim(side) for pair in pairs.values() for side in pair)
        ends = np.empty((2, *(shape if by_fit else ()), n))
        ends[0], ends[1] = -np.inf, np.inf
        for place, pair in pairs.items():
            ends[0][..., place], ends[1][..., place] = pair
        low, high = ends
    elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = bounds.lb, bounds.ub
    else:
        sides_given = list(bounds) if np.iterable(bounds) and not isinstance(bounds, str) else []
        if len(sides_given) != 2:
            raise ValueError(
                f"bounds must be (lower, upper), a scipy.optimize.Bounds or a dictionary, got {validate.shown(bounds)}"
            )
        low, high = sides_given
    low, high = (_real("bounds", side).astype(np.float64) for side in (low, high))
    low, high = (_rows("bounds", side, shape, n, "(..., n)") for side in (low, high))
    if len(low) == len(high) == 1 and not (low <= high).all():  # those of one fit among others are a status
        j = int(np.argmin((low <= high)[0]))
        raise ValueError(f"bounds must have lower <= upper, got {low[0, j]:g} and {high[0, j]:g} for {names[j]}")
    return low, high


def part_of(array: NDArray[Any], begin: int, end: int) -> NDArray[Any]:
    return array if len(array) == 1 else array[begin:end]


def block_of(data: Data, parameters: Parameters, begin: int, end: int) -> Block:
    """The arrays of some fits."""
    return Block(
        data.y[begin:end],
        part_of(parameters.start, begin, end),
        part_of(parameters.held, begin, end),
        part_of(parameters.low, begin, end),
        part_of(parameters.high, begin, end),
        None if data.sigma is None else part_of(data.sigma, begin, end),
        tuple(part[begin:end] for part in data.own),
        data.valid,
    )


def run_fits(
    task: ManyTask,
    data: Data,
    parameters: Parameters,
    fits: ManyFits,
    workers: Any,
    advance: Callable[[int], None],
) -> None:
    """Run all fits and store them in `fits`; advance(count) hears of them."""

    def hand_over(begin: int, end: int, result: Fitted) -> None:
        fits.take(begin, end, result, part_of(parameters.held, begin, end))
        advance(end - begin)

    in_pieces(
        task,
        lambda begin, end: block_of(data, parameters, begin, end),
        data.fits,
        task.first_piece,
        workers,
        hand_over,
    )
