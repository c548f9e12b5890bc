"""Fit speed = a t**2 + b t + c to twenty noisy measurements by gradient descent, and by what really converges here.

The columns t**2, t and 1 differ by a factor of hundreds. A rate that is small enough for a is far too small for b and
c: the loss falls steeply and then hardly at all. Writes quadratic_fit.png.
"""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, optimize, plot, problems

plt.style.use("gradopt.plot.style")
t = np.arange(20.0)
speed = 0.5 * (t - 9.5) ** 2 + 1 + np.random.default_rng(7).normal(size=t.size)
problem = problems.PolynomialFit(t, speed)  # mean squared error

run = optimize(problem, method=SGD(1e-5), max_iter=9, gtol=0, record="x")
print("loss by step:", *(f"{loss:.1f}" for loss in run.history.fun))

exact = problem.minimizer
momentum = optimize(problem, method=SGD(2e-5, momentum=0.999, nesterov=True), max_iter=200_000)
# The same polynomial in u = (t - 9.5) / 9.5 has columns of one size. Plain descent then needs few steps.
u = (t - 9.5) / 9.5
scaled = optimize(problems.PolynomialFit(u, speed), method=SGD(0.5))
in_t = np.poly1d(scaled.x)(np.poly1d([1 / 9.5, -1])).coeffs
for label, x, steps in (
    ("least squares", exact, 0),
    ("Nesterov momentum 0.999", momentum.x, momentum.nit),
    ("plain descent on scaled t", in_t, scaled.nit),
):
    print(f"{label:26} a, b, c = {x.round(4)}  loss {problem.value(x):.6f}  steps {steps}")
for loss in ("mae", "rmse"):
    fit = optimize(problems.PolynomialFit(u, speed, loss=loss), method=SGD(0.01), max_iter=20_000)
    best = np.poly1d(fit.best_x)(np.poly1d([1 / 9.5, -1])).coeffs
    print(f"{loss:26} a, b, c = {best.round(4)}  {loss} {fit.best_fun:.4f}")

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
plot.fit(problem, run, ax=left)
plot.fit(problem, momentum, ax=middle)
for axes, title in ((left, "plain descent"), (middle, "with momentum")):
    axes.set(title=title, xlabel="time", ylabel="speed", ylim=(-5, 85))
    axes.legend(loc="upper center")
for label, history in (("plain", run.history), ("momentum", momentum.history), ("time scaled", scaled.history)):
    right.loglog(history.nit + 1, history.fun, label=label)
right.set(title="three ways down", xlabel="step + 1", ylabel="mean squared error", ylim=(0.2, 4e3))
right.legend(loc="upper right")
figure.savefig("quadratic_fit.png", dpi=110)
print("wrote quadratic_fit.png")
