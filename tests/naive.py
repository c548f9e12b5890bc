"""Readable NumPy twins of the kernels: what each should compute, written a second time."""

import numpy as np
from scipy import special


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
OUTPUT_LOSSES["quantile"] = lambda z, y: np.mean(np.maximum(0.5 * (z - y), -0.5 * (z - y)))
OUTPUT_LOSSES["poisson"] = lambda z, y: np.mean(np.sum(np.exp(z) - y * z + special.xlogy(y, y) - y, axis=1))


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


# The rules of the methods: generators that take a gradient and yield the step, x <- x - step. x changes in place.


def sgd(x, rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0):
    b, step, k = None, None, 0
    while True:
        g = (yield step) + weight_decay * x
        b = g if b is None else momentum * b + (1 - dampening) * g
        step = rate(k) * (g + momentum * b if nesterov else b if momentum else g)
        k += 1


def adagrad(x, rate, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    s, step, k = initial_accumulator_value, None, 0
    while True:
        g = (yield step) + weight_decay * x
        s = s + g**2
        step = rate(k) / (1 + k * lr_decay) * g / (np.sqrt(s) + eps)
        k += 1


def adadelta(x, rate, rho=0.9, eps=1e-6, weight_decay=0.0):
    v, u, step, k = 0.0, 0.0, None, 0
    while True:
        g = (yield step) + weight_decay * x
        v = rho * v + (1 - rho) * g**2
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        step = rate(k) * d
        k += 1


def rmsprop(x, rate, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    v, a, b, step, k = 0.0, 0.0, 0.0, None, 0
    while True:
        g = (yield step) + weight_decay * x
        v = alpha * v + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - a**2 if centered else v) + eps)
        step = rate(k) * b
        k += 1


def rprop(x, rate, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    last, length, step = 0 * x, np.full_like(x, rate(0)), None
    while True:
        g = yield step
        agreement = np.sign(g * last)
        length = np.clip(length * np.where(agreement > 0, etas[1], np.where(agreement < 0, etas[0], 1)), *step_sizes)
        last = np.where(agreement < 0, 0, g)
        step = np.sign(last) * length


def adam(x, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False):
    m, v, largest, step, t = 0.0, 0.0, 0.0, None, 0
    while True:
        g = yield step
        if not decoupled:
            g = g + weight_decay * x
        t += 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)
        m_hat, v_hat = m / (1 - betas[0] ** t), (largest if amsgrad else v) / (1 - betas[1] ** t)
        step = rate(t - 1) * m_hat / (np.sqrt(v_hat) + eps)
        if decoupled:
            step = step + rate(t - 1) * weight_decay * x


def adamw(x, rate, weight_decay=0.01, **settings):
    return adam(x, rate, weight_decay=weight_decay, decoupled=True, **settings)


def adamax(x, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m, u, step, t = 0.0, 0.0, None, 0
    while True:
        g = (yield step) + weight_decay * x
        t += 1
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)
        step = rate(t - 1) / (1 - betas[0] ** t) * m / u


def nadam(x, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=0.004):
    m, v, product, step, t = 0.0, 0.0, 1.0, None, 0
    while True:
        g = (yield step) + weight_decay * x
        t += 1
        mu, after = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product *= mu
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        step = rate(t - 1) * m_hat / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def radam(x, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m, v, step, t = 0.0, 0.0, None, 0
    limit = 2 / (1 - betas[1]) - 1
    while True:
        g = (yield step) + weight_decay * x
        t += 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, length = m / (1 - betas[0] ** t), limit - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        step = rate(t - 1) * m_hat
        if length > 5:
            r = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            step = step * np.sqrt(r) * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def lion(x, rate, betas=(0.9, 0.99), weight_decay=0.001):
    m, step, k = 0.0, None, 0
    while True:
        g = yield step
        step = rate(k) * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * x)
        m = betas[1] * m + (1 - betas[1]) * g
        k += 1


def polynomial(k, initial, final, steps, power=1.0):
    return final + (initial - final) * (1 - np.minimum(k, steps) / steps) ** power


def warm_restarts(k, initial, period, multiplier=1, final=0.0):
    start, length = 0, period
    while k >= start + length:
        start, length = start + length, length * multiplier
    return final + (initial - final) * (1 + np.cos(np.pi * (k - start) / length)) / 2


def one_cycle(k, maximum, steps, pct_start=0.3, div_factor=25.0, final_div_factor=1e4):
    first = maximum / div_factor
    last = first / final_div_factor
    points, values = [0, pct_start * steps - 1, steps - 1], [first, maximum, last]
    k = min(k, steps - 1)
    i = 0 if k <= points[1] else 1
    share = (k - points[i]) / (points[i + 1] - points[i])
    return values[i + 1] + (values[i] - values[i + 1]) * (1 + np.cos(np.pi * share)) / 2


def cyclic(k, low, high, steps_up, steps_down=None, mode="triangular", gamma=1.0):
    steps_down = steps_down or steps_up
    cycle, since = divmod(k, steps_up + steps_down)
    share = np.interp(since, [0, steps_up, steps_up + steps_down], [0, 1, 0])
    return low + (high - low) * share * {"triangular": 1, "triangular2": 0.5**cycle, "exp_range": gamma**k}[mode]


def quasi_newton_direction(steps, changes, grad, memory):
    """-H grad, with H the matrix of the BFGS formula from the last pairs whose inner product is positive."""
    pairs = [
        (s, y) for s, y in zip(steps, changes, strict=True) if s @ y > 1e-16 * np.linalg.norm(s) * np.linalg.norm(y)
    ]
    pairs = pairs[-memory:]
    s, y = pairs[-1]
    identity = np.eye(grad.size)
    H = (s @ y) / (y @ y) * identity
    for s, y in pairs:
        V = identity - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return -H @ grad


def conjugate_beta(rule, grad, last_grad, d):
    """The weight of the last direction, with Powell's restarts."""
    y = grad - last_grad
    if abs(grad @ last_grad) >= 0.2 * grad @ grad:
        return 0.0
    return {
        "polak-ribiere+": max(0.0, grad @ y / (last_grad @ last_grad)),
        "fletcher-reeves": grad @ grad / (last_grad @ last_grad),
        "hestenes-stiefel": max(0.0, grad @ y / (d @ y)),
        "dai-yuan": grad @ grad / (d @ y),
    }[rule]
