"""Models as people write them, traced, beside scipy and jax: linear algebra, distributions, branches, recursions."""

import itertools

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import minimize

import gradopt
from gradopt import optimize
from gradopt._core.protocol import value_and_grad

RNG = np.random.default_rng(0)
X = np.sort(RNG.uniform(0.0, 5.0, 30))
Y = np.sin(X) + 0.1 * RNG.normal(size=30)
WALK = np.cumsum(0.3 * RNG.normal(size=150)) + RNG.normal(size=150)
DESIGN = np.column_stack([np.ones(300), RNG.normal(size=(300, 3))])
SIGNS = np.sign(DESIGN @ [0.3, -0.5, 0.8, 0.2] + RNG.normal(size=300))
RETURNS = RNG.standard_t(6, size=300)

# Each with a number of its own, so that nobody has seen it.
SOURCES = {
    "a Gaussian process, 30 points, cholesky and solve": (
        """
def f(p):
    length, height, noise = np.exp(p)
    K = height**2 * np.exp(-0.5 * (X[:, None] - X[None]) ** 2 / length**2) + (noise**2 + {a}) * np.eye(len(X))
    L = np.linalg.cholesky(K)
    weights = np.linalg.solve(L.T, np.linalg.solve(L, Y))
    return 0.5 * Y @ weights + np.sum(np.log(np.diag(L)))
""",
        [0.0, 0.0, -1.0],
        (">= 1", ">= 3"),
    ),
    "a Kalman filter, 150 steps, 2 x 2, inv and det": (
        """
def f(p):
    F, H = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    Q, R = np.diag(np.exp(p[:2])), np.array([[np.exp(p[2]) + {a}]])
    a, P, total = np.zeros((2, 1)), np.eye(2) * 1e4, 0.0
    for t in range(len(WALK)):
        a = F @ a
        P = F @ P @ F.T + Q
        S = H @ P @ H.T + R
        v = WALK[t] - H @ a
        K = P @ H.T @ np.linalg.inv(S)
        a = a + K @ v
        P = (np.eye(2) - K @ H) @ P
        total += 0.5 * (np.log(np.linalg.det(S)) + v.T @ np.linalg.inv(S) @ v).item()
    return total
""",
        [-1.0, -3.0, 0.0],
        (">= 2", ">= 10"),
    ),
    "a probit of 300 rows, norm.logcdf": (
        "f = lambda b: -np.sum(stats.norm.logcdf((1.0 + {a}) * SIGNS * (DESIGN @ b)))",
        [0.0, 0.0, 0.0, 0.0],
        (">= 1", ">= 5"),
    ),
    "Student's t of 300 returns, t.logpdf": (
        "f = lambda p: -np.sum(stats.t.logpdf(RETURNS, np.exp(p[0]), p[1], np.exp(p[2]) + {a}))",
        [1.0, 0.0, 0.0],
        (">= 1", ">= 5"),
    ),
    "a guard and a penalty, 2-D": (
        """
def f(p):
    if np.any(p < -10.0):
        return np.inf
    value = np.sum((p - 1.0 - {a}) ** 2 * np.arange(1.0, 3.0)) + 0.1 * p[0] ** 4
    return value + 1000.0 * p[0] ** 2 if p[0] < 0.0 else value
""",
        [-2.0, 2.0],
        (">= 1", ">= 1"),
    ),
}


def new_functions(source):
    for i in itertools.count():
        names = {**globals(), "stats": scipy.stats}
        exec(source.format(a=f"{i + 1}e-12"), names)
        yield names["f"]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("call", ["first", "second"])
def test_from_the_function_to_its_minimum(pair, name, call):
    source, x0, aims = SOURCES[name]
    functions, x0 = new_functions(source), np.array(x0)
    latest = [next(functions)]
    found, other = optimize(latest[0], x0), minimize(latest[0], x0, method="L-BFGS-B")
    assert "over its trace" in found.message

    def ours():
        latest[0] = next(functions) if call == "first" else latest[0]
        return optimize(latest[0], x0)

    outcome = f"minima {found.fun:.6g} and {other.fun:.6g}"
    what = f"{name}, {call} call, against scipy's L-BFGS-B with differences"
    pair(
        ours,
        lambda: minimize(latest[0], x0, method="L-BFGS-B"),
        what,
        aims[call == "second"],
        unit="run",
        rounds=9,
        outcome=outcome,
    )


def test_gaussian_process_beside_jax(pair):
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(3)
    at = np.sort(rng.uniform(0.0, 10.0, 300))
    values = np.sin(at) + 0.15 * rng.normal(size=300)
    squares = (at[:, None] - at) ** 2

    def evidence(np, p):
        length, height, noise = np.exp(p)
        K = height**2 * np.exp(-0.5 * squares / length**2) + noise**2 * np.eye(300)
        L = np.linalg.cholesky(K)
        weights = np.linalg.solve(L.T, np.linalg.solve(L, values))
        return 0.5 * values @ weights + np.sum(np.log(np.diag(L)))

    x = np.array([-0.5, -0.7, -1.8])
    problem = gradopt.trace(lambda p: evidence(np, p), x)
    lowered, work, grad = problem.lower(), problem.workspace(np.float64), np.empty(3)
    jitted, given = jax.jit(jax.value_and_grad(lambda p: evidence(jax.numpy, p))), jax.numpy.asarray(x)

    def theirs():
        return jitted(given)[1].block_until_ready()

    value_and_grad(lowered, grad, work, x)
    error = np.max(np.abs(grad / np.asarray(theirs()) - 1.0))
    what = "a Gaussian process, 300 points, value and gradient, against jax.jit"
    pair(lambda: value_and_grad(lowered, grad, work, x), theirs, what, ">= 0.67", rounds=30, outcome=f"{error:.0e}")
