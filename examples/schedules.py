"""Every schedule, drawn, and the loss that each gives on the same network. Writes schedules.png."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import (
    SGD,
    Constant,
    CosineDecay,
    CosineWarmRestarts,
    Cyclic,
    ExponentialDecay,
    InverseTimeDecay,
    Join,
    Network,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    ReduceOnPlateau,
    StepDecay,
    Warmup,
    optimize,
    problems,
)

UPDATES = 400
SCHEDULES = {
    "Constant": Constant(0.3),
    "InverseTimeDecay": InverseTimeDecay(0.6, 0.02),
    "ExponentialDecay": ExponentialDecay(0.6, 0.5, steps=80),
    "StepDecay": StepDecay(0.6, every=100, factor=0.4),
    "PiecewiseConstant": PiecewiseConstant([0.2, 0.6, 0.1], [60, 250]),
    "PolynomialDecay": PolynomialDecay(0.6, 0.02, UPDATES),
    "CosineDecay": CosineDecay(0.6, UPDATES),
    "CosineWarmRestarts": CosineWarmRestarts(0.6, 57, multiplier=2),
    "OneCycle": OneCycle(0.8, UPDATES),
    "Cyclic": Cyclic(0.05, 0.6, 50, mode="triangular2"),
    "Warmup": Warmup(ExponentialDecay(0.6, 0.5, steps=100), 60),
    "Join": Join([0.2, CosineDecay(0.6, 200, 0.05)], [100]),
    "a function of k": lambda k: 0.6 / (1.0 + k) ** 0.25,
    "ReduceOnPlateau": ReduceOnPlateau(0.6, factor=0.5, patience=10, threshold=0.02),
}

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(300, 2))
y, network = np.sin(3 * X[:, 0]) * X[:, 1], Network.mlp([2, 12, 1], activation="tanh")
problem = problems.Regressor(network, X, y, loss="half_squared_error")
start = problem.start(rng=2)

figure, axes = plt.subplots(3, 5, figsize=(15, 7.5), layout="constrained", sharex=True)
for panel, (name, schedule) in zip(axes.flat, SCHEDULES.items(), strict=False):
    history = optimize(problem, start, method=SGD(schedule), max_iter=UPDATES, gtol=0).history
    print(f"{name:20} loss {history.fun[-1]:.5f}")
    panel.plot(history.learning_rate)
    panel.set(title=f"{name}: loss {history.fun[-1]:.5f}", ylim=(0, 0.85))
    axes.flat[-1].semilogy(history.fun, linewidth=1)
axes.flat[-1].set(title="the losses")
figure.savefig("schedules.png", dpi=80)
print("wrote schedules.png")
