"""A search for false successes: many runs on objectives of all kinds, each success checked by other means.

A success by GTOL is checked by differences in extended precision; one by FTOL by minimisers of scipy that start there
and may gain at most 100 ftol max(abs(f), 1). `python tests/false_success.py 10000` runs that many; a seed and the
routes may follow: `python tests/false_success.py 1500 3 trace`.
"""

import sys
import warnings
from collections import Counter

import numpy as np
from scipy import optimize as scipy_optimize

from gradopt import LBFGS, Adam, NonlinearCG, Status, TraceError, optimize

GTOL = 1e-5


def quadratic(x, A, b):
    return 0.5 * np.sum(x * (A @ x)) - np.sum(b * x)


def shifted_quadratic(x, A, b):
    return 1e6 + np.sum((A @ x - b) ** 2)


def valley(x, A, b):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2) + np.sum((1.0 - x[:-1]) ** 2)


def small_units(x, A, b):
    return np.sum((A @ (x * 1e6) - b) ** 2)


def tiny_values(x, A, b):
    return 1e-9 * np.sum((A @ x - b) ** 2)


def quartic(x, A, b):
    return np.sum((A @ x - b) ** 4)


def soft_maximum(x, A, b):
    return np.log(np.sum(np.exp(A @ x - b))) + 0.05 * np.sum(x**2)


def logit(x, A, b):
    return np.sum(np.logaddexp(0.0, A @ x) - (b > 0) * (A @ x)) + 0.01 * np.sum(x**2)


def waves(x, A, b):
    return np.sum(np.sin(A @ x)) + 0.1 * np.sum((x - b[: x.size]) ** 2)


def lasso(x, A, b):
    return 0.5 * np.sum((A @ x - b) ** 2) + 0.7 * np.sum(np.abs(x))


def absolute_deviations(x, A, b):
    return np.sum(np.abs(A @ x - b))


def roots(x, A, b):
    return np.sum(np.sqrt(np.abs(x)))


def largest(x, A, b):
    return np.max(np.abs(A @ x - b))


def hinge(x, A, b):
    return np.sum(np.maximum(0.0, 1.0 - np.sign(b) * (A @ x))) + 0.01 * np.sum(x**2)


def edge_of_a_valley(x, A, b):
    return np.abs(x[0]) + 0.01 * np.sum((x[1:] - 5.0) ** 2)


def naive_logit(x, A, b):
    p = np.exp(5.0 * (A @ x)) / (1.0 + np.exp(5.0 * (A @ x)))
    return -np.sum((b > 0) * np.log(p) + (b <= 0) * np.log(1.0 - p))


def barrier(x, A, b):
    return -np.sum(np.log(1.0 - x**2)) + 3.0 * np.sum(b[: x.size] * x)


def only_positive(x, A, b):
    return np.sum(np.sqrt(x) * (x - 0.7) + 0.1 / x)


def normal_sample(x, A, b):
    return np.sum(np.log(x[1]) + 0.5 * ((b - x[0]) / x[1]) ** 2) + np.sum(x[2:] ** 2)


def linear(x, A, b):
    return np.sum(x * b[: x.size])


def saddle(x, A, b):
    return x[0] ** 2 - np.sum(x[1:] ** 2)


def downhill_for_ever(x, A, b):
    return np.sum(np.exp(-x)) - np.sum(x)


KINDS = {
    "smooth": [quadratic, valley, quartic, soft_maximum, logit, waves],
    "badly scaled": [shifted_quadratic, small_units, tiny_values],
    "kinked": [lasso, absolute_deviations, roots, largest, hinge, edge_of_a_valley],
    "walled": [naive_logit, barrier, only_positive, normal_sample],
    "unbounded": [linear, saddle, downhill_for_ever],
}
ROUTES = ["trace", "3-point"]
SEVERAL_MINIMA = [valley, waves, saddle]


def drawn(rng):
    """A run, drawn at random: (kind, function, its data, the arguments of `optimize`)."""
    kind = list(KINDS)[rng.integers(len(KINDS))]
    function = KINDS[kind][rng.integers(len(KINDS[kind]))]
    n = int(rng.integers(2, 7))
    A, b = rng.normal(size=(2 * n, n)) * 10.0 ** rng.uniform(-1.5, 1.5, n), rng.normal(size=2 * n)
    if function is quadratic:
        A, b = A.T @ A, b[:n]
    x0 = rng.normal(size=n)
    if function in (only_positive, normal_sample):
        x0 = np.abs(x0) + 0.1
    elif function is barrier:
        x0 = np.tanh(x0) * 0.9
    elif function is small_units:
        x0 *= 1e-6
    arguments = {"args": (A, b), "jac": ROUTES[rng.integers(len(ROUTES))], "max_iter": 2000, "record": None}
    dtype = np.float32 if rng.random() < 0.2 else np.float64
    if rng.random() < 0.4:
        width = np.abs(rng.normal(size=(2, n))) * (1e-6 if function is small_units else 1.0)
        sides = rng.random((2, n)) < 0.6
        arguments["bounds"] = scipy_optimize.Bounds(
            np.where(sides[0], x0 - width[0], -np.inf), np.where(sides[1], x0 + width[1], np.inf)
        )
    arguments["method"] = LBFGS() if "bounds" in arguments or rng.random() < 0.7 else NonlinearCG()
    if "bounds" not in arguments and rng.random() < 0.1:
        arguments["method"] = Adam(0.05)
    return kind, function, x0.astype(dtype), arguments


def gradient(function, x, data):
    """Central differences in extended precision, and their error."""
    data, x = [part.astype(np.longdouble) for part in data], x.astype(np.longdouble)
    grad, errors = np.empty(x.size), np.empty(x.size)
    for j in range(x.size):
        slopes = []
        for length in (1e-5, 2e-5):
            step = np.zeros_like(x)
            step[j] = length * max(abs(x[j]), 1e-9)
            slopes.append((function(x + step, *data) - function(x - step, *data)) / (2.0 * step[j]))
        grad[j], errors[j] = slopes[0], abs(slopes[1] - slopes[0])
        errors[j] += 10.0 * np.finfo(np.longdouble).eps * abs(function(x, *data)) / abs(step[j])
    return grad, errors.max()


def gain(function, x, data, bounds):
    """What minimisers of scipy gain from x, at most."""
    x = x.astype(float)
    here = function(x, *data)
    lowest = here

    def seen(point):
        nonlocal lowest
        value = function(point, *data)
        if np.isfinite(value) and (bounds is None or ((point >= bounds.lb).all() and (point <= bounds.ub).all())):
            lowest = min(lowest, value)
        return value if np.isfinite(value) else 1e300

    for method in ("L-BFGS-B", "Nelder-Mead", "Powell"):
        if method == "Powell" and function in SEVERAL_MINIMA:  # it leaves the valley it starts in
            continue
        options = {"maxiter": 400} if method == "L-BFGS-B" else {"maxfev": 1500}
        scipy_optimize.minimize(seen, x, method=method, bounds=bounds, options=options)
    return here - lowest


def what_is_false(function, x0, result, arguments):
    """Why a success is none, or None."""
    data, bounds = arguments["args"], arguments.get("bounds")
    x = result.x
    eps = float(np.finfo(x.dtype).eps)
    if bounds is not None and not ((bounds.lb <= x + 8 * eps).all() and (x - 8 * eps <= bounds.ub).all()):
        return "x is outside of the bounds"
    if not np.isfinite(result.fun) or result.best_fun > result.fun:
        return f"fun {result.fun}, best_fun {result.best_fun}"
    if result.status == Status.GTOL:
        grad, error = gradient(function, x, data)
        if bounds is not None:
            low, high = bounds.lb.astype(x.dtype), bounds.ub.astype(x.dtype)
            held = (low == high) | ((x <= low) & (result.jac > 0)) | ((x >= high) & (result.jac < 0))
            grad = np.where(held, 0.0, grad)
        # What the gradient of the route can't know: rounding, and the error of differences.
        noise = eps ** (2 / 3 if arguments["jac"] == "3-point" else 1) * 1e3 * max(abs(result.fun), 1.0)
        noise *= 1e6 if function is small_units else 1.0
        if not np.abs(grad).max() <= GTOL * (1.0 + 1e-6) + noise + error:
            return f"gradient {np.abs(grad).max():.2g}"
    if result.status == Status.FTOL:
        gained, allowed = gain(function, x, data, bounds), 1000.0 * eps * max(abs(result.fun), 1.0)
        if not gained <= allowed:
            return f"scipy gains {gained:.2g}, {gained / allowed:.1f} times what is allowed"
    return None


def search(runs, seed):
    """The false successes of so many runs, and the counts of the statuses by kind."""
    rng, found, counts = np.random.default_rng(seed), [], Counter()
    for run in range(runs):
        kind, function, x0, arguments = drawn(rng)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                result = optimize(function, x0, **arguments)
            except TraceError:  # float32 is not enough for its value at the start
                continue
            reason = what_is_false(function, x0, result, arguments) if result.success else None
        counts[kind, result.status.name] += 1
        if reason is not None:
            method, route = arguments["method"], arguments["jac"]
            inside = "in bounds" if "bounds" in arguments else "free"
            found.append(f"{run}: {function.__name__} n={x0.size} {x0.dtype} {method} {route} {inside}: {reason}")
    return found, counts


if __name__ == "__main__":
    ROUTES[:] = sys.argv[3:] or ROUTES
    false, counted = search(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for (kind, status), count in sorted(counted.items()):
        print(f"{kind:14} {status:12} {count}")
    print(*false, f"{len(false)} false successes", sep="\n")
