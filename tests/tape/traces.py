"""What the tests of traces share: functions, and how gradients are compared."""

import numpy as np

from functions_to_trace import COMPLEX, OTHERS, SMOOTH
from library_functions_to_trace import DISTRIBUTIONS, MATRICES, SPECIAL

OF_NUMPY = SMOOTH | OTHERS | COMPLEX
OF_LIBRARIES = MATRICES | SPECIAL | DISTRIBUTIONS
FUNCTIONS = OF_NUMPY | OF_LIBRARIES


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def complex_step(f, x):
    return np.array([f(x + 1e-20j * row).imag * 1e20 for row in np.eye(x.size)])


def close(grad, wanted, tolerance):
    return np.max(np.abs(grad - wanted)) <= tolerance * max(1e-12, np.max(np.abs(wanted)))


def logistic_loss(w, X, y, strength):
    return np.mean(np.logaddexp(0.0, -y * (X @ w))) + strength * np.sum(w**2)
