"""Problems, methods and schedules of a user's own: what their fields may hold, and what is said of mistakes."""

import math

import numpy as np
import pytest
from numba import NumbaError

import gradopt
from gradopt import LBFGS, SGD, PiecewiseConstant, Status, Warmup, check_gradient, descend, optimize, problems
from gradopt._compiler import COMPILING
from gradopt.extend import config, rate, update, value_and_grad
from gradopt.methods import FirstOrderMethod
from gradopt.schedules import Schedule

from marks import compiled_only, private_numba


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


def test_problems_with_arrays_are_compared_by_their_elements():
    one, same, other = (Weighted(np.array(weights)) for weights in ([1.0, 2.0], [1.0, 2.0], [1.0, 3.0]))
    assert one == same != other
    assert len({one, same, other}) == 2
    assert Bowl() == Bowl() != Bowl(1)


@pytest.mark.parametrize("field", ["square", {"a": 1}, len, ("a",), np.array(["a"]), [[1, 2], [3]]], ids=repr)
def test_what_a_kernel_cannot_take_is_refused(field):
    with pytest.raises((TypeError, ValueError), match="field of Bowl|inhomogeneous"):
        optimize(Bowl(field))


@compiled_only
@private_numba
def test_a_twin_of_ones_own_with_a_string_does_not_reach_the_loop():
    class Named(problems.Problem):
        Lowered = Bowl.Lowered
        n, x0 = 2, np.ones(2)

        def _lower(self, dtype):
            return self.Lowered("a name")

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


def test_a_problem_without_a_kernel_is_named():
    @config
    class Unfinished(problems.Problem):
        n, x0 = 2, np.ones(2)

    for use in (optimize, check_gradient):
        with pytest.raises(TypeError, match="Unfinished has no kernel: register one with @value_and_grad.on"):
            use(Unfinished())
    for what in (Unfinished(), "Unfinished"):
        with pytest.raises(TypeError, match="not a class that can have a kernel"):
            value_and_grad.on(what)(no_return)


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


def problem_with(kernel):
    own = config(type("Own", (problems.Problem,), {"n": 2, "x0": np.ones(2), "__module__": __name__}))
    value_and_grad.on(own)(kernel)
    return own()


def wrong_name(problem, grad, work, x):
    grad[0], grad[1] = x[0], unknown  # noqa: F821
    return x[0]


def beyond(problem, grad, work, x):
    for j in range(x.size + 1):
        grad[j] = x[j]
    return x[0]


def no_return(problem, grad, work, x):
    grad[0], grad[1] = x[0], x[1]


def half_a_gradient(problem, grad, work, x):
    grad[0] = x[0]
    return x[0]


@pytest.mark.parametrize(
    ("kernel", "error", "message"),
    [
        (wrong_name, NameError, "unknown"),
        (beyond, IndexError, "out of bounds"),
        (no_return, TypeError, "value_and_grad of Own must return a real number, got None"),
        (half_a_gradient, ValueError, r"must write each element of grad, but does not write grad\[1\]"),
    ],
)
def test_mistakes_in_kernels_show_themselves(kernel, error, message):
    with pytest.raises(error, match=message):
        optimize(problem_with(kernel))


def bowl_around(center, name="Around"):
    own = config(type(name, (problems.Problem,), {"n": 1, "x0": np.zeros(1), "__module__": __name__}))

    @value_and_grad.on(own)
    def _(problem, grad, work, x):
        grad[0] = 2.0 * (x[0] - center)
        return (x[0] - center) ** 2

    return own()


def test_classes_of_one_name_keep_their_kernels():
    one, other = bowl_around(1.0), bowl_around(5.0)  # as where a cell of a notebook is run again
    for method in (LBFGS(), SGD(0.3)):
        for problem, center in ((one, 1.0), (other, 5.0), (one, 1.0)):
            np.testing.assert_allclose(optimize(problem, method=method).x, center, rtol=1e-4)
            assert problem.value([0.0]) == center**2


def test_a_schedule_with_the_name_of_one_of_the_package():
    @config
    class Constant(Schedule):
        value: float

    @rate.on(Constant)
    def _(schedule, k):
        return 2.0 * schedule.value

    assert gradopt.Constant(0.1)(3) == 0.1
    assert Constant(0.1)(3) == 0.2
    assert gradopt.Constant(0.1)(3) == 0.1


def test_fields_may_be_configurations_with_arrays():
    assert optimize(Bowl(problems.Quadratic(np.eye(3)))).success

    @config
    class Plain(FirstOrderMethod):
        slots = ()
        learning_rate: object = 0.1

    @update.on(Plain)
    def _(method, slots, x, grad, rate, k):
        for j in range(x.size):
            x[j] -= rate * grad[j]

    method = Plain(PiecewiseConstant([0.5, 0.25, 0.1], [1, 2]))
    assert optimize(Bowl(), method=method).success


def test_where_mathematics_has_no_answer_the_kernel_is_not_at_fault():
    def kernel(problem, grad, work, x):
        grad[0], grad[1] = 1.0 / x[0], 0.0
        return math.log(x[0] - 1.0)

    assert optimize(problem_with(kernel), [2.0, 1.0], max_iter=0).fun == 0.0
    own = problem_with(kernel)
    if COMPILING:
        assert optimize(own, [1.0, 1.0]).status == Status.NON_FINITE


def test_an_update_returns_nothing():
    @config
    class Returning(FirstOrderMethod):
        slots = ()
        learning_rate: float = 0.1

    @update.on(Returning)
    def _(method, slots, x, grad, rate, k):
        return x - rate * grad

    with pytest.raises(TypeError, match="update of Returning must write x in place and return nothing"):
        optimize(Bowl(), method=Returning())


def test_a_schedule_returns_a_number():
    @config
    class Silent(Schedule):
        initial: float = 1.0

    @rate.on(Silent)
    def _(schedule, k):
        pass

    with pytest.raises(TypeError, match="rate of Silent must return a real number, got None"):
        optimize(Bowl(), method=SGD(Silent()))


@compiled_only
def test_what_python_can_do_and_numba_cannot_names_the_class():
    def kernel(problem, grad, work, x):
        grad[0], grad[1] = float(format(x[0], ".3f")), 0.0
        return x[0]

    with pytest.raises(NumbaError) as caught:
        optimize(problem_with(kernel))
    assert "A kernel of Own could not be compiled" in caught.value.__notes__[0]
