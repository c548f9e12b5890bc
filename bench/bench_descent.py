"""The loop, a step of it, and the call around it, beside what the hardware can do and what the peers do."""

import math

import numpy as np
import pytest
from numba import njit

from gradopt import SGD, Constant, InverseTimeDecay, OptimizeResult, optimize, problems
from gradopt._compiler import summation
from gradopt._loops.clipping import NoClipping
from gradopt._loops.types import RUNNING, Progress, StopTests
from gradopt._run.descent import Descent, Limits

STEPS = 100_000
RATE, A, B = 1e-3, 1.0, 100.0
START = np.array([-1.2, 1.0])
NO_LIMITS = Limits(StopTests(0.0, -1.0, -1.0, -np.inf), 2**60, 2**62, NoClipping(), None)


def hand_fused(x, rate, b, steps, funs, rates, norms, best):
    """2-D Rosenbrock by plain descent with every number in a scalar; history, finite check, best point, gtol."""
    x0, x1 = x[0], x[1]
    best_fun, best0, best1 = np.inf, x0, x1
    for k in range(steps):
        r, s = x1 - x0 * x0, 1.0 - x0
        f = b * (r * r) + s * s
        g0, g1 = -2.0 * s - (4.0 * b * x0) * r, 2.0 * b * r
        norm = math.sqrt(g0 * g0 + g1 * g1)
        if not (abs(f) < np.inf and norm < np.inf):
            break
        funs[k], rates[k], norms[k] = f, rate, norm
        if f < best_fun:
            best_fun, best0, best1 = f, x0, x1
        if max(abs(g0), abs(g1)) <= 0.0:
            break
        x0 -= rate * g0
        x1 -= rate * g1
    x[0], x[1], best[0], best[1] = x0, x1, best0, best1
    return f


def our_loop(problem, method, x0, steps):
    """The compiled loop alone, on arrays that are allocated already."""
    descent = Descent(problem, method, x0.copy(), NO_LIMITS, False, "scalars", None)
    descent.start(unobserved=False)
    descent._rows = descent._recorder.next_rows(steps)
    for column in descent._rows:
        column.fill(0.0)
    begin = Progress(0, 0, 1, descent.fun, descent.fun, descent.rate)

    def run():
        descent._arrays.x[:] = x0
        descent._progress = begin
        assert descent._call_loop(steps) == RUNNING
        return descent._arrays.x

    return run


@pytest.mark.parametrize("flags", ["same arithmetic", "with contract and reassoc"])
def test_rosenbrock_against_a_hand_fused_loop(pair, flags):
    fastmath = {"contract", "reassoc", "nsz"} if flags != "same arithmetic" else False
    fused = njit(error_model="numpy", fastmath=fastmath)(hand_fused)
    history, x, best = np.zeros((3, STEPS)), np.zeros(2), np.zeros(2)

    def theirs():
        x[:] = START
        fused(x, RATE, B, STEPS, *history, best)

    ours = our_loop(problems.Rosenbrock(A, B), SGD(RATE), START, STEPS)
    what = f"2-D Rosenbrock, SGD, against a hand-fused scalar Numba loop ({flags})"
    theirs()
    np.testing.assert_allclose(ours(), x, rtol=1e-6)
    pair(ours, theirs, what, ">= 0.67", units=STEPS, unit="step", outcome="x equal to 1e-6")


def test_rosenbrock_against_jax_scan(pair):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    optimizer = optax.sgd(RATE)

    def value(x):
        return B * (x[1] - x[0] ** 2) ** 2 + (A - x[0]) ** 2

    @jax.jit
    def run(x):
        def step(carry, _):
            x, state = carry
            f, grad = jax.value_and_grad(value)(x)
            updates, state = optimizer.update(grad, state)
            return (optax.apply_updates(x, updates), state), f

        return jax.lax.scan(step, (x, optimizer.init(x)), None, length=STEPS)

    ours = our_loop(problems.Rosenbrock(A, B), SGD(RATE), START, STEPS)
    what = "2-D Rosenbrock, SGD, against jax.lax.scan over optax.sgd"
    np.testing.assert_allclose(ours(), np.asarray(run(START)[0][0]), rtol=1e-6)
    theirs = lambda: jax.block_until_ready(run(START))  # noqa: E731
    pair(ours, theirs, what, ">= 2", units=STEPS, unit="step", outcome="x equal to 1e-6")


def test_rosenbrock_against_torch(pair):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    steps = 300

    def theirs():
        x = torch.tensor(START, requires_grad=True)
        optimizer = torch.optim.SGD([x], lr=RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = B * (x[1] - x[0] ** 2) ** 2 + (A - x[0]) ** 2
            loss.backward()
            optimizer.step()
        return x.detach().numpy()

    many = 1000  # else the clock would be coarse against 300 of our steps
    loop = our_loop(problems.Rosenbrock(A, B), SGD(RATE), START, steps * many)
    what = "2-D Rosenbrock, SGD, against torch eager with autograd"
    result = optimize(problems.Rosenbrock(A, B), method=SGD(RATE), max_iter=steps, gtol=0)
    np.testing.assert_allclose(result.x, theirs(), rtol=1e-9)
    units = (many * steps, steps)
    pair(loop, theirs, what, ">= 8000", rounds=7, units=units, unit="step", outcome="x equal to 1e-9")


def test_fit_against_reading_the_data(pair):
    n, steps = 1_000_000, 20
    rng = np.random.default_rng(0)
    t, y = rng.random(n), rng.random(n)

    @summation
    def read(t, y, repeats):
        total = 0.0
        for _ in range(repeats):
            for j in range(t.size):
                total += t[j] + y[j]
        return total

    problem = problems.PolynomialFit(t, y)
    twin = problem.lower()
    ours = our_loop(problem, SGD(1e-3), np.zeros(3), steps)
    what = "PolynomialFit on 1 000 000 points, SGD, against reading the two arrays"
    pair.needs(16e6)(ours, lambda: read(twin.t, twin.y, steps), what, ">= 0.77", units=steps, unit="step")


def test_one_step_of_optimize_against_scipy(pair):
    from scipy.optimize import minimize

    problem, method, calls = problems.Rosenbrock(A, B), SGD(RATE), 100

    def ours():
        for _ in range(calls):
            result = optimize(problem, method=method, max_iter=1)
        assert isinstance(result, OptimizeResult)

    def value_and_grad(x):  # scalars, the fastest way in Python
        a, b = x.tolist()
        r, s = b - a * a, 1.0 - a
        return B * r * r + s * s, np.array((-4.0 * B * a * r - 2.0 * s, 2.0 * B * r))

    def theirs():
        for _ in range(calls):
            minimize(value_and_grad, START, jac=True, method="L-BFGS-B", options={"maxiter": 1})

    what = "optimize() with max_iter=1, all in, against scipy's minimize with maxiter=1"
    pair(ours, theirs, what, "ours < 50 us", units=calls)


@pytest.mark.parametrize(
    "method",
    [SGD(RATE), SGD(Constant(RATE), momentum=0.5), SGD(InverseTimeDecay(RATE, 1e-5))],
    ids=["plain", "momentum", "decay"],
)
@pytest.mark.parametrize("n", [2, 4, 10, 1000])
def test_steps_by_size(benchmark, n, method):
    steps = 20_000 if n < 1000 else 1000
    start = np.where(np.arange(n) % 2, 1.0, 0.9)
    benchmark.pedantic(our_loop(problems.Rosenbrock(A, 10.0, n), method, start, steps), rounds=7, warmup_rounds=1)
    benchmark.extra_info["ns_per_step"] = benchmark.stats["median"] / steps * 1e9
