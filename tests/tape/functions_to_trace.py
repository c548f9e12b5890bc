"""Functions f(np, x) for the tests of traces, with NumPy or jax.numpy as np; of 12 numbers between 0.2 and 0.9."""

import numpy

A = numpy.linspace(-1.0, 1.0, 144).reshape(12, 12)
B = numpy.cos(numpy.arange(48.0)).reshape(12, 4)
C = numpy.sin(numpy.arange(12.0))
MASK = C > 0
PLACES = numpy.array([3, 1, 1, 11, 0, -1])

# Those that are analytic, so that the complex step is right.
SMOOTH = {
    "add": lambda np, x: np.sum(x + C + 2.0),
    "subtract": lambda np, x: np.sum((x - C) * (3.0 - x)),
    "multiply": lambda np, x: np.sum(x * x * C),
    "divide": lambda np, x: np.sum(C / x + x / 3.0 + x / (1.0 + x)),
    "negative": lambda np, x: np.sum(-x * x),
    "square": lambda np, x: np.sum(np.square(x)),
    "reciprocal": lambda np, x: np.sum(np.reciprocal(x)),
    "powers": lambda np, x: np.sum(x**2 + x**3 + x**4 + x**0.5 + x**-1 + x**-2 + x**1.7 + x**7 + x**1),
    "power of constant": lambda np, x: np.sum(2.0**x),
    "power of traced": lambda np, x: np.sum(x ** x[::-1]),
    "power function": lambda np, x: np.sum(np.power(x, 2.5)),
    "sqrt": lambda np, x: np.sum(np.sqrt(x)),
    "exp": lambda np, x: np.sum(np.exp(x)),
    "expm1": lambda np, x: np.sum(np.expm1(x)),
    "log": lambda np, x: np.sum(np.log(x)),
    "log1p": lambda np, x: np.sum(np.log1p(x)),
    "log2 and log10": lambda np, x: np.sum(np.log2(x) * np.log10(x)),
    "exp2": lambda np, x: np.sum(np.exp2(x)),
    "sin": lambda np, x: np.sum(np.sin(x)),
    "cos": lambda np, x: np.sum(np.cos(x)),
    "tan": lambda np, x: np.sum(np.tan(x)),
    "arcsin": lambda np, x: np.sum(np.arcsin(x)),
    "arccos": lambda np, x: np.sum(np.arccos(x)),
    "arctan": lambda np, x: np.sum(np.arctan(x)),
    "sinh": lambda np, x: np.sum(np.sinh(x)),
    "cosh": lambda np, x: np.sum(np.cosh(x)),
    "tanh": lambda np, x: np.sum(np.tanh(x)),
    "arcsinh": lambda np, x: np.sum(np.arcsinh(x)),
    "arccosh": lambda np, x: np.sum(np.arccosh(1.5 + x)),
    "arctanh": lambda np, x: np.sum(np.arctanh(x)),
    "sum by axis": lambda np, x: np.sum(np.sum(x.reshape(3, 4), axis=0) ** 2 * C[:4]),
    "sum by last axis": lambda np, x: np.sum(np.sum(x.reshape(3, 4), axis=-1) ** 3),
    "sum by two axes": lambda np, x: np.sum(np.sum(x.reshape(2, 3, 2), axis=(0, 2)) ** 2),
    "sum that keeps dimensions": lambda np, x: np.sum(
        x.reshape(3, 4) / np.sum(x.reshape(3, 4), 1, keepdims=True) * B[:3]
    ),
    "mean": lambda np, x: np.mean(x**2) + np.sum(np.mean(x.reshape(3, 4), axis=1) ** 2),
    "prod": lambda np, x: np.prod(x) + np.sum(np.prod(x.reshape(3, 4), axis=0)),
    "prod by two axes": lambda np, x: np.sum(np.prod(x.reshape(2, 3, 2), axis=(0, 2)) * C[:3]),
    "cumsum": lambda np, x: np.sum(np.cumsum(x) ** 2),
    "cumsum by axis": lambda np, x: np.sum(np.cumsum(x.reshape(3, 4), axis=0) ** 2 + np.cumsum(x.reshape(3, 4), 1)),
    "diff": lambda np, x: np.sum(np.diff(x) ** 2) + np.sum(np.diff(x, n=2) ** 2),
    "diff by axis": lambda np, x: np.sum(np.diff(x.reshape(3, 4), axis=0) ** 2),
    "dot of vectors": lambda np, x: np.dot(x, C) * np.dot(x, x),
    "matrix by vector": lambda np, x: np.sum((A @ x) ** 2),
    "vector by matrix": lambda np, x: np.sum((x @ B) ** 2),
    "matrix by matrix": lambda np, x: np.sum((x.reshape(3, 4) @ x.reshape(4, 3)) ** 2),
    "matrix by its transpose": lambda np, x: np.sum((x.reshape(3, 4) @ x.reshape(3, 4).T) ** 2 * C[:9].reshape(3, 3)),
    "larger matrices": lambda np, x: np.sum(np.sin(np.outer(x, C) @ np.outer(C, x))),
    "matmul of slices": lambda np, x: np.sum((x.reshape(3, 4)[:, ::2] @ x.reshape(3, 4)[::2, :2]) ** 2),
    "matmul of batches": lambda np, x: np.sum((x.reshape(2, 2, 3) @ x.reshape(2, 3, 2)) ** 2),
    "quadratic form": lambda np, x: x @ A @ x,
    "outer": lambda np, x: np.sum(np.outer(x, x[:5]) ** 2 * A[:, :5]),
    "inner": lambda np, x: np.inner(x, C) * np.inner(x.reshape(3, 4), B[0])[1],
    "tensordot": lambda np, x: np.sum(np.tensordot(x.reshape(3, 4), B.reshape(4, 12), axes=([1], [0])) ** 2),
    "norm": lambda np, x: np.sqrt(np.sum((x - C) ** 2)) * np.sum(x),
    "einsum, a product": lambda np, x: np.sum(np.einsum("ij,jk->ik", x.reshape(3, 4), B.reshape(4, 12)) ** 2),
    "einsum, a trace": lambda np, x: np.einsum("ii->", np.outer(x, C)),
    "einsum, batches": lambda np, x: np.sum(np.einsum("bij,bj->bi", x.reshape(2, 3, 2), x.reshape(2, 6)[:, :2]) ** 2),
    "einsum, three": lambda np, x: np.einsum("i,ij,j", x, A, x),
    "einsum, turned": lambda np, x: np.sum(np.einsum("ij->ji", x.reshape(3, 4)) * B[:4, :3]),
    "slices": lambda np, x: np.sum((x[1:] - x[:-1] ** 2) ** 2 + x[::2][:3].sum() * x[5]),
    "slices backwards": lambda np, x: np.sum(x[::-1] * C + x[10:1:-2].sum()),
    "slices of slices": lambda np, x: np.sum(x[2:][::3][1:] ** 2) + x[1:][3] * x[-1],
    "slices of matrices": lambda np, x: np.sum(x.reshape(3, 4)[1:, ::2] ** 2) * x.reshape(3, 4)[0, -1],
    "places": lambda np, x: np.sum(x[PLACES] ** 2 * numpy.arange(6.0)),
    "places of places": lambda np, x: np.sum((x[PLACES] * 2.0)[numpy.array([0, 2, 2])] ** 2),
    "places of matrices": lambda np, x: np.sum(x.reshape(3, 4)[numpy.array([0, 2]), numpy.array([1, 1])] ** 2),
    "mask": lambda np, x: np.sum(x[MASK] ** 2) * np.prod(x[~MASK]),
    "new axes": lambda np, x: np.sum((x[:, None] - x[None, :]) ** 2 * A),
    "reshape and ravel": lambda np, x: np.sum(np.ravel(x.reshape(3, 4).T) * C * x),
    "transpose": lambda np, x: np.sum(np.transpose(x.reshape(2, 3, 2), (2, 0, 1)) * C.reshape(2, 2, 3)),
    "swapaxes and moveaxis": lambda np, x: np.sum(
        np.swapaxes(x.reshape(3, 4), 0, 1) * np.moveaxis(x.reshape(3, 4), 0, 1)
    ),
    "concatenate": lambda np, x: np.sum(np.concatenate([x[3:], C[:2], x[:3] ** 2]) ** 2),
    "concatenate by axis": lambda np, x: np.sum(np.concatenate([x.reshape(3, 4), B[:3] * x[0]], axis=1) ** 3),
    "stack": lambda np, x: np.sum(np.stack([x[:6], x[6:]], axis=1) ** 2 * B[:6, :2]),
    "stack of numbers": lambda np, x: np.sum(np.stack([x[0] * x[1], x[2], x[0] ** 2]) ** 2 * C[:3]),
    "vstack and hstack": lambda np, x: np.sum(np.vstack([x, x**2]) * np.hstack([x, C]).reshape(2, 12)),
    "roll, flip, tile, repeat": lambda np, x: np.sum(
        np.roll(x, 3) * np.flip(x) * np.tile(x[:3], 4) * np.repeat(x[:4], 3)
    ),
    "take and diagonal": lambda np, x: np.sum(np.take(x, PLACES)) * np.sum(np.diagonal(np.outer(x, x)) * C),
    "broadcast by one": lambda np, x: np.sum(x.reshape(12, 1) * B) * np.sum(x.reshape(1, 12) / (2.0 + A)),
    "broadcast both": lambda np, x: np.sum(np.exp(x[:4].reshape(4, 1) * x[4:7].reshape(1, 3)) ** 2),
    "loop": lambda np, x: sum(x[i] * x[i + 1] ** 2 for i in range(11)),
    "iteration": lambda np, x: sum(i * v**2 for i, v in enumerate(x)),
    "unpacking": lambda np, x: (lambda a, b, c: a * b - c / a)(*x[:3]),
    "horner": lambda np, x: np.sum(_horner(x, C)),
    "logistic regression": lambda np, x: np.sum(np.log1p(np.exp(-(A @ x) * numpy.sign(C)))),
    "softmax": lambda np, x: -np.log(np.exp(x[3]) / np.sum(np.exp(x))),
    "two layers": lambda np, x: np.sum(np.tanh(np.tanh(B @ x[:4]) @ B) * x[4:8]),
    "time steps": lambda np, x: np.sum(_diffused(x) ** 2),
    "cross": lambda np, x: (
        np.sum(np.cross(x[:3], x[3:6]) ** 2) + np.sum(np.cross(numpy.eye(3), x[:3]) * C[:9].reshape(3, 3))
    ),
    "kron": lambda np, x: np.sum(np.kron(x[:3], x[3:6]) ** 2) + np.sum(np.kron(B[:2, :2], x[:4].reshape(2, 2)) ** 3),
    "convolve": lambda np, x: (
        np.sum(np.convolve(x, C[:3]) ** 2) + np.sum(np.convolve(x, x, "same") * C) + np.convolve(C, x, "valid")[0]
    ),
    "convolve with a longer one": lambda np, x: np.sum(np.convolve(x[:3], C, "same") ** 3),
    "correlate": lambda np, x: np.sum(np.correlate(x, C[:3], "full") ** 2) + np.sum(np.correlate(x, C[:4], "same")),
    "pad": lambda np, x: np.sum(np.pad(x, (2, 1)) ** 2) + np.sum(np.pad(x.reshape(3, 4), 1, mode="edge") ** 3),
    "gradient": lambda np, x: (
        np.sum(np.gradient(x) ** 2) + sum(np.sum(g**2) for g in np.gradient(x.reshape(3, 4), 0.5))
    ),
    "meshgrid": lambda np, x: (lambda a, b: np.sum(a**2 * b))(*np.meshgrid(x[:3], x[3:7])),
    "cumprod": lambda np, x: np.sum(np.cumprod(x) * C) + np.sum(np.cumprod(x.reshape(3, 4), axis=1) ** 2),
    "polyval": lambda np, x: np.sum(np.polyval(x[:4], C)) + np.sum(np.polyval(C[:4], x)),
    "vander": lambda np, x: np.sum(np.vander(x, 4) * C[:4]) + np.sum(np.vander(x[:3], increasing=True) ** 2),
    "block": lambda np, x: np.sum(
        np.block([[x[:4].reshape(2, 2), np.zeros((2, 1))], [np.ones((1, 2)), x[4].reshape(1, 1)]]) ** 2
    ),
    "outer of sums": lambda np, x: np.sum(np.add.outer(x, C) ** 2) + np.sum(np.subtract.outer(x, x) ** 4),
    "sum of some, from a number": lambda np, x: np.sum(x, initial=3.0) * np.sum(x, where=MASK) * np.mean(x, where=MASK),
    "trapezoid": lambda np, x: np.trapezoid(x, C.cumsum()),
    "array of numbers": lambda np, x: np.sum(np.array([[x[0], 1.0], [x[1] * 2.0, x[0]]]) @ np.array([x[2], 3.0])),
    "gaussian": lambda np, x: (
        np.sum(((C - x[0] * np.exp(-(((C - x[1]) / x[2]) ** 2))) / x[3]) ** 2) + 12 * np.log(x[3])
    ),
}

# Those with kinks, or that are not analytic.
OTHERS = {
    "abs": lambda np, x: np.sum(np.abs(x - 0.5) + abs(C * x)),
    "sign": lambda np, x: np.sum(np.sign(x - 0.5) * x),
    "maximum and minimum": lambda np, x: np.sum(np.maximum(x, 0.5) * np.minimum(x, C) + np.maximum(x, x[::-1])),
    "clip": lambda np, x: np.sum(np.clip(x, 0.3, 0.6) ** 2 + np.clip(x, C - 0.2, C + 0.2)),
    "where": lambda np, x: np.sum(np.where(x > 0.5, x**2, np.sin(x)) + np.where(MASK, x, 2.0)),
    "where of numbers": lambda np, x: np.where(x[0] < x[1], x[0] * x[2], x[1] ** 2),
    "logic": lambda np, x: np.sum(np.where((x > 0.3) & (x < 0.6) | ~(x >= 0.25), x**2, 0.0)),
    "comparison as a number": lambda np, x: np.sum((x > 0.4) * x**2 + (x != 0.5) * x),
    "max and min": lambda np, x: np.max(x) * np.min(x) + np.sum(np.max(x.reshape(3, 4), axis=1) ** 2),
    "var": lambda np, x: np.var(x) + np.sum(np.var(x.reshape(3, 4), axis=1, ddof=1)),
    "std": lambda np, x: np.std(x) * np.sum(np.std(x.reshape(3, 4), axis=0)),
    "vdot": lambda np, x: np.vdot(x, C) * np.vdot(x, x),
    "arctan2": lambda np, x: np.sum(np.arctan2(x, C) + np.arctan2(C, x) + np.arctan2(x, x[::-1] * 2)),
    "hypot": lambda np, x: np.sum(np.hypot(x, C)),
    "norms": lambda np, x: np.linalg.norm(x) + np.linalg.norm(x.reshape(3, 4)) + np.linalg.norm(x, 1) * 2.0,
    "norms by axis": lambda np, x: np.sum(np.linalg.norm(x.reshape(3, 4), axis=1) ** 3),
    "logaddexp": lambda np, x: np.sum(np.logaddexp(x, C) + np.logaddexp(0.0, -3.0 * x)),
    "floor and ceil": lambda np, x: np.sum(x * np.floor(10.0 * x) + x * np.ceil(7.0 * x)),
    "interp, values": lambda np, x: np.sum(
        np.interp(numpy.linspace(-0.1, 1.1, 7), numpy.linspace(0.0, 1.0, 12), x) ** 2
    ),
    "interp, places": lambda np, x: np.sum(np.interp(x, numpy.linspace(0.0, 1.0, 5), C[:5]) ** 2),
    "interp, knots": lambda np, x: np.sum(np.interp(numpy.linspace(0.3, 4.0, 9), np.cumsum(x), C) ** 2),
    "select": lambda np, x: np.sum(np.select([x > 0.7, x > 0.4], [x**2, np.sin(x)], default=0.3)),
    "piecewise": lambda np, x: np.sum(np.piecewise(x, [x < 0.5, x >= 0.5], [lambda v: v**2, lambda v: np.sin(v)])),
    "heaviside": lambda np, x: np.sum(np.heaviside(x - 0.5, 0.5) * x),
    "full_like": lambda np, x: np.sum(np.full_like(x, x[1]) * x**2),
    "linspace": lambda np, x: np.sum(np.linspace(x[0], x[1], 5) ** 2) + np.linspace(0.0, x[2], 4, endpoint=False)[2],
    "cbrt and sinc": lambda np, x: np.sum(np.cbrt(x) + np.sinc(x)),
    "fmax and fmin": lambda np, x: np.sum(np.fmax(x, C) * np.fmin(x, 0.55)),
    "fmod and copysign": lambda np, x: np.sum(np.fmod(5.0 * x, 1.3) + np.copysign(x, C)),
    "ptp": lambda np, x: np.ptp(x) + np.sum(np.ptp(x.reshape(3, 4), axis=1) ** 2),
    "logaddexp, reduced": lambda np, x: (
        np.logaddexp.reduce(x) + np.sum(np.logaddexp.reduce(x.reshape(3, 4), axis=1) ** 2)
    ),
    "any, all": lambda np, x: np.sum(x) * np.any(x > 0.5) + np.all(x > 0) * x[0] + np.sum(x * (x > 0.4).any()),
    "nansum, nanmean": lambda np, x: (
        np.nansum(np.where(MASK, x, numpy.nan)) + np.nanmean(np.where(MASK, x**2, numpy.nan))
    ),
    "nan_to_num": lambda np, x: np.sum(np.nan_to_num(np.where(MASK, x**2, numpy.nan))),
    "sort": lambda np, x: np.sum(np.sort(x) * C) + np.sum(np.sort(x.reshape(3, 4), axis=0) * B[:3]),
    "argsort": lambda np, x: np.sum(x[np.argsort(x)] * C) + x[np.argmax(x)] * x[np.argmin(x)] ** 2,
    "take along an order": lambda np, x: np.sum(
        np.take_along_axis(x.reshape(3, 4), np.argsort(x.reshape(3, 4), axis=1), axis=1) ** 2 * B[:3]
    ),
    "median": lambda np, x: np.median(x) + np.sum(np.median(x.reshape(4, 3), axis=1) ** 2),
    "percentiles": lambda np, x: np.percentile(x, 30) + np.sum(np.quantile(x, numpy.array([0.1, 0.5, 1.0])) ** 2),
    "cov": lambda np, x: np.sum(np.cov(x.reshape(3, 4)) ** 2),
    "log-sum-exp": lambda np, x: np.max(x) + np.log(np.sum(np.exp(x - np.max(x)))),
    "huber": lambda np, x: np.sum(np.where(np.abs(x - C) < 0.5, 0.5 * (x - C) ** 2, 0.5 * np.abs(x - C) - 0.125)),
    "relu layers": lambda np, x: np.sum(np.maximum(np.maximum(B @ x[:4], 0.0) @ B, 0.0) * x[4:8]),
}


def _horner(x, coefficients):
    result = 0.0
    for c in coefficients:
        result = result * x + c
    return result


def _diffused(u):
    for _ in range(20):
        u = u + 0.2 * (_shifted(u, 1) - 2.0 * u + _shifted(u, -1))
    return u


def _shifted(u, by):
    return u[numpy.arange(by, 12 + by) % 12]


K = numpy.arange(12.0)
Z = numpy.cos(numpy.arange(144.0)).reshape(12, 12) + 1j * A

# Those that use complex numbers on the way to a real one.
COMPLEX = {
    "complex arithmetic": lambda np, x: np.sum(((x + 1j * x[::-1]) * (2.0 - 3j) / (1j + x) - 2j * x).imag * C),
    "parts": lambda np, x: np.sum((x * 1j + C).real + np.imag(x * (1 + 2j)) + np.conj(x * 1j).imag),
    "size and angle": lambda np, x: np.sum(np.abs(x + 1j * x[::-1]) * np.angle(x[::-1] + 1j * x)),
    "complex powers": lambda np, x: np.sum(
        ((x + 1j) ** 3 + (x - 2j) ** -2 + (x + 0.5j) ** 1.7 + (x + 1j) ** (1j * x)).real
    ),
    "complex exp and log": lambda np, x: np.sum((np.exp(1j * x * K) * np.log(x + 1j * x[::-1])).imag),
    "complex roots": lambda np, x: np.sum(
        (np.sqrt(x - 0.5 + 0.1j) + np.sqrt(-x - 1j * x) + 1 / np.square(x + 1j)).imag
    ),
    "complex sin and cos": lambda np, x: np.sum((np.sin(x + 1j * x) * np.cos(x - 2j) + np.tan(x * (1 + 1j))).imag),
    "complex sinh and cosh": lambda np, x: np.sum((np.sinh(x + 1j * x) * np.cosh(x - 2j) + np.tanh(x * (1 + 1j))).imag),
    "complex products": lambda np, x: np.abs(Z @ (x + 1j * x[::-1])).sum() + np.dot(x * 1j, Z).imag.sum(),
    "vdot": lambda np, x: np.vdot(x * Z[0], Z[1] * x[::-1]).imag,
    "complex einsum": lambda np, x: np.einsum("ij,j,i->", Z, x * 1j, x + 1j).real,
    "complex sums": lambda np, x: np.abs(np.mean(x * Z, 0)).sum() + np.abs(np.cumsum(x * Z[2])).sum(),
    "complex spread": lambda np, x: np.var(x + 1j * x**2) + np.std(x * Z, axis=1).sum() + np.linalg.norm(x * Z),
    "complex prod": lambda np, x: np.abs(np.prod(x + 1j)),
    "complex moves": lambda np, x: np.sum(np.abs(np.stack([x * 1j, C * x]).T.reshape(4, 6)[:, ::2] + Z[:4, :3])),
    "complex where": lambda np, x: np.sum(np.abs(np.where(MASK, x * 1j + C, x[::-1]))),
    "complex convolve": lambda np, x: np.abs(np.convolve(x, Z[0, :5])).sum(),
    "fft": lambda np, x: np.sum(np.abs(np.fft.fft(x * K)) * K),
    "fft along an axis": lambda np, x: np.sum((np.fft.fft(np.outer(np.cos(K), x), n=9, axis=0) * Z[:9]).real),
    "long fft": lambda np, x: np.sum(np.abs(np.fft.fft(np.sin(np.arange(210.0) * x[0]) + x[1]))[::11]),
    "ifft": lambda np, x: np.sum(np.fft.ifft(x * Z[0], norm="ortho").imag * C),
    "rfft": lambda np, x: np.sum(np.abs(np.fft.rfft(x)) ** 2 * K[:7]),
    "irfft": lambda np, x: np.sum(np.fft.irfft(x * Z[1], 21) * numpy.sin(numpy.arange(21.0))),
    "irfft of even length": lambda np, x: np.sum(np.fft.irfft(x * Z[1]) * numpy.sin(numpy.arange(22.0))),
    "fft2": lambda np, x: np.sum((np.fft.fft2(np.outer(x, x)) * Z).real),
    "irfft2": lambda np, x: np.sum(np.fft.irfft2(np.fft.rfft2(np.outer(x, x)) * x[0]) * A),
}
