"""Fitting a model of one's own: a damped swing, in data of which some are wrong."""

import math

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit

from gradopt import optimize, problems


def swing(t, params):
    amplitude, damping, frequency, phase = params[0], params[1], params[2], params[3]
    return amplitude * math.exp(-damping * t) * math.cos(frequency * t + phase)


rng = np.random.default_rng(1)
true = np.array([2.0, 0.25, 3.0, 0.4])
t = np.linspace(0, 8, 120)
y = np.array([swing(moment, true) for moment in t]) + 0.1 * rng.normal(size=t.size)
wrong = rng.choice(t.size, 10, replace=False)
y[wrong] += rng.uniform(2, 5, wrong.size)

start = [1.0, 0.1, 2.8, 0.0]
print(f"{'true':24s}{true}")
figure, axes = plt.subplots(figsize=(9, 4.5))
axes.plot(t, y, ".", color="0.6", label="data")
for loss in ("mse", "huber"):
    problem = problems.CurveFit(swing, t, y, loss)
    fitted = optimize(problem, start)
    print(f"{loss:24s}{fitted.x.round(3)}  {fitted.nit} updates, loss {fitted.fun:.4f}")
    fine = np.linspace(0, 8, 400)
    axes.plot(fine, problem.predict(fitted.x, fine), label=loss)

theirs, _ = curve_fit(lambda t, a, d, f, p: a * np.exp(-d * t) * np.cos(f * t + p), t, y, start)
print(f"{'scipy.optimize.curve_fit':24s}{theirs.round(3)}")
axes.legend()
axes.set(xlabel="t", ylabel="y")
figure.tight_layout()
figure.savefig("curve_fit.png", dpi=120)
