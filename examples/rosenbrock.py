"""A learning rate that is right, one that is too large, and one that starts large and decays, in Rosenbrock's valley.

Minimises y = (x2 - x1**2)**2 + (1 - x1)**2 from (2, 2) by 100 steps of gradient descent and writes rosenbrock.png.
"""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, InverseTimeDecay, optimize, problems

problem = problems.Rosenbrock(a=1.0, b=1.0)
rates = {"rate 0.1": 0.1, "rate 0.2": 0.2, "rate 0.2 / (1 + 0.01 k)": InverseTimeDecay(0.2, decay=0.01)}
runs = {
    label: optimize(problem, [2.0, 2.0], method=SGD(rate), max_iter=100, gtol=0, record="x")
    for label, rate in rates.items()
}
for label, run in runs.items():
    print(f"{label:24} x = ({run.x[0]:.7f}, {run.x[1]:.7f})  y = {run.fun:.6e}")

figure = plt.figure(figsize=(11, 9), layout="constrained")
grid = figure.add_gridspec(3, 3, height_ratios=(2, 1, 1))
x1, x2 = np.meshgrid(np.linspace(-1.8, 2.3, 101), np.linspace(-0.8, 3.3, 101))
height = (x2 - x1**2) ** 2 + (1 - x1) ** 2
arrows = (slice(None, None, 8), slice(None, None, 8))
gradients = np.array([problem.grad(point) for point in zip(x1[arrows].flat, x2[arrows].flat, strict=True)])
directions = -gradients / np.linalg.norm(gradients, axis=1, keepdims=True)

for column, (label, run) in enumerate(runs.items()):
    color = f"C{column}"
    axes = figure.add_subplot(grid[0, column], title=label, xlabel="x1", ylabel="x2")
    axes.contour(x1, x2, height, levels=np.geomspace(0.01, 30, 12), colors="0.7", linewidths=0.8)
    axes.quiver(x1[arrows].ravel(), x2[arrows].ravel(), *directions.T, color="0.6", scale=30, width=0.004)
    axes.plot(*run.history.x.T, ".-", color=color, markersize=3, linewidth=0.8)
    axes.plot(*problem.minimizer, "k*", markersize=10)
    axes.set(xlim=(-1.8, 2.3), ylim=(-0.8, 3.3))

losses = figure.add_subplot(grid[1, :], ylabel="loss y", yscale="log")
decay = figure.add_subplot(grid[2, :], xlabel="step k", ylabel="learning rate", ylim=(0, 0.22))
for label, run in runs.items():
    losses.plot(run.history.nit, run.history.fun, label=label)
    decay.plot(run.history.nit, run.history.learning_rate, label=label)
losses.legend()
figure.savefig("rosenbrock.png", dpi=110)
print("wrote rosenbrock.png")
