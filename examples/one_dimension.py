"""What the learning rate does to x**2, and what momentum does on a curve with two wells. Writes one_dimension.png."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, optimize, plot, problems

plt.style.use("gradopt.plot.style")
bowl = problems.Quadratic(2.0)  # x**2
wells = problems.DoubleWell()


def draw(axes, problem, run, reach, title):
    """The steps of a run on the curve of its objective."""
    plot.path(problem, run, ax=axes, window=[(-reach, reach)])
    axes.set(title=title)
    axes.get_legend().remove()
    print(f"{title:34} x = {run.x[0]: .4g} after {run.nit} steps")


figure, axes = plt.subplots(2, 4, figsize=(14, 6.5), layout="constrained")
for panel, rate, title in zip(
    axes[0],
    (0.01, 0.2, 0.95, 1.05),
    ("too small: rate 0.01", "right: rate 0.2", "too large: rate 0.95 bounces", "diverging: rate 1.05"),
    strict=True,
):
    run = optimize(bowl, [-1.5], method=SGD(rate), max_iter=20, gtol=0, record="x")
    reach = max(2.0, 1.1 * np.abs(run.history.x).max())
    draw(panel, bowl, run, reach, title)

for panel, problem, method, title in zip(
    axes[1],
    (bowl, bowl, wells, wells),
    (SGD(0.01), SGD(0.01, momentum=0.9), SGD(0.01), SGD(0.01, momentum=0.9)),
    (
        "convex, plain descent",
        "convex, momentum 0.9",
        "two wells, plain: stuck",
        "two wells, momentum 0.9: through",
    ),
    strict=True,
):
    run = optimize(problem, [2.0], method=method, max_iter=300, gtol=1e-4, record="x")
    draw(panel, problem, run, 2.2, title)
figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=5)
figure.savefig("one_dimension.png", dpi=100)
print("wrote one_dimension.png")
