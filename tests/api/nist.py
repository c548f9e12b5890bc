"""The nonlinear problems of the NIST Statistical Reference Datasets, with their certified values, for tests."""

import json
from pathlib import Path

import numpy as np

DATA = json.loads((Path(__file__).parents[2] / "examples" / "nist_strd.json").read_text())
_NAMES = {name: getattr(np, name) for name in ("exp", "cos", "sin", "arctan", "pi", "log")}


def model(name):
    """The model of a problem, as f(x, b1, b2, ...)."""
    problem = DATA[name]
    formula = problem["model"].split("  ")[0]
    arguments = ", ".join(f"b{i + 1}" for i in range(len(problem["parameters"])))
    return eval(f"lambda x, {arguments}: {formula}", dict(_NAMES))


def digits(found, certified):
    """How many digits of the worst of some numbers are right, at most 16."""
    certified = np.array(certified, float)
    return -np.log10(max(np.max(np.abs(found - certified) / np.abs(certified)), 1e-16))
