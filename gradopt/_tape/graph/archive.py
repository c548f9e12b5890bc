"""Saving a traced function as plain facts and arrays, and loading it: operations by name, no code.

A loaded graph is built by the same functions that traced it, which check shapes, and each place is checked to lie
inside its array: no file can make the machine read anywhere else.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.evaluate import HOW
from gradopt._tape.graph.geometry import Geometry, Positions, Shape
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES, Side
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.paths import Guard, Path, Paths
from gradopt._tape.graph.reverse import needed

Arrays = dict[str, NDArray[Any]]


def described(
    paths: Paths, arguments: dict[int, NDArray[Any]], outside: dict[str, NDArray[Any]]
) -> tuple[dict[str, Any], Arrays]:
    """Facts for json, and arrays by name.

    arguments : the arrays that replace those of the trace
    outside : arrays that the function did not receive as arguments; they become constants
    """
    arrays: Arrays = {f"argument.{i}": array for i, array in arguments.items()}
    return {"n": paths.n, "paths": [_of_path(path, arrays, outside) for path in paths.known]}, arrays


def _of_path(path: Path, arrays: Arrays, outside: dict[str, NDArray[Any]]) -> dict[str, Any]:
    numbers: dict[int, int] = {}
    nodes: list[Any] = []
    for node in needed(path.graph.x, path.results[0], *[guard.node for guard in path.guards]):
        numbers[node.index] = len(nodes)
        inputs, operation, extra = [numbers[i.index] for i in node.inputs], node.operation, _extra(node, arrays)
        if operation == "argument" and isinstance(node.extra, str):
            operation, extra = "constant", [node.index, True]
            arrays[f"constant.{node.index}"] = np.asarray(outside.get(node.extra, node.value))
        nodes.append([operation, inputs, list(node.shape), extra])
    guards = [[numbers[node.index], outcome] for node, outcome in path.guards]
    return {"nodes": nodes, "guards": guards, "result": numbers[path.results[0].index]}


def _extra(node: Node, arrays: Arrays) -> Any:
    if node.operation == "constant":
        assert node.value is not None
        arrays[f"constant.{node.index}"] = np.asarray(node.value)
        return [node.index, node.strong]
    if node.operation == "view":
        return _of_geometry(node.extra, arrays)
    if node.operation == "accumulate":
        how, geometries = node.extra
        return [how, [_of_geometry(geometry, arrays) for geometry in geometries]]
    return node.extra


def _of_geometry(geometry: Geometry, arrays: Arrays) -> Any:
    if geometry.positions is None:
        return [geometry.offset, list(geometry.strides or ())]
    name = f"places.{len(arrays)}"
    arrays[name] = geometry.positions.places
    return name


def made(facts: dict[str, Any], arrays: Arrays) -> Paths:
    """The paths, with one result each; a ValueError if facts and arrays do not describe them."""
    n, ways = int(facts["n"]), facts.get("paths", [facts])  # an older file has one path, whose last node is its result
    found = [_made_path(n, way, arrays, number) for number, way in enumerate(ways)]
    if len(found) > 1 and not all(path.guards for path in found):
        raise ValueError("some paths have guards, and some have none")
    paths = Paths(found[0])
    paths.known += found[1:]
    return paths


def _made_path(n: int, facts: dict[str, Any], arrays: Arrays, number: int) -> Path:
    graph = Graph(n, limit=10 * len(facts["nodes"]) + 100, first_index=number << 32)
    nodes: list[Node] = []
    for operation, inputs, shape, extra in facts["nodes"]:
        if not all(0 <= i < len(nodes) for i in inputs):
            raise ValueError("an operation needs the result of a later one")
        node = _node(graph, operation, [nodes[i] for i in inputs], tuple(shape), extra, arrays)
        if node.shape != tuple(shape):
            raise ValueError(f"{operation} gives the shape {node.shape}, not {tuple(shape)}")
        nodes.append(node)
    guards, result = facts.get("guards", []), facts.get("result", len(nodes) - 1)
    if not all(0 <= i < len(nodes) and nodes[i].shape == () for i in (result, *[i for i, _ in guards])):
        raise ValueError("the result or a guard is no number")
    return Path(tuple([Guard(nodes[i], float(outcome)) for i, outcome in guards]), (nodes[result],))


def _node(graph: Graph, operation: str, inputs: list[Node], shape: Shape, extra: Any, arrays: Arrays) -> Node:
    if operation == "x":
        return graph.x
    if operation == "constant":
        number, strong = extra if isinstance(extra, list) else (extra, False)
        array = arrays[f"constant.{number}"]
        return graph.constant(array if array.ndim or strong else array[()].item())
    if operation == "argument":
        return graph.argument(extra, arrays[f"argument.{extra}"])
    if operation in OPERATIONS:
        return graph(operation, *inputs)
    if operation == "view":
        (base,) = inputs
        geometry = _geometry(extra, arrays)
        _require_inside(geometry, shape, base.size)
        return graph.view(base, geometry, shape)
    if operation == "accumulate":
        how, described_geometries = extra
        if how not in HOW:
            raise ValueError(f"there is no combination {how}")
        parts = [(_geometry(g, arrays), i) for g, i in zip(described_geometries, inputs, strict=True)]
        for geometry, part in parts:
            _require_inside(geometry, part.shape, math.prod(shape))
        return graph.accumulated(parts, shape, how)
    if operation == "matmul":
        return graph.product(*inputs)
    if operation in MATRICES:
        return graph.of_matrices(operation, *inputs, extra=Side(*extra) if isinstance(extra, list) else extra)
    if operation in ("cumsum", "order"):
        return graph.along_lines(operation, *inputs)
    if operation in ("taken", "put_back"):
        a, places = inputs
        if len(a.shape) != 2 or len(places.shape) != 2 or a.shape[0] != places.shape[0]:
            raise ValueError(f"{operation} needs two matrices of as many lines")
        if operation == "put_back" and a.shape != places.shape:
            raise ValueError("put_back needs two matrices of one shape")
        return graph.taken(a, places) if operation == "taken" else graph.put_back(a, places, int(extra))
    raise ValueError(f"there is no operation {operation}")


def _geometry(described_geometry: Any, arrays: Arrays) -> Geometry:
    if isinstance(described_geometry, str):
        return Geometry(0, None, Positions(arrays[described_geometry]))
    offset, strides = described_geometry
    return Geometry(int(offset), tuple(int(stride) for stride in strides))


def _require_inside(geometry: Geometry, shape: Shape, size: int) -> None:
    if geometry.positions is not None:
        places = geometry.positions.places
        inside = places.shape == shape and bool((places >= 0).all() and (places < size).all())
    else:
        strides = geometry.strides or ()
        reach = [stride * (length - 1) for stride, length in zip(strides, shape, strict=True)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        inside = 0 <= geometry.offset + low and geometry.offset + high < size
    if not inside:
        raise ValueError("a view reaches beyond its array")
