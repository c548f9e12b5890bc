"""Runs whose files, written by gradopt 0.1.0, lie in saved/: what was run, and how it went on.

`python tests/results/saved_runs.py FOLDER` writes such files with the version that is installed.
"""

import json
import sys
from pathlib import Path

import llvmlite.binding  # noqa: TID251  # the processor's name
import numba
import numpy as np

import gradopt
from gradopt import LBFGS, SGD, Adam, NonlinearCG, optimize, problems

SAVED = Path(__file__).parent / "saved"


def misfit(x, t, y):
    return np.mean((x[0] * np.exp(-x[1] * t) + x[2] - y) ** 2)


def _decay():
    t = np.linspace(0.0, 4.0, 40)
    return t, 2.5 * np.exp(-1.3 * t) + 0.1 * np.cos(7.0 * t)


def _quadrants(dtype):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(90, 2)).astype(dtype)
    network = gradopt.Network.mlp([2, 6, 2], activation="tanh")
    return problems.Classifier(network, X, (X[:, 0] * X[:, 1] > 0).astype(int))


def _spring():
    n = 30
    return problems.Quadratic(2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1), np.linspace(-1.0, 1.0, n))


# name -> (problem, arguments of the first call, arguments of the second)
RUNS = {
    "momentum": lambda: (
        problems.Rosenbrock(),
        {"x0": [-1.2, 1.0], "method": SGD(gradopt.InverseTimeDecay(2e-3, 0.01), momentum=0.9), "max_iter": 100},
        {"max_iter": 150},
    ),
    "adam_float32": lambda: (
        _spring(),
        {
            "x0": np.ones(30, np.float32),
            "method": Adam(gradopt.Warmup(gradopt.CosineDecay(0.1, 200), 10), amsgrad=True),
            "max_iter": 50,
            "gtol": 0.0,
        },
        {"max_iter": 60, "gtol": 0.0},
    ),
    "lbfgs_bounds": lambda: (
        problems.Rosenbrock(n=12),
        {"x0": np.full(12, -0.5), "method": LBFGS(memory=5), "bounds": [(-2.0, 0.8)] * 12, "max_iter": 9},
        {"bounds": [(-2.0, 0.8)] * 12, "max_iter": 12},
    ),
    "conjugate_gradient": lambda: (
        _spring(),
        {"x0": np.ones(30), "method": NonlinearCG(), "max_iter": 7},
        {"max_iter": 9},
    ),
    "traced": lambda: (
        gradopt.trace(misfit, [1.0, 1.0, 0.0], args=_decay()),
        {"method": LBFGS(), "max_iter": 5, "record": "x"},
        {"max_iter": 6},
    ),
    "training": lambda: (
        _quadrants(np.float64),
        {
            "method": Adam(gradopt.ReduceOnPlateau(0.05, patience=1)),
            "batch_size": 16,
            "max_iter": 40,  # within an epoch
            "rng": 5,
            "validation": _validation(np.float64),
            "monitor": "accuracy",
        },
        {"epochs": 6, "validation": _validation(np.float64), "monitor": "accuracy"},
    ),
    "recovered": lambda: (
        problems.Quadratic(np.diag([1.0, 40.0])),
        {
            "x0": [1.0, 1.0],
            "method": SGD(0.5, momentum=0.5),
            "recover": gradopt.RetryFromBest(0.3),
            "target": -1.0,
            "gtol": 0.0,
            "clip_value": 1e9,
            "max_iter": 700,
        },
        {"max_iter": 20, "gtol": 0.0},
    ),
}


def _validation(dtype):
    problem = _quadrants(dtype)
    return problem.X[::3], problem.y[::3]


def processor():
    """What decides on the bits of a run: the processor, and what compiles for it."""
    return f"{llvmlite.binding.get_host_cpu_name()}, numba {numba.__version__}, numpy {np.__version__}"


def outcome(result):
    """The numbers of a result that are to be the same again, exactly as they are."""
    numbers = {
        "x": result.x,
        "fun": result.fun,
        "nit": result.nit,
        "best_x": result.best_x,
        "best_fun": result.best_fun,
    }
    exact = {name: np.asarray(value, np.float64).ravel().tolist() for name, value in numbers.items()}
    return exact | {"status": int(result.status), "history": result.history.fun.tolist()}


def _write(folder):
    outcomes = {"processor": processor(), "version": gradopt.__version__}
    for name, make in RUNS.items():
        problem, first, second = make()
        begun = optimize(problem, **first)
        begun.save(folder / f"{name}.npz")
        outcomes[name] = [outcome(begun), outcome(optimize(problem, state=begun.state, **second))]
    (folder / "outcomes.json").write_text(json.dumps(outcomes, indent=1) + "\n")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
