"""Handwritten digits: a 64-32-10 network trained in milliseconds, and what it still gets wrong. Writes digits.png."""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gradopt import SGD, CosineDecay, Network, optimize, per_epoch, problems

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

history, epochs = result.history, np.arange(1, EPOCHS + 1)
figure, axes = plt.subplot_mosaic([["loss", "accuracy"], ["wrong", "wrong"]], figsize=(10, 7), layout="constrained")
axes["loss"].semilogy(epochs, history.fun, label="training")
axes["loss"].semilogy(epochs, history.val_fun, label="held out")
axes["loss"].set(title="cross-entropy", xlabel="epoch")
axes["loss"].legend()
axes["accuracy"].plot(epochs, history.val_accuracy, color="C1")
axes["accuracy"].set(title=f"accuracy on held-out rows, at last {accuracy:.1%}", xlabel="epoch", ylim=(0.85, 1.0))

predicted = problem.predict(result.x, X[held_out])
wrong = np.flatnonzero(predicted != y[held_out])[:10]
grid = np.ones((12, 10 * len(wrong)))
for place, i in enumerate(wrong):
    grid[1:9, 10 * place + 1 : 10 * place + 9] = 1 - X[held_out][i].reshape(8, 8)
    text = f"{y[held_out][i]} taken\nfor {predicted[i]}"
    axes["wrong"].text(10 * place + 4.5, 11.5, text, ha="center", va="top", fontsize=9)
axes["wrong"].imshow(grid, cmap="gray", vmin=0, vmax=1)
axes["wrong"].set(title="what it gets wrong", ylim=(14, -0.5))
axes["wrong"].axis("off")
figure.savefig("digits.png", dpi=100)
print("wrote digits.png")
