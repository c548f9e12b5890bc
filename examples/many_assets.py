"""Five thousand series of returns, a heavy-tailed distribution fitted to each: optimize_many, beside scipy's loop."""

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

from gradopt import optimize_many

plt.style.use("gradopt.plot.style")
NU = 4.0  # degrees of freedom of Student's t


def minus_log_likelihood(p, returns):
    """Location p[0] and logarithm p[1] of the scale, up to a constant."""
    z = (returns - p[0]) / np.exp(p[1])
    return p[1] + 0.5 * (NU + 1.0) * np.mean(np.log1p(z * z / NU))


rng = np.random.default_rng(0)
assets, days = 5_000, 250
scale = rng.gamma(8.0, 0.15, assets)
drift = rng.normal(0.05, 0.08, assets)
returns = drift[:, None] + scale[:, None] * rng.standard_t(NU, (assets, days))  # percent a day
returns[17] = np.nan  # a series that is missing

start = np.array([0.0, 0.0])
optimize_many(minus_log_likelihood, start, args=(returns[:2],), in_axes=(0,))  # loads the kernels
begin = time.perf_counter()
runs = optimize_many(minus_log_likelihood, start, args=(returns,), in_axes=(0,))
ours = (time.perf_counter() - begin) / assets
print(runs.summary())

begin = time.perf_counter()
few = [minimize(minus_log_likelihood, start, args=(series,)) for series in returns[100:200]]
theirs = (time.perf_counter() - begin) / len(few)
apart = np.abs(np.array([one.x for one in few]) - runs.x[100:200]).max()
print(f"{1 / ours:,.0f} series a second; scipy.optimize.minimize {1 / theirs:,.0f}, at most {apart:.0e} apart")
found = np.exp(runs.x[:, 1])
print(f"scales off by {100 * np.nanmedian(np.abs(found / scale - 1)):.1f} % in the median")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(scale, found, ".", ms=2, alpha=0.4, label="a series of 250 days")
left.axline((1, 1), slope=1, color="k", lw=1, label="where both are equal")
left.set(xlabel="true scale, % a day", ylabel="fitted scale, % a day", title="5 000 series")
left.legend(loc="upper left", markerscale=4)
right.hist(np.mean(returns, axis=1) - drift, 60, histtype="step", label="mean")
right.hist(runs.x[:, 0] - drift, 60, histtype="step", label="fitted location")
right.set(
    xlabel="estimate minus drift, % a day", ylabel="number of series", title="outliers disturb it less than the mean"
)
right.legend(loc="upper left")
plt.savefig("many_assets.png", dpi=110)
print("wrote many_assets.png")
