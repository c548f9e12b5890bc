"""Functions that went wrong once, or might."""

import numba
import numpy as np
import pytest
from scipy.optimize._numdiff import approx_derivative

from gradopt import TraceError, optimize, trace

from marks import compiled_only
from traces import complex_step


def swallowed(x):
    try:
        penalty = np.sum(1e3 * x[x < 0] ** 2)
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
        with pytest.raises(TraceError, match=r"penalty = .*an index that depends on x"):
            trace(swallowed, [1.0])
        assert optimize(swallowed, [1.0]).x[0] == pytest.approx(-2 / 1001, abs=1e-6)

    def test_what_holds_at_zero_only(self):
        def aliased(x):
            y = x
            y += 1.0
            return np.sum(x * y)

        problem = trace(aliased, -np.ones(3))
        for x in (-np.ones(3), np.array([0.5, 2.0, 0.0])):
            assert problem.value(x) == aliased(x.copy())

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
        body = "    import numpy\n    return 1.0 if type(x) is numpy.ndarray else x.T.nonsense\n"
        (folder / "mine.py").write_text(f"def f(x):\n{body}")
        scope = {}
        exec(compile((folder / "mine.py").read_text(), str(folder / "mine.py"), "exec"), scope)
        with pytest.raises(TraceError, match="line 3 of mine.py, `return 1.0 if .*`: the attribute nonsense"):
            trace(scope["f"], [1.0])

    @compiled_only
    def test_a_compiled_helper(self, x):
        helper = numba.njit(lambda a: a * 2.0)
        assert trace(lambda x: helper(x[0]), x).value(x) == 2.0 * x[0]

    def test_einsum_is_not_run_on_stand_ins(self):
        A = np.ones((60, 60))

        def f(x):
            return np.sum(np.einsum("ij,jk,kl,lm->im", x[0] * A, A, A, A, optimize=True))

        assert trace(f, [1.0]).value([1.0]) == pytest.approx(60.0**5)
