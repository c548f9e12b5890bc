"""Standard errors of a likelihood: ratings from 1 to 4 by an ordered logit, with three kinds of errors and profiles."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from gradopt import optimize, problems, profile, uncertainty
from gradopt.plot import corner

plt.style.use("gradopt.plot.style")
rng = np.random.default_rng(7)
n = 60
price, service = rng.normal(size=n), rng.normal(size=n)
liking = -1.2 * price + 0.8 * service + rng.logistic(size=n)
ratings = 1 + np.sum(liking[:, None] > [-2.5, 0.0, 2.0], axis=1)


def terms(x):
    """Minus the log-likelihood of each rating: two slopes, the lowest threshold, the logarithms of two gaps."""
    z = x[0] * price + x[1] * service
    low, middle = x[2], x[2] + np.exp(x[3])
    high = middle + np.exp(x[4])
    below = [np.zeros(n), expit(low - z), expit(middle - z), expit(high - z), np.ones(n)]
    chance = np.select([ratings == k for k in (1, 2, 3, 4)], [below[k] - below[k - 1] for k in (1, 2, 3, 4)])
    return -np.log(chance)


result = optimize(problems.SumOfTerms(terms, [0.0, 0.0, -1.0, 0.0, 0.0]))
print(result.message)
print(uncertainty(result).summary())
for kind in ("hessian", "opg", "sandwich"):
    print(f"{kind:<9} {uncertainty(result, kind).stderr.round(3)}")
gap, error = uncertainty(result).delta_method(lambda x: np.exp(x[3]))
print(f"the first gap is {gap:.3f} +/- {error:.3f}")
found = profile(result, 3)
low, high = found.wald
print(f"log of it: profile {found.low:.3f} to {found.high:.3f}, by the curvature {low:.3f} to {high:.3f}")

axes = corner(result, parameters=[0, 2, 3, 4])
names = ["price", "threshold", "log gap 1", "log gap 2"]
for i, name in enumerate(names):
    axes[-1, i].set_xlabel(name)
    if i:
        axes[i, 0].set_ylabel(name)
plt.savefig("likelihood.png", dpi=90)
print("wrote likelihood.png")
