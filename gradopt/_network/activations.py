"""Activations a(z) of a layer, each with its slope a'(z).

A kernel of this file overwrites z with a(z) and writes the slopes at the same time, so that the backward pass is a
product with the slopes for every activation. NaN passes through all of them.

z : float array (m,), C order, written
slopes : float array (m,), C order, written
"""

from __future__ import annotations

import math

from gradopt._compiler import elementwise, kernel
from gradopt._numerics import elementary


@elementwise
def identity(z, slopes) -> None:
    """No activation: a = z; a' = 1."""
    one = z.dtype.type(1.0)
    for i in range(z.size):
        slopes[i] = one


@elementwise
def relu(z, slopes) -> None:
    """The rectifier a = max(z, 0); a' = 1 for z >= 0, else 0. At the kink, z = 0, the slope is 1."""
    zero, one = z.dtype.type(0.0), z.dtype.type(1.0)
    for i in range(z.size):
        slopes[i] = zero if z[i] < zero else one
        z[i] = zero if z[i] < zero else z[i]


@elementwise
def leaky_relu(z, slopes) -> None:
    """The leaky rectifier, a = z for z >= 0, else 0.01 z; a' = 1 or 0.01."""
    zero, one, leak = z.dtype.type(0.0), z.dtype.type(1.0), z.dtype.type(0.01)
    for i in range(z.size):
        slopes[i] = leak if z[i] < zero else one
        z[i] = leak * z[i] if z[i] < zero else z[i]


@elementwise
def tanh(z, slopes) -> None:
    """The hyperbolic tangent a = sinh(z) / cosh(z); a' = (cosh(z)**2 - sinh(z)**2) / cosh(z)**2 = 1 - a**2."""
    one = z.dtype.type(1.0)
    for i in range(z.size):
        a = elementary.tanh(z[i])
        slopes[i] = one - a * a
        z[i] = a


@elementwise
def sigmoid(z, slopes) -> None:
    """The logistic function a = 1 / (1 + exp(-z)); a' = exp(-z) / (1 + exp(-z))**2 = a (1 - a)."""
    one = z.dtype.type(1.0)
    for i in range(z.size):
        a = elementary.sigmoid(z[i])
        slopes[i] = a * (one - a)
        z[i] = a


@elementwise
def softplus(z, slopes) -> None:
    """The soft rectifier a = log(1 + exp(z)); a' = exp(z) / (1 + exp(z)) = sigmoid(z)."""
    for i in range(z.size):
        slopes[i] = elementary.sigmoid(z[i])
        z[i] = elementary.softplus(z[i])


@elementwise
def gelu(z, slopes) -> None:
    """With P(z) = erfc(-z / sqrt(2)) / 2, the normal distribution function, a = z P(z); a' = P(z) + z P'(z).

    P' is the normal density. The exact form of D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, 2016.
    """
    for i in range(z.size):
        share = 0.5 * math.erfc(-z[i] * math.sqrt(0.5))
        density = math.exp(-0.5 * z[i] * z[i]) * math.sqrt(0.5 / math.pi)
        slopes[i] = share + z[i] * density
        z[i] = z[i] * share


@elementwise
def silu(z, slopes) -> None:
    """With s = sigmoid(z), a = z s; a' = s + z s (1 - s) = s + a (1 - s)."""
    one = z.dtype.type(1.0)
    for i in range(z.size):
        s = elementary.sigmoid(z[i])
        a = z[i] * s
        slopes[i] = s + a * (one - s)
        z[i] = a


# The position of a name is its number in `activate`.
ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu")


@kernel(late_bound=True)
def activate(number, z, slopes) -> None:
    """Run the activation with this number in `ACTIVATIONS`."""
    if number == 0:
        identity(z, slopes)
    elif number == 1:
        relu(z, slopes)
    elif number == 2:
        leaky_relu(z, slopes)
    elif number == 3:
        tanh(z, slopes)
    elif number == 4:
        sigmoid(z, slopes)
    elif number == 5:
        softplus(z, slopes)
    elif number == 6:
        gelu(z, slopes)
    else:
        silu(z, slopes)
