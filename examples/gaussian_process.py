"""A Gaussian process in plain NumPy: 300 points, its hyper-parameters by the marginal likelihood, with a guard."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import optimize

plt.style.use("gradopt.plot.style")
rng = np.random.default_rng(3)
X = np.sort(rng.uniform(0.0, 10.0, 300))
y = np.sin(X) * np.exp(-0.15 * X) + 0.3 * np.sin(4.0 * X) + 0.15 * rng.normal(size=300)
squares = (X[:, None] - X) ** 2


def evidence(p):
    """Minus the logarithm of the marginal likelihood; of the logarithms of length, height and noise."""
    if np.any(np.abs(p) > 10.0):  # far from all that makes sense
        return np.inf
    length, height, noise = np.exp(p)
    K = height**2 * np.exp(-0.5 * squares / length**2) + noise**2 * np.eye(len(X))
    try:
        factor = np.linalg.cholesky(K)
    except np.linalg.LinAlgError:  # not positive definite to rounding
        return np.inf
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
    return 0.5 * y @ weights + np.sum(np.log(np.diag(factor))) + 0.5 * len(X) * np.log(2.0 * np.pi)


result = optimize(evidence, [0.0, 0.0, -1.0])
print(result.message)
length, height, noise = np.exp(result.x)
print(f"length {length:.3f}, height {height:.3f}, noise {noise:.3f}; minus log evidence {result.fun:.3f}")
print(f"{result.nfev} evaluations, {len(result.problem.tape.paths.known)} way through the function")

at = np.linspace(-0.5, 11.5, 400)
K = height**2 * np.exp(-0.5 * squares / length**2) + noise**2 * np.eye(len(X))
across = height**2 * np.exp(-0.5 * (at[:, None] - X) ** 2 / length**2)
mean = across @ np.linalg.solve(K, y)
band = 2.0 * np.sqrt(height**2 - np.sum(across * np.linalg.solve(K, across.T).T, axis=1))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(X, y, ".", color="0.6", markersize=4, label="300 points")
left.plot(at, mean, color="C0", label="mean of the process")
left.fill_between(at, mean - band, mean + band, color="C0", alpha=0.2, label="two standard deviations")
left.set(xlabel="x", ylabel="y", ylim=(-1.2, 2.2))
left.legend(loc="upper right")

lengths, noises = np.linspace(-1.6, 0.4, 40), np.linspace(-2.4, -1.0, 40)
values = np.array([[evidence(np.array([a, result.x[1], b])) for a in lengths] for b in noises])
levels = [1.15, 3.0, 10.0, 30.0, 100.0, 300.0]
curves = right.contour(np.exp(lengths), np.exp(noises), values - result.fun, levels, colors="0.5", linewidths=1)
right.clabel(curves, fmt="%g")
right.plot(length, noise, "o", color="C1", label="best")
right.set(xlabel="length", ylabel="noise", title="minus log evidence, above the best")
right.legend()
figure.savefig("gaussian_process.png", dpi=100)
print("wrote gaussian_process.png")
