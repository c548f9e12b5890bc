"""Fits beside scipy's: whole calls of `curve_fit`, and what a step on a million points costs."""

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import scipy.optimize
from numba import njit

import gradopt
from gradopt._core.protocol import gauss_newton

T = np.linspace(0.0, 4.0, 50)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * np.sin(37.0 * T)


def decay(t, a, b, c):
    return a * np.exp(-b * t) + c


def new_models():
    """The same model again and again, as functions that are new to everyone."""
    for i in itertools.count():
        names = {"np": np}
        exec(f"def decay_{i}(t, a, b, c):\n    return a * np.exp(-b * t) + c", names)
        yield names[f"decay_{i}"]


def same(ours, theirs):
    popts = ours()[0], theirs()[0]
    assert np.allclose(*popts, rtol=1e-4)
    return f"parameters equal to {np.max(np.abs(popts[0] / popts[1] - 1.0)):.0e}"


def test_seen(pair):
    def ours():
        return gradopt.curve_fit(decay, T, Y)

    def theirs():
        return scipy.optimize.curve_fit(decay, T, Y)

    what = "curve_fit, 3 parameters, 50 points, a function seen before, against scipy"
    pair(ours, theirs, what, ">= 3", unit="fit", rounds=60, outcome=same(ours, theirs))


def test_new(pair):
    models = new_models()

    def ours():
        return gradopt.curve_fit(next(models), T, Y)

    def theirs():
        return scipy.optimize.curve_fit(next(models), T, Y)

    what = "curve_fit, 3 parameters, 50 points, a new function, first call, against scipy"
    pair(ours, theirs, what, ">= 1", unit="fit", rounds=60, outcome=same(ours, theirs))


@njit
def by_hand(moments, t, y, x):
    """The strict loop that one would write for this model: a exp(-b t) + c cos(d t)."""
    moments[:] = 0.0
    for k in range(t.size):
        e, co, si = np.exp(-x[1] * t[k]), np.cos(x[3] * t[k]), np.sin(x[3] * t[k])
        r = x[0] * e + x[2] * co - y[k]
        d0, d1, d2, d3 = e, -x[0] * t[k] * e, co, -x[2] * t[k] * si
        moments[0] += d0 * r
        moments[1] += d1 * r
        moments[2] += d2 * r
        moments[3] += d3 * r
        moments[4] += d0 * d0
        moments[5] += d1 * d0
        moments[6] += d1 * d1
        moments[7] += d2 * d0
        moments[8] += d2 * d1
        moments[9] += d2 * d2
        moments[10] += d3 * d0
        moments[11] += d3 * d1
        moments[12] += d3 * d2
        moments[13] += d3 * d3
        moments[14] += r * r


def large():
    t = np.random.default_rng(0).uniform(0.0, 3.0, 1_000_000)
    x = np.array([2.0, 0.7, 0.5, 5.0])
    y = x[0] * np.exp(-x[1] * t) + x[2] * np.cos(x[3] * t) + 0.1
    problem = gradopt.problems.LeastSquares(
        lambda x: x[0] * np.exp(-x[1] * t) + x[2] * np.cos(x[3] * t) - y, x
    ).by_residuals(x)
    lowered, work, moments = problem.lower(), problem.workspace(np.float64), np.empty(15)
    return t, y, x, problem, lambda problem=problem: gauss_newton(lowered, moments, work, x), moments


def test_a_million_points_by_hand(pair):
    t, y, x, _, ours, moments = large()
    wanted = np.empty(15)
    ours(), by_hand(wanted, t, y, x)
    assert np.allclose(moments, wanted, rtol=1e-9)
    what = "residual, J'J and J'r of a million points, 4 parameters, against a strict loop by hand"
    pair(ours, lambda: by_hand(wanted, t, y, x), what, ">= 0.4", unit="evaluation", rounds=15)


def test_a_million_points_in_numpy(pair):
    t, y, x, _, ours, _ = large()

    def theirs():
        e, co, si = np.exp(-x[1] * t), np.cos(x[3] * t), np.sin(x[3] * t)
        r = x[0] * e + x[2] * co - y
        J = np.stack([e, -x[0] * t * e, co, -x[2] * t * si], axis=1)
        return J.T @ J, J.T @ r

    what = "the same against an exact Jacobian in NumPy, as for scipy"
    pair(ours, theirs, what, ">= 3", unit="evaluation", rounds=15)


def test_nist(table):
    data = json.loads((Path(__file__).parents[1] / "examples" / "nist_strd.json").read_text())
    names = {key: getattr(np, key) for key in ("exp", "cos", "sin", "arctan", "pi", "log")}
    lines = ["| NIST problem | digits of the worst parameter, far and near start | scipy's |", "|---|---|---|"]
    for problem_name, problem in data.items():
        count = len(problem["parameters"])
        f = eval(
            f"lambda x, {', '.join(f'b{i + 1}' for i in range(count))}: {problem['model'].split('  ')[0]}", dict(names)
        )
        cells = []
        for curve_fit in (gradopt.curve_fit, scipy.optimize.curve_fit):
            found = []
            for start in problem["starts"]:
                try:
                    with np.errstate(all="ignore"), warnings.catch_warnings():
                        warnings.simplefilter("ignore", scipy.optimize.OptimizeWarning)
                        popt = curve_fit(f, np.array(problem["x"]), np.array(problem["y"]), start)[0]
                    off = np.max(np.abs(popt / np.array(problem["parameters"], float) - 1.0))
                    found.append(f"{-np.log10(np.clip(off, 1e-16, 1.0)) + 0.0:.1f}")
                except RuntimeError:
                    found.append("no fit")
            cells.append(", ".join(found))
        lines.append(f"| {problem_name} | {cells[0]} | {cells[1]} |")
    table(lines)
