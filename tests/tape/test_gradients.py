"""Gradients of traces: against complex steps, differences and jax."""

import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from scipy.optimize._numdiff import approx_derivative

from gradopt import trace
from gradopt._tape.lower import layout

from functions_to_trace import SMOOTH
from traces import FUNCTIONS, OF_NUMPY, close, complex_step

# Of two arrays and x, for random compositions.
STEPS = [
    lambda a, b, x: a + b * x,
    lambda a, b, x: np.sin(a) * b,
    lambda a, b, x: a - np.sum(b) / 6.0,
    lambda a, b, x: np.exp(-a * a),
    lambda a, b, x: a[::-1] * b,
    lambda a, b, x: np.concatenate([a[2:], b[:2]]),
    lambda a, b, x: np.cumsum(a) / 6.0,
    lambda a, b, x: a.reshape(2, 3).T.reshape(6) / (2.0 + b * b),
    lambda a, b, x: (np.outer(a, b) @ a) / 6.0,
    lambda a, b, x: np.roll(np.tanh(a), 2) + a[0] * b,
]


class TestGradients:
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_value_and_differences(self, name, x, piece):
        f = FUNCTIONS[name]
        problem = trace(lambda x: f(np, x), x)
        value, grad = problem.value_and_grad(x)
        assert value == pytest.approx(f(np, x), rel=1e-12)
        assert close(grad, approx_derivative(lambda x: f(np, x), x, method="3-point"), 1e-5)

    @pytest.mark.parametrize("name", SMOOTH)
    def test_complex_step(self, name, x, piece):
        f = SMOOTH[name]
        assert close(trace(lambda x: f(np, x), x).grad(x), complex_step(lambda x: f(np, x), x), 1e-11)

    @pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
    @pytest.mark.parametrize("name", OF_NUMPY)
    def test_jax(self, name, x):
        import jax

        jax.config.update("jax_enable_x64", True)
        f = FUNCTIONS[name]
        wanted = jax.grad(lambda x: jax.numpy.asarray(f(jax.numpy, x), float))(jax.numpy.asarray(x))
        assert close(trace(lambda x: f(np, x), x).grad(x), np.asarray(wanted), 1e-9)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_float32(self, name, x):
        f = FUNCTIONS[name]
        wide = trace(lambda x: f(np, x), x)
        value, grad = wide.value_and_grad(x.astype(np.float32))
        assert grad.dtype == np.float32
        assert value == pytest.approx(wide.value(x), rel=1e-3)
        if name not in ("comparison as a number", "floor and ceil", "fmod and copysign", "heaviside"):
            assert close(grad, wide.grad(x), 2e-3)

    @given(
        shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3),
        operation=st.sampled_from([np.add, np.subtract, np.multiply, np.divide, np.power]),
        seed=st.integers(0, 100),
        small=st.booleans(),
    )
    @settings(deadline=None, max_examples=100)
    def test_broadcasting(self, shapes, operation, seed, small):
        (first, second), shape = shapes.input_shapes, shapes.result_shape
        rng = np.random.default_rng(seed)
        sizes = math.prod(first), math.prod(second)
        weights, x = rng.normal(size=shape), rng.uniform(0.5, 2.0, sum(sizes))

        def f(x):
            return np.sum(weights * operation(x[: sizes[0]].reshape(first), x[sizes[0] :].reshape(second)) ** 2)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "PIECE", 4 if small else 512)
            problem = trace(f, x)
        assert problem.value(x) == pytest.approx(f(x), rel=1e-12)
        assert close(problem.grad(x), complex_step(f, x), 1e-11)

    @given(seed=st.integers(0, 10**6), small=st.booleans())
    @settings(deadline=None, max_examples=60)
    def test_random_compositions(self, seed, small):
        def f(x):
            rng = np.random.default_rng(seed)
            arrays = [x, np.full(6, 0.5)]
            for _ in range(rng.integers(2, 12)):
                a, b = (arrays[i] for i in rng.integers(len(arrays), size=2))
                arrays.append(STEPS[rng.integers(len(STEPS))](a, b, x))
            return np.sum(arrays[-1] * arrays[len(arrays) // 2])

        x = np.random.default_rng(seed).uniform(0.2, 0.9, 6)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "PIECE", 4 if small else 512)
            problem = trace(f, x)
        assert problem.value(x) == pytest.approx(f(x), rel=1e-11, abs=1e-12)
        np.testing.assert_allclose(problem.grad(x), complex_step(f, x), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize(
        ("f", "x", "wanted"),
        [
            (lambda x: np.sum(np.abs(x)), [0.0, -2.0], [0.0, -1.0]),
            (lambda x: np.sum(np.maximum(x, 0.0)), [0.0, 2.0], [0.5, 1.0]),
            (lambda x: np.sum(np.clip(x, 0.0, 1.0)), [0.0, 2.0], [0.5, 0.0]),
            (lambda x: np.max(x), [3.0, 3.0, 1.0], [0.5, 0.5, 0.0]),
            (lambda x: np.linalg.norm(x), [0.0, 0.0], [0.0, 0.0]),
            (lambda x: np.std(x), [1.0, 1.0], [0.0, 0.0]),
            (lambda x: np.prod(x), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
            (lambda x: np.prod(x), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
            (lambda x: np.sum(x**0), [2.0], [0.0]),
            (lambda x: np.sum(x**x), [1.0], [1.0]),
        ],
    )
    def test_at_kinks(self, f, x, wanted):
        np.testing.assert_array_equal(trace(f, [0.3] * len(x)).grad(x), wanted)

    def test_large_arrays_meet_no_kink_at_the_ends_of_pieces(self, rng):
        x = rng.normal(size=5001)

        def f(x):
            scale = np.sqrt(np.mean(x**2))
            return np.sum(np.tanh(x / scale)[1:] * x[:-1]) + np.sum(x[::2]) ** 2 + np.max(x) * np.cumsum(x)[-1]

        problem = trace(f, x)
        direction = rng.normal(size=x.size)
        assert problem.value(x) == pytest.approx(f(x), rel=1e-12)
        assert problem.grad(x) @ direction == pytest.approx(f(x + 1e-20j * direction).imag * 1e20, rel=1e-11)
