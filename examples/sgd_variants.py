"""A network by true SGD, mini-batches and full batches, with and without momentum. Writes sgd_variants.png."""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gradopt import SGD, Network, optimize, problems

plt.style.use("gradopt.plot.style")
EPOCHS = 40
images, labels = load_digits(return_X_y=True)
problem = problems.Classifier(Network.mlp([64, 32, 10]), images.astype(np.float32) / 16, labels)
start = problem.start(rng=0)

VARIANTS = [
    ("true SGD, one row", 1, SGD(0.01)),
    ("one row, momentum 0.9", 1, SGD(0.001, momentum=0.9)),
    ("batches of 32", 32, SGD(0.1)),
    ("batches of 32, momentum 0.9", 32, SGD(0.02, momentum=0.9)),
    ("full batch", None, SGD(0.5)),
    ("full batch, momentum 0.9", None, SGD(0.2, momentum=0.9)),
]

figure, (by_epoch, by_time) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
print(f"loss of {problem.rows} rows after {EPOCHS} epochs")
for number, (name, batch_size, method) in enumerate(VARIANTS):
    settings = {"method": method, "batch_size": batch_size, "rng": 0}
    optimize(problem, start, **settings, epochs=1)  # compiles
    seconds = []
    began = time.perf_counter()

    def note_time(intermediate_result, began=began, seconds=seconds):
        seconds.append(time.perf_counter() - began)

    result = optimize(problem, start, **settings, epochs=EPOCHS, callback=note_time)
    print(f"{name:28} {result.fun:.5f}  {result.nit:6} updates, {1e3 * seconds[-1] / EPOCHS:7.3f} ms an epoch")
    style = {"color": f"C{number // 2}", "linestyle": ("-", "--")[number % 2], "label": name}
    by_epoch.semilogy(np.arange(1, EPOCHS + 1), result.history.fun, **style)
    by_time.loglog(1e3 * np.array(seconds), result.history.fun, **style)
by_epoch.set(title="by epoch", xlabel="epoch", ylabel="mean loss in the epoch")
by_time.set(title="the same losses, by time", xlabel="milliseconds, once compiled")
figure.legend(*by_epoch.get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure.savefig("sgd_variants.png", dpi=100)
print("wrote sgd_variants.png")
