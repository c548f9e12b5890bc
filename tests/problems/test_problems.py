import numpy as np
import pytest
from scipy.optimize import curve_fit

import gradopt
from gradopt import Adam, check_gradient, optimize, problems

import naive
from marks import compiled_only

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
        (lambda: problems.Quadratic(A, [1.0]), ValueError, "b must have 3 elements, one for each row of A, got 1"),
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


MGH = [problems.MGH(number) for number in range(1, 19)]


@pytest.mark.parametrize("problem", MGH, ids=str)
class TestMoreGarbowHillstrom:
    def test_gradient_equals_finite_differences(self, problem, rng):
        x = problem.x0 * (1 + 0.02 * rng.normal(size=problem.n)) + 1e-3 * rng.random(problem.n)
        check = check_gradient(problem, x)
        # The rounding of exp(1e4 ...) in one of them hides more than elsewhere.
        assert check.max_rel_error < 1e-4, str(check)

    def test_known_minimum(self, problem):
        if problem.minimizer is not None:
            assert problem.value(problem.minimizer) == pytest.approx(0.0, abs=1e-20)
        assert problem.minimum >= 0.0
        assert problem.residuals >= problem.n
        assert problem.name

    def test_float32(self, problem):
        value, grad = problem.value_and_grad(problem.x0.astype(np.float32))
        assert grad.dtype == np.float32
        assert value == pytest.approx(problem.value(problem.x0), rel=1e-3)


def test_mgh_values_at_the_start():
    """Figures of the paper's own tests, where the squared norm is known exactly or well."""
    values = {1: 24.2, 2: 400.5, 5: 14.203125, 7: 2500.0, 13: 215.0, 14: 19192.0, 16: 7926693.33699744}
    for number, value in values.items():
        assert problems.MGH(number).value(problems.MGH(number).x0) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("number", [0, 19, 1.0, "1"])
def test_mgh_numbers_are_checked(number):
    with pytest.raises((TypeError, ValueError), match="number must be"):
        problems.MGH(number)


def exponential(t, params):
    return params[0] * np.exp(-params[1] * t) + params[2]


def plane(t, params):
    return params[0] * t[0] + params[1] * t[1] + params[2]


class TestCurveFit:
    T = np.linspace(0, 4, 40)
    TRUE = np.array([2.5, 1.3, 0.5])

    def problem(self, loss="mse", dtype=np.float64):
        noise = 0.05 * np.random.default_rng(0).normal(size=40)
        return problems.CurveFit(
            exponential, self.T.astype(dtype), (exponential(self.T, self.TRUE) + noise).astype(dtype), loss
        )

    @pytest.mark.parametrize("loss", ["mse", "mae", "rmse", "half_squared_error", "huber"])
    def test_gradient_and_value(self, loss):
        problem, x = self.problem(loss), np.array([1.0, 2.0, 0.3])
        residual = exponential(self.T, x) - problem.y
        expected = {
            "mse": np.mean(residual**2),
            "mae": np.mean(abs(residual)),
            "rmse": np.sqrt(np.mean(residual**2)),
            "half_squared_error": np.mean(residual**2) / 2,
            "huber": np.mean(np.where(abs(residual) < 1, residual**2 / 2, abs(residual) - 0.5)),
        }
        assert problem.value(x) == pytest.approx(expected[loss], rel=1e-13)
        assert check_gradient(problem, x)

    def test_fits_as_scipy_does(self):
        problem = self.problem()
        fitted = optimize(problem, [1.0, 1.0, 1.0], gtol=1e-10)
        theirs, _ = curve_fit(lambda t, *p: exponential(t, p), problem.t, problem.y, [1.0, 1.0, 1.0])
        np.testing.assert_allclose(fitted.x, theirs, rtol=1e-6)
        np.testing.assert_allclose(problem.predict(fitted.x), exponential(self.T, fitted.x), rtol=1e-14)
        np.testing.assert_allclose(problem.predict(fitted.x, [1.0]), exponential(1.0, fitted.x), rtol=1e-14)

    def test_rows_and_batches(self):
        problem, x = self.problem(), np.array([1.0, 2.0, 0.3])
        whole, rows = problem.value_and_grad(x), np.arange(40)
        assert problem.value_and_grad(x, rows=rows)[0] == whole[0]
        slice_of = problems.CurveFit(exponential, problem.t[5:9], problem.y[5:9])
        np.testing.assert_array_equal(problem.value_and_grad(x, rows=[5, 6, 7, 8])[1], slice_of.grad(x))
        held_out = (self.T + 0.05, exponential(self.T + 0.05, self.TRUE))
        result = optimize(problem, x, batch_size=8, epochs=150, method=Adam(0.03), rng=0, validation=held_out)
        assert result.history.val_fun[-1] < 0.01 < result.history.val_fun[0]

    def test_rows_of_several_numbers(self, rng):
        t = rng.normal(size=(30, 2))
        problem = problems.CurveFit(plane, t, t @ [1.0, -2.0] + 3.0)
        np.testing.assert_allclose(optimize(problem, np.zeros(3)).x, [1.0, -2.0, 3.0], atol=1e-5)

    def test_float32(self):
        problem = self.problem(dtype=np.float32)
        result = optimize(problem, np.ones(3, np.float32))
        assert result.x.dtype == np.float32
        np.testing.assert_allclose(result.x, optimize(self.problem(), np.ones(3)).x, atol=2e-2)

    def test_descend(self):
        problem, x = self.problem(), np.ones(3)
        fun, _, _ = gradopt.descend(gradopt.compiled(problem), gradopt.compiled(gradopt.LBFGS()), x, 100, 1e-8)
        assert fun == pytest.approx(optimize(problem, np.ones(3), gtol=1e-8).fun, rel=1e-9)

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: problems.CurveFit(3, [1.0], [1.0]), TypeError, "model must be a function"),
            (lambda: problems.CurveFit(exponential, [1.0, 2.0], [1.0]), ValueError, "same length, got 2 and 1"),
            (lambda: problems.CurveFit(exponential, [], []), ValueError, "t must be"),
            (lambda: problems.CurveFit(exponential, [np.nan], [1.0]), ValueError, "t must be"),
            (lambda: problems.CurveFit(exponential, [1.0], [1.0], "l1"), ValueError, "loss must be one of"),
            (lambda: optimize(problems.CurveFit(exponential, [1.0], [1.0])), ValueError, "x0 must be given"),
            (lambda: optimize(problems.CurveFit(exponential, [1.0], [1.0]), [1.0]), ValueError, "takes more"),
            (
                lambda: problems.CurveFit(lambda t, p: p, [1.0], [1.0]).value([1.0]),
                TypeError,
                "model must return a real",
            ),
            (lambda: problems.CurveFit(_scribbling, [1.0], [1.0]).value([1.0]), ValueError, "must not write to params"),
            (lambda: check_gradient(problems.CurveFit(exponential, [1.0], [1.0])), TypeError, "give x"),
        ],
    )
    def test_bad_arguments(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    @compiled_only
    def test_a_model_that_cant_be_compiled(self):
        problem = problems.CurveFit(lambda t, p: float(sum(p.tolist())) * t, [1.0, 2.0], [1.0, 2.0])
        with pytest.raises(TypeError, match="model must be a function that Numba can compile"):
            problem.value([1.0])

    def test_equality(self):
        assert self.problem() == self.problem()
        assert hash(self.problem()) == hash(self.problem())
        assert self.problem() != self.problem("mae")
        assert str(self.problem()) == "CurveFit(exponential, t=(40,), y=(40,), loss='mse')"


def _scribbling(t, params):
    params[0] = 0.0
    return t
