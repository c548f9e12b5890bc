"""Traces of functions that use complex numbers on the way to a real one."""

import cmath

import numpy as np
import pytest
import scipy.fft
from scipy.optimize._numdiff import approx_derivative

from gradopt import TraceError, trace

from traces import close

X = np.array([0.7, 1.3, 0.4, 0.9])
PLACES = np.arange(4.0)


def written(x):
    z = np.zeros(4, complex)
    z[0], z[1:3], z[3] = x[0], 1j * x[1:3], x[0] + 2j * x[1]
    view = z[1:]
    view *= 2
    view[0] += x[0]
    z.real[3] -= x[2]
    return np.sum(np.abs(z) ** 2) + z.real.sum() * z.imag.prod()


def evolved(x):
    H = np.array([[x[0], x[1] - 1j * x[2]], [x[1] + 1j * x[2], x[3]]])
    psi = np.array([1, 0], dtype=complex)
    for _ in range(5):
        psi = psi - 0.1j * (H @ psi)
    return np.abs(psi[1]) ** 2 / np.vdot(psi, psi).real


def summed(x):
    total = first = 0j
    for k in range(4):
        total += x[k] * cmath.exp(1j * k * x[0])
        first = total if k == 0 else first  # a number: += above does not write into it
    return abs(total) + total.real * total.conjugate().imag + complex(x[0], x[1]).imag + first.real


def by_cmath(x):
    size, angle = cmath.polar(x[0] + 1j * x[1])
    return cmath.phase(complex(x[1], x[0])) + size * angle + cmath.rect(x[0], x[1]).imag + cmath.sqrt(-x[0]).imag


FUNCTIONS = {
    "writes": written,
    "a quantum state": evolved,
    "scalars": summed,
    "cmath": by_cmath,
    "np.array": lambda x: np.abs(np.array([[x[0], 1j], [x[1] * 1j, 1]]).T @ np.array([1, 1j])).sum(),
    "conversions": lambda x: abs(np.asarray(x, dtype=complex) + 1j).sum() + np.complex128(x[0]).real,
    "asking": lambda x: isinstance(x[0] * 1j, complex) * x[1] + np.iscomplexobj(x * 1j) * x[0] + np.isrealobj(x) * x[2],
    "scipy.fft": lambda x: np.sum(np.abs(scipy.fft.rfft(x))),
    "fftshift": lambda x: np.sum(np.abs(np.fft.fftshift(np.fft.fft(x))) * PLACES),
    "hfft": lambda x: np.sum(np.fft.hfft(x + 1j) * np.arange(6)),
    "fftn of a shape": lambda x: np.sum(np.abs(np.fft.irfftn(np.fft.rfftn(np.outer(x, x)), s=(4, 5), axes=(0, 1)))),
    "forward": lambda x: np.sum(np.fft.ifft(x * 1j, norm="forward").imag * PLACES),
    "prepend": lambda x: np.sum(np.abs(np.diff(x * 1j, prepend=1.0)) * PLACES),
    "a list": lambda x: abs(sum([x[i] * 1j**i for i in range(4)])),
    "ufunc methods": lambda x: abs(np.add.reduce(x * 1j)) + abs(np.multiply.outer(x * 1j, x)).sum(),
    "a transfer function": lambda x: np.sum(20 * np.log10(np.abs(1 / (1 + 1j * PLACES * x[0] + (1j * x[1]) ** 2)))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient(name, piece):
    f = FUNCTIONS[name]
    value, grad = trace(f, X).value_and_grad(X)
    assert value == pytest.approx(f(X), rel=1e-12)
    assert close(grad, approx_derivative(f, X, method="3-point"), 1e-6)


@pytest.mark.parametrize("n", [1, 2, 5, 64, 65, 67, 96, 360, 1001])
def test_transforms_of_any_length_are_those_of_numpy(n):
    rng = np.random.default_rng(n)
    z, weights = rng.normal(size=n) + 1j * rng.normal(size=n), rng.normal(size=n)
    for transform in (np.fft.fft, np.fft.ifft):

        def f(x, transform=transform):
            return np.sum((transform(x[0] * z) * weights).imag)

        assert trace(f, [1.0]).value([2.0]) == pytest.approx(f(np.array([2.0])), rel=1e-11, abs=1e-12 * n)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.abs(x + 1j * x).sum(),  # slope of the size at 0: 0, as that of abs
        lambda x: np.abs(np.fft.rfft(x)).sum(),
        lambda x: np.sum(((x + 0j) ** 1.5).real + ((x * 1j) ** 2).real),
    ],
)
def test_at_zero(f):
    np.testing.assert_array_equal(trace(f, [0.3, 0.2]).grad([0.0, 0.0]), [0.0, 0.0])


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda x: np.max(x * 1j).real, "np.max of complex numbers"),
        (lambda x: np.sum(np.arcsin(x + 1j).real), "np.arcsin of complex numbers"),
        (lambda x: np.abs(np.fft.fft(np.outer(x, np.ones(4099)), axis=1)).sum(), "of length 4099, which is prime"),
    ],
)
def test_refused(f, says):
    with pytest.raises(TraceError, match=says):
        trace(f, X)
