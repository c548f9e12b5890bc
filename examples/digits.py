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

figure = plt.figure(figsize=(13, 7), layout="constrained")
above, below = figure.subfigures(2, 1)
plot.history(result, figure=above)
axes = below.add_subplot()

predicted = problem.predict(result.x, X[held_out])
wrong = np.flatnonzero(predicted != y[held_out])[:10]
grid = np.ones((12, 10 * len(wrong)))
for place, i in enumerate(wrong):
    grid[1:9, 10 * place + 1 : 10 * place + 9] = 1 - X[held_out][i].reshape(8, 8)
    text = f"{y[held_out][i]} taken\nfor {predicted[i]}"
    axes.text(10 * place + 4.5, 11.5, text, ha="center", va="top", fontsize=9)
axes.imshow(grid, cmap="gray", vmin=0, vmax=1)
axes.set(title="what it gets wrong", ylim=(14, -0.5))
axes.axis("off")
figure.savefig("digits.png", dpi=100)
print("wrote digits.png")
