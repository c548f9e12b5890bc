"""
5. Backpropagation, layer by layer
==================================

A network is layers, one after the other. Its slope goes the way back: from the loss to the last layer, from there to
the layer before.
"""

# %%
# A network with two hidden layers, and a question for it: which half of the inputs is longer?

import time

import matplotlib.pyplot as plt
import numpy as np

import gradopt
from gradopt import SGD, Network, optimize, problems

plt.style.use("gradopt.plot.style")
rng = np.random.default_rng(3)
X = rng.normal(size=(256, 16))
y = (np.sum(X[:, :8] ** 2, axis=1) > np.sum(X[:, 8:] ** 2, axis=1)).astype(int)
network = Network.mlp([16, 8, 4, 2], activation="tanh")
theta = network.init(rng=0)

# %%
# **Forward**: each layer multiplies by its weights, adds its biases, and bends the result by tanh.

outputs, inputs = X, []
for (W, b), last in zip(network.layers_of(theta), (False, False, True), strict=True):
    inputs.append(outputs)
    outputs = outputs @ W + b if last else np.tanh(outputs @ W + b)
print("the same as network.forward:", np.allclose(outputs, network.forward(theta, X)))

# %%
# **The loss**: softmax makes probabilities of the outputs, and the loss is minus the logarithm of the one of the
# right class. Its slope along the outputs is simply: probability minus 1 for the right class, probability for the
# other.

p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
print(f"loss {-np.log(p[np.arange(256), y]).mean():.6f}")
delta = (p - np.eye(2)[y]) / len(X)

# %%
# **Backward**: the slope along a layer's weights is inputs' delta; along its inputs it is delta W', which becomes the
# delta of the layer before, times the slope of tanh there, 1 - tanh**2.

gradient = np.zeros_like(theta)
layers = list(zip(network.layers_of(theta), network.layers_of(gradient), inputs, strict=True))
for number, ((W, _), (dW, db), layer_inputs) in reversed(list(enumerate(layers))):
    dW[:], db[:] = layer_inputs.T @ delta, delta.sum(axis=0)
    print(f"layer {number}: norm of dW {np.linalg.norm(dW):.5f}")
    if number > 0:
        delta = (delta @ W.T) * (1.0 - layer_inputs**2)
problem = problems.Classifier(network, X, y)
print("the same as problem.grad:", np.allclose(gradient, problem.grad(theta)))

# %%
# **Is it right?** Finite differences answer for any function: move one parameter a little, and see how the loss
# changes.

print(gradopt.check_gradient(problem, theta))

# %%
# **Why not always differences?** They need two evaluations for each parameter: the naive strategy. Backpropagation
# needs about three for all of them.


def naive(theta, step=1e-6):
    moves = step * np.eye(theta.size)
    return np.array([(problem.value(theta + move) - problem.value(theta - move)) / (2 * step) for move in moves])


def seconds(function):
    started = time.perf_counter()
    function(theta)
    return time.perf_counter() - started


problem.grad(theta)  # compiled once
ratio = seconds(naive) / min(seconds(problem.grad) for _ in range(9))
print(f"{network.n} parameters: differences take {ratio:.0f} times as long")

# %%
# **Learn**: a step against the slope, batch by batch.

result = optimize(problem, theta, method=SGD(0.2), batch_size=32, epochs=60, rng=1)
print(f"{problem.score(result.x, X, y):.1%} of the rows are right")
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(result.history.nit / 8, result.history.fun)
axes.set(xlabel="epoch", ylabel="loss, the mean cross-entropy", title="16-8-4-2, batches of 32")
plt.show()
