"""Methods in Rosenbrock's valley and on handwritten digits, family by family. Writes methods_race.png."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gradopt
from gradopt import LBFGS, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop, optimize

FAMILIES = {  # for each method: how it is set in the valley, and for digits
    "along the gradient, and L-BFGS": {
        "SGD": (SGD(0.001), SGD(0.1)),
        "SGD, momentum": (SGD(0.0005, momentum=0.95), SGD(0.02, momentum=0.9)),
        "SGD, Nesterov": (SGD(0.0005, momentum=0.95, nesterov=True), SGD(0.02, momentum=0.9, nesterov=True)),
        "L-BFGS": (LBFGS(), LBFGS()),
    },
    "a rate for each parameter": {
        "Adagrad": (Adagrad(0.5), Adagrad(0.03)),
        "Adadelta": (Adadelta(5.0), Adadelta()),
        "RMSprop": (RMSprop(0.003), RMSprop(0.002)),
        "Rprop": (Rprop(), Rprop()),
    },
    "Adam's family, and Lion": {
        "Adam": (Adam(0.05), Adam(0.003)),
        "AdamW": (AdamW(0.05, weight_decay=0.0), AdamW(0.003)),
        "Adamax": (Adamax(0.05), Adamax(0.005)),
        "NAdam": (NAdam(0.05), NAdam(0.003)),
        "RAdam": (RAdam(0.003), RAdam(0.005)),
        "Lion": (Lion(0.003, weight_decay=0.0), Lion(0.0005)),
    },
}
plt.style.use("gradopt.plot.style")
valley = gradopt.problems.Rosenbrock(b=20.0)
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(images))
X, y = images[order].astype(np.float32) / 16, labels[order]
digits = gradopt.problems.Classifier(gradopt.Network.mlp([64, 32, 10]), X[:1400], y[:1400])
held_out, start = (X[1400:], y[1400:]), digits.start(rng=0)
ALL, BATCHES = {"max_iter": 20}, {"batch_size": 32, "epochs": 20, "rng": 0, "validation": held_out}
figure, axes = plt.subplots(3, 3, figsize=(14, 11), layout="constrained", sharex="col", sharey="col")
for (path, left, right), (family, methods) in zip(axes, FAMILIES.items(), strict=True):
    for width, (name, (there, here)) in zip((4, 3.5, 3, 2.5, 2, 1.5), methods.items(), strict=False):
        run = optimize(valley, [-1.2, 1.0], method=there, max_iter=1500, gtol=0, record="x")
        print(f"valley  {name:16} loss {run.fun:9.2e} after {run.nit} updates")
        path.plot(*run.history.x.T, linewidth=width / 2, label=name)
        left.loglog(1 + run.history.nit, np.maximum(run.history.fun, 1e-16), linewidth=width, label=name)
        run = optimize(digits, start, method=here, **(ALL if isinstance(here, (LBFGS, Rprop)) else BATCHES))
        print(f"digits  {name:16} held-out rows {digits.score(run.x, *held_out):.1%} right")
        right.semilogy(np.arange(1, 21), run.history.fun[-20:], linewidth=width, label=name)
    path.plot(-1.2, 1.0, "o", color="w", markeredgecolor="k", label="start")
    path.plot(1.0, 1.0, "*", color="C7", markeredgecolor="k", markersize=13, label="minimum")
    path.set(title=family, ylabel="x[1]", xlim=(-1.6, 1.6), ylim=(-0.6, 2.0))
    left.set(ylabel="loss in the valley")
    right.set(ylabel="loss on digits")
    right.legend(*path.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1, 1))
for i, label in enumerate(("x[0]", "1 + updates", "epoch of batches of 32, or update on all rows")):
    axes[2, i].set(xlabel=label)
figure.savefig("methods_race.png", dpi=80)
print("wrote methods_race.png")
