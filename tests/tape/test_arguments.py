"""Arguments of traced functions, and others in their place."""

import numpy as np
import pytest

from gradopt import trace

from traces import complex_step, logistic_loss


class TestArguments:
    def test_arrays_can_be_replaced(self, rng):
        X, y = rng.normal(size=(20, 3)), np.sign(rng.normal(size=20))
        problem = trace(logistic_loss, np.zeros(3), (X, y.astype(int), 0.1))
        w = rng.normal(size=3)
        other = problem.with_args(2.0 * X, -y, 0.1)
        assert problem.value(w) == pytest.approx(logistic_loss(w, X, y, 0.1), rel=1e-13)
        assert other.value(w) == pytest.approx(logistic_loss(w, 2.0 * X, -y, 0.1), rel=1e-13)
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
            ((np.zeros((2, 3)), np.ones(2), 0.2), r"args\[2\] is not an array and is part of the tape"),
            ((np.zeros((2, 3)), np.array(["a", "b"]), 0.1), r"args\[1\] must be an array of real numbers"),
        ],
    )
    def test_what_can_not(self, args, message):
        problem = trace(logistic_loss, np.zeros(3), (np.ones((2, 3)), np.ones(2), 0.1))
        with pytest.raises((TypeError, ValueError), match=message):
            problem.with_args(*args)

    @pytest.mark.parametrize(
        ("f", "args", "others"),
        [
            (lambda x, a, b: np.sum(x * (a.astype(float) + b.astype(float))), "B", "B"),
            (lambda x, a, b: np.sum(x * (a.astype(float) - b.astype(float))), "?", "?"),
            (lambda x, a, b: np.sum(x * a.astype(float) ** -1 + b), "i", "i"),
            (lambda x, a, b: np.sum(x * (a * 50) + x * (b * 1.5)), "B", "B"),
            (lambda x, a, b: np.sum((x + (-a)) * (x - (-b))), "B", "b"),
            (lambda x, a, b: np.sum((-a + x) * (x - (-b))), "H", "i"),
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
        problem = trace(lambda x, a: np.sum(x * np.unique(a)), np.ones(3), (np.array([3.0, 1.0, 2.0]),))
        np.testing.assert_array_equal(problem.grad(np.ones(3)), [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="trace again"):
            problem.with_args(np.zeros(3))
