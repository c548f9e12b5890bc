"""Functions written in NumPy and traced, beside jax.jit, torch eager and scipy: value and gradient, one thread."""

import itertools

import numpy as np
import pytest
from numba import njit
from scipy.optimize import minimize

import gradopt
from gradopt import optimize
from gradopt._core.protocol import value_and_grad

START = np.array([-1.2, 1.0])


def rosenbrock(np, x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def array_form(np, x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@njit
def repeated(problem, grad, work, x, times):
    """As often as in a loop: what a call from Python costs is not counted."""
    total = 0.0
    for _ in range(times):
        total += value_and_grad(problem, grad, work, x)
    return total


def in_the_loop(fun, x):
    """A function that evaluates `times` times within compiled code, and the gradient that it leaves."""
    problem = gradopt.trace(lambda x: fun(np, x), x)
    twin, work, grad = problem.lower(), problem.workspace(np.float64), np.empty_like(x)

    def run(times, problem=problem):  # which keeps what the twin points to
        return repeated(twin, grad, work, x, times)

    return run, grad


def jaxs(fun, x):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jitted, given = jax.jit(jax.value_and_grad(lambda x: fun(jax.numpy, x))), jax.numpy.asarray(x)

    def run(times):
        for _ in range(times):
            value, grad = jitted(given)
            grad.block_until_ready()
        return float(value), np.asarray(grad)

    return run


def torchs(fun, x):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)

    def run(times):
        for _ in range(times):
            given = torch.tensor(x, requires_grad=True)
            value = fun(torch, given)
            value.backward()
        return value.item(), given.grad.numpy()

    return run


def compare(pair, fun, x, peer, what, aim, times, moved=0):
    """Times : evaluations a measurement, (ours, theirs)"""
    ours, grad = in_the_loop(fun, x)
    theirs = peer(fun, x)
    value, wanted = theirs(1)
    assert ours(1) == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(grad, wanted, rtol=1e-7, atol=1e-9 * np.abs(wanted).max())
    pair.needs(moved)
    many, few = times
    outcome = "gradients equal to 1e-7"
    pair(lambda: ours(many), lambda: theirs(few), what, aim, rounds=7, units=times, outcome=outcome)


def test_rosenbrock(pair):
    compare(
        pair,
        rosenbrock,
        START,
        jaxs,
        "2-D Rosenbrock, traced, inside the loop, against jax.jit",
        ">= 40",
        (20_000, 200),
    )


@pytest.mark.parametrize(("n", "times", "aim"), [(1000, (1000, 200), ">= 2"), (1_000_000, (2, 2), ">= 0.77")])
def test_array_form(pair, n, times, aim):
    x = np.random.default_rng(0).normal(size=n)
    what = f"extended Rosenbrock as array operations, n = {n:_}, traced, against jax.jit".replace("_", " ")
    compare(pair, array_form, x, jaxs, what, aim, times, 24 * n)


def test_array_form_beside_torch(pair):
    x = np.random.default_rng(0).normal(size=1_000_000)
    compare(
        pair,
        array_form,
        x,
        torchs,
        "extended Rosenbrock as array operations, n = 1 000 000, traced, against torch eager",
        ">= 4",
        (2, 2),
        24e6,
    )


def test_logistic_regression(pair):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(10_000, 100)), np.sign(rng.normal(size=10_000))

    def loss(np, w):
        return np.mean(np.log1p(np.exp(-y * (X @ w))))

    what = "logistic regression, 10 000 rows by 100, X @ w, traced, against jax.jit"
    compare(pair, loss, 0.1 * rng.normal(size=100), jaxs, what, ">= 0.83", (20, 20), 2 * X.nbytes)


def new_functions():
    """Rosenbrock's, each with a number of its own."""
    source = "lambda x: {a} * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2"
    return (eval(source.format(a=100.0 + 0.01 * i)) for i in itertools.count())


def test_from_a_new_function_to_its_minimum(pair):
    """Each round a function that nobody has seen, in a process that has run the like before."""
    functions = new_functions()
    what = "from a new function to its minimum (2-D, no gradient given), against scipy's minimize"

    def ours():
        return optimize(next(functions), START)

    def theirs():
        return minimize(lambda x: rosenbrock(np, x), START)

    pair(
        ours,
        theirs,
        what,
        ">= 5",
        unit="solve",
        outcome="f = {:.1e} and {:.1e}".format(*(solve().fun for solve in (ours, theirs))),
    )


def test_against_the_compiled_path(pair):
    """What our own users waited for: the first call with a function that is compiled."""
    functions = new_functions()
    what = "from a new function to its minimum, traced, against compiling it (jac='3-point'), first call"
    pair(
        lambda: optimize(next(functions), START, jac="trace"),
        lambda: optimize(next(functions), START, jac="3-point"),
        what,
        ">= 50",
        rounds=6,
        unit="solve",
    )
