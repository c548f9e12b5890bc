"""Handwritten digits: a 64-32-10 network trained in milliseconds, and what it still gets wrong. Writes digits.png."""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gradopt import SGD, CosineDecay, Network, optimize, per_epoch, plot, problems

EPOCHS = 30

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(images))
X, y = images[order].astype(np.float32) / 16, labels[order]
training, held_out = slice(0, 1437), slice(1437, None)

network = Network.mlp([64, 32, 10], activation="relu")
problem = problems.Classifier(network, X[training], y[training])
method = SGD(per_epoch(CosineDecay(0.1, EPOCHS)), momentum=0.9, weight_decay=1e-4)
settings = {"method": method, "batch_size": 32, "epochs": EPOCHS, "rng": 0}

result = optimize(problem, **settings, validation=(X[held_out], y[held_out]))
started = time.perf_counter()
optimize(problem, **settings)
seconds = time.perf_counter() - started

accuracy = problem.score(result.x, X[held_out], y[held_out])
print(f"{network.n} weights, {result.nit} updates; once compiled, {EPOCHS} epochs take {1e3 * seconds:.1f} ms")
print(f"held-out rows: {accuracy:.1%} right, loss {result.best_fun:.4f} in the best epoch")

plt.style.use("gradopt.plot.style")
figure = plt.figure(figsize=(13, 5.2), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(2, 1))
plot.history(result, figure=above)

predicted = problem.predict(result.x, X[held_out])
wrong = np.flatnonzero(predicted != y[held_out])[:10]
for axes, i in zip(below.subplots(1, len(wrong)), wrong, strict=True):
    axes.imshow(X[held_out][i].reshape(8, 8), cmap="gray_r")
    axes.set(title=f"{y[held_out][i]} taken for {predicted[i]}", xticks=[], yticks=[])
below.suptitle("held-out digits that it gets wrong")
figure.savefig("digits.png", dpi=90)
print("wrote digits.png")
