"""The operations of a graph on NumPy arrays, for everything that is known before x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Shape, places_of
from gradopt._tape.graph.matrices import MATRICES
from gradopt._tape.graph.operations import OPERATIONS

_COMBINE: dict[str, tuple[Any, float]] = {
    "add": (np.add, 0.0),
    "multiply": (np.multiply, 1.0),
    "maximum": (np.maximum, -np.inf),
    "minimum": (np.minimum, np.inf),
}
HOW = tuple(_COMBINE)


def evaluate(operation: str, extra: Any, shape: Shape, *inputs: Any) -> NDArray[Any]:
    """The result of an operation on NumPy arrays."""
    with np.errstate(all="ignore"):
        if operation == "view":
            line = np.ascontiguousarray(inputs[0]).reshape(-1)
            if extra.positions is not None:
                return np.asarray(line[extra.positions.places])
            if not shape:
                return np.asarray(line[extra.offset])
            return as_strided(line[extra.offset :], shape, [stride * line.itemsize for stride in extra.strides])
        if operation == "accumulate":
            how, geometries = extra
            combine, neutral = _COMBINE[how]
            result = np.full(math.prod(shape), neutral)
            for geometry, part in zip(geometries, inputs, strict=True):
                combine.at(result, places_of(geometry, part.shape).reshape(-1), np.asarray(part).reshape(-1))
            return result.reshape(shape)
        if operation == "matmul":
            return np.asarray(inputs[0] @ inputs[1])
        if operation == "cumsum":
            return np.cumsum(inputs[0], axis=-1)
        if operation == "other_products":
            return _other_products(inputs[0])
        if operation == "order":
            return np.argsort(inputs[0], axis=1, kind="stable").astype(float)
        if operation == "taken":
            return _taken(inputs[0], inputs[1])
        if operation == "put_back":
            return _put_back(inputs[0], inputs[1], extra)
        if operation in MATRICES:
            return MATRICES[operation].numpy(extra, *[np.asarray(i, float) for i in inputs])
        return np.asarray(OPERATIONS[operation].numpy(*inputs))


def _taken(array: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """The elements of each line at these places; NaN beyond the line."""
    length = array.shape[1]
    where = np.where(places < 0, places + length, places)
    inside = (where >= 0) & (where < length)
    return np.where(inside, np.take_along_axis(array, np.where(inside, where, 0).astype(np.int64), axis=1), np.nan)


def _put_back(array: NDArray[Any], places: NDArray[Any], length: int) -> NDArray[Any]:
    """Lines of this length into which the elements are added at these places."""
    where = np.where(places < 0, places + length, places).astype(np.int64)
    result = np.zeros((len(array), length))
    line, i = np.nonzero((where >= 0) & (where < length))
    np.add.at(result, (line, where[line, i]), array[line, i])
    return result


def _other_products(array: NDArray[Any]) -> NDArray[Any]:
    """For each element, the product of all others along the last axis."""
    result = np.ones_like(array)
    result[..., 1:] = np.cumprod(array[..., :-1], axis=-1)
    result[..., :-1] *= np.cumprod(array[..., :0:-1], axis=-1)[..., ::-1]
    return result
