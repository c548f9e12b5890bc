"""Logistic regression with a penalty, minimised as it stands in NumPy; and by jax, torch and scipy where there."""

import gc
import os

os.environ |= {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1"}  # one thread each
from importlib import import_module, util
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer

import gradopt

plt.style.use("gradopt.plot.style")
X, labels = load_breast_cancer(return_X_y=True)
X, sign = (X - X.mean(axis=0)) / X.std(axis=0), 2.0 * labels - 1.0
START = np.zeros(X.shape[1] + 1)
SCIPYS = {"method": "L-BFGS-B", "options": {"gtol": 1e-8, "ftol": 1e-15, "maxiter": 500, "maxfun": 100_000}}


def loss(w, X, sign, np=np):
    return np.mean(np.log1p(np.exp(-sign * (X @ w[:-1] + w[-1])))) + 0.001 * np.sum(w[:-1] ** 2)


def with_gradient(name, fun):
    peer = import_module(name)

    def both(w):
        w = peer.tensor(w, requires_grad=True)
        value = fun(w, peer.tensor(X), peer.tensor(sign), peer)
        return value.item(), peer.autograd.grad(value, w)[0].numpy()

    return both if name == "torch" else peer.jit(peer.value_and_grad(lambda w: fun(w, X, sign, peer.numpy)))


runs, axes = {}, plt.figure(layout="constrained").add_subplot()
for name in filter(util.find_spec, ["gradopt", "jax", "torch", "scipy"]):
    for fun in (lambda *given: 2.0 * loss(*given), loss):  # another one first: what is loaded once is loaded then
        gc.collect()  # else in one race or another
        seen, begin = [], perf_counter()
        observe = {"callback": lambda intermediate_result: seen.append((perf_counter(), intermediate_result.fun))}  # noqa: B023
        if name == "gradopt":
            gradopt.optimize(fun, START, args=(X, sign), gtol=1e-8, ftol=0, **observe)
        elif name == "scipy":
            minimize(fun, START, args=(X, sign), **SCIPYS, **observe)
        else:
            minimize(with_gradient(name, fun), START, jac=True, **SCIPYS, **observe)
    runs[name] = np.array(seen).T - [[begin], [0.0]]
for name, (seconds, fun) in runs.items():
    above = fun - min(fun.min() for _, fun in runs.values())
    print(f"{name:8s} loss {fun[-1]:.10f}, last digit after {1e3 * seconds[np.argmax(above < 1e-12)]:8.2f} ms")
    axes.loglog(1e3 * seconds, np.maximum(above, 1e-16), label=name)
axes.set(xlim=(1, 1000), xlabel="milliseconds since the function was handed over", ylabel="loss above the minimum")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.savefig("any_numpy_function.png", dpi=120)
print("wrote any_numpy_function.png")
