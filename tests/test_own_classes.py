"""Problems, methods and schedules of a user's own: what their fields may hold, and what is said of mistakes."""

import numpy as np
import pytest

from gradopt import LBFGS, SGD, Warmup, check_gradient, descend, optimize, problems
from gradopt.config import config
from gradopt.protocol import rate, update, value_and_grad
from gradopt.schedules import Schedule

from conftest import compiled_only


@config
class Bowl(problems.Problem):
    field: object = None
    n = 2
    x0 = np.ones(2)


@value_and_grad.on(Bowl)
def _(problem, grad, work, x):
    grad[0], grad[1] = 2.0 * x[0], 2.0 * x[1]
    return x[0] ** 2 + x[1] ** 2


@config
class Weighted(problems.Problem):
    weights: object
    n = 2
    x0 = np.ones(2)


@value_and_grad.on(Weighted)
def _(problem, grad, work, x):
    grad[0], grad[1] = 2.0 * problem.weights[0] * x[0], 2.0 * problem.weights[1] * x[1]
    return problem.weights[0] * x[0] ** 2 + problem.weights[1] * x[1] ** 2


@pytest.mark.parametrize(
    "field", [None, True, 3, 0.5, np.float32(0.5), 1j, (1, 2), [1.0, 2], [], np.arange(3.0)], ids=repr
)
def test_what_a_field_may_hold(field):
    np.testing.assert_allclose(optimize(Bowl(field)).x, 0.0, atol=1e-5)


@pytest.mark.parametrize("weights", [(1.0, 3), [1, 3], np.array([1.0, 3.0]), np.array([1, 3])], ids=repr)
def test_sequences_reach_the_kernel_as_arrays(weights):
    problem = Weighted(weights)
    assert problem.value([1.0, 1.0]) == 4.0
    assert check_gradient(problem, rng=0)
    for method in (LBFGS(), SGD(0.1)):  # the kernel's result is a float32 then
        assert optimize(problem, np.ones(2, np.float32), method=method, max_iter=3).x.dtype == np.float32


@pytest.mark.parametrize("field", ["square", {"a": 1}, len, ("a",), np.array(["a"]), [[1, 2], [3]]], ids=repr)
def test_what_a_kernel_cannot_take_is_refused(field):
    with pytest.raises((TypeError, ValueError), match="field of Bowl|inhomogeneous"):
        optimize(Bowl(field))


@compiled_only
def test_a_twin_of_ones_own_with_a_string_does_not_reach_the_loop():
    class Named(problems.Problem):
        Compiled = Bowl.Compiled
        n, x0 = 2, np.ones(2)

        def _lowered(self, dtype):
            return self.Compiled("a name")

    with pytest.raises(Exception, match="can't borrow a unicode_type"):
        optimize(Named())


def test_parameters_of_kernels_are_compared():
    @config
    class Bad(Schedule):
        initial: float = 1.0

    with pytest.raises(TypeError, match=r"rate of Bad must have the parameters \(schedule, k\), got \(s, k\)"):
        rate.on(Bad)(lambda s, k: 1.0)
    with pytest.raises(TypeError, match=r"must have the parameters \(method, slots, x, grad, rate, k\)"):
        update.on(config(type("Rule", (SGD,), {})))(lambda method, x: None)


def test_a_schedule_without_a_kernel_is_named():
    @config
    class Forgotten(Schedule):
        initial: float = 1.0

    for use in (lambda: Forgotten()(3), lambda: SGD(Forgotten()), lambda: Warmup(Forgotten(), 3)):
        with pytest.raises(TypeError, match="Forgotten has no kernel: register one with @rate.on"):
            use()


@compiled_only
def test_descend_wants_what_is_compiled():
    with pytest.raises(
        TypeError, match=r"compiled code takes gradopt.compiled\(...\) of a problem or method, got Rosen"
    ):
        descend(problems.Rosenbrock(), SGD(), np.zeros(2), 3, 0.0)
