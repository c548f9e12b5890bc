"""A likelihood of one's own, minimised as it stands in NumPy; and by jax, torch and scipy where they are there."""

from importlib import import_module, util
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer

import gradopt

X, labels = load_breast_cancer(return_X_y=True)
X, sign = (X - X.mean(axis=0)) / X.std(axis=0), 2.0 * labels - 1.0
START = np.zeros(X.shape[1] + 1)


def loss(w, X, sign, np=np):
    """Logistic regression: minus the mean log-likelihood, with a penalty on the weights."""
    margin = sign * (X @ w[:-1] + w[-1])
    return np.mean(np.log1p(np.exp(-margin))) + 0.001 * np.sum(w[:-1] ** 2)


def jaxs(jax):
    jax.config.update("jax_enable_x64", True)
    return jax.jit(jax.value_and_grad(lambda w: loss(w, X, sign, jax.numpy)))


def torchs(torch):
    def both(w):
        w = torch.tensor(w, requires_grad=True)
        value = loss(w, torch.tensor(X), torch.tensor(sign), torch)
        return value.item(), torch.autograd.grad(value, w)[0].numpy()

    return both


def trail(run, *given, **how):
    """Seconds since the function was handed over, and the loss then, after each update."""
    seen, begin = [], perf_counter()
    run(*given, callback=lambda intermediate_result: seen.append((perf_counter(), intermediate_result.fun)), **how)
    return np.array(seen).T - [[begin], [0.0]]


plain = {"method": "L-BFGS-B", "options": {"gtol": 1e-8, "ftol": 1e-15, "maxiter": 500, "maxfun": 100_000}}
best = gradopt.optimize(loss, START, args=(X, sign), gtol=1e-12, ftol=0).fun  # this one loads the kernels
runs = {"gradopt": trail(gradopt.optimize, loss, START, args=(X, sign), gtol=1e-8, ftol=0)}
for name, made in {"jax": jaxs, "torch": torchs}.items():
    if util.find_spec(name):
        runs[f"{name} in scipy"] = trail(minimize, made(import_module(name)), START, jac=True, **plain)
runs["scipy, no gradient"] = trail(minimize, loss, START, args=(X, sign), **plain)
for name, (seconds, fun) in runs.items():
    first, last = (1e3 * seconds[np.argmax(fun - best < accuracy)] for accuracy in (1e-1, 1e-12))
    print(f"{name:20s} loss {fun[-1]:.10f}  first digit after {first:8.2f} ms, last after {last:8.2f} ms")
    plt.loglog(1e3 * seconds, np.maximum(fun - best, 1e-16), label=name)
plt.xlabel("milliseconds since the function was handed over")
plt.legend(title="loss above the minimum")
plt.savefig("any_numpy_function.png", dpi=120)
