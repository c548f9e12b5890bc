"""A user's script, for a type checker: what people do with gradopt, typed strictly."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gradopt
from gradopt import LBFGS, SGD, Adam, InverseTimeDecay, Network, OptimizeResult, Status, Warmup, optimize, problems


def misfit(x: NDArray[np.float64], t: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    squares: NDArray[np.float64] = (x[0] * np.exp(-x[1] * t) - y) ** 2
    return np.sum(squares)


def report(intermediate_result: OptimizeResult) -> None:
    print(intermediate_result.nit, intermediate_result.fun)


def halved(k: int) -> float:
    return 0.1 * 0.5**k


t = np.linspace(0.0, 4.0, 20)
y = 2.5 * np.exp(-1.3 * t)
result = optimize(misfit, [1.0, 1.0], args=(t, y), method=LBFGS(memory=5), bounds=[(0.0, None), (None, 3.0)], gtol=1e-8)
rates: list[float] = [float(r) for r in result.history.learning_rate]
ended: tuple[Status, bool, str] = result.status, result.success, result.message
best: NDArray[np.float64] = result.best_x
print(result.x.round(3), result.fun, result.nfev, result.jac, len(result.history), ended, rates[-1], best)

valley = problems.Rosenbrock(n=4)
value, grad = valley.value_and_grad(np.zeros(4))
check: gradopt.GradientCheck = gradopt.check_gradient(valley, rng=0)
begun = optimize(
    valley, method=SGD(Warmup(InverseTimeDecay(1e-3, 0.01), 10), momentum=0.9), max_iter=50, callback=report
)
further = optimize(valley, state=begun.state, max_iter=50, record="x", recover=gradopt.RetryFromBest(0.5))
print(value + float(grad.sum()), bool(check), check.worst, further.history.x.shape, further.history["fun"][-1])

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))
net = Network.mlp([2, 4, 2], activation="tanh")
classifier = problems.Classifier(net, X, (X[:, 0] > 0).astype(int))
trained = optimize(
    classifier, method=Adam(halved), batch_size=16, epochs=3, rng=rng, validation=(X, (X[:, 0] > 0).astype(int)),
    patience=2, monitor="accuracy", callback=[gradopt.every(2, report)],
)  # fmt: skip
share: float = classifier.score(trained.x, X, classifier.y)
labels: NDArray[np.int64] = classifier.predict(trained.x, X)
print(share, labels[:3], [weight.shape for weight, _ in net.layers_of(trained.x)])

traced = gradopt.trace(misfit, [1.0, 1.0], args=(t, y))
other: problems.Traced = traced.with_args(t, 2.0 * y)
fun, nit, status = gradopt.descend(gradopt.compiled(other), gradopt.compiled(LBFGS()), np.ones(2), 50, 1e-6)
print(fun, nit, Status(status).meaning)

path = Path("run.npz")
result.save(path)
again: OptimizeResult = gradopt.load(path)
print(again.state.nit, again.problem.n)
