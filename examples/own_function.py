"""A function of one's own: a chain of springs and weights between two hooks, let go to where its energy is lowest."""

import os
import timeit

os.environ["OMP_NUM_THREADS"] = "1"  # one thread each

import matplotlib.pyplot as plt
import numpy as np
from numba import njit
from scipy.optimize import minimize

import gradopt

plt.style.use("gradopt.plot.style")
N, STIFFNESS, LENGTH, HOOKS = 18, 200.0, 0.06, np.array([[0.0, 0.0], [1.0, 0.2]])


def energy(x, hooks):
    total, points = 0.0, np.concatenate((hooks[0], x, hooks[1]))
    for k in range(2, points.size, 2):
        a, b = points[k] - points[k - 2], points[k + 1] - points[k - 1]
        total += 0.5 * STIFFNESS * (np.sqrt(a**2 + b**2) - LENGTH) ** 2 + points[k + 1]
    return total


def slope(x, hooks):
    points = np.concatenate((hooks[0], x, hooks[1]))
    grad = np.arange(points.size) % 2.0  # of the heights
    for k in range(2, points.size, 2):
        a, b = points[k] - points[k - 2], points[k + 1] - points[k - 1]
        pull = STIFFNESS * (1 - LENGTH / np.sqrt(a**2 + b**2))
        grad[k], grad[k + 1] = grad[k] + pull * a, grad[k + 1] + pull * b
        grad[k - 2], grad[k - 1] = grad[k - 2] - pull * a, grad[k - 1] - pull * b
    return grad[2:-2]


start = np.linspace(HOOKS[0], HOOKS[1], N + 2)[1:-1].ravel()
fast, fast_slope = njit(energy), njit(slope)  # for scipy, so that both call machine code
runs = {
    "gradopt, no gradient": lambda: gradopt.optimize(energy, start, args=(HOOKS,)),
    "gradopt, gradient": lambda: gradopt.optimize(energy, start, args=(HOOKS,), jac=slope),
    "gradopt through scipy": lambda: minimize(energy, start, args=(HOOKS,), jac=slope, method=gradopt.LBFGS()),
    "scipy's L-BFGS-B, no gradient": lambda: minimize(fast, start, args=(HOOKS,), method="L-BFGS-B"),
    "scipy's L-BFGS-B, gradient": lambda: minimize(fast, start, args=(HOOKS,), jac=fast_slope, method="L-BFGS-B"),
}
_, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(*np.vstack((HOOKS[0], start.reshape(-1, 2), HOOKS[1])).T, "o-", color="0.7", label="start")
for name, run in runs.items():
    result, milliseconds = run(), 1e3 * min(timeit.repeat(run, number=5, repeat=5)) / 5  # the first call compiles
    print(f"{name:30s} energy {result.fun:.6f}  {result.nfev:6d} evaluations  {milliseconds:8.2f} ms")
    right.plot(milliseconds, name, "o", color="C0" if name.startswith("gradopt") else "C1", markersize=9)
left.plot(*np.vstack((HOOKS[0], result.x.reshape(-1, 2), HOOKS[1])).T, "o-", label="at rest")
left.set(xlabel="horizontal position", ylabel="height", ylim=(-0.6, 0.5))
left.legend(loc="upper left")
right.set(xscale="log", xlabel="milliseconds to the lowest energy, best of five")
plt.savefig("own_function.png", dpi=110)
print("wrote own_function.png")
