"""A tape as text, one operation per line."""

from __future__ import annotations

from collections.abc import Sequence

from gradopt._tape.graph.geometry import Geometry, Shape, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Path
from gradopt._tape.graph.reverse import needed


def listing(paths: Sequence[Path], written: Sequence[tuple[Node, Node]]) -> str:
    """The operations that lead to the result and to its gradient, in their order; for each path, if there are some."""
    if not paths[0].guards:
        return _of_path(paths[0], *written[0])
    texts = []
    for number, (path, (result, gradient)) in enumerate(zip(paths, written, strict=True), 1):
        texts.append(f"path {number}\n{_of_path(path, result, gradient)}")
    return "\n\n".join(texts)


def _of_path(path: Path, result: Node, gradient: Node) -> str:
    names: dict[int, str] = {}
    lines: list[str] = []
    for node in needed(result, gradient, *[guard.node for guard in path.guards]):
        if node.operation == "x":
            names[node.index] = "x"
            lines.append(_line("x", "", node.shape))
        elif node.operation == "argument":
            names[node.index] = f"args[{node.extra}]"
        elif node.fixed:
            assert node.value is not None
            shown = f"{float(node.value):.6g}" if node.value.ndim == 0 else f"constant {node.shape}"
            names[node.index] = shown
        else:
            names[node.index] = f"%{len(lines)}"
            lines.append(_line(f"%{len(lines)}", _operation(node, names), node.shape))
    for node, outcome in path.guards:
        says = f"is {outcome:.0f}" if not node.boolean else "is true" if outcome else "is false"
        lines.append(f"where      {names[node.index]} {says}")
    lines.append(f"objective  {names[result.index]}")
    lines.append(f"gradient   {names[gradient.index]}")
    return "\n".join(lines)


def _line(name: str, made: str, shape: Shape) -> str:
    text = f"{name} = {made}" if made else name
    return f"{text:<58} {shape}" if shape else text


def _operation(node: Node, names: dict[int, str]) -> str:
    inputs = [names[i.index] for i in node.inputs]
    if node.operation == "view":
        return _view(inputs[0], node.extra, node.shape, node.inputs[0].shape)
    if node.operation == "accumulate":
        how, geometries = node.extra
        if len(inputs) == 1 and geometries[0].strides is not None and 0 in geometries[0].strides:
            name = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}[how]
            axes = [str(axis) for axis, stride in enumerate(geometries[0].strides) if stride == 0]
            every = len(axes) == len(geometries[0].strides)
            return f"{name}({inputs[0]})" if every else f"{name}({inputs[0]}, axis={', '.join(axes)})"
        parts = [
            f"{_view('', geometry, i.shape, node.shape)}: {name}"
            for geometry, i, name in zip(geometries, node.inputs, inputs, strict=True)
        ]
        return f"{how} at {_shortened(parts)}"
    return f"{node.operation}({', '.join(inputs)})"


def _shortened(parts: list[str]) -> str:
    return ", ".join(parts if len(parts) <= 4 else [*parts[:3], f"... {len(parts) - 3} more"])


def _view(base: str, geometry: Geometry, shape: Shape, of: Shape) -> str:
    if geometry.positions is not None:
        return f"{base}[{geometry.positions.places.size} places]"
    assert geometry.strides is not None
    if len(of) == 1 and len(shape) == 0:
        return f"{base}[{geometry.offset}]"
    if len(of) == 1 and len(shape) == 1 and geometry.strides[0] > 0:
        start, step = geometry.offset, geometry.strides[0]
        stop = start + step * (shape[0] - 1) + 1
        return f"{base}[{start}:{stop}]" if step == 1 else f"{base}[{start}:{stop}:{step}]"
    if geometry.offset == 0 and geometry.strides == steps(shape):
        return f"reshape({base})"
    if 0 in geometry.strides:
        return f"broadcast({base})"
    if sorted(geometry.strides, reverse=True) != list(geometry.strides) and sorted(shape) == sorted(of):
        return f"transpose({base})"
    return f"{base}[from {geometry.offset} by {geometry.strides}]"
