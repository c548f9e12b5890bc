"""All methods in Rosenbrock's valley, and on handwritten digits. Writes methods_race.png."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gradopt
from gradopt import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop, optimize

VALLEY = [SGD(0.001), SGD(0.0005, momentum=0.95), SGD(0.0005, momentum=0.95, nesterov=True), Adagrad(0.5)]
VALLEY += [Adadelta(5.0), RMSprop(0.003), Rprop(), Adam(0.05), AdamW(0.05, weight_decay=0.0), Adamax(0.05)]
VALLEY += [NAdam(0.05), RAdam(0.003), Lion(0.003, weight_decay=0.0)]
DIGITS = [SGD(0.1), SGD(0.02, momentum=0.9), SGD(0.02, momentum=0.9, nesterov=True), Adagrad(0.03), Adadelta()]
DIGITS += [RMSprop(0.002), Adam(0.003), AdamW(0.003), Adamax(0.005), NAdam(0.003), RAdam(0.005), Lion(0.0005)]


def name_of(method):
    name = type(method).__name__
    if isinstance(method, SGD) and method.momentum:
        name += ", Nesterov" if method.nesterov else ", momentum"
    return name


valley = gradopt.problems.Rosenbrock(b=20.0)
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(images))
X, y = images[order].astype(np.float32) / 16, labels[order]
digits = gradopt.problems.Classifier(gradopt.Network.mlp([64, 32, 10]), X[:1400], y[:1400])
held_out, start = (X[1400:], y[1400:]), digits.start(rng=0)

figure, (path, left, right) = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
a, b = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-0.6, 2.0, 200))
path.contour(a, b, np.log10(20 * (b - a**2) ** 2 + (1 - a) ** 2 + 1e-3), 18, colors="0.8", linewidths=0.6)
for i, method in enumerate(VALLEY):
    result = optimize(valley, [-1.2, 1.0], method=method, max_iter=1500, gtol=0, record="x")
    print(f"valley  {name_of(method):16} loss {result.fun:9.2e} after {result.nit} updates")
    style = {"color": f"C{i % 10}", "linestyle": "-" if i < 10 else "--", "label": name_of(method), "linewidth": 1}
    path.plot(*result.history.x.T, **style)
    left.loglog(1 + result.history.nit, np.maximum(result.history.fun, 1e-16), **style)
for i, method in enumerate(DIGITS):
    result = optimize(digits, start, method=method, batch_size=32, epochs=20, rng=0, validation=held_out)
    print(f"digits  {name_of(method):16} held-out rows {digits.score(result.x, *held_out):.1%} right")
    right.semilogy(result.history.fun, color=f"C{i % 10}", linestyle="-" if i < 10 else "--", label=name_of(method))
path.set(title="Rosenbrock's valley, 1500 updates", xlim=(-1.6, 1.6), ylim=(-0.6, 2.0))
left.set(title="loss in the valley", xlabel="1 + updates")
right.set(title="loss on digits, batches of 32", xlabel="epoch")
left.legend(fontsize=7)
right.legend(fontsize=7)
figure.savefig("methods_race.png", dpi=90)
print("wrote methods_race.png")
