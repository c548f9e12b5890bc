"""The same function for many inputs side by side: no lane sees another."""

import numpy as np
import pytest

from gradopt import trace
from gradopt._core.protocol import value_and_grad
from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.lanes import side_by_side
from gradopt._tape.graph.node import TooLarge
from gradopt._tape.tape import Tape
from gradopt.problems import Traced

from traces import FUNCTIONS


def in_lanes(problem, points):
    """Values (lanes,) and gradients (n, lanes) of a traced function at points (lanes, n)."""
    lanes, n = points.shape
    nodes = side_by_side([problem.tape.result, problem.tape.gradient], {}, lanes)
    graph = nodes[0].graph
    outputs = graph.accumulated(
        [(Geometry(0, (1,)), nodes[0]), (Geometry(lanes, (lanes, 1)), nodes[1])], (lanes * (n + 1),)
    )
    tape = Tape.of(graph.constant(0.0), outputs)
    x = np.ascontiguousarray(points.T).reshape(-1)
    runs, found = Traced(tape, x, (), frozenset(), "lanes"), np.empty(outputs.size)
    value_and_grad(runs.lower(x.dtype), found, runs.workspace(x.dtype), x)
    return found[:lanes], found[lanes:].reshape(n, lanes)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_lane_is_the_function(name, x):
    f = FUNCTIONS[name]
    problem = trace(lambda x: f(np, x), x)
    points = x * (1.0 + 0.01 * np.arange(8))[:, None]
    values, grads = in_lanes(problem, points)
    for point, value, grad in zip(points, values, grads.T, strict=True):
        wanted = problem.value_and_grad(point)
        assert value == pytest.approx(wanted[0], rel=1e-12)
        np.testing.assert_allclose(grad, wanted[1], rtol=1e-10, atol=1e-12 * max(1.0, np.abs(wanted[1]).max()))
    again, slopes = in_lanes(problem, points[::-1].copy())
    np.testing.assert_array_equal(again[::-1], values)
    np.testing.assert_array_equal(slopes[:, ::-1], grads)


def test_a_large_product_is_refused():
    problem = trace(lambda x: np.sum((x.reshape(20, 20) @ x.reshape(20, 20)) @ x.reshape(20, 20)), np.ones(400))
    with pytest.raises(TooLarge):
        side_by_side([problem.tape.result], {}, 8)
