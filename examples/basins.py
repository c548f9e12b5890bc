"""Ten thousand descents in one compiled function: from where is the minimum found, how fast? Writes basins.png."""

import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit, prange

import gradopt
from gradopt import SGD, Adam, problems

plt.style.use("gradopt.plot.style")
problem = gradopt.compiled(problems.Rosenbrock(b=10.0))
METHODS = {
    "plain descent, rate 0.004": SGD(0.004),
    "momentum 0.9, rate 0.004": SGD(0.004, momentum=0.9),
    "Adam, rate 0.05": Adam(0.05),
}
MAX_ITER = 3000


@njit(parallel=True)
def descend_all(problem, method, starts, updates):
    for i in prange(len(starts)):
        _, nit, status = gradopt.descend(problem, method, starts[i], MAX_ITER, 1e-3)
        updates[i] = nit if status == 0 else MAX_ITER if status == 10 else -1


a, b = np.meshgrid(np.linspace(-2.5, 2.5, 100), np.linspace(-1.5, 3.5, 100))
grid = np.column_stack([a.ravel(), b.ravel()])

figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained", sharey=True)
for panel, (name, method) in zip(axes, METHODS.items(), strict=True):
    compiled = gradopt.compiled(method)
    updates = np.empty(len(grid))
    descend_all(problem, compiled, grid[:2].copy(), updates)  # compiles
    starts = grid.copy()
    began = time.perf_counter()
    descend_all(problem, compiled, starts, updates)
    seconds = time.perf_counter() - began
    found, lost = np.mean((updates >= 0) & (updates < MAX_ITER)), np.mean(updates < 0)
    print(f"{name:28} {found:6.1%} arrived, {lost:5.1%} diverged, {1e6 * seconds / len(grid):6.1f} us a descent")
    colours = np.ma.masked_less(updates.reshape(a.shape), 0)
    image = panel.pcolormesh(a, b, colours, cmap="viridis_r", vmin=0, vmax=MAX_ITER)
    panel.set_facecolor("0.15")
    panel.plot(1, 1, "*", color="C7", markeredgecolor="k", markersize=13, label="minimum")
    panel.set(title=f"{name}\n{found:.0%} arrived", xlabel="x[0] of the start")
panel.bar(0, 0, color="0.15", label="diverged")
axes[0].set(ylabel="x[1] of the start")
figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure.colorbar(image, ax=axes, label=f"updates; {MAX_ITER}: not arrived")
figure.savefig("basins.png", dpi=90)
print("wrote basins.png")
