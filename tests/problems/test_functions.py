"""A user's own functions: compiled, interpreted, wrong."""

import math
import warnings

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt import SGD, Status, TraceError, check_gradient, optimize, problems
from gradopt._compiler import COMPILING
from gradopt._core import protocol
from gradopt._loops.line_search import search
from gradopt._numerics.bounds import Box
from gradopt.problems.functions.function import Function

from marks import compiled_only


def fun(x):
    return (x[0] - 3.0) ** 2 + 2.0 * (x[1] + 1.0) ** 2


def jac(x):
    return np.array([2.0 * (x[0] - 3.0), 4.0 * (x[1] + 1.0)])


def fun_and_jac(x):
    return fun(x), jac(x)


class PythonProblem:
    """A function that Numba can't compile, and that counts its calls."""

    def __init__(self, function=fun):
        self.function, self.calls = function, 0

    def __call__(self, x, *args):
        self.calls += 1
        return self.function(x, *args)


def run(function=fun, gradient=jac, x0=(0.0, 0.0), **arguments):
    return optimize(function, np.array(x0), jac=gradient, **({"method": SGD(0.1), "gtol": 1e-6} | arguments))


def quietly(*arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return run(*arguments, **keywords)


def test_jac_as_a_function_and_as_true():
    late_bound, together = run(), run(fun_and_jac, True)
    assert late_bound.status is Status.GTOL
    np.testing.assert_allclose(late_bound.x, [3.0, -1.0], atol=1e-6)
    np.testing.assert_array_equal(late_bound.x, together.x)


def test_compiled_functions_of_ones_own():
    result = run(numba.njit(fun), numba.njit(jac))
    np.testing.assert_allclose(result.x, run().x, rtol=1e-12)


def test_args():
    def scaled(x, center, scale):
        return scale * np.sum((x - center) ** 2)

    def gradient(x, center, scale):
        return 2.0 * scale * (x - center)

    for center in (np.array([1.0, 2.0]), np.array([-4.0, 0.5])):
        result = run(scaled, gradient, args=(center, 2))
        np.testing.assert_allclose(result.x, center, atol=1e-6)


def test_float32():
    result = run(x0=np.zeros(2, np.float32), gtol=1e-3)
    assert result.x.dtype == np.float32
    np.testing.assert_allclose(result.x, [3.0, -1.0], atol=1e-3)


@compiled_only
def test_interpreted_where_it_cant_be_compiled_with_one_warning():
    counting = PythonProblem()
    with pytest.warns(RuntimeWarning, match="runs interpreted, because it could not be compiled") as caught:
        result = run(counting, gtol=0, max_iter=600)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(result.x, run(gtol=0, max_iter=600).x)
    assert "runs interpreted" in result.message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(counting, gtol=0, max_iter=600)  # not told again


@given(max_iter=st.integers(0, 40), momentum=st.sampled_from([0.0, 0.5]), rate=st.sampled_from([0.1, 0.3, 40.0]))
def test_reported_counts_are_the_real_ones(max_iter, momentum, rate):
    value, gradient = PythonProblem(fun), PythonProblem(jac)
    result = quietly(value, gradient, method=SGD(rate, momentum=momentum), max_iter=max_iter)
    assert result.nfev == value.calls
    assert result.njev == gradient.calls
    assert result.nit <= max_iter


@given(
    at=st.integers(0, 30),
    where=st.sampled_from(["value", "gradient"]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_nan_at_any_place_is_never_success(at, where, bad):
    """The functions turn bad where x passes a bound, which plain descent does at update `at`."""
    path = 0.9 ** np.arange(60)
    bound = path[at] * 1.0001

    def value(x):
        return bad if where == "value" and x[0] < bound else x[0] ** 2 / 2

    def gradient(x):
        return np.array([bad]) if where == "gradient" and x[0] < bound else 1.0 * x

    result = quietly(PythonProblem(value), PythonProblem(gradient), x0=[1.0], max_iter=50, gtol=0)
    assert result.status is Status.NON_FINITE
    assert not result.success
    if at == 0:
        assert result.nit == 0
        assert "at the start x0" in result.message
    else:
        assert result.nit == at - 1
        assert result.x[0] == pytest.approx(path[at - 1])
        assert f"at update {at} " in result.message
        assert np.isfinite(result.fun)


@pytest.mark.parametrize(
    ("function", "gradient", "error", "message"),
    [
        (fun, "3-points", TypeError, "jac must be .* got .3-points."),
        (lambda x: x, jac, TypeError, r"fun must return a real number, got array\(\[0., 0.\]\)"),
        (lambda x: None, jac, TypeError, "fun must return a real number, got None"),
        (fun_and_jac, None, TypeError, r"got \(.*; if this is \(value, gradient\), pass jac=True"),
        (lambda x: 1j, jac, TypeError, "fun must return a real number, got 1j"),
        (lambda x: "low", jac, TypeError, "fun must return a real number, got 'low'"),
        (fun, lambda x: None, TypeError, "what jac returns must be an array of real numbers, got None"),
        (fun, lambda x: x[:1], ValueError, r"what jac returns must have the shape of x, \(2,\), got \(1,\)"),
        (fun, lambda x: 1j * x, TypeError, "what jac returns must be an array of real numbers"),
        (fun, True, TypeError, r"with jac=True, fun must return \(value, gradient\), got .*11.0"),
        (lambda x: (1.0, x, x), True, TypeError, "with jac=True, fun must return"),
        (lambda x: (1.0, None), True, TypeError, "the gradient that fun returns must be an array"),
    ],
)
def test_what_functions_return_is_checked(function, gradient, error, message):
    with pytest.raises(error, match=message):
        run(function, gradient)


def test_a_gradient_that_changes_its_shape_later():
    def shrinking(x):
        return jac(x) if x[0] < 1.0 else jac(x)[:1]

    with pytest.raises(ValueError, match="must have the shape of x"):
        run(fun, shrinking)


def test_errors_inside_a_function_show_as_themselves():
    with pytest.raises(IndexError, match="out of bounds"):
        run(lambda x: x[2], jac)


@pytest.mark.parametrize("compilable", [True, False])
def test_an_index_out_of_bounds_later_is_an_error(compilable):
    table = np.array([1.0, 2.0, 3.0])

    def lookup(x, table):
        return table[int(x[0])] * 0.0 - x[0]

    def slope(x, table):
        return -np.ones_like(x)

    function = lookup if compilable else PythonProblem(lookup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(IndexError):
            optimize(function, [0.0], jac=slope, args=(table,), method=SGD(1.0), max_iter=100)


@pytest.mark.parametrize("wrap", [lambda function: function, PythonProblem], ids=["compiled", "interpreted"])
def test_a_function_may_use_x_as_scratch(wrap):
    def value(x):
        x -= 3.0
        return x[0] ** 2 + x[1] ** 2

    def gradient(x):
        x -= 3.0
        x *= 2.0
        return x

    result = quietly(wrap(value), wrap(gradient))
    np.testing.assert_allclose(result.x, [3.0, 3.0], atol=1e-6)
    assert result.fun == pytest.approx(np.sum((result.x - 3.0) ** 2), abs=1e-15)


@compiled_only
@pytest.mark.parametrize("args", [([3.0, -1.0],), ((2, [3.0, -1.0]),), ({3.0},)], ids=str)
def test_lists_in_args_run_interpreted(args):
    """Numba would free them twice."""
    result = quietly(lambda x, c: fun(x), lambda x, c: jac(x), args=args, gtol=0, max_iter=600)
    assert "args may hold numbers, arrays of numbers and tuples of these" in result.message
    np.testing.assert_allclose(result.x, [3.0, -1.0], atol=1e-6)


@compiled_only
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x[0] - 1.0) ** 2 if x[0] < 1e9 else float(f"{x[0]:.2f}"),
        numba.njit("float64(float64[:])")(lambda x: (x[0] - 1.0) ** 2),
    ],
    ids=["what Numba can't read", "a signature of one's own"],
)
def test_whatever_numba_says_the_function_runs(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = optimize(function, [3.0])
    assert result.x[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("dtype", [">f8", "f2"])
def test_arrays_that_numba_does_not_know_run_interpreted(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = optimize(lambda x, c: np.sum((x - c) ** 2), [3.0], args=(np.array([1.0], dtype),))
    assert result.x[0] == pytest.approx(1.0, abs=1e-5)


def test_a_callable_needs_a_start():
    with pytest.raises(ValueError, match="x0 must be given: a callable has no start"):
        optimize(fun, jac=jac, method=SGD())


def test_resumes():
    whole, begun = run(max_iter=20, gtol=0), run(max_iter=8, gtol=0)
    resumed = optimize(fun, jac=jac, state=begun.state, max_iter=12, gtol=0)
    np.testing.assert_array_equal(resumed.x, whole.x)


MODES = ["2-point", "3-point", "cs", None]
TOLERANCES = {"2-point": 1e-5, "3-point": 1e-8, "cs": 1e-13, None: 1e-8}


def smooth(x, center, scale):
    return scale * np.sum((x - center) ** 2) + np.exp(x[0]) * np.sin(x[1]) + x[0] * x[1]


def smooth_jac(x, center, scale):
    outer = np.array([np.exp(x[0]) * np.sin(x[1]) + x[1], np.exp(x[0]) * np.cos(x[1]) + x[0]])
    return 2.0 * scale * (x - center) + outer


ARGS = (np.array([0.4, -0.3]), 3.0)


def evaluated(function, jac, dtype=np.float64, box=None):
    x = np.array([0.3, 0.8], dtype)
    problem = Function(function, jac, ARGS, x, box)
    grad = np.empty_like(x)
    return protocol.value_and_grad(problem.lower(), grad, problem.workspace(dtype), x), grad, problem


class TestWithoutAGradient:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("jac", MODES)
    def test_equals_the_given_one(self, jac, dtype):
        value, grad, _ = evaluated(smooth, jac, dtype)
        x = np.array([0.3, 0.8])
        assert value == pytest.approx(smooth(x, *ARGS), rel=1e-6 if dtype == np.float32 else 1e-15)
        tolerance = TOLERANCES[jac] if dtype == np.float64 else {"2-point": 1e-2, "cs": 1e-5}.get(jac, 1e-3)
        np.testing.assert_allclose(grad, smooth_jac(x, *ARGS), rtol=tolerance)

    @pytest.mark.parametrize("jac", [*MODES, smooth_jac])
    def test_compiled_and_interpreted_agree_to_rounding(self, jac):
        value, grad, _ = evaluated(smooth, jac)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            other_value, other_grad, _ = evaluated(PythonProblem(smooth), jac)
        assert value == pytest.approx(other_value, rel=1e-14)
        np.testing.assert_allclose(grad, other_grad, rtol=1e-7 if jac == "2-point" else 1e-9)

    @pytest.mark.parametrize("side", [0, 1])
    @pytest.mark.parametrize("jac", ["2-point", "3-point"])
    def test_at_bounds_from_inside(self, jac, side):
        x = np.array([0.3, 0.8])
        low, high = np.array([-np.inf, 0.5]), np.array([np.inf, 1.0])
        (low, high)[1 - side][0] = x[0]  # one is at a bound, the other has little room
        high[1] = 0.8 + 1e-7
        low[1] = 0.8 - 2e-7
        _, grad, _ = evaluated(smooth, jac, box=Box(low, high, np.ones(2)))
        np.testing.assert_allclose(grad, smooth_jac(x, *ARGS), rtol=1e-5 if jac == "3-point" else 1e-4)

    def test_a_fixed_parameter_has_no_slope(self):
        box = Box(np.array([0.3, -1.0]), np.array([0.3, 2.0]), np.ones(2))
        for jac in ("2-point", "3-point"):
            _, grad, problem = evaluated(smooth, jac, box=box)
            assert grad[0] == 0.0
            assert grad[1] == pytest.approx(smooth_jac(np.array([0.3, 0.8]), *ARGS)[1], rel=1e-5)
            one, two = (problem.calls(count, problem.workspace(np.float64))[0] for count in (1, 2))
            assert two - one == {"2-point": 2, "3-point": 3}[jac]

    @pytest.mark.parametrize(
        ("jac", "source"),
        [(None, "reverse mode over its trace"), ("3-point", "3-point differences"), ("cs", "the complex step")],
    )
    def test_the_message_says_how(self, jac, source):
        result = optimize(smooth, [0.3, 0.8], args=ARGS, jac=jac)
        assert result.message.endswith(f"; gradient by {source}")
        np.testing.assert_allclose(smooth_jac(result.x, *ARGS), 0, atol=2e-5)

    def test_far_from_one_the_steps_are_relative(self):
        for scale in (1e10, 1e100):
            value = Function(lambda x: x[0] ** 2, None, (), np.array([scale])).value_and_grad([scale])[1]
            assert value[0] == pytest.approx(2 * scale, rel=1e-6)

    @pytest.mark.parametrize("function", [lambda x: abs(x[0]) ** 3 - x[0], lambda x: (x[0] ** 2) ** 0.5 + x[0] ** 2])
    def test_the_complex_step_is_refused_where_it_is_wrong(self, function):
        with pytest.raises(ValueError, match=r"jac='cs' gives a wrong derivative by x\[0\] at x0.* Use jac='3-point'"):
            quietly(lambda x: np.abs(function(x)), "cs", x0=[-0.7])

    def test_the_complex_step_needs_complex_numbers(self):
        with pytest.raises(ValueError, match="jac='cs' needs a function that takes complex numbers"):
            quietly(PythonProblem(lambda x: math.exp(x.tolist()[0])), "cs", x0=[1.0])

    @given(jac=st.sampled_from(["2-point", "3-point", "cs"]), max_iter=st.integers(0, 6))
    def test_reported_calls_are_the_real_ones(self, jac, max_iter):
        value = PythonProblem(lambda x: (x[0] - 3.0) ** 2 + 2.0 * (x[1] + 1.0) ** 2 * x[0])
        result = quietly(value, jac, method="lbfgs", max_iter=max_iter, x0=[1.0, 1.0])
        assert result.nfev == value.calls


@compiled_only
def test_a_new_function_compiles_no_loop_anew():
    optimize(lambda x: x[0] ** 2, [1.0])
    iterated = len(search.signatures)
    optimize(lambda x: x[0] ** 4 + 1.0, [1.0])
    optimize(lambda x, a: np.sum(a) * x[0] ** 4, [1.0], args=(np.ones(3),))
    assert len(search.signatures) == iterated


def test_a_function_that_is_defined_again_with_other_defaults_is_seen():
    def make(center):
        def fun(x, at=center):
            return (x[0] - at) ** 2

        return fun

    for center in (1.0, 2.0):
        assert optimize(make(center), [0.0]).x[0] == pytest.approx(center, abs=1e-5)


class TestCheckGradient:
    def test_passes_and_reports(self):
        check = check_gradient(fun, [1.0, 2.0], jac=jac)
        assert check.passed
        assert check
        assert check.max_rel_error <= check.tolerance
        assert "gradient of the function fun: passed" in str(check)

    def test_compiles_nothing(self):
        assert check_gradient(PythonProblem(), [1.0, 2.0], jac=jac)  # a warning would be an error here

    def test_finds_the_wrong_element(self):
        check = check_gradient(fun, [1.0, 2.0], jac=lambda x: jac(x) * np.array([1.0, 1.01]))
        assert not check
        assert check.worst == "x[1]"
        assert check.max_rel_error == pytest.approx(0.01, rel=0.02)
        assert check.max_abs_error == pytest.approx(0.12, rel=1e-3)
        assert "FAILED" in str(check)

    def test_finds_a_wrong_sign_and_a_zero(self):
        assert not check_gradient(fun, [1.0, 2.0], jac=lambda x: -jac(x))
        assert not check_gradient(fun, [1.0, 2.0], jac=lambda x: 0 * x)

    def test_finds_it_whatever_the_scale(self):
        for scale in (1e-12, 1e12):
            assert not check_gradient(lambda x, s=scale: s * fun(x), [1.0, 2.0], jac=lambda x: 0 * x)
            assert check_gradient(lambda x, s=scale: s * fun(x), [1.0, 2.0], jac=lambda x, s=scale: s * jac(x))

    def test_says_what_rounding_hides(self):
        check = check_gradient(lambda x: fun(x) + 1e10, [1.0, 2.0], jac=jac)
        assert "rounding of the objective hides errors below" in str(check)
        assert "rounding" not in str(check_gradient(fun, [1.0, 2.0], jac=jac))

    @pytest.mark.parametrize("method", ["2-point", "3-point"])
    def test_methods(self, method):
        assert check_gradient(problems.Rosenbrock(n=4), method=method, rng=1)

    def test_float32(self):
        assert check_gradient(problems.Rosenbrock(n=4), np.array([0.5, 0.1, 0.2, 0.3], np.float32))

    def test_the_random_point_is_reproducible_and_not_stationary(self):
        problem = problems.Quadratic(np.eye(3))
        one, two = check_gradient(problem, rng=3), check_gradient(problem, rng=3)
        np.testing.assert_array_equal(one.x, two.x)
        assert np.abs(one.grad).max() > 0.1

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"problem": fun, "jac": jac}, ValueError, "x must be given for a callable"),
            ({"problem": lambda x: x[x > 0.0].sum(), "x": [1.0, 2.0]}, TraceError, "line .*an index that depends"),
            ({"problem": problems.DoubleWell(), "x": [np.nan]}, ValueError, "x must be a real, finite"),
            ({"problem": problems.DoubleWell(), "x": [1e200]}, ValueError, "objective and gradient must be finite"),
            ({"problem": problems.DoubleWell(), "method": "cs"}, ValueError, "method must be one of"),
            ({"problem": problems.DoubleWell(), "jac": jac}, ValueError, "jac and args belong to a callable"),
        ],
    )
    def test_bad_arguments(self, arguments, error, message):
        with pytest.raises(error, match=message):
            check_gradient(**arguments)


def test_header_tells_the_truth():
    assert COMPILING == (not numba.config.DISABLE_JIT)
