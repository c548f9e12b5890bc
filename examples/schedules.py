"""Every schedule, drawn, and the loss that each gives on the same network. Writes schedules.png."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, Network, optimize, problems, schedules

UPDATES = 400
SCHEDULES = {
    "Constant": schedules.Constant(0.3),
    "InverseTimeDecay": schedules.InverseTimeDecay(0.6, 0.02),
    "ExponentialDecay": schedules.ExponentialDecay(0.6, 0.5, steps=80),
    "StepDecay": schedules.StepDecay(0.6, every=100, factor=0.4),
    "PiecewiseConstant": schedules.PiecewiseConstant([0.2, 0.6, 0.1], [60, 250]),
    "PolynomialDecay": schedules.PolynomialDecay(0.6, 0.02, UPDATES),
    "CosineDecay": schedules.CosineDecay(0.6, UPDATES),
    "CosineWarmRestarts": schedules.CosineWarmRestarts(0.6, 57, multiplier=2),
    "OneCycle": schedules.OneCycle(0.8, UPDATES),
    "Cyclic": schedules.Cyclic(0.05, 0.6, 50, mode="triangular2"),
    "Warmup": schedules.Warmup(schedules.ExponentialDecay(0.6, 0.5, steps=100), 60),
    "Join": schedules.Join([0.2, schedules.CosineDecay(0.6, 200, 0.05)], [100]),
    "a function of k": lambda k: 0.6 / (1.0 + k) ** 0.25,
    "ReduceOnPlateau": schedules.ReduceOnPlateau(0.6, factor=0.5, patience=10, threshold=0.02),
}

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(300, 2))
y, network = np.sin(3 * X[:, 0]) * X[:, 1], Network.mlp([2, 12, 1], activation="tanh")
problem = problems.Regressor(network, X, y, loss="half_squared_error")
start = problem.start(rng=2)

plt.style.use("gradopt.plot.style")
figure, axes = plt.subplots(2, 7, figsize=(14, 5), layout="constrained", sharex=True, sharey=True)
losses = [panel.twinx() for panel in axes.flat]
for loss in losses[1:]:
    loss.sharey(losses[0])
for panel, loss, (name, schedule) in zip(axes.flat, losses, SCHEDULES.items(), strict=True):
    history = optimize(problem, start, method=SGD(schedule), max_iter=UPDATES, gtol=0).history
    print(f"{name:20} loss {history.fun[-1]:.5f}")
    panel.plot(history.learning_rate, label="learning rate, on the left")
    panel.set(title=f"{name}:\nloss {history.fun[-1]:.5f}", ylim=(0, 0.85))
    loss.semilogy(history.fun, color="C1", linewidth=1, label="loss, on the right")
    loss.tick_params(labelright=panel in axes[:, -1])
for row in (0, 1):
    axes[row, 0].set(ylabel="learning rate")
    losses[7 * row + 6].set(ylabel="loss")
for panel in axes[1]:
    panel.set(xlabel="update")
lines = [side.get_lines()[0] for side in (axes[0, 0], losses[0])]
figure.legend(handles=lines, loc="outside lower center", ncols=2)
figure.savefig("schedules.png", dpi=80)
print("wrote schedules.png")
