"""A learning rate that is right, one that is too large, and one that starts large and decays, in Rosenbrock's valley.

Minimises y = (x2 - x1**2)**2 + (1 - x1)**2 from (2, 2) by 100 steps of gradient descent and writes rosenbrock.png.
"""

import matplotlib.pyplot as plt

import gradopt
from gradopt import SGD, InverseTimeDecay, optimize, problems

plt.style.use("gradopt.plot.style")
problem = problems.Rosenbrock(a=1.0, b=1.0)
rates = {"rate 0.1": 0.1, "rate 0.2": 0.2, "rate 0.2 / (1 + 0.01 k)": InverseTimeDecay(0.2, decay=0.01)}
runs = {
    label: optimize(problem, [2.0, 2.0], method=SGD(rate), max_iter=100, gtol=0, record="x")
    for label, rate in rates.items()
}
for label, run in runs.items():
    print(f"{label:24} x = ({run.x[0]:.7f}, {run.x[1]:.7f})  y = {run.fun:.6e}")

figure = plt.figure(figsize=(11, 7.5), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(3, 2))
for i, (axes, label) in enumerate(zip(above.subplots(1, 3), runs, strict=True)):
    look = {"quiver": True, "window": [(-1.8, 2.3), (-0.8, 3.3)], "colors": [f"C{i}"]}
    gradopt.plot.path(problem, runs[label], ax=axes, labels=[label], **look)
    axes.set(title=label)
    axes.get_legend().remove()
marks, names = axes.get_legend_handles_labels()
above.legend(marks[1:], names[1:], loc="outside lower center", ncols=4)
above.suptitle("steps over contours of y")
gradopt.plot.history(*runs.values(), labels=list(runs), figure=below)
figure.savefig("rosenbrock.png", dpi=110)
print("wrote rosenbrock.png")
