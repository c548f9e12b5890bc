"""What was the temperature along a rod some time ago? A hundred unknowns, and a loop of time steps in the function."""

import time

import matplotlib.pyplot as plt
import numpy as np

import gradopt

N, STEPS, DIFFUSION, NOISE = 100, 40, 0.4, 0.01


def later(u):
    """The temperature after some time, by explicit steps; both ends are kept at 0."""
    for _ in range(STEPS):
        inner = np.concatenate(([0.0], u, [0.0]))
        u = u + DIFFUSION * (inner[2:] - 2.0 * u + inner[:-2])
    return u


def misfit(u, measured, strength):
    residual = (later(u) - measured) / NOISE
    variation = np.sum(np.sqrt(np.diff(u) ** 2 + 1e-6))  # smooth at 0, else the length of all ups and downs
    return 0.5 * np.sum(residual**2) + strength * variation


where = np.linspace(0, 1, N + 2)[1:-1]
true = 1.0 * (np.abs(where - 0.3) < 0.07) + 0.6 * (np.abs(where - 0.7) < 0.1)
measured = later(true) + NOISE * np.random.default_rng(0).normal(size=N)

begin = time.perf_counter()
problem = gradopt.trace(misfit, np.zeros(N), args=(measured, 10.0))
traced = time.perf_counter()
result = gradopt.optimize(problem, gtol=1e-4)
done = time.perf_counter()
operations = len(str(problem.tape).splitlines())
print(f"tape      {operations} operations, gradient included, {1e3 * (traced - begin):.0f} ms with loading the machine")
print(f"minimum   {result.fun:.4f} after {result.nit} updates, {result.nfev} gradients, {1e3 * (done - traced):.0f} ms")
print(f"distance  {np.sqrt(np.mean((result.x - true) ** 2)):.4f} from the truth, {NOISE} the noise")

twice = problem.with_args(later(true), 10.0)  # the same tape, for data without noise
print(f"          {np.sqrt(np.mean((gradopt.optimize(twice, gtol=1e-4).x - true) ** 2)):.4f} without the noise")

plt.style.use("gradopt.plot.style")
figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
axes.plot(where, true, color="0.6", lw=3, label="true temperature at the start")
axes.plot(where, measured, ".", color="C2", label=f"measured {STEPS} time steps later")
axes.plot(where, result.x, color="C0", label="start found from it")
axes.plot(where, later(result.x), "k--", lw=1, label=f"the same, {STEPS} time steps later")
axes.set(xlabel="position along the rod, as a share of its length", ylabel="temperature, relative to the hotter part")
figure.legend(loc="outside upper center", ncols=2)
figure.savefig("heat_inverse.png", dpi=110)
print("wrote heat_inverse.png")
