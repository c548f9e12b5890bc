"""The volatility of returns by GARCH(1, 1): a likelihood with a recursion, from data to its picture."""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import gradopt

plt.style.use("gradopt.plot.style")
TRUE, START = np.array([2e-6, 0.08, 0.90]), np.array([1e-5, 0.05, 0.80])  # omega, alpha, beta
BOUNDS = [(1e-8, None), (0.0, 1.0), (0.0, 1.0)]


def simulated(parameters, days, rng):
    omega, alpha, beta = parameters
    returns, variance = np.zeros(days), omega / (1.0 - alpha - beta)
    for t in range(days):
        returns[t] = np.sqrt(variance) * rng.normal()
        variance = omega + alpha * returns[t] ** 2 + beta * variance
    return returns


def variances(parameters, returns):
    omega, alpha, beta = parameters
    variance = np.full(len(returns), np.var(returns))
    for t in range(1, len(returns)):
        variance[t] = omega + alpha * returns[t - 1] ** 2 + beta * variance[t - 1]
    return variance


def loss(parameters, returns):
    variance = variances(parameters, returns)
    return 0.5 * np.mean(np.log(variance) + returns**2 / variance)


returns = simulated(TRUE, 1000, np.random.default_rng(3))
gradopt.optimize(loss, START, args=(returns[:9],), bounds=BOUNDS, max_iter=1)  # what is loaded once is loaded here
for name, run in {
    "gradopt": lambda data: gradopt.optimize(loss, START, args=(data,), bounds=BOUNDS, gtol=1e-7),
    "gradopt, other returns": lambda data: gradopt.optimize(loss, START, args=(data[::-1].copy(),), bounds=BOUNDS),
    "scipy, by differences": lambda data: minimize(loss, START, args=(data,), bounds=BOUNDS, method="L-BFGS-B"),
}.items():
    begin = perf_counter()
    result = run(returns)
    print(f"{name:22s} {1e3 * (perf_counter() - begin):7.1f} ms, loss {result.fun:.6f}, {result.message}")
    if name == "gradopt":
        fit = result
print(f"omega {fit.x[0]:.2e}, alpha {fit.x[1]:.3f}, beta {fit.x[2]:.3f}")
_, (above, below) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
above.plot(100 * returns, linewidth=0.6, color="0.4")
above.set(ylabel="return, % a day", title="GARCH(1, 1) by maximum likelihood")
below.plot(100 * np.sqrt(variances(TRUE, returns)), color="0.7", linewidth=3, label="true")
below.plot(100 * np.sqrt(variances(fit.x, returns)), color="C0", linewidth=1, label="fitted")
below.set(xlabel="day", ylabel="volatility, % a day")
below.legend(loc="upper right", ncols=2)
plt.savefig("volatility.png", dpi=100)
print("wrote volatility.png")
