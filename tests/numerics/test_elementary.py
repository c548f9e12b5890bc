"""exp and its kin: their precision over the whole range, and at its ends."""

import numpy as np
import pytest

from gradopt._compiler import elementwise
from gradopt._numerics.elementary import exp_of_negative, sigmoid, softplus, tanh

from marks import COMPILING


@elementwise
def exp_of_all(out, x) -> None:
    for i in range(x.size):
        out[i] = exp_of_negative(x[i])


@elementwise
def tanh_of_all(out, x) -> None:
    for i in range(x.size):
        out[i] = tanh(x[i])


@elementwise
def sigmoid_of_all(out, x) -> None:
    for i in range(x.size):
        out[i] = sigmoid(x[i])


@elementwise
def softplus_of_all(out, x) -> None:
    for i in range(x.size):
        out[i] = softplus(x[i])


EXACT = {
    exp_of_all: np.exp,
    tanh_of_all: np.tanh,
    sigmoid_of_all: lambda x: 1 / (1 + np.exp(-x)),
    softplus_of_all: lambda x: np.logaddexp(np.longdouble(0), x),
}


def evaluate(function, x):
    out = np.empty_like(x)
    with np.errstate(all="ignore"):
        function(out, x)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", EXACT, ids=lambda function: function.__name__)
def test_elementary_functions_are_within_4_units_in_the_last_place(function, dtype, rng):
    lowest = -86.0 if dtype == np.float32 else -707.0
    count = 50_000 if COMPILING else 300
    x = np.concatenate(
        [rng.uniform(lowest, 0, count), rng.uniform(-3, 0, count), -(10.0 ** rng.uniform(-30, 0, count))]
    )
    if function is not exp_of_all:
        x = np.concatenate([x, -x])
    x = x.astype(dtype)
    exact = EXACT[function](x.astype(np.longdouble))
    units = np.spacing(np.maximum(np.abs(exact).astype(dtype), np.finfo(dtype).tiny))
    assert np.max(np.abs(evaluate(function, x) - exact) / units) <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementary_functions_at_the_ends(dtype):
    x = np.array([np.nan, -np.inf, -1000.0, 0.0], dtype)
    np.testing.assert_array_equal(evaluate(exp_of_all, x), np.array([np.nan, 0.0, 0.0, 1.0], dtype))
    x = np.array([np.nan, -np.inf, -1000.0, 0.0, 1000.0, np.inf], dtype)
    np.testing.assert_array_equal(evaluate(tanh_of_all, x), np.array([np.nan, -1, -1, 0, 1, 1], dtype))
    np.testing.assert_array_equal(evaluate(sigmoid_of_all, x), np.array([np.nan, 0, 0, 0.5, 1, 1], dtype))
    half = dtype(np.log(2))
    np.testing.assert_allclose(evaluate(softplus_of_all, x), [np.nan, 0, 0, half, 1000, np.inf], rtol=1e-6)
