"""All minima of a hilly function of two parameters: many starts, all runs compiled, the different ends counted."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import multistart

plt.style.use("gradopt.plot.style")


def eggs(x):
    """A bowl with ripples, turned and stretched."""
    u, v = 0.8 * x[0] - 0.6 * x[1], 0.6 * x[0] + 0.8 * x[1]
    return 0.1 * (u**2 + 2.0 * v**2) - np.cos(2.0 * u) * np.cos(3.0 * v)


bounds = [(-4.0, 4.0), (-4.0, 4.0)]
runs = multistart(eggs, bounds, 256, rng=0)
minima = runs.distinct()
print(runs.summary())
print(f"{len(minima.fun)} different minima; the lowest five:")
for x, value, count in list(zip(*minima, strict=True))[:5]:
    print(f"  f = {value:9.6f} at ({x[0]:7.4f}, {x[1]:7.4f}), reached by {count} runs")

u = np.linspace(-4.0, 4.0, 300)
grid = np.stack(np.meshgrid(u, u))
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
surface = ax.contourf(u, u, eggs(grid), 30, cmap="Greys")
figure.colorbar(surface, label="f(x)")
ax.scatter(
    *minima.x.T, s=10 + 4 * minima.counts, color="C0", edgecolor="white", label="minima, larger where more runs ended"
)
ax.plot(*minima.x[0], "*", ms=16, color="C7", mec="black", label="the lowest")
ax.set(xlabel="x[0]", ylabel="x[1]", title="where 256 runs end")
figure.legend(loc="outside lower center", ncols=2)
plt.savefig("multistart.png", dpi=110)
print("wrote multistart.png")
