"""The loop inside a user's own compiled code."""

import gc
import sys

import numpy as np
import pytest
from numba import TypingError, njit, prange, typed, typeof

import gradopt
from gradopt import SGD, Adam, InverseTimeDecay, Network, ReduceOnPlateau, Status, optimize, problems
from gradopt._compiler.value_types import is_of_this_package
from gradopt.extend import config, value_and_grad

from marks import compiled_only

T = np.linspace(0, 1, 12)
CASES = [
    (problems.Rosenbrock(), SGD(InverseTimeDecay(1e-3, 1e-3), momentum=0.9)),
    (problems.PolynomialFit(T, T**2), Adam(0.02)),
    (problems.Classifier(Network.mlp([1, 3, 2]), T[:, None], np.arange(12) % 2), SGD(0.1)),
]


def minima(problem, method, starts, values, nits, statuses):
    for i in prange(len(starts)):
        values[i], nits[i], statuses[i] = gradopt.descend(problem, method, starts[i], 60, 1e-3)


compiled_minima = njit(parallel=True)(minima)


@pytest.mark.parametrize("run", [minima, pytest.param(compiled_minima, marks=compiled_only)], ids=["called", "prange"])
@pytest.mark.parametrize(("problem", "method"), CASES, ids=["registers", "fit", "network"])
def test_gives_the_bits_of_optimize(problem, method, run, rng):
    starts = rng.normal(size=(9, problem.n))
    x, values, nits, statuses = starts.copy(), np.empty(9), np.empty(9, int), np.empty(9, int)
    run(gradopt.compiled(problem), gradopt.compiled(method), x, values, nits, statuses)
    for i, start in enumerate(starts):
        result = optimize(problem, start, method=method, max_iter=60, gtol=1e-3)
        np.testing.assert_array_equal(x[i], result.x)
        assert (values[i], nits[i], statuses[i]) == (result.fun, result.nit, result.status)


def test_frozen_layers_stay_as_they_are_under_a_weight_decay(rng):
    X = rng.normal(size=(20, 3))
    problem = problems.Classifier(Network.mlp([3, 4, 2]), X, (X[:, 0] > 0).astype(int), frozen=[0])
    method, start = Adam(0.01, weight_decay=0.1), problem.network.init(rng)
    x = start.copy()
    fun, nit, _ = gradopt.descend(gradopt.compiled(problem), gradopt.compiled(method), x, 30, 0.0)
    result = optimize(problem, start, method=method, max_iter=30, gtol=0)
    np.testing.assert_array_equal(x[:16], start[:16])
    np.testing.assert_array_equal(x, result.x)
    assert (fun, nit) == (result.fun, 30)


@compiled_only
def test_other_numbers_compile_nothing():
    before = len(compiled_minima.signatures)
    method = CASES[0][1]
    for problem in (problems.Rosenbrock(), problems.Rosenbrock(a=2.0, b=3.0)):
        starts = np.zeros((2, 2))
        arguments = (np.empty(2), np.empty(2, int), np.empty(2, int))
        compiled_minima(gradopt.compiled(problem), gradopt.compiled(method), starts, *arguments)
    assert len(compiled_minima.signatures) <= before + 1


def test_divergence_and_float32():
    bowl = gradopt.compiled(problems.Quadratic(2.0), np.float32)
    x = np.ones(1, np.float32)
    _, nit, status = gradopt.descend(bowl, gradopt.compiled(SGD(0.1)), x, 1000, 1e-4)
    assert (status, x.dtype) == (Status.GTOL, np.float32)
    assert abs(x[0]) < 1e-4
    x[:] = 1.0
    _, nit, status = gradopt.descend(bowl, gradopt.compiled(SGD(5.0)), x, 1000, 1e-4)
    assert status == Status.NON_FINITE
    assert np.isfinite(x).all()
    _, nit, status = gradopt.descend(bowl, gradopt.compiled(SGD(0.1)), np.ones(1, np.float32), 0, 1e-4)
    assert (nit, status) == (0, Status.MAX_ITER)


@compiled_only
def test_the_floating_point_mode_of_the_caller_comes_back():
    tiny, half = np.array([np.finfo(float).tiny]), np.array([0.5])

    @njit
    def both(problem, method, x):
        gradopt.descend(problem, method, x, 5, 0.0)
        return tiny[0] * half[0]

    both(gradopt.compiled(problems.Quadratic(2.0)), gradopt.compiled(SGD(0.1)), np.ones(1))
    assert (tiny * half)[0] > 0.0

    @njit
    def fails(k):
        if k == 2:
            raise KeyError("no rate")
        return 0.1

    with pytest.raises(KeyError, match="no rate"):
        both(gradopt.compiled(problems.Quadratic(2.0)), gradopt.compiled(SGD(fails)), np.ones(1))
    assert (tiny * half)[0] > 0.0


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (lambda x: x, TypeError, "config must be a problem"),
        (problems.Rosenbrock, TypeError, "config must be a problem"),
        (SGD(ReduceOnPlateau(0.1)), ValueError, "pure function of the update count"),
    ],
)
def test_what_cannot_be_embedded(config, error, message):
    with pytest.raises(error, match=message):
        gradopt.compiled(config)


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="float32 or float64"):
        gradopt.compiled(problems.Rosenbrock(), np.int64)
    assert repr(gradopt.compiled(SGD(0.1))).startswith("compiled(SGD(learning_rate=0.1")


@compiled_only
def test_a_class_of_a_user_stays_out_of_the_disk_cache():
    @config
    class Bowl(problems.Problem):
        n = 1

    @value_and_grad.on(Bowl)
    def _(problem, grad, work, x):
        grad[0] = 2.0 * x[0]
        return x[0] * x[0]

    gradopt.descend(gradopt.compiled(Bowl()), gradopt.compiled(SGD(0.1)), np.ones(1), 3, 0.0)
    carried = typeof(gradopt.compiled(Bowl()))
    assert not is_of_this_package(carried)
    assert is_of_this_package(typeof(gradopt.compiled(SGD(0.1))))


QUADRATICS = [problems.Quadratic(2.0 * np.eye(2), [v, v]) for v in (1.0, 2.0, 3.0)]


def one_after_the_other(handles, method, starts):
    for i in range(len(starts)):
        gradopt.descend(handles[i], method, starts[i], 500, 1e-8)


def by_each(problem, methods, starts):
    for i in range(len(starts)):
        gradopt.descend(problem, methods[i], starts[i], 1, -1.0)


@compiled_only
@pytest.mark.filterwarnings("ignore::numba.NumbaPendingDeprecationWarning")  # of lists
@pytest.mark.parametrize("kind", [list, tuple, typed.List])
def test_handles_in_lists_and_tuples(kind):
    handles = kind([gradopt.compiled(quadratic) for quadratic in QUADRATICS])
    gc.collect()
    spoiled = [np.full(40, np.nan) for _ in range(1000)]  # memory of handles that were not kept alive
    starts = np.zeros((3, 2))
    njit(one_after_the_other)(handles, gradopt.compiled(gradopt.LBFGS()), starts)
    np.testing.assert_allclose(starts, [[0.5, 0.5], [1.0, 1.0], [1.5, 1.5]])
    assert spoiled
    starts = np.zeros((2, 2))
    methods = kind([gradopt.compiled(SGD(rate)) for rate in (0.25, 0.125)])
    njit(by_each)(handles[0], methods, starts)
    np.testing.assert_array_equal(starts, [[0.25, 0.25], [0.125, 0.125]])


@compiled_only
def test_calls_leave_no_references():
    handle, method = gradopt.compiled(QUADRATICS[0]), gradopt.compiled(SGD(0.1))
    before = sys.getrefcount(handle)
    for _ in range(20):
        gradopt.descend(handle, method, np.zeros(2), 3, 1e-8)
    assert sys.getrefcount(handle) == before


PROBLEM, METHOD = gradopt.compiled(QUADRATICS[0]), gradopt.compiled(SGD(0.1))


@pytest.mark.parametrize(
    ("problem", "method", "x", "message"),
    [
        (METHOD, PROBLEM, np.zeros(2), "problem, the first argument of descend, must be gradopt.compiled"),
        (PROBLEM, PROBLEM, np.zeros(2), "method, the second argument of descend, must be gradopt.compiled"),
        (PROBLEM, METHOD, np.zeros(2, np.float32), "x, the third argument of descend, must be .* float64 array"),
        (PROBLEM, METHOD, np.zeros(2, int), "x, the third argument of descend, must be .* float64 array"),
        (PROBLEM, METHOD, np.zeros((2, 1)), "x, the third argument of descend, must be .* float64 array"),
        (PROBLEM, METHOD, np.zeros(4)[::2], "x, the third argument of descend, must be .* float64 array"),
        (PROBLEM, METHOD, np.zeros(3), "x must have as many elements as the problem has parameters"),
        (PROBLEM, METHOD, np.zeros(0), "x must have as many elements as the problem has parameters"),
    ],
)
def test_wrong_arguments(problem, method, x, message):
    for function in (gradopt.descend, njit(lambda problem, method, x, n, g: gradopt.descend(problem, method, x, n, g))):
        with pytest.raises((TypeError, ValueError, TypingError), match=message):
            function(problem, method, x, 10, 1e-8)


def valley(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


DECAY = problems.LeastSquares(lambda x: x[0] * np.exp(-x[1] * T) - 2.5 * np.exp(-1.3 * T), [1.0, 1.0])
FAMILIES = [
    (gradopt.trace(valley, np.zeros(3)), gradopt.BFGS()),
    (gradopt.trace(valley, np.zeros(3)), gradopt.TrustRegion()),
    (gradopt.trace(valley, np.zeros(3)), gradopt.NelderMead()),
    (DECAY, gradopt.LevenbergMarquardt(polish=0)),
]


@pytest.mark.parametrize(("problem", "method"), FAMILIES, ids=lambda case: type(case).__name__)
def test_other_families_give_what_optimize_does(problem, method):
    handles = gradopt.compiled(problem), gradopt.compiled(method)
    for _ in range(2):  # a descent leaves nothing behind
        x = problem.x0 + 0.3
        _, nit, status = gradopt.descend(*handles, x, 500, 1e-8)
        gtol = {} if isinstance(method, gradopt.NelderMead) else {"gtol": 1e-8}
        result = optimize(problem, problem.x0 + 0.3, method=method, max_iter=500, **gtol)
        np.testing.assert_allclose(x, result.x, rtol=1e-12)
        assert (nit, status) == (result.nit, result.status)


def test_bounds_and_tolerances():
    bounds = [(-2.0, 0.5)] * 3
    handle = gradopt.compiled(gradopt.trace(valley, np.zeros(3)), bounds=bounds)
    wanted = optimize(valley, np.full(3, 0.2), bounds=bounds, gtol=1e-8)
    for method in (gradopt.LBFGS(), gradopt.TrustRegion()):
        x = np.array([0.2, 0.2, 5.0])
        gradopt.descend(handle, gradopt.compiled(method), x, 500, 1e-8)
        np.testing.assert_allclose(x, wanted.x, atol=1e-6)
    plain = gradopt.compiled(gradopt.trace(valley, np.zeros(3)))
    coarse = gradopt.compiled(gradopt.TrustRegion(), xtol=0.1)
    assert gradopt.descend(plain, coarse, np.array([-1.2, 1.0, 1.0]), 500, -1.0)[2] == Status.XTOL


def test_what_does_not_fit_is_refused():
    rosenbrock = gradopt.compiled(problems.Rosenbrock())
    with pytest.raises((TypeError, TypingError), match="LevenbergMarquardt needs a sum of squares that can be traced"):
        gradopt.descend(rosenbrock, gradopt.compiled(gradopt.LevenbergMarquardt()), np.zeros(2), 10, 1e-8)
    with pytest.raises(ValueError, match="bounds has no meaning for a method"):
        gradopt.compiled(SGD(), bounds=[(0.0, 1.0)])
    with pytest.raises(ValueError, match="ftol has no meaning for a problem"):
        gradopt.compiled(problems.Rosenbrock(), ftol=1e-3)
    with pytest.raises(ValueError, match="ftol must be"):
        gradopt.compiled(SGD(), ftol=-1.0)
