import numpy as np
import pytest

import gradopt
from gradopt import SGD, InverseTimeDecay, optimize, problems

import naive

SETTINGS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.5, "dampening": 0.3},
    {"momentum": 0.5, "dampening": 1.0, "weight_decay": 0.05},
    {"momentum": 0.7, "nesterov": True, "weight_decay": 0.05},
]
TOLERANCE = {"float64": 1e-12, "float32": 2e-4}

# Both lengths that live in registers and longer ones.
STARTS = {2: [-1.2, 1.0], 3: [-1.2, 1.0, 0.5], 7: [-1.2, 1.0, 0.5, 0.3, -0.2, 0.1, 0.9]}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", STARTS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_the_naive_twin(settings, n, dtype):
    problem, x0 = problems.Rosenbrock(n=n, b=10.0), np.array(STARTS[n], dtype)
    schedule = InverseTimeDecay(0.005, 0.02)
    result = optimize(problem, x0, method=SGD(schedule, **settings), max_iter=60, gtol=0, record="x")
    expected = naive.sgd(lambda x: naive.rosenbrock_grad(x, b=10.0), x0, 60, schedule, **settings)
    assert result.history.x.dtype == result.x.dtype == dtype
    np.testing.assert_allclose(result.history.x, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_loop_of_ones_own_gives_the_same_bits(settings):
    problem, method = problems.Rosenbrock(), SGD(InverseTimeDecay(1e-3, 0.01), **settings)
    x = problem.x0
    state = method.init(x)
    for _ in range(20):
        method.step(x, problem.grad(x), state)
    assert state.nit == 20
    np.testing.assert_array_equal(x, optimize(problem, method=method, max_iter=20, gtol=0).x)


def test_equals_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed: parity with torch.optim.SGD is not checked")
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        for settings in SETTINGS:
            x0 = np.array(STARTS[7], dtype)
            x = torch.tensor(x0, requires_grad=True)
            optimizer = torch.optim.SGD([x], lr=0.002, **settings)
            for _ in range(200):
                x.grad = torch.tensor(naive.rosenbrock_grad(x.detach().numpy(), b=10.0).astype(dtype))
                optimizer.step()
            method = SGD(0.002, **settings)
            ours = optimize(problems.Rosenbrock(n=7, b=10.0), x0, method=method, max_iter=200, gtol=0).x
            np.testing.assert_allclose(
                ours, x.detach().numpy(), rtol=tolerance * 50, atol=tolerance, err_msg=str(method)
            )


def test_momentum_beats_plain_descent_in_a_narrow_valley():
    problem = problems.Quadratic(np.diag([1.0, 100.0]))
    runs = {
        settings: optimize(problem, method=SGD(0.009, **dict(settings)), gtol=1e-8).nit
        for settings in ((), (("momentum", 0.8),), (("momentum", 0.8), ("nesterov", True)))
    }
    plain, heavy_ball, nesterov = runs.values()
    assert heavy_ball < plain / 4
    assert nesterov < plain / 4


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be finite and >= 0, got -0.1"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate must be finite"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a real number, got 'fast'"),
        ({"momentum": 1.5}, ValueError, r"momentum must be in \[0, 1\), got 1.5"),
        ({"momentum": 1}, ValueError, "momentum"),
        ({"momentum": 0.9, "dampening": -0.1}, ValueError, "dampening"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay"),
        ({"nesterov": True}, ValueError, "nesterov needs momentum > 0 and dampening = 0, got momentum=0.0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "nesterov needs"),
        ({"nesterov": "yes"}, TypeError, "nesterov must be True or False, got 'yes'"),
    ],
)
def test_bad_parameters_are_refused_at_construction(parameters, error, message):
    with pytest.raises(error, match=message):
        SGD(**parameters)


def test_are_values():
    assert SGD(0.1) == SGD(learning_rate=0.1)
    assert SGD(0.1) != SGD(0.2)
    assert hash(SGD(0.1, momentum=0.9)) == hash(SGD(0.1, momentum=0.9))
    assert eval(repr(SGD(InverseTimeDecay(0.2, 0.01))), vars(gradopt)) == SGD(InverseTimeDecay(0.2, 0.01))
    with pytest.raises(AttributeError):
        SGD().momentum = 0.5


@pytest.mark.parametrize(
    ("x", "grad", "error", "message"),
    [
        ([1.0, 2.0], np.ones(2), TypeError, "x must be a one-dimensional float32 or float64 array"),
        (np.ones((2, 2)), np.ones((2, 2)), TypeError, "x must be"),
        (np.ones(2, int), np.ones(2), TypeError, "x must be"),
        (
            np.ones(2),
            np.ones(3),
            ValueError,
            r"grad must have the shape and dtype of x, \(2,\) and float64, got \(3,\)",
        ),
        (np.ones(2), np.ones(2, np.float32), ValueError, "grad must have the shape and dtype of x"),
        (np.ones(2), None, TypeError, "grad must be"),
        (np.ones(3), np.ones(3), ValueError, "momentum_buffer must have the shape and dtype of x"),
    ],
)
def test_step_checks_its_arrays(x, grad, error, message):
    method = SGD()
    state = method.init(np.ones(2))
    with pytest.raises(error, match=message):
        method.step(x, grad, state)


def test_step_refuses_read_only_parameters():
    x = np.ones(2)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="x must be writeable"):
        SGD().step(x, np.ones(2), SGD().init(x))
