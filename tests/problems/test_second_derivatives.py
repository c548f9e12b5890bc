"""`hessian` and `hessp` of the problems, against differences of their gradients."""

import numpy as np
import pytest
import scipy.optimize

from gradopt import Network, check_gradient, problems, trace

RNG = np.random.default_rng(2)
T, Y = np.linspace(0.0, 2.0, 15), RNG.normal(size=15)
X, LABELS = RNG.normal(size=(20, 2)), RNG.integers(0, 2, 20)


def decay(t, p):
    return p[0] * np.exp(-p[1] * t)


PROBLEMS = {
    "Rosenbrock": (problems.Rosenbrock(n=5), RNG.normal(size=5)),
    "Quadratic": (problems.Quadratic([[3.0, 1.0], [1.0, 2.0]]), RNG.normal(size=2)),
    "DoubleWell": (problems.DoubleWell(), np.array([0.7])),
    "MGH": (problems.MGH(7), np.array([-1.0, 0.3, 0.2])),
    "CurveFit": (problems.CurveFit(decay, T, Y), np.array([1.0, 0.5])),
    "CurveFit, mae": (problems.CurveFit(decay, T, Y, "mae"), np.array([1.0, 0.5])),
    "PolynomialFit": (problems.PolynomialFit(T, Y, 2), RNG.normal(size=3)),
    "PolynomialFit, huber": (problems.PolynomialFit(T, Y, 2, "huber"), RNG.normal(size=3)),
    "LeastSquares": (problems.LeastSquares(lambda x: decay(T, x) - Y, [1.0, 1.0]), np.array([1.0, 0.5])),
    "SumOfTerms": (problems.SumOfTerms(lambda x: np.cosh(decay(T, x) - Y), [1.0, 1.0]), np.array([1.0, 0.5])),
    "traced": (trace(lambda x: np.sum(np.exp(x[1:] * x[:-1])), np.ones(3)), np.array([0.1, 0.5, 0.2])),
    "Classifier": (problems.Classifier(Network.mlp([2, 3, 1]), X, LABELS), RNG.normal(size=13)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_against_differences(name):
    problem, x = PROBLEMS[name]
    hessian = problem.hessian(x)
    columns = []
    for j in range(x.size):
        step = np.zeros(x.size)
        step[j] = 1e-4
        columns.append((problem.grad(x + step) - problem.grad(x - step)) / 2e-4)
    wanted = np.stack(columns, axis=1)
    size = np.abs(wanted).max()
    tolerance = 2e-3 if name == "CurveFit, mae" else 1e-6
    np.testing.assert_allclose(hessian, wanted, rtol=tolerance, atol=tolerance * size)
    np.testing.assert_array_equal(hessian, hessian.T)
    v = np.linspace(-1.0, 2.0, x.size)
    np.testing.assert_allclose(problem.hessp(x, v), hessian @ v, rtol=10 * tolerance, atol=10 * tolerance * size)
    np.testing.assert_array_equal(problem.hessp(x, 0.0 * v), 0.0)


def test_many_parameters():
    f = lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)  # noqa: E731
    for n in (64, 65, 150):
        x = np.linspace(-1.0, 1.3, n)
        ours, known = trace(f, x), problems.Rosenbrock(n=n)
        np.testing.assert_allclose(ours.hessian(x), known.hessian(x), rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(ours.hessp(x, x), known.hessp(x, x), rtol=1e-11)


def test_float32_and_other_arguments():
    problem = trace(lambda x, c: np.sum(c * x**3), np.ones(2), (np.array([1.0, 2.0]),))
    np.testing.assert_allclose(problem.hessian([1.0, 1.0]), np.diag([6.0, 12.0]))
    other = problem.with_args(np.array([3.0, 5.0]))
    np.testing.assert_allclose(other.hessian([1.0, 1.0]), np.diag([18.0, 30.0]))
    np.testing.assert_allclose(other.hessp([1.0, 1.0], [1.0, 1.0]), [18.0, 30.0])
    np.testing.assert_allclose(problem.hessian([1.0, 1.0]), np.diag([6.0, 12.0]))
    assert problem.hessian(np.ones(2, np.float32)).dtype == np.float32


def test_the_side_of_where_that_is_not_taken():
    problem = trace(lambda x: np.sum(np.where(x > 0.0, np.sqrt(x), x**2)), [1.0, -2.0, 0.0])
    np.testing.assert_allclose(problem.hessian([4.0, -2.0, 0.0]), np.diag([-0.25 * 4.0**-1.5, 2.0, 2.0]))


def test_an_adjoint_that_passes_through_0_within_where():
    # There the slope of the square is 0, but not its own slope.
    problem = trace(
        lambda x: np.where(x[0] < 5.0, np.exp(x[1] * 0.0 + x[0]) ** 0.0 + (x[0] * x[0]) ** 1.5, 0.0), [1.0, 1.0]
    )
    assert problem.hessian([2.0, 1.0])[0, 0] == pytest.approx(12.0)
    square = trace(lambda x: np.where(x[1] > 0.0, np.square(np.sin(x[0])), 0.0), [0.0, 1.0])
    np.testing.assert_allclose(square.hessian([0.0, 1.0]), [[2.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_products_with_zeros(zeros):
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[:zeros] = 0.0
    wanted = np.array([[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)])
    np.testing.assert_allclose(trace(np.prod, np.ones(4)).hessian(x), wanted, atol=1e-14)


def test_squares_of_absolute_values():
    problem = trace(lambda x: np.sum(np.abs(x) ** 2) + np.abs(x[0]) * np.abs(x[0]), [1.0, 1.0])
    np.testing.assert_array_equal(problem.hessian([0.0, 1.0]), np.diag([4.0, 2.0]))


def test_what_is_refused():
    problem = problems.Rosenbrock()
    with pytest.raises(ValueError, match="x must have 2 elements"):
        problem.hessian([1.0])
    with pytest.raises(ValueError, match="v must have 2 elements, as x, got 3"):
        problem.hessp([1.0, 1.0], [1.0, 2.0, 3.0])


class TestTheCheck:
    @pytest.mark.parametrize("name", ["Rosenbrock", "MGH", "LeastSquares", "Classifier"])
    def test_right_ones_pass(self, name):
        problem, x = PROBLEMS[name]
        check = check_gradient(problem, x, hessian=True)
        assert check.passed
        assert check.grad.shape == (x.size, x.size)
        assert str(check).startswith("Hessian of ")

    def test_a_wrong_one_fails(self):
        wrong = lambda x: scipy.optimize.rosen_hess(x) + np.diag([0.0, 0.1, 0.0])  # noqa: E731
        check = check_gradient(scipy.optimize.rosen, [1.0, 2.0, 3.0], hess=wrong, hessian=True)
        assert not check
        assert check.worst == "x[1], x[1]"
        assert check.max_abs_error == pytest.approx(0.1, rel=1e-3)
        right = scipy.optimize.rosen_hess
        assert check_gradient(scipy.optimize.rosen, [1.0, 2.0, 3.0], hess=right, hessian=True)

    @pytest.mark.parametrize(("element", "right"), [(2e-12, True), (3e-12, False), (-2e-12, False)])
    def test_parameters_of_other_sizes(self, element, right):
        fun = lambda x: (x[0] * 1e9) ** 2 + (x[1] * 1e-6) ** 2 + x[0] * 1e9 * x[1] * 1e-6  # noqa: E731
        hess = lambda x: np.array([[2e18, 1e3], [1e3, element]])  # noqa: E731
        assert bool(check_gradient(fun, [1e-9, 1e6], hess=hess, hessian=True)) == right

    def test_hess_needs_hessian(self):
        with pytest.raises(ValueError, match="hess needs hessian=True"):
            check_gradient(scipy.optimize.rosen, [1.0, 2.0], hess=scipy.optimize.rosen_hess)
