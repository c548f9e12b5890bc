"""Second derivatives of traces: against differences of exact gradients, whole and as products with vectors."""

import numpy as np
import pytest

from gradopt import trace
from gradopt._core.protocol import value_and_grad
from gradopt._tape.curvature import hessian_tape, product_tape
from gradopt.problems import Traced

from traces import FUNCTIONS


def run(tape, x):
    problem, out = Traced(tape, x, (), frozenset(), "second derivatives"), np.empty(tape.gradient.size)
    value_and_grad(problem.lower(x.dtype), out, problem.workspace(x.dtype), x)
    return out


def by_differences(problem, x):
    columns = []
    for j in range(x.size):
        step = np.zeros(x.size)
        step[j] = 1e-5 * max(1.0, abs(x[j]))
        columns.append((problem.grad(x + step) - problem.grad(x - step)) / (2.0 * step[j]))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_hessian_is_the_slope_of_the_gradient(name, x):
    f = FUNCTIONS[name]
    problem, n = trace(lambda x: f(np, x), x), x.size
    hessian = run(hessian_tape(problem.tape.paths), x).reshape(n, n)
    wanted = by_differences(problem, x)
    size = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(hessian, wanted, rtol=1e-6, atol=1e-7 * size)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-13 * size)
    vectors = np.random.default_rng(1).normal(size=(n, 3))
    at = np.concatenate([x, vectors.ravel()])
    products = run(product_tape(problem.tape.paths, {}, 3), at).reshape(n, 3)
    np.testing.assert_allclose(products, hessian @ vectors, rtol=1e-9, atol=1e-12 * size)
