"""Readable NumPy twins of the kernels: what each should compute, written a second time."""

import numpy as np
from scipy import special


def sgd(grad, x, steps, rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0):
    """The iterates of gradient descent with momentum; rate is a function of k."""
    x = x.copy()
    path, velocity = [x.copy()], None
    for k in range(steps):
        g = grad(x)
        g = g + (weight_decay * x).astype(x.dtype)
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            direction = g + momentum * velocity if nesterov else velocity
        else:
            direction = g
        x = (x - rate(k) * direction).astype(x.dtype)
        path.append(x.copy())
    return np.array(path)


def rosenbrock(x, a=1.0, b=100.0):
    return np.sum(b * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2)


def rosenbrock_grad(x, a=1.0, b=100.0):
    grad = np.zeros_like(x)
    grad[:-1] += -4 * b * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (a - x[:-1])
    grad[1:] += 2 * b * (x[1:] - x[:-1] ** 2)
    return grad


def quadratic(x, A, b, c):
    return 0.5 * x @ A @ x - b @ x + c


def double_well(x, tilt):
    return (x[0] ** 2 - 1) ** 2 + tilt * x[0]


LOSSES = {
    "mse": lambda r: np.mean(r**2),
    "mae": lambda r: np.mean(np.abs(r)),
    "rmse": lambda r: np.sqrt(np.mean(r**2)),
    "half_squared_error": lambda r: np.mean(r**2) / 2,
    "huber": lambda r: np.mean(np.where(np.abs(r) <= 1, r**2 / 2, np.abs(r) - 0.5)),
}


def polynomial_fit(x, t, y, loss):
    return LOSSES[loss](np.polyval(x, t) - y)


def inverse_time(k, initial, decay):
    return initial / (1 + decay * k)


def exponential(k, initial, rate, steps=1, staircase=False):
    return initial * rate ** (k // steps if staircase else k / steps)


def step_decay(k, initial, every, factor=0.1):
    return initial * factor ** (k // every)


def piecewise(k, values, boundaries):
    return np.asarray(values)[np.searchsorted(boundaries, k, side="right")]


def cosine(k, initial, steps, final=0.0):
    return final + (initial - final) * (1 + np.cos(np.pi * np.minimum(k, steps) / steps)) / 2


def warmup(k, after, steps, start_factor=0.0):
    ramp = after(np.zeros_like(k)) * (start_factor + (1 - start_factor) * k / steps)
    return np.where(k < steps, ramp, after(np.maximum(k - steps, 0)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z >= 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": lambda z: np.logaddexp(0, z),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * sigmoid(z),
}


def activations(layers, names, X):
    """The output of every layer; layers are (weight, bias or None)."""
    outputs = []
    for (weight, bias), name in zip(layers, names, strict=True):
        X = ACTIVATIONS[name](X @ weight + (0 if bias is None else bias))
        outputs.append(X)
    return outputs


def cross_entropy(z, labels):
    z = z - z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels])


def binary_cross_entropy(z, t):
    return np.mean(np.logaddexp(0, z) - t * z)


OUTPUT_LOSSES = {name: (lambda z, y, loss=loss: loss(z - y)) for name, loss in LOSSES.items()}
OUTPUT_LOSSES["half_squared_error"] = lambda z, y: np.mean(np.sum((z - y) ** 2, axis=1)) / 2
OUTPUT_LOSSES["binary_cross_entropy"] = binary_cross_entropy


def tanh_network_gradient(layers, X, labels):
    """Backpropagation for tanh hidden layers and softmax cross-entropy, as the textbook writes it."""
    names = ["tanh"] * (len(layers) - 1) + ["identity"]
    outputs = [X, *activations(layers, names, X)]
    p = np.exp(outputs[-1] - outputs[-1].max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    delta = (p - np.eye(p.shape[1])[labels]) / len(X)
    gradient = []
    for i in range(len(layers) - 1, -1, -1):
        gradient[:0] = [(outputs[i].T @ delta).ravel(), delta.sum(axis=0)]
        if i:
            delta = (delta @ layers[i][0].T) * (1 - outputs[i] ** 2)
    return np.concatenate(gradient)
