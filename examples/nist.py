"""The certified fits of NIST's Statistical Reference Datasets, with default settings, beside scipy's."""

import json
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

import gradopt

plt.style.use("gradopt.plot.style")
DATA = json.loads((Path(__file__).parent / "nist_strd.json").read_text())
NAMES = {name: getattr(np, name) for name in ("exp", "cos", "sin", "arctan", "pi", "log")}


def model(problem):
    formula, count = problem["model"].split("  ")[0], len(problem["parameters"])
    return eval(f"lambda x, {', '.join(f'b{i + 1}' for i in range(count))}: {formula}", dict(NAMES))


def digits(found, certified):
    """How many digits of the worst number are right: between 0 and 16."""
    certified = np.array(certified, float)
    return 0.0 - np.log10(np.clip(np.max(np.abs(found - certified) / np.abs(certified)), 1e-16, 1.0))


def fitted(curve_fit, problem, start):
    """The digits of the parameters and of their standard errors; 0 where the fit raises an error."""
    try:
        popt, pcov = curve_fit(model(problem), np.array(problem["x"]), np.array(problem["y"]), start)
    except RuntimeError:
        return 0.0, 0.0
    return digits(popt, problem["parameters"]), digits(np.sqrt(np.diag(pcov)), problem["standard_deviations"])


warnings.simplefilter("ignore")
np.seterr(all="ignore")
who = {"gradopt": gradopt.curve_fit, "scipy": scipy.optimize.curve_fit}
# problem, who, start, (parameters, errors)
found = np.array([[[fitted(f, d, start) for start in d["starts"]] for f in who.values()] for d in DATA.values()])
print("digits of the worst parameter, of the worst standard error; from the far start, from the near one")
for (name, problem), row in zip(DATA.items(), found, strict=True):
    cells = [f"{one[0]:6.1f}, {one[1]:4.1f}" for both in row for one in both]
    print(f"{name:10s}{problem['difficulty']:10s}{cells[0]}  {cells[1]}   scipy {cells[2]}  {cells[3]}")
for i, name in enumerate(who):
    mine = found[:, i, :, 0]
    print(f"{name:8s} {mine.mean():.1f} digits in the mean, {np.sum(mine >= 4)} of {mine.size} fits with 4 or more")
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
for i, name in enumerate(who):
    for start, marker in enumerate("ov"):
        label = f"{name}, {('far', 'near')[start]} start"
        axes.plot(list(DATA), found[:, i, start, 0], marker, color=f"C{i}", mfc="none" if start else None, label=label)
axes.set(xlabel="data set, from easy to hard", ylabel="correct digits of the worst parameter", ylim=(-0.5, 17))
axes.tick_params(axis="x", rotation=60)
figure.legend(loc="outside upper center", ncols=4)
figure.savefig("nist.png", dpi=110)
print("wrote nist.png")
