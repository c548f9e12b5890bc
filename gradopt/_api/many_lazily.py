"""Many fits on Dask arrays: one task for each chunk, and results that are computed when they are asked for.

What is sent to workers is the tape of the model, as plain arrays, and not the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._api.many import Data, Given, Parameters, run_fits
from gradopt._results.many_fits import ManyFits
from gradopt._run.many_fits import ManyTask


def is_lazy(array: Any) -> bool:
    """Whether an array is one of Dask."""
    return type(array).__module__.split(".")[0] == "dask" and hasattr(array, "chunks")


@dataclass(frozen=True)
class _Place:
    """The place of an array of the chunks in the arguments of a `ChunkTask`; not a tuple, which xdata may be."""

    number: int


class ChunkTask:
    """A function that fits the data of a chunk and packs the results; it can be sent to workers.

    Parameters
    ----------
    task : ManyTask
    given : Given
        With a `_Place` for each array that differs from fit to fit.
    counts : bool
    """

    def __init__(self, task: ManyTask, given: Given, counts: bool) -> None:
        self._task, self._given, self._counts = task, given, counts

    def __call__(self, Y: NDArray[Any], *arrays: NDArray[Any]) -> NDArray[np.float64]:
        """The results, (..., numbers), as `ManyFits.packed`."""
        given = self._given.each(lambda name, one, has_last: arrays[one.number] if isinstance(one, _Place) else one)
        data, parameters = given.checked(self._task.names, Y, self._counts, 0)
        fits = self._task.no_fits(data.shape)
        run_fits(self._task, data, parameters, fits, 1, lambda count: None)
        return fits.packed()


def lazy_fits(
    f: Callable[..., Any],
    given: Given,
    Y: Any,
    counts: bool,
    constants: int,
    make_task: Callable[[Data, Parameters], ManyTask],
) -> ManyFits:
    """The fits of a Dask array, as Dask arrays."""
    import dask.array as da

    lead, axes = Y.shape[:-1], tuple(range(Y.ndim - 1))
    if Y.ndim < 2:
        raise ValueError("Y must have an axis that counts the fits to be a Dask array")
    arrays: list[Any] = [_whole("Y", Y)]
    indices: list[tuple[int, ...]] = [(*axes, len(axes))]

    def moved(name: str, array: Any, has_last: bool) -> Any:
        if not is_lazy(array) and np.ndim(array) <= has_last:
            return array
        array = array if is_lazy(array) else da.asarray(np.asarray(array))
        last = array.shape[-1:] if has_last else ()
        array = da.broadcast_to(array, (*lead, *last))
        array = _whole(name, array) if has_last else array
        arrays.append(array.rechunk({i: Y.chunks[i] for i in axes}))
        indices.append((*axes, len(axes) + len(arrays)) if has_last else axes)
        return _Place(len(arrays) - 2)

    places = given.each(moved)
    first = [array[(slice(0, 1),) * len(axes)].compute() for array in arrays[1:]]
    sample = places.each(lambda name, one, has_last: first[one.number] if isinstance(one, _Place) else one)
    data, parameters = sample.checked(f, np.ones((*(1,) * len(axes), Y.shape[-1])), counts, constants)
    task = make_task(data._replace(masked=True), parameters)
    pairs = [part for pair in zip(arrays, indices, strict=True) for part in pair]
    nothing = task.no_fits((0,) * len(axes))
    packed = da.blockwise(
        ChunkTask(task, places, counts),
        (*axes, len(axes) + 1_000),
        *pairs,
        new_axes={len(axes) + 1_000: nothing.packed().shape[-1]},
        concatenate=True,
        dtype=np.float64,
        meta=nothing.packed(),
        name=None,
        token="gradopt-fit-many",
    )
    return nothing.unpacked(packed)


def _whole(name: str, array: Any) -> Any:
    """A Dask array whose last axis, that of a single fit, is in one piece; else an error."""
    if len(array.chunks[-1]) > 1:
        raise ValueError(
            f"{name} must not be cut along its last axis, which belongs to each single fit, got the chunks"
            f" {array.chunks[-1]} there; use rechunk({{-1: -1}})"
        )
    return array
