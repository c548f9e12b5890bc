"""Line-search methods beside scipy's L-BFGS-B and BFGS, all with the same compiled objective."""

import itertools

import numpy as np
import pytest
from numba import njit
from process import fresh
from scipy.optimize import minimize

import gradopt
from gradopt import LBFGS, optimize, problems

START = np.array([-1.2, 1.0])


@njit
def rosenbrock(x):
    r, s = x[1] - x[0] ** 2, 1.0 - x[0]
    return 100.0 * r * r + s * s, np.array([-400.0 * r * x[0] - 2.0 * s, 200.0 * r])


@njit
def extended_rosenbrock(x):
    """Problem 21 of More, Garbow and Hillstrom."""
    f, grad = 0.0, np.empty_like(x)
    for i in range(0, x.size, 2):
        r, s = x[i + 1] - x[i] ** 2, 1.0 - x[i]
        f += 100.0 * r * r + s * s
        grad[i], grad[i + 1] = -400.0 * r * x[i] - 2.0 * s, 200.0 * r
    return f, grad


def two_minima(ours, theirs):
    return f"f = {ours:.1e} and {theirs:.1e}"


def scipys(fun, x0, method="L-BFGS-B"):
    return minimize(fun, x0, jac=True, method=method)


def test_rosenbrock_by_optimize(pair):
    def ours():
        for _ in range(100):
            optimize(rosenbrock, START, jac=True)

    def theirs():
        for _ in range(100):
            scipys(rosenbrock, START)

    what = "2-D Rosenbrock, LBFGS, a function of one's own, against scipy's L-BFGS-B"
    found = [optimize(rosenbrock, START, jac=True).fun, scipys(rosenbrock, START).fun]
    assert max(found) < 1e-10
    pair(ours, theirs, what, ">= 10", units=100, unit="solve", outcome=two_minima(*found))


def test_rosenbrock_inside_compiled_code(pair):
    problem, method = gradopt.compiled(problems.Rosenbrock()), gradopt.compiled(LBFGS())

    @njit
    def solve(problem, method, x, times):
        for _ in range(times):
            x[0], x[1] = -1.2, 1.0
            gradopt.descend(problem, method, x, 1000, 1e-5)

    x, many = START.copy(), 10_000

    def theirs():
        for _ in range(many // 100):
            scipys(rosenbrock, START)

    what = "2-D Rosenbrock, LBFGS, inside a function of one's own that is compiled, against scipy's L-BFGS-B"
    solve(problem, method, x, 1)
    outcome = two_minima(problems.Rosenbrock().value(x), scipys(rosenbrock, START).fun)
    ours = lambda: solve(problem, method, x, many)  # noqa: E731
    pair(ours, theirs, what, ">= 80", rounds=7, units=(many, many // 100), unit="solve", outcome=outcome)
    np.testing.assert_allclose(x, [1.0, 1.0], atol=1e-6)


@pytest.mark.slow
def test_extended_rosenbrock_of_a_million(pair):
    x0 = np.tile(START, 500_000)

    def ours():
        return optimize(extended_rosenbrock, x0, jac=True, record=None)

    what = "extended Rosenbrock, n = 1 000 000, against scipy's L-BFGS-B"
    found, theirs = ours().fun, scipys(extended_rosenbrock, x0).fun
    outcome = two_minima(found, theirs)
    pair(ours, lambda: scipys(extended_rosenbrock, x0), what, ">= 2.5", rounds=7, unit="solve", outcome=outcome)
    assert found < 1e-6


def test_more_garbow_hillstrom(benchmark, table):
    """How many are solved to f - f* <= 1e-6 (1 + abs f*) with default settings, and at how many evaluations."""
    solved = {"LBFGS": 0, "NonlinearCG": 0, "L-BFGS-B": 0, "BFGS": 0}
    lines = ["| problem | " + " | ".join(solved) + " |", "|---" * 5 + "|"]
    for number in range(1, 19):
        problem = problems.MGH(number)
        results = [optimize(problem), optimize(problem, method="nonlinearcg")]
        with np.errstate(all="ignore"):
            results += [scipys(problem.value_and_grad, problem.x0, name) for name in ("L-BFGS-B", "BFGS")]
        row = []
        for name, result in zip(solved, results, strict=True):
            good = result.fun - problem.minimum <= 1e-6 * (1 + abs(problem.minimum))
            solved[name] += good
            row.append(f"{result.nfev}" if good else f"({result.nfev})")
        lines.append(f"| {number} {problem.name} | " + " | ".join(row) + " |")
    lines.append("| solved | " + " | ".join(f"**{count}**" for count in solved.values()) + " |")
    table(["Evaluations, in brackets where the minimum was not found:", "", *lines])
    benchmark.pedantic(lambda: optimize(problems.MGH(14)), rounds=20)
    benchmark.extra_info.update(solved)
    assert solved["LBFGS"] >= max(solved["L-BFGS-B"], solved["BFGS"])


FUNCTION = """
import numpy as np, time
def fun(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2
{imports}
started = time.perf_counter()
{solve}
print(time.perf_counter() - started)
"""
OURS = FUNCTION.format(imports="import gradopt", solve="gradopt.optimize(fun, [-1.2, 1.0])")
THEIRS = FUNCTION.format(
    imports="from numba import njit\nfrom scipy.optimize import minimize",
    solve='minimize(njit(fun), [-1.2, 1.0], method="L-BFGS-B")',
)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["kernels compiled by an earlier process", "nothing compiled before"])
def test_first_call_with_a_new_function(pair, tmp_path, before):
    """In a process of its own, imports excluded."""
    caches = (tmp_path / f"cold {i}" for i in itertools.count())
    warm = next(caches)
    cold = before.startswith("nothing")

    def ours():
        return float(fresh(OURS, next(caches) if cold else warm))

    def theirs():
        return float(fresh(THEIRS, warm))

    what = f"first call with a new function, no gradient given, {before}, against scipy's with @njit"
    pair(ours, theirs, what, "ours < 1.5 s", rounds=5, own_clock=True)
