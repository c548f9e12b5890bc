"""The geometry of a view: which element of the array each element of the view is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Geometry(NamedTuple):
    """For each element of a view, its place in the array, taken as a C-order vector.

    Attributes
    ----------
    offset : int
        The place of the view's first element.
    strides : tuple of int, or None
        The distance between neighbours along each axis of the view.
    positions : Positions or None
        The place of each element, if strides can't describe the view.
    """

    offset: int
    strides: Shape | None
    positions: Positions | None = None

    def shifted(self, by: int) -> Geometry:
        """The geometry of the same elements where the array begins later in another one."""
        if self.positions is not None:
            return Geometry(0, None, Positions(self.positions.places + by))
        return self._replace(offset=self.offset + by)

    @property
    def first(self) -> int:
        """The place of the first element."""
        return self.offset if self.positions is None else int(self.positions.places.reshape(-1)[0])

    def of_runs(self, count: int) -> Geometry:
        """The geometry where each element is a run of so many, along one more axis, the last."""
        if self.positions is not None:
            return Geometry(0, None, Positions(self.positions.places[..., None] * count + np.arange(count)))
        assert self.strides is not None
        return Geometry(self.offset * count, (*[s * count for s in self.strides], 1))


class Positions:
    """An int64 array of places, compared by its contents."""

    def __init__(self, places: NDArray[np.int64]) -> None:
        self.places = np.asarray(places, np.int64, order="C")
        self._key = hash(self.places.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Positions) and np.array_equal(self.places, other.places)

    def __hash__(self) -> int:
        return self._key


def steps(shape: Shape) -> Shape:
    """The strides of an array in C order, in elements."""
    result, step = [0] * len(shape), 1
    for axis in range(len(shape) - 1, -1, -1):
        result[axis], step = step, step * shape[axis]
    return tuple(result)


def contiguous(strides: Shape | None, shape: Shape) -> bool:
    return strides is not None and all(
        length == 1 or stride == step for length, stride, step in zip(shape, strides, steps(shape), strict=True)
    )


def places_of(geometry: Geometry, shape: Shape) -> NDArray[np.int64]:
    """The place of each element of a view."""
    if geometry.positions is not None:
        return geometry.positions.places
    assert geometry.strides is not None
    places = np.full(shape, geometry.offset, np.int64)
    for axis, stride in enumerate(geometry.strides):
        if stride:
            places += (stride * np.arange(shape[axis])).reshape([-1] + [1] * (len(shape) - axis - 1))
    return places


def collapsed(shape: Shape, strides: Shape) -> list[tuple[int, int]]:
    """Lengths and strides of the same view with as few axes as possible, from the last axis to the first."""
    axes: list[tuple[int, int]] = []
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length == 1:
            continue
        if axes and axes[-1][0] * axes[-1][1] == stride:
            axes[-1] = axes[-1][0] * length, axes[-1][1]
        else:
            axes.append((length, stride))
    return axes or [(1, 1)]


def is_line(geometry: Geometry, shape: Shape) -> bool:
    """Whether a view has several elements, and they lie next to each other in order."""
    strides = geometry.strides
    return strides is not None and math.prod(shape) > 1 and collapsed(shape, strides) == [(math.prod(shape), 1)]
