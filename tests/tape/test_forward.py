"""Forward mode: derivatives by each parameter, beside the gradient of reverse mode."""

import numpy as np
import pytest

from gradopt import trace
from gradopt._tape.graph.forward import tangents
from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.tape import Tape
from gradopt.problems import Traced

from traces import FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_is_reverse_mode(name, x):
    f = FUNCTIONS[name]
    problem = trace(lambda x: f(np, x), x)
    wanted, result = problem.grad(x), problem.tape.result
    graph = problem.tape.paths.known[0].graph
    parts = [(Geometry(j, ()), graph.reshaped(d, ())) for j, d in enumerate(tangents(graph, result)) if d is not None]
    outputs = graph.accumulated(parts, (x.size,)) if parts else graph.constant(np.zeros(x.size))
    value, found = Traced(Tape.of(result, outputs), x, (), frozenset(), "f").value_and_grad(x)
    assert value == problem.value(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12 * max(1.0, np.abs(wanted).max()))
