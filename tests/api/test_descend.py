"""The loop inside a user's own compiled code."""

import numpy as np
import pytest
from numba import njit, prange, typeof

import gradopt
from gradopt import SGD, Adam, InverseTimeDecay, Network, ReduceOnPlateau, Status, optimize, problems
from gradopt._compiler.disk_cache import is_of_this_package
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
