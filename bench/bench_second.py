"""Second derivatives, and methods that use them: against jax and scipy, compiled before."""

import numpy as np
import pytest
import scipy.optimize
from numba import njit

import gradopt
from gradopt import NelderMead, TrustRegion
from gradopt._core.protocol import hessian, hessian_product

jax = pytest.importorskip("jax")
jnp = jax.numpy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10_000, 20))
Y = (RNG.uniform(size=10_000) < 0.5).astype(float)
A = RNG.normal(size=(100, 100))
MANY = 1_000_000


def logit(xp):
    return lambda x: xp.sum(xp.logaddexp(0.0, X @ x) - Y * (X @ x))


def coupled(xp):
    return lambda x: xp.sum(xp.sin(A @ x) * xp.exp(-0.01 * x * x)) + 0.5 * xp.sum(x * x) ** 2


def valley(xp):
    return lambda x: xp.sum(100.0 * (x[1::2] - x[::2] ** 2) ** 2 + (1.0 - x[::2]) ** 2)


@pytest.mark.parametrize(
    ("name", "function", "n"), [("logit, 10 000 x 20", logit, 20), ("n = 100, dense", coupled, 100)]
)
def test_hessian(pair, name, function, n):
    x = 0.1 * RNG.normal(size=n)
    problem = gradopt.trace(function(np), x).by_curvature(x)
    lowered, work, matrix = problem.lower(x.dtype), problem.workspace_for(x), np.empty((n, n))
    theirs_of, at = jax.jit(jax.hessian(function(jnp))), jnp.asarray(x)

    def ours():
        hessian(lowered, matrix, work, x)
        return matrix

    def theirs():
        return theirs_of(at).block_until_ready()

    error = np.max(np.abs(ours() / np.asarray(theirs()) - 1.0))
    pair(ours, theirs, f"Hessian, {name}, against jax.jit(jax.hessian)", ">= 0.67", rounds=40, outcome=f"{error:.0e}")


def test_product(pair):
    x, v = np.tile([-1.2, 1.0], MANY // 2), RNG.normal(size=MANY)
    problem = gradopt.trace(valley(np), x).by_curvature(x, whole=False)
    lowered, work, out = problem.lower(x.dtype), problem.workspace_for(x), np.empty(MANY)
    gradient = jax.grad(valley(jnp))
    theirs_of = jax.jit(lambda x, v: jax.jvp(gradient, (x,), (v,))[1])
    at, along = jnp.asarray(x), jnp.asarray(v)

    def ours():
        hessian_product(lowered, out, work, x, v)
        return out

    def theirs():
        return theirs_of(at, along).block_until_ready()

    error = np.max(np.abs(ours() - np.asarray(theirs()))) / np.abs(out).max()
    what = "Hessian times a vector, extended Rosenbrock, n = 1 000 000, against jax.jit"
    pair(ours, theirs, what, ">= 0.67", rounds=20, outcome=f"{error:.0e}")


@pytest.mark.slow
def test_newton_on_many_parameters(pair):
    x0 = np.tile([-1.2, 1.0], MANY // 2)
    problem = gradopt.trace(valley(np), x0)

    def ours():
        return gradopt.optimize(problem, x0, method=TrustRegion(), gtol=1e-8, record=None)

    def theirs():
        options = {"xtol": 1e-10, "maxiter": 200}
        return scipy.optimize.minimize(
            problem.value_and_grad, x0, jac=True, hessp=problem.hessp, method="Newton-CG", options=options
        )

    found, other = ours(), theirs()
    outcome = f"gradients {np.abs(found.jac).max():.0e} and {np.abs(other.jac).max():.0e}"
    what = "TrustRegion, extended Rosenbrock, n = 1 000 000, against scipy's Newton-CG with our hessp"
    pair(ours, theirs, what, ">= 3", unit="run", rounds=3, outcome=outcome)


def test_nelder_mead(pair):
    problem, method = gradopt.compiled(gradopt.problems.Rosenbrock()), gradopt.compiled(NelderMead())
    x, many = np.empty(2), 50

    @njit
    def runs(problem, method, x, many):
        fun = 0.0
        for _ in range(many):
            x[0], x[1] = -1.2, 1.0
            fun, _, _ = gradopt.descend(problem, method, x, 10_000, 0.0)
        return fun

    def ours():
        return runs(problem, method, x, many)

    def theirs():
        return scipy.optimize.minimize(
            scipy.optimize.rosen, [-1.2, 1.0], method="Nelder-Mead", options={"fatol": 1e-8, "xatol": 1e-6}
        )

    outcome = f"f = {ours():.0e} and {theirs().fun:.0e}"
    what = "NelderMead in compiled code, Rosenbrock, against scipy"
    pair(ours, theirs, what, ">= 100", unit="run", units=(many, 1), rounds=40, outcome=outcome)
