import numpy as np
import pytest

from gradopt import check_gradient, problems

import naive

T = np.linspace(-1.0, 2.0, 23)
Y = np.sin(3 * T) + T
A = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.0], [0.5, 0.0, 2.0]])
B = np.array([1.0, -2.0, 0.5])
LARGE = np.random.default_rng(3).normal(size=(40, 40))

CASES = [
    (problems.Rosenbrock(), naive.rosenbrock),
    (problems.Rosenbrock(a=0.7, b=3.0, n=5), lambda x: naive.rosenbrock(x, 0.7, 3.0)),
    (problems.Rosenbrock(n=30), naive.rosenbrock),
    (problems.Quadratic(A, B, 0.3), lambda x: naive.quadratic(x, A, B, 0.3)),
    (
        problems.Quadratic([[1.0, 2.0], [0.0, 3.0]]),
        lambda x: naive.quadratic(x, np.array([[1.0, 2], [0, 3]]), 0 * x, 0),
    ),
    (problems.Quadratic(LARGE), lambda x: naive.quadratic(x, LARGE, 0 * x, 0)),
    (problems.Quadratic(2.0), lambda x: x[0] ** 2),
    (problems.DoubleWell(), lambda x: naive.double_well(x, 0.2)),
    (problems.DoubleWell(-0.5), lambda x: naive.double_well(x, -0.5)),
    *(
        (problems.PolynomialFit(T, Y, degree, loss), lambda x, loss=loss: naive.polynomial_fit(x, T, Y, loss))
        for loss in naive.LOSSES
        for degree in ((0, 1, 2, 3, 6) if loss == "mse" else (2, 6))
    ),
]
IDS = [str(problem) for problem, _ in CASES]


@pytest.mark.parametrize(("problem", "expected"), CASES, ids=IDS)
def test_value_equals_the_naive_twin(problem, expected, rng):
    for _ in range(3):
        x = rng.normal(size=problem.n)
        assert problem.value(x) == pytest.approx(expected(x), rel=1e-12)


@pytest.mark.parametrize("problem", [problem for problem, _ in CASES], ids=IDS)
def test_gradient_equals_finite_differences(problem):
    for seed in range(3):
        check = check_gradient(problem, rng=seed)
        assert check, str(check)


@pytest.mark.parametrize("problem", [problem for problem, _ in CASES[::4]], ids=IDS[::4])
def test_float32_stays_float32(problem, rng):
    x = rng.normal(size=problem.n)
    value, grad = problem.value_and_grad(x.astype(np.float32))
    assert grad.dtype == np.float32
    assert value == pytest.approx(problem.value(x), rel=1e-4)
    np.testing.assert_allclose(grad, problem.grad(x), rtol=1e-3, atol=1e-3 * np.abs(problem.grad(x)).max())


@pytest.mark.parametrize("problem", [problem for problem, _ in CASES], ids=IDS)
def test_the_known_minimum_is_one(problem, rng):
    if problem.minimizer is None:
        assert problem.minimum is None
        return
    assert problem.value(problem.minimizer) == pytest.approx(problem.minimum, rel=1e-9, abs=1e-15)
    for scale in (1e-3, 1.0):
        around = problem.minimizer + scale * rng.normal(size=(20, problem.n))
        assert all(problem.value(x) >= problem.minimum - 1e-12 for x in around)


def test_where_the_minimum_is_known():
    known = {str(problem) for problem, _ in CASES if problem.minimizer is not None}
    assert str(problems.Rosenbrock(n=30)) in known
    assert str(problems.Quadratic(LARGE)) not in known  # indefinite
    assert problems.Rosenbrock(a=0.7, n=5).minimizer is None
    assert problems.PolynomialFit(T, Y, 2, "mae").minimizer is None
    assert problems.PolynomialFit([1.0, 1.0], [0.0, 1.0], 1).minimizer is None  # one place, two parameters
    np.testing.assert_allclose(problems.PolynomialFit(T, Y, 3).minimizer, np.polyfit(T, Y, 3), rtol=1e-9)


def test_double_well_without_tilt_and_with_a_steep_one():
    assert problems.DoubleWell(0.0).minimizer == pytest.approx(-1.0)
    assert problems.DoubleWell(50.0).grad(problems.DoubleWell(50.0).minimizer) == pytest.approx(0.0, abs=1e-12)


def test_a_fit_is_exact_at_kinks_and_at_zero_residuals():
    for loss in naive.LOSSES:
        value, grad = problems.PolynomialFit([0.0, 1.0], [1.0, 2.0], 1, loss).value_and_grad([1.0, 1.0])
        assert value == 0.0
        assert grad.tolist() == [0.0, 0.0]


def test_data_are_copied():
    t = T.copy()
    problem = problems.PolynomialFit(t, Y)
    before = problem.value([1.0, 1.0, 1.0])
    t[:] = 0.0
    assert problem.value([1.0, 1.0, 1.0]) == before


def test_are_values():
    assert problems.PolynomialFit(T, Y) == problems.PolynomialFit(T.copy(), Y.copy())
    assert problems.PolynomialFit(T, Y) != problems.PolynomialFit(T, Y, loss="mae")
    assert problems.Quadratic(A, B) == problems.Quadratic(A.copy(), B.copy())
    assert len({problems.Quadratic(A, B), problems.Quadratic(A.copy(), B.copy())}) == 1
    assert len({problems.PolynomialFit(T, Y), problems.PolynomialFit(T.copy(), Y.copy())}) == 1
    assert problems.Rosenbrock(n=3) == problems.Rosenbrock(n=3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: problems.Rosenbrock(n=1), ValueError, "n must be an integer >= 2, got 1"),
        (lambda: problems.Rosenbrock(b=-1.0), ValueError, "b must be finite and >= 0, got -1.0"),
        (lambda: problems.Rosenbrock(a=np.nan), ValueError, "a must be a finite number, got nan"),
        (lambda: problems.Quadratic([[1.0, 2.0]]), ValueError, r"A must be square, got shape \(1, 2\)"),
        (lambda: problems.Quadratic([1.0, 2.0]), ValueError, "A must be a real, finite, two-dimensional array"),
        (lambda: problems.Quadratic(A, [1.0]), ValueError, "b must have 3 elements as A has rows, got 1"),
        (lambda: problems.Quadratic([[np.inf]]), ValueError, r"A must be .*, got inf at \[0, 0\]"),
        (lambda: problems.Quadratic([["x"]]), ValueError, "A must be"),
        (lambda: problems.PolynomialFit([1, 2], [1]), ValueError, "t and y must have the same length, got 2 and 1"),
        (lambda: problems.PolynomialFit([], []), ValueError, "t must be .* with at least one element"),
        (lambda: problems.PolynomialFit([1, 2], [1, np.nan]), ValueError, r"y must be .*, got nan at \[1\]"),
        (lambda: problems.PolynomialFit([[1]], [1]), ValueError, r"t must be .*one-dimensional.* of shape \(1, 1\)"),
        (lambda: problems.PolynomialFit([1], [1j]), ValueError, "y must be a real"),
        (lambda: problems.PolynomialFit([1], [1], degree=-1), ValueError, "degree"),
        (lambda: problems.PolynomialFit([1], [1], loss="mes"), ValueError, "loss must be one of 'mse', .*, got 'mes'"),
        (lambda: problems.DoubleWell("left"), TypeError, "tilt"),
    ],
)
def test_bad_data_are_refused_at_construction(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("x", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0, "ab", [1j, 2], None, [], [True, False]])
def test_value_checks_x(x):
    with pytest.raises(ValueError, match="^x must"):
        problems.Rosenbrock().value(x)


def test_value_at_nan_is_nan():
    assert np.isnan(problems.Rosenbrock().value([np.nan, 1.0]))


def test_large_sizes():
    n = 1_000_000
    problem = problems.Rosenbrock(n=n)
    value, grad = problem.value_and_grad(np.ones(n))
    assert value == 0.0
    assert not grad.any()
