"""How long a fresh process takes, with and without compiled code on disk."""

import numpy as np
import pytest
import report
from process import fresh

SOLVE = """
import gradopt
gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3))
"""
TWO_LINES = """
import sys
sys.path.insert(0, {folder!r})
import two_lines, numpy as np
two_lines.double(np.ones(2))
"""
KERNEL = """
from numba import njit
@njit(cache=True)
def double(x):
    return x[0] * 2.0
"""


# What a user waits for who minimises a function of two numbers: the import, a first call, calls after that.
CLOCK = """
import time
started = time.perf_counter()
import numpy as np
def fun(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2
x0 = np.array([-1.2, 1.0])
{imports}
imported = time.perf_counter()
{solve}
first = time.perf_counter()
times = []
for _ in range(20):
    begin = time.perf_counter()
    {solve}
    times.append(time.perf_counter() - begin)
print(imported - started, first - imported, sorted(times)[10])
"""
SCIPY = "from scipy.optimize import minimize\n"
WAYS = {
    "gradopt.optimize(fun, x0)": ("import gradopt", "gradopt.optimize(fun, x0)"),
    "the same, compiled: jac='3-point'": ("import gradopt", "gradopt.optimize(fun, x0, jac='3-point')"),
    "scipy's minimize(fun, x0)": (SCIPY, "minimize(fun, x0)"),
    "scipy, fun compiled by Numba": (SCIPY + "import numba\nfun = numba.njit(fun)", "minimize(fun, x0)"),
    "scipy, value and gradient by jax.jit": (
        SCIPY + "import jax\nboth = jax.jit(jax.value_and_grad(fun))",
        "minimize(both, x0, jac=True)",
    ),
    "scipy, value and gradient by torch": (
        SCIPY
        + "import torch\n"
        + "def both(x):\n"
        + "    x = torch.tensor(x, requires_grad=True)\n"
        + "    f = fun(x)\n"
        + "    f.backward()\n"
        + "    return f.item(), x.grad.numpy()\n",
        "minimize(both, x0, jac=True)",
    ),
}


@pytest.mark.slow
def test_from_nothing_to_a_minimum(benchmark, table, tmp_path):
    """Each way in processes of its own; medians of five, of three where nothing is compiled before."""
    lines = [
        "| Rosenbrock's function, no gradient given | import | first call, empty cache | first call | later |",
        "|---|---|---|---|---|",
    ]

    def seen(code, caches):
        outputs = [[float(part) for part in fresh(code, cache, check=False).split()] for cache in caches]
        return np.median(outputs, axis=0) if all(outputs) else None

    for way, (imports, solve) in WAYS.items():
        code = CLOCK.format(imports=imports, solve=solve)
        folder = tmp_path / str(len(lines))
        cold = seen(code, [folder / f"cold {i}" for i in range(3)])
        warm = seen(code, [folder / "cold 0"] * 5)
        if warm is not None and cold is not None:  # else the peer is not installed
            numbers = (warm[0], cold[1], warm[1], warm[2])
            lines.append(f"| {way} | " + " | ".join(report.seconds(number) for number in numbers) + " |")
    table(lines)
    benchmark.pedantic(lambda: None, rounds=1)
    assert len(lines) >= 6


# Another method than before, on a problem that another method has minimised: the slowest of all.
ANOTHER_METHOD = """
import time
import gradopt
def seconds(name):
    started = time.perf_counter()
    gradopt.optimize(gradopt.problems.Rosenbrock(), method=name, max_iter=10)
    return time.perf_counter() - started
seconds("sgd")
print(max(map(seconds, "adam adagrad adadelta adamax adamw lion nadam radam rmsprop rprop".split())))
"""
ANOTHER_METHOD_OF_OPTAX = """
import time
import jax, optax
import numpy as np
def seconds(optimizer):
    def value(x):
        return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2
    @jax.jit
    def run(x):
        def step(carry, _):
            x, state = carry
            f, grad = jax.value_and_grad(value)(x)
            updates, state = optimizer.update(grad, state, x)
            return (optax.apply_updates(x, updates), state), f
        return jax.lax.scan(step, (x, optimizer.init(x)), None, length=10)
    started = time.perf_counter()
    jax.block_until_ready(run(np.array([-1.2, 1.0])))
    return time.perf_counter() - started
seconds(optax.sgd(1e-3))
print(max(map(seconds, (optax.adam(1e-3), optax.adagrad(1e-3), optax.rmsprop(1e-3), optax.lion(1e-3)))))
"""


@pytest.mark.slow
def test_another_method(pair, tmp_path):
    pytest.importorskip("optax")
    folders = iter(range(1000))
    pair(
        lambda: float(fresh(ANOTHER_METHOD, tmp_path / str(next(folders)))),
        lambda: float(fresh(ANOTHER_METHOD_OF_OPTAX, tmp_path)),
        "first use of another method on the same problem, the slowest of ten, nothing of it on disk, against jax.jit",
        "ours < 0.6 s",
        rounds=5,
        own_clock=True,
    )


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "two_lines.py").write_text(KERNEL)
    return TWO_LINES.format(folder=str(tmp_path))


@pytest.mark.slow
def test_warm_process_against_numba_alone(pair, kernel, tmp_path):
    what = "a process that solves Rosenbrock, compiled before, against one that runs a cached two-line Numba kernel"
    cache = tmp_path / "cache"
    pair(lambda: fresh(SOLVE, cache), lambda: fresh(kernel, cache), what, ">= 0.62", rounds=9, unit="process")


@pytest.mark.slow
def test_cold_process_against_numba_alone(pair, kernel, tmp_path):
    folders = iter(range(1000))
    what = "a process that solves Rosenbrock, nothing compiled before, against one that compiles two lines"
    pair(
        lambda: fresh(SOLVE, tmp_path / str(next(folders))),
        lambda: fresh(kernel, tmp_path / str(next(folders))),
        what,
        "ours < 4 s",
        rounds=5,
        unit="process",
    )
