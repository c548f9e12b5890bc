"""
6. One row, some rows, all rows
===============================

A step may use the slope of one row (true stochastic descent), of a batch of rows, or of all of them. One row is cheap
and rough, all rows are exact and dear.
"""

# %%
# Digits of 8 by 8 pixels, and a network of 64-32-10.

import time

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from gradopt import SGD, CosineDecay, Network, optimize, per_epoch, problems

plt.style.use("gradopt.plot.style")
X, y = load_digits(return_X_y=True)
X = X / 16.0
problem = problems.Classifier(Network.mlp([64, 32, 10]), X[:1400], y[:1400])
held_out = X[1400:], y[1400:]

# %%
# Ten epochs each: in each epoch every row is used once, in random order. A batch of one makes 1 400 steps an epoch,
# the full batch a single one.

ways = {"one row": (1, 0.02), "32 rows": (32, 0.2), "all rows": (1400, 0.5)}
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (size, rate) in ways.items():
    settings = {"method": SGD(rate), "batch_size": size, "rng": 0}
    optimize(problem, epochs=1, **settings)  # compiled once
    started = time.perf_counter()
    result = optimize(problem, epochs=10, **settings)
    taken = time.perf_counter() - started
    axes.plot(range(1, 11), result.history.fun, "o-", markersize=3, label=f"{name}, rate {rate}")
    right = problem.score(result.x, *held_out)
    print(
        f"{name:9s} {result.nit:6d} steps in {1e3 * taken:6.1f} ms, loss {result.fun:.4f}, held out {right:.1%} right"
    )
axes.set(xlabel="epoch", ylabel="loss of the rows as they were seen", yscale="log")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %%
# In the same number of epochs, small batches get further: they make more steps. Each of their steps is rough, so
# their rate is smaller, and it should decay. With momentum and a rate that decays by the epoch:

method = SGD(per_epoch(CosineDecay(0.1, 30)), momentum=0.9)
result = optimize(problem, method=method, batch_size=32, epochs=30, rng=0, validation=held_out)
print(f"held out {problem.score(result.x, *held_out):.1%} right, the best of {len(result.history)} epochs")

# %%
# The validation rows say when it has learned enough: their loss stops falling while that of the training rows goes
# on.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.plot(range(1, 31), result.history.fun, label="training rows")
axes.plot(range(1, 31), result.history.val_fun, label="validation rows")
axes.set(xlabel="epoch", ylabel="loss", yscale="log")
axes.legend()
plt.show()
