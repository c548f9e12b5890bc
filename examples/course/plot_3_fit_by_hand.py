"""
3. A fit by hand, in seven steps
================================

A model has parameters, and data say how wrong it is. To fit is to minimise that.
"""

# %%
# **Step 1: data.** A parabola with noise.

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)
t = np.linspace(-1.0, 2.0, 40)
y = 1.5 * t**2 - 2.0 * t + 0.5 + 0.3 * rng.normal(size=40)

# %%
# **Step 2: a model**, with parameters that we do not know. **Step 3: a start.**


def model(params):
    return params[0] * t**2 + params[1] * t + params[2]


params = np.zeros(3)

# %%
# **Step 4: a loss**, the mean of the squared residuals. **Step 5: its slope** along each parameter: by the chain
# rule, twice the mean of the residual times what the parameter is multiplied by.


def loss(params):
    return np.mean((model(params) - y) ** 2)


def slope(params):
    residual = model(params) - y
    return np.array([2.0 * np.mean(residual * t**2), 2.0 * np.mean(residual * t), 2.0 * np.mean(residual)])


# %%
# **Step 6: steps**, each against the slope. **Step 7: look** whether the loss still falls.

for step in range(2001):
    if step in (0, 10, 100, 1000, 2000):
        print(f"step {step:4d}: loss {loss(params):.4f}, parameters {params.round(3)}")
    params = params - 0.1 * slope(params)

# %%
# The seven steps are what ``optimize`` does. A slope by hand can be wrong; ``check_gradient`` compares it with finite
# differences.

import gradopt
from gradopt import SGD, optimize, plot, problems

print(gradopt.check_gradient(loss, [1.0, 1.0, 1.0], jac=slope))
by_gradopt = optimize(loss, np.zeros(3), jac=slope, method=SGD(0.1), max_iter=2000, gtol=0)
print("the same parameters:", np.allclose(by_gradopt.x, params, atol=1e-3))

# %%
# The slope need not be written at all. gradopt takes it from the NumPy operations of ``loss``, and a method that
# knows how curved the loss is needs a handful of steps.

result = optimize(loss, np.zeros(3))
print(result.nit, "updates by L-BFGS:", result.x.round(3))

# %%
# The fit approaches its data.

problem = problems.PolynomialFit(t, y, degree=2)
run = optimize(problem, method=SGD(0.1), max_iter=600, gtol=0, record="x")
film = plot.animate(run, frames=60)

# %%
# And how sure are the parameters? That is a question for ``curve_fit``.

fit = gradopt.curve_fit(lambda t, a, b, c: a * t**2 + b * t + c, t, y)
print(fit)
axes = fit.plot()
plt.show()
