import importlib.util
import math

import numba
import numpy as np
import pytest
import scipy.optimize
from functions_to_trace import OTHERS, SMOOTH
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from scipy.optimize._numdiff import approx_derivative

import gradopt
from gradopt import TraceError, optimize, trace
from gradopt.problems import Traced
from gradopt.tape import memory

from conftest import compiled_only

FUNCTIONS = SMOOTH | OTHERS


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


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def complex_step(f, x):
    return np.array([f(x + 1e-20j * row).imag * 1e20 for row in np.eye(x.size)])


def close(grad, wanted, tolerance):
    return np.max(np.abs(grad - wanted)) <= tolerance * max(1e-12, np.max(np.abs(wanted)))


@pytest.fixture(params=[512, 5], ids=["whole", "in pieces"])
def piece(request, monkeypatch):
    """As a rule arrays of the tests fit into one piece; here they don't, and x is not copied."""
    if request.param == 5:
        monkeypatch.setattr(memory, "PIECE", 5)
        monkeypatch.setattr(memory, "COPIED", 0)


@pytest.fixture
def x(rng):
    return rng.uniform(0.2, 0.9, 12)


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
    @pytest.mark.parametrize("name", FUNCTIONS)
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
        if name not in ("comparison as a number", "floor and ceil"):
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
            patch.setattr(memory, "PIECE", 4 if small else 512)
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
            patch.setattr(memory, "PIECE", 4 if small else 512)
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


class TestWhatIsTraced:
    def test_helpers_closures_and_math_of_constants(self, x):
        scale = math.sqrt(2.0)

        def helper(a, power=2):
            return a**power * scale

        assert trace(lambda x: helper(np.sum(x)), x).value(x) == pytest.approx(np.sum(x) ** 2 * scale)

    def test_arrays_of_traced_numbers(self, x):
        def f(x):
            r = np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
            return r @ r + np.sum(np.sin(np.array([x[0], x[1], x[2]])) ** 2) + np.exp(np.stack([x[0], 1.0])).sum()

        assert close(trace(f, x).grad(x), approx_derivative(f, x, method="3-point"), 1e-7)

    def test_elements_of_one_array_put_together_are_a_slice_of_it(self, x):
        listing = str(trace(lambda x: np.sum(np.exp(np.stack([x[2], x[3], x[4]])) * x[2:5]), x).tape)
        assert listing.count("exp") == 1

    def test_scipys_rosen(self, x):
        problem = trace(scipy.optimize.rosen, x)
        assert problem.value(x) == pytest.approx(scipy.optimize.rosen(x))
        np.testing.assert_allclose(problem.grad(x), scipy.optimize.rosen_der(x))

    def test_scipys_ufuncs(self, x):
        special = pytest.importorskip("scipy.special")
        problem = trace(lambda x: np.sum(special.expit(x) * special.erf(x)), x)
        assert gradopt.check_gradient(problem, x).passed

    @compiled_only
    def test_compiled_functions(self, x):
        fun = numba.njit(lambda x: np.sum(x**2))
        assert trace(fun, x).value(x) == pytest.approx(np.sum(x**2))

    def test_what_stands_twice_is_computed_once(self, x):
        listing = str(trace(lambda x: np.sum(np.sin(x[1:]) ** 2) + np.sum(np.sin(x[1:]) * np.cos(2.0 * x[1:])), x).tape)
        assert listing.count("sin(") == 2  # the second is in the gradient

    def test_the_listing(self):
        listing = str(trace(rosenbrock, np.zeros(5)).tape)
        assert listing.splitlines()[1].split() == ["%1", "=", "x[1:5]", "(4,)"]
        assert "gradient   %" in listing

    def test_a_constant(self, x):
        problem = trace(lambda x: 3.0, x)
        assert problem.value_and_grad(x)[0] == 3.0
        np.testing.assert_array_equal(problem.grad(x), np.zeros(12))

    def test_x_itself(self, x):
        np.testing.assert_array_equal(trace(lambda x: x[3], x).grad(x), np.eye(12)[3])
        np.testing.assert_array_equal(trace(lambda x: 0.5 * (x @ x), x).grad(x), x)

    def test_arrays_of_objects(self, x):
        np.testing.assert_array_equal(
            trace(lambda x: np.sum(x[:2] * np.array([1, 2.5], object)), x).grad(x)[:2], [1, 2.5]
        )

    def test_remainders(self, x):
        f = FUNCTIONS["sin"]
        problem = trace(lambda x: f(np, 7.0 * x % 2.0 + 5.0 * x // 2.0), x)
        assert problem.value(x) == pytest.approx(f(np, 7.0 * x % 2.0 + 5.0 * x // 2.0))
        np.testing.assert_allclose(problem.grad(x), 7.0 * np.cos(7.0 * x % 2.0 + 5.0 * x // 2.0))

    def test_remainders_of_large_quotients(self):
        x = np.array([1.0, 1e15 + 1.0, -7.3])
        for f in (lambda x: np.sum(x % 0.1), lambda x: np.sum(x // 0.1), lambda x: np.sum(5.3 % x)):
            assert trace(f, x).value(x) == f(x)
        np.testing.assert_allclose(trace(lambda x: np.sum(5.3 % x), [1.3, -2.2]).grad([1.3, -2.2]), [-4.0, 3.0])

    def test_hypot_neither_overflows_nor_divides_by_zero(self):
        problem = trace(lambda x: np.hypot(x[0], x[1]), [3e200, 4e200])
        assert problem.value([3e200, 4e200]) == pytest.approx(5e200)
        np.testing.assert_allclose(problem.grad([3e200, 4e200]), [0.6, 0.8])
        np.testing.assert_array_equal(problem.grad([0.0, 0.0]), [0.0, 0.0])

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: x * sum(x > t for t in (0.0, 1.0)),
            lambda x: x * (1.0 * (x > 0) + 1.0 * (x > 1)),
            lambda x: x * ((x > 0) * 1 + (x > 1) * 1),
            lambda x: x * ((0.0 + (x > 0)) + ((x > 1) - 0.0)),
            lambda x: x * ((x > 0).astype(float) + (x > 1).astype(float)),
            lambda x: x * ((x > 0) ** 2 + (x > 1) ** 2),
            lambda x: x * (np.square(x > 0) + np.square(x > 1)),
            lambda x: x * (np.sum(x[:1] > 0) + np.sum(x[1:2] > 0)),
            lambda x: x * (np.prod(x[:1] > 0) + np.mean(x > 1) + np.var(x > 2.5)),
            lambda x: x * np.cumsum(x > 1),
            # What stays true or false is no number.
            lambda x: x * ((x > 0) + (x > 1)),
            lambda x: x * (np.where(x > 0.2, x > 0, x > 1) + (x > 0.6)),
            lambda x: x * (np.concatenate([x[:1] > 0, x[1:] > 1]) + (x > 0.6)),
            lambda x: x * (np.stack([x[0] > 0, x[1] > 1]) + (x > 0.6)),
            lambda x: x * (np.array([x[0] > 0, x[1] > 1]) + (x > 0.6)),
            lambda x: x * (np.max(x > 0) + np.max(x > 1)),
            lambda x: x * (np.absolute(x > 0) + (x > 1)),
            lambda x: np.triu(np.outer(x, x) > 1) + (x > 0),
            lambda x: x[1:] * np.diff(x > 0.3),
            lambda x: x * np.logical_xor(x > 1, x > 2.5),
            lambda x: x * np.logical_xor(np.array([2.0, 1.0]), x > 2.5),
            lambda x: x * np.dot(x > 0.2, x > 0.6),
            lambda x: (
                x * np.inner(x > 0.2, x > 0.6) + x * np.vdot(x > 0.2, x > 0.6) * np.tensordot(x > 0.2, x > 0.6, 1)
            ),
            lambda x: x * ((np.outer(x, x) > 0.3) @ (x > 0.2)),
            lambda x: x * np.einsum("i->", x > 0.2) + np.einsum("i,j->i", x > 0.2, x > 1.0),
            lambda x: x * np.dot(x > 0.2, x),
            lambda x: np.diag(x > 0.2) + np.diag(x > 0.6),
            lambda x: x * (np.ones_like(x > 0.2) + (x > 0.6)) + (np.zeros_like(x > 1) + (x > 1) + (x > 0.6)),
        ],
    )
    def test_truth_and_numbers(self, f):
        """True + True is True for NumPy, but 1.0 * True + 1.0 * True is 2."""

        def weighed(result):
            return result * np.array([1.0, 3.0])[-np.shape(result)[-1] :]

        problem = trace(lambda x: np.sum(weighed(f(x))), [0.5, 0.5])
        for x in ([0.5, 0.5], [2.0, 3.0], [3.0, 0.2], [0.1, 0.7]):
            result = f(np.array(x))
            assert problem.value(x) == pytest.approx(np.sum(weighed(result)))

    def test_a_sum_of_two_truths_is_refused(self):
        """np.array gives an array of objects, whose sum would be True where NumPy's is 2."""
        with pytest.raises(TraceError, match=r"np.stack in place of np.array"):
            trace(lambda x: np.sum(np.array([x[0] > 0, x[1] > 0])) * x[0], [1.0, -1.0])

    @pytest.mark.parametrize(
        "point", [(1, 0), (-1, 0), (1, -np.inf), (-1, np.inf), (0, 0), (np.inf, 2), (1, 0.1), (5.3, -2.2), (-0.0, 3)]
    )
    def test_floor_division_beside_zero_and_infinity(self, point):
        problem = trace(lambda x: x[0] // x[1], [1.0, 2.0])
        with np.errstate(all="ignore"):
            np.testing.assert_equal(problem.value(point), float(np.floor_divide(*np.array(point, float))))

    def test_numbers_of_numpys_have_types_of_their_own(self):
        x, narrow = np.ones(2), np.array([100, 50], np.int8)

        def f(x, a, k):
            return np.sum(a * k * x)

        problem = trace(f, x, (np.ones(2, np.int8), np.int64(100)))
        assert problem.with_args(narrow, np.int64(100)).value(x) == f(x, narrow, np.int64(100)) == 15000.0
        single = np.array([0.1, 0.7], np.float32)
        np.testing.assert_array_equal(
            trace(lambda x, a: np.sum(a * np.sqrt(2) * x), x, single).grad(x), single * np.sqrt(2)
        )

    def test_numbers_keep_their_types_in_a_file(self, tmp_path):
        x, narrow, k = np.ones(2), np.array([100, 50], np.int8), np.int64(100)

        def f(x, a, k):
            return np.sum(a * k * x) * np.int64(2) * 10**20  # beyond 64 bits a real number

        path = tmp_path / "run.npz"
        optimize(trace(f, x, (np.ones(2, np.int8), k)), max_iter=1).save(path)
        loaded = gradopt.load(path).problem
        assert loaded.with_args(narrow, k).value(x) == f(x, narrow, k) == 3e24

    def test_functions_that_widen_their_arguments_first(self):
        x, narrow, weights = np.ones(2), np.array([100, 50], np.int8), np.array([3, 4], np.int8)
        for f in (
            lambda x, a, w: np.einsum("i,i,i", a, a, x),
            lambda x, a, w: np.linalg.norm(a) * x[0],
            lambda x, a, w: np.linalg.norm(a, 3) * x[0],
            lambda x, a, w: np.average(a, weights=w) * x[0],
        ):
            for first in ((np.array([3.0, 4.0]), np.array([1.0, 2.0])), (weights, weights)):
                problem = trace(f, x, first)
                assert problem.value(x) == pytest.approx(f(x, *first))
                if first[0].dtype == float:
                    assert problem.with_args(narrow, weights).value(x) == pytest.approx(f(x, narrow, weights))

    def test_one_element_of_what_positions_give(self):
        places = np.array([2, 0])
        for f, args in (
            (lambda x: np.stack([x[places][0], x[places][1]]) @ np.array([1.0, 2.0]), ()),
            (lambda x: np.einsum("i->", x[[1]]) * x[0], ()),
            (lambda x, a: a[places][0] * x[0], (np.array([1.0, 2.0, 3.0]),)),
        ):
            assert trace(f, [1.0, 2.0, 3.0], args).value([4.0, 5.0, 6.0]) == f(np.array([4.0, 5.0, 6.0]), *args)

    def test_triangles_and_diagonals_of_vectors(self):
        w = np.arange(9.0).reshape(3, 3)
        for f in (
            lambda x: np.sum(w * np.triu(x)),
            lambda x: np.sum(w * np.tril(x, -1)),
            lambda x: np.sum(np.diag(x[:0], 2)) + x[0],
        ):
            assert trace(f, [1.0, 2.0, 3.0]).value([4.0, 5.0, 6.0]) == f(np.array([4.0, 5.0, 6.0]))

    def test_not_a_number_as_a_constant(self, x):
        problem = trace(lambda x: np.sum(x * math.nan), x)
        assert math.isnan(problem.value(x))

    def test_empty_arrays(self, x):
        np.testing.assert_array_equal(trace(lambda x: np.sum(x[5:5] ** 2) + x[0], x).grad(x), np.eye(12)[0])

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_parameters(self, n):
        x = np.full(n, 0.5)
        np.testing.assert_allclose(trace(lambda x: np.sum(x**2) * 3.0, x).grad(x), 6.0 * x)

    def test_many_operations(self):
        def f(x):
            total = 0.0
            for i in range(10_000):
                total = total + x[i % 7] * x[(i + 1) % 7]
            return total

        x = np.arange(7.0)
        with np.errstate(all="ignore"):
            problem = trace(f, x)
        assert problem.value(x) == f(x)
        np.testing.assert_allclose(problem.grad(x), complex_step(f, x), rtol=1e-12)

    def test_too_many_operations(self):
        def f(x):
            total = 0.0
            for i in range(10**9):
                total = total + np.sin(x[0] * i)
                if i > 10 and isinstance(x, np.ndarray):
                    break
            return total

        with pytest.raises(TraceError, match="more than 200000 operations; write loops as operations on arrays"):
            trace(f, [1.0])


def changed(x):
    y = x
    y += 1.0
    return np.sum(x * y)


def assigned(x):
    out = np.zeros(3)
    out[0] = x[0]
    return out.sum()


def overwritten(x):
    x[0] = 2.0
    return np.sum(x)


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("f", "message"),
        [
            (lambda x: x[0] if x[0] > 0 else -x[0], r"line \d+ of test_trace.py.*branch.*np\.where"),
            (lambda x: np.sum(x) if 0 < x[0] < 1 else 0.0, r"branch.*np\.where"),
            (lambda x: math.sin(x[0]), r"test_trace.py.*np\.sin"),
            (lambda x: float(x[0]), "np.stack"),
            (lambda x: x[int(x[0])], "an integer made of what depends on x"),
            (assigned, r"line \d+ of test_trace.py, `out\[0\] = x\[0\]`"),
            (overwritten, "assignment into an array.*np.stack"),
            (lambda x: np.sort(x)[0], r"np\.sort can't be traced"),
            (lambda x: np.interp(x[0], [0.0, 1.0], [1.0, 2.0]), r"test_trace.py"),
            (lambda x: x[np.argmax(x)], r"np\.argmax"),
            (lambda x: np.random.default_rng().normal() * x[0], "does not do the same at each call"),
            (changed, "changes arrays in place"),
            (lambda x: np.sum(np.round(x, 1)), r"np\.round"),
            (lambda x: np.add(x[0], 1.0, out=np.zeros(())), r"np\.add with an array to put the result into"),
            (lambda x: np.sum(x[:2] * x[:3]), "broadcast"),
            (lambda x: x[99], "out of bounds"),
            (lambda x: np.max(x[5:5]), "zero-size array"),
        ],
    )
    def test_says_which_line_and_what_to_do(self, f, message):
        x = np.array([0.5, 0.25, 0.75])
        try:
            with np.errstate(all="ignore"):
                f(x.copy())
        except Exception as error:  # the function itself is wrong, and says so
            with pytest.raises(type(error)):
                trace(f, x)
        else:
            with pytest.raises(TraceError, match=message):
                trace(f, x)

    def test_a_vector_is_no_objective(self, x):
        with pytest.raises(TypeError, match="fun must return a real number"):
            trace(lambda x: x**2, x)

    @pytest.mark.parametrize("bad", [None, 3, "f"])
    def test_no_function(self, bad):
        with pytest.raises(TypeError, match="fun must be a function"):
            trace(bad, [1.0])

    @pytest.mark.parametrize("bad", [[], [[1.0]], [math.nan], ["a"]])
    def test_no_start(self, bad):
        with pytest.raises(ValueError, match="x0 must be"):
            trace(rosenbrock, bad)


class TestArguments:
    @staticmethod
    def loss(w, X, y, strength):
        return np.mean(np.logaddexp(0.0, -y * (X @ w))) + strength * np.sum(w**2)

    def test_arrays_can_be_replaced(self, rng):
        X, y = rng.normal(size=(20, 3)), np.sign(rng.normal(size=20))
        problem = trace(self.loss, np.zeros(3), (X, y.astype(int), 0.1))
        w = rng.normal(size=3)
        other = problem.with_args(2.0 * X, -y, 0.1)
        assert problem.value(w) == pytest.approx(self.loss(w, X, y, 0.1), rel=1e-13)
        assert other.value(w) == pytest.approx(self.loss(w, 2.0 * X, -y, 0.1), rel=1e-13)
        np.testing.assert_allclose(
            other.grad(w), complex_step(lambda w: np.mean(np.log1p(np.exp(2.0 * y * (X @ w)))) + 0.1 * w @ w, w)
        )
        assert problem.with_args(X, y, 0.1).grad(w).tolist() == problem.grad(w).tolist()

    def test_large_ones_too(self, rng):
        X = rng.normal(size=(200, 40))
        problem = trace(lambda w, X: np.sum((X[::2] @ w) ** 2 * X[::2, 0]), np.ones(40), (X,))
        w, other = rng.normal(size=40), rng.normal(size=X.shape)
        assert problem.with_args(other).value(w) == pytest.approx(np.sum((other[::2] @ w) ** 2 * other[::2, 0]))

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((np.zeros((2, 3)), np.ones(2)), "takes 3 arguments"),
            ((np.zeros((4, 3)), np.ones(2), 0.1), r"args\[0\] must have the shape \(2, 3\)"),
            ((np.zeros((2, 3)), np.ones(2), 0.2), r"args\[2\] is part of the tape"),
            ((np.zeros((2, 3)), np.array(["a", "b"]), 0.1), r"args\[1\] must be an array of real numbers"),
        ],
    )
    def test_what_can_not(self, args, message):
        problem = trace(self.loss, np.zeros(3), (np.ones((2, 3)), np.ones(2), 0.1))
        with pytest.raises((TypeError, ValueError), match=message):
            problem.with_args(*args)

    @pytest.mark.parametrize(
        ("f", "args", "others"),
        [
            (lambda x, a, b: np.sum(x * (a.astype(float) + b.astype(float))), "B", "B"),
            (lambda x, a, b: np.sum(x * (a.astype(float) - b.astype(float))), "?", "?"),
            (lambda x, a, b: np.sum(x * a.astype(float) ** -1 + b), "i", "i"),
            (lambda x, a, b: np.sum(x * (a * 50) + x * (b * 1.5)), "B", "B"),
            (lambda x, a, b: np.sum(x * (a / 3) * (b + 1)), "f", "f"),
            (lambda x, a, b: np.sum(x * (a / 3) * (b + 1)), "d", "i"),
        ],
    )
    def test_arguments_keep_the_arithmetic_of_their_types(self, f, args, others):
        x = np.array([1.0, 2.0])
        first = [np.array(values).astype(args) for values in ([1, 1], [0, 1])]
        second = [np.array(values).astype(others) for values in ([200, 10], [100, 250])]
        problem = trace(f, x, tuple(first))
        assert problem.value(x) == f(x, *first)
        assert problem.with_args(*second).value(x) == f(x, *second)

    def test_the_gradient_is_not_rounded_to_the_type_of_an_argument(self):
        a, k = np.array([0.1, 0.2, 0.3], np.float16), np.array([1, 2, 3], np.int8)  # NumPy's sqrt of int8 is float16
        x = np.ones(3)
        problem = trace(lambda x, a: 1e5 * np.sum(a * x), x, (a,))
        np.testing.assert_allclose(problem.grad(x), 1e5 * a.astype(float), rtol=1e-15)
        np.testing.assert_allclose(problem.with_args(2 * a).grad(x), 2e5 * a.astype(float), rtol=1e-15)
        problem = trace(lambda x, k: 1.06 * np.sum(x * np.sqrt(k)), x, (k,))
        for k_now in (k, k + np.int8(1)):
            exact = 1.06 * np.sqrt(k_now).astype(float)
            np.testing.assert_allclose(problem.with_args(k_now).grad(x), exact, rtol=1e-15)

    @pytest.mark.parametrize(("old", "new"), [("?", "d"), ("?", "i"), ("d", "?"), ("i", "?")])
    def test_truth_for_numbers_is_refused(self, old, new):
        problem = trace(lambda x, m: np.sum(x * (m + m)), [1.0, 1.0], (np.ones(2, old),))
        with pytest.raises(
            ValueError, match=r"args\[0\] must be an array of .*, as in trace, got one of .*; trace again"
        ):
            problem.with_args(np.ones(2, new))

    def test_places_and_branches_from_arguments_are_part_of_the_tape(self):
        def f(x, places, switch):
            return np.sum(x[places] ** 2) if switch[0] > 0 else np.sum(x)

        places, switch = np.array([0, 2]), np.array([1.0])
        problem = trace(f, np.ones(3), (places, switch))
        assert problem.with_args(places, switch).value([1.0, 2.0, 3.0]) == 10.0
        for changed in ((np.array([0, 1]), switch), (places, np.array([2.0]))):
            with pytest.raises(ValueError, match="trace again"):
                problem.with_args(*changed)

    def test_integers_stay_integers(self):
        def f(x, order, mask):
            last = order[0] + 1
            return x[order[1]] * x[last] * (order[2] // 2) + np.sum(x[mask]) + 2.0 ** order[1]

        order, mask = np.array([0, 2, 5]), np.array([True, False, True])
        x = np.array([2.0, 3.0, 5.0])
        assert trace(f, x, (order, mask)).value(x) == f(x, order, mask)

    def test_functions_of_arguments_alone_may_be_any(self):
        problem = trace(lambda x, a: np.sum(x * np.sort(a)), np.ones(3), (np.array([3.0, 1.0, 2.0]),))
        np.testing.assert_array_equal(problem.grad(np.ones(3)), [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="trace again"):
            problem.with_args(np.zeros(3))


def swallowed(x):
    try:
        penalty = 0.0 if x[0] >= 0 else 1e3 * x[0] ** 2
    except Exception:
        penalty = 0.0
    return (x[0] + 2.0) ** 2 + penalty


def overwriting(x):
    prediction, power, t = np.zeros(20), np.ones(20), np.linspace(0, 1, 20)
    for c in x:
        prediction = prediction + c * power
        power *= t
    return np.sum((prediction - np.cos(t)) ** 2)


class TestHardCases:
    @pytest.mark.parametrize(
        "made",
        [
            lambda F: np.repeat(F, 2, axis=1)[:, ::2],
            lambda F: F[::-1].copy()[::-1],
            lambda F: np.asfortranarray(F),
            lambda F: np.stack([F, F], axis=-1)[..., 0],
        ],
    )
    def test_arguments_with_strides(self, made, rng):
        F, x = rng.normal(size=(3, 4)), rng.normal(size=4)
        problem = trace(lambda x, F: np.sum((F[1:] @ x) ** 2 * (F[:-1, 0] - F[1:, 1])), np.zeros(4), (made(F),))

        def f(x):
            return np.sum((F[1:] @ x) ** 2 * (F[:-1, 0] - F[1:, 1]))

        assert problem.value(x) == pytest.approx(f(x), rel=1e-12)
        np.testing.assert_allclose(problem.grad(x), complex_step(f, x), rtol=1e-12)
        assert problem.with_args(made(2.0 * F)).value(x) == pytest.approx(8.0 * f(x), rel=1e-12)

    @pytest.mark.parametrize(
        ("f", "at", "expected"),
        [
            (lambda x: np.sum(np.where(x > 0.0, np.sqrt(x), x**2)), [-1.0, 4.0], [-2.0, 0.25]),
            (lambda x: np.sum(np.where(x == 0.0, 1.0, np.sin(x) / x)), [0.0, 1.0], [0.0, np.cos(1.0) - np.sin(1.0)]),
            (lambda x: np.where(x[0] > 0.0, np.prod(np.exp(1e4 * x)), np.sum(x)), [-1.0, 2.0], [1.0, 1.0]),
            (lambda x: np.sum(np.where(x < 9.0, x, np.log(1.0 - x) * x ** (x - 3.0))), [2.0, 3.0], [1.0, 1.0]),
            (lambda x: x[0] * np.sum(np.where(x < 0.0, 1.0 / x, 0.0)), [0.0, -2.0], [-0.5, 0.0]),
        ],
    )
    def test_a_side_that_is_not_taken_has_no_part_in_the_gradient(self, f, at, expected):
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(trace(f, at).grad(at), expected, rtol=1e-12)

    def test_stretched_arguments_are_not_read_beyond_their_end(self):
        problem = trace(lambda x, F: np.sum(F[1:]) * x[0], [1.0], (np.broadcast_to(2.0, (10**5,)),))
        assert problem.value([1.0]) == 2.0 * (10**5 - 1)

    def test_several_arrays_at_least_one_dimensional(self):
        def f(x, c):
            x, c = np.atleast_1d(x, c)
            return np.sum(c * x)

        c = np.array([1e12, 2e12, 3e12])
        np.testing.assert_array_equal(trace(f, np.zeros(3), (c,)).grad(np.zeros(3)), c)

    def test_chosen_elements(self):
        mask = np.array([True, False, True])
        problem = trace(lambda x: np.sum(np.extract(mask, x) ** 2 + np.compress(mask, x)), np.zeros(3))
        np.testing.assert_array_equal(problem.grad([1.0, 2.0, 3.0]), [3.0, 0.0, 7.0])
        with pytest.raises(TraceError, match="depends on x"):
            trace(lambda x: np.sum(x) - np.sum(np.extract(x > 0, np.arange(3.0))), np.zeros(3))

    def test_arrays_that_change_later(self):
        q, t = np.arange(5.0), np.linspace(0, 1, 6000)
        problem = trace(lambda x, a: np.sum((x - q) ** 2 + x * np.exp(q) + a) + x[0] * np.sum(t), np.ones(5), (q,))
        before = problem.value_and_grad(np.ones(5))
        q[:], t[:] = 0.0, 0.0
        after = problem.value_and_grad(np.ones(5))
        assert after[0] == before[0]
        np.testing.assert_array_equal(after[1], before[1])

    @pytest.mark.parametrize("start", [np.zeros(3), np.ones(3)])
    def test_arrays_that_change_within_the_function(self, start):
        problem = trace(overwriting, start)
        np.testing.assert_allclose(problem.grad(start), approx_derivative(overwriting, start), rtol=1e-5)

    def test_a_refusal_that_the_function_catches(self):
        with pytest.raises(TraceError, match=r"if x\[0\] >= 0.*np.where"):
            trace(swallowed, [1.0])
        assert optimize(swallowed, [1.0]).x[0] == pytest.approx(-2 / 1001, abs=1e-6)

    def test_what_holds_at_zero_only(self):
        def aliased(x):
            y = x
            y += 1.0
            return np.sum(x * y)

        with pytest.raises(TraceError, match="changes arrays in place"):
            trace(aliased, -np.ones(3))

    def test_the_second_point_warns_nobody(self):
        result = optimize(lambda x: np.sum(np.sqrt(1.0 - x) + x), [0.995], max_iter=1)  # not defined beyond 1
        assert "reverse mode" in result.message

    def test_dimensions_kept_by_one(self):
        W = np.array([[1.0, 2.0], [3.0, 4.0]])

        def f(x):
            return np.sum(x.reshape(2, 2) / np.sum(x.reshape(2, 2) ** 2, axis=1, keepdims=1) * W)

        x = np.array([1.0, 2.0, 3.0, 5.0])
        np.testing.assert_allclose(trace(f, x).grad(x), complex_step(f, x), rtol=1e-12)

    def test_truth_and_small_integers_are_numpys(self):
        img, x = np.array([10, 20, 250], np.uint8), np.array([1.0, 2.0, 3.0])
        assert trace(lambda x, img: np.sum((img - 200) * x), x, (img,)).value(x) == np.sum((img - 200) * x)
        assert trace(lambda x: np.sum(((x > 0) + (x > 1)) * x), x).value(x) == 6.0

    def test_masked_arrays_and_matrices_are_refused(self):
        y = np.ma.masked_array([1.0, 99.0, 3.0], [False, True, False])
        with pytest.raises(TraceError, match="MaskedArray"):
            trace(lambda x, y: np.sum((x - y) ** 2), np.zeros(3), (y,))

    @pytest.mark.parametrize(
        "f",
        [
            lambda x: sum(c * x[0] ** k for k, c in enumerate([1.0, -2.0, 1.0])) ** 2,
            lambda x: np.sum((x[0] ** np.arange(4) - np.ones(4)) ** 2),
            lambda x: np.linalg.norm(x, 3) + x[0],
            lambda x: np.sum(np.reshape(np.sum(x**2), (1, 1)) * (np.mean(x) + 1.0) ** 2),
            lambda x: np.sum((x.reshape(1, -1) @ x.reshape(-1, 1) - np.mean(np.sin(x))) ** 2),
        ],
    )
    def test_gradients_that_were_none(self, f):
        for x in (np.zeros(3), np.array([0.5, 0.25, 0.75])):
            grad = trace(f, x).grad(x)
            assert np.isfinite(grad).all()
        np.testing.assert_allclose(grad, approx_derivative(f, x, method="3-point"), rtol=1e-6, atol=1e-8)

    def test_indices_made_of_arguments(self):
        def f(x, E, k):
            total = sum(x[i] * x[j] for i, j in E)
            total = total + np.sum(x[E[:, 0]] * x[k - 1]) + x[k % 2].sum() + np.sum(np.take(x, k[1:]))
            pieces = np.split(x, k[:1])
            return total + np.sum(pieces[1]) * (k & 1).sum() + x[range(k[2])[0]]

        E, k, x = np.array([[0, 1], [1, 2], [3, 0]]), np.array([1, 2, 3]), np.array([2.0, 3.0, 5.0, 7.0])
        assert trace(f, x, (E, k)).value(x) == f(x, E, k)

    def test_anything_of_arguments_alone(self):
        def f(x, w):
            u = w.copy()
            u[0] = 5.0
            inverse = np.divide(1.0, w, out=np.zeros_like(w), where=w != 0)
            return np.sum(x * (u + inverse)) + w.round().max() + w.any()

        w, x = np.array([1.0, 0.0, 4.0]), np.array([1.0, 2.0, 3.0])
        assert trace(f, x, (w,)).value(x) == f(x, w)

    def test_lists_and_tuples_beside_arrays(self):
        x = np.array([1.0, 2.0])
        assert trace(lambda x: np.sum(x * [3.0, 4.0] + (1, 2)), x).value(x) == 14.0

    def test_the_line_named_is_the_users(self, tmp_path):
        folder = tmp_path / "gradopt_and_numpy"
        folder.mkdir()
        (folder / "mine.py").write_text("def f(x):\n    return x.T.nonsense\n")
        scope = {}
        exec(compile((folder / "mine.py").read_text(), str(folder / "mine.py"), "exec"), scope)
        with pytest.raises(TraceError, match="line 2 of mine.py, `return x.T.nonsense`: the attribute nonsense"):
            trace(lambda x: scope["f"](x) if not isinstance(x, np.ndarray) else 1.0, [1.0])

    @compiled_only
    def test_a_compiled_helper(self, x):
        helper = numba.njit(lambda a: a * 2.0)
        with pytest.raises(TraceError, match="line .* of test_trace.py.*leave its @njit out"):
            trace(lambda x: helper(x[0]), x)

    def test_einsum_is_not_run_on_stand_ins(self):
        A = np.ones((60, 60))

        def f(x):
            return np.sum(np.einsum("ij,jk,kl,lm->im", x[0] * A, A, A, A, optimize=True))

        assert trace(f, [1.0]).value([1.0]) == pytest.approx(60.0**5)


class TestInARun:
    def test_it_is_the_default(self):
        result = optimize(rosenbrock, np.zeros(6))
        assert result.success
        assert "reverse mode" in result.message
        np.testing.assert_allclose(result.x, np.ones(6), atol=1e-4)
        assert result.nfev == result.njev + 2  # twice in Python

    def test_what_can_not_be_traced_goes_by_differences_and_says_why(self):
        def f(x):
            return x[0] ** 2 if x[0] > 0 else x[0] ** 4

        result = optimize(f, [1.0])
        assert "3-point differences, as it can't be traced: line" in result.message
        assert "np.where" in result.message
        with pytest.raises(TraceError, match="np.where"):
            optimize(f, [1.0], jac="trace")

    @pytest.mark.parametrize("method", ["sgd", "adam", "lbfgs", "nonlinearcg", "rprop"])
    def test_every_method(self, method):
        problem = trace(lambda x: np.sum((x - np.arange(3.0)) ** 2), np.zeros(3))
        result = optimize(problem, method=method, max_iter=5)
        same = optimize(
            gradopt.problems.Quadratic(2.0 * np.eye(3), 2.0 * np.arange(3.0), 5.0),
            np.zeros(3),
            method=method,
            max_iter=5,
        )
        np.testing.assert_allclose(result.x, same.x, atol=1e-12)

    def test_bounds(self):
        result = optimize(rosenbrock, np.zeros(3), bounds=[(None, 0.5)] * 3)
        assert result.success
        assert (result.x <= 0.5).all()

    def test_check_gradient(self, x):
        assert gradopt.check_gradient(rosenbrock, x, jac="trace").passed
        assert gradopt.check_gradient(trace(rosenbrock, x)).passed

    def test_scipy(self):
        result = scipy.optimize.minimize(rosenbrock, np.zeros(4), method=gradopt.LBFGS())
        assert result.success
        assert "reverse mode" in result.message

    def test_float32_stays_so(self):
        result = optimize(rosenbrock, np.zeros(3, np.float32))
        assert result.x.dtype == np.float32
        np.testing.assert_allclose(result.x, 1.0, atol=1e-2)

    def test_resumes_bit_for_bit(self):
        problem = trace(rosenbrock, np.zeros(5))
        whole = optimize(problem, max_iter=12)
        half = optimize(problem, max_iter=5)
        assert optimize(problem, state=half.state, max_iter=7).x.tolist() == whole.x.tolist()

    @compiled_only
    def test_in_compiled_code(self):
        problem, method = gradopt.compiled(trace(rosenbrock, np.zeros(3))), gradopt.compiled(gradopt.LBFGS())
        starts = np.zeros((4, 3)) + np.arange(4.0)[:, None]

        @numba.njit(parallel=True)
        def minima(problem, method, starts):
            for i in numba.prange(len(starts)):
                gradopt.descend(problem, method, starts[i], 500, 1e-8)

        minima(problem, method, starts)
        np.testing.assert_allclose(starts, 1.0, atol=1e-5)

    def test_the_tape_compiles_nothing(self):
        optimize(trace(rosenbrock, np.zeros(3)), max_iter=2)
        assert optimize(lambda x: np.sum(np.cosh(x)) + x[0], np.ones(2), max_iter=2).compile_time == 0.0


class TestSaving:
    def problem(self, rng):
        X, y = rng.normal(size=(20, 3)), np.sign(rng.normal(size=20))
        return trace(
            lambda w, X, y, c: TestArguments.loss(w, X, y, c) + np.sum(np.cumsum(w)[np.array([0, 2])]) + np.max(w),
            np.ones(3),
            (X, y, 0.1),
        )

    def test_the_problem_comes_back_with_the_result(self, rng, tmp_path):
        problem, path = self.problem(rng), tmp_path / "run.npz"
        result = optimize(problem, max_iter=5)
        result.save(path)
        loaded = gradopt.load(path)
        assert isinstance(loaded.problem, Traced)
        w = rng.normal(size=3)
        assert loaded.problem.value_and_grad(w)[1].tolist() == problem.value_and_grad(w)[1].tolist()
        further = optimize(loaded.problem, state=loaded.state, max_iter=5)
        assert further.x.tolist() == optimize(problem, state=result.state, max_iter=5).x.tolist()
        X, y = rng.normal(size=(20, 3)), np.ones(20)
        assert loaded.problem.with_args(X, y, 0.1).value(w) == problem.with_args(X, y, 0.1).value(w)

    def test_other_arguments_are_saved(self, rng, tmp_path):
        problem = self.problem(rng).with_args(np.ones((20, 3)), np.ones(20), 0.1)
        optimize(problem, max_iter=2).save(tmp_path / "run.npz")
        assert gradopt.load(tmp_path / "run.npz").problem.value(np.zeros(3)) == problem.value(np.zeros(3))

    @pytest.mark.parametrize(
        "change",
        [
            lambda facts, arrays: facts["nodes"][1].__setitem__(3, [40, [1]]),
            lambda facts, arrays: facts["nodes"][-1].__setitem__(1, [99]),
            lambda facts, arrays: facts["nodes"][-1].__setitem__(0, "system"),
            lambda facts, arrays: facts["nodes"][-1].__setitem__(2, [3]),
            lambda facts, arrays: arrays.__setitem__("x0", np.zeros(7)),
        ],
    )
    def test_no_file_makes_the_machine_read_elsewhere(self, change):
        facts, arrays = trace(lambda x: np.sum(x[1:] * x[:-1]), np.zeros(4)).described()
        assert Traced.made(facts, arrays).value([1.0, 2.0, 3.0, 4.0]) == 20.0
        change(facts, arrays)
        with pytest.raises((ValueError, IndexError)):
            Traced.made(facts, arrays)
