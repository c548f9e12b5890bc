"""What can be traced, and gives what NumPy gives."""

import math

import numba
import numpy as np
import pytest
import scipy.optimize
from scipy.optimize._numdiff import approx_derivative

import gradopt
from gradopt import TraceError, optimize, trace

from marks import compiled_only
from traces import FUNCTIONS, close, complex_step, rosenbrock


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

    def test_a_sum_of_two_truths_is_a_count(self):
        problem = trace(lambda x: np.sum(np.array([x[0] > 0, x[1] > 0])) * x[0], [1.0, -1.0])
        assert [problem.value([3.0, sign]) for sign in (1.0, -1.0)] == [6.0, 3.0]

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
                if i > 10 and type(x) is np.ndarray:
                    break
            return total

        with pytest.raises(TraceError, match="more than 200000 operations; write loops as operations on arrays"):
            trace(f, [1.0])
