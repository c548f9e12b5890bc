"""The rules: each beside its NumPy twin, and beside torch or optax where they are installed."""

import numpy as np
import pytest

import gradopt
from gradopt import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    InverseTimeDecay,
    Lion,
    NAdam,
    Network,
    RMSprop,
    Rprop,
    optimize,
    problems,
)
from gradopt._compiler import COMPILING

import naive
from rules import TABLE

CASES = [(cls, settings) for cls, (_, all_settings) in TABLE.items() for settings in all_settings]
IDS = [f"{cls.__name__}-{settings}" for cls, settings in CASES]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def gradient(x, k):
    """Of a bowl that moves about: changing gradients, and x comes back into them."""
    j = np.arange(x.size)
    return ((1 + 0.3 * j) * (x - np.sin(0.2 * k + j))).astype(x.dtype)


def start(n, dtype):
    return np.linspace(-1.0, 1.5, n).astype(dtype)


def path(method, n, dtype, steps):
    x = start(n, dtype)
    state, iterates = method.init(x), []
    for k in range(steps):
        method.step(x, gradient(x, k), state)
        iterates.append(x.copy())
    return np.array(iterates)


def test_the_table_has_all_methods():
    names = {name for name in gradopt.__all__ if isinstance(getattr(gradopt, name), type)}
    methods = {name for name in names if issubclass(getattr(gradopt, name), gradopt.methods.FirstOrderMethod)}
    assert {cls.__name__ for cls in TABLE} == methods


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cls", "settings"), CASES, ids=IDS)
def test_equals_the_naive_twin(cls, settings, dtype):
    rate = TABLE[cls][0] if cls is Rprop else InverseTimeDecay(TABLE[cls][0], 0.02)
    method = cls(rate, **settings)
    ours = path(method, 5, dtype, 60)
    x = start(5, "float64")
    rule = getattr(naive, cls.__name__.lower())(x, (lambda k: rate) if cls is Rprop else rate, **settings)
    next(rule)
    expected = []
    for k in range(60):
        x -= rule.send(gradient(x, k))
        expected.append(x.copy())
    assert ours.dtype == dtype
    tolerance = TOLERANCE[dtype] * (30 if dtype == "float32" else 1)  # the twin computes in float64
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("cls", "settings"), CASES, ids=IDS)
def test_the_loop_gives_the_bits_of_steps_by_hand(cls, settings):
    problem = problems.Rosenbrock(b=5.0) if cls in (SGD, Adam) else problems.Quadratic(np.diag([1.0, 3.0, 5, 7, 9]))
    x = problem.x0 + 0.5
    method = cls(TABLE[cls][0] / 10, **settings)
    result = optimize(problem, x, method=method, max_iter=20, gtol=0)
    state = method.init(x)
    for _ in range(20):
        method.step(x, problem.grad(x), state)
    np.testing.assert_array_equal(result.x, x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cls", "settings"), CASES, ids=IDS)
def test_equals_torch_and_optax(cls, settings, dtype):
    rate = TABLE[cls][0]
    ours = path(cls(rate, **settings), 5, dtype, 200)
    peer = path_of_optax if cls is Lion else path_of_torch
    theirs = peer(cls, rate, settings, dtype)
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


T = np.linspace(-1.0, 1.0, 9)
PROBLEMS = [
    problems.Rosenbrock(b=2.0),
    problems.Rosenbrock(b=2.0, n=6),
    problems.Quadratic(np.diag([1.0, 2.0, 3.0])),
    problems.DoubleWell(),
    problems.PolynomialFit(T, np.sin(T), 2, "huber"),
    problems.Classifier(Network.mlp([1, 2, 2], "tanh"), T[:, None], np.arange(9) % 2),
    problems.Regressor(Network.mlp([1, 2, 1], "softplus"), T[:, None], np.sin(T)),
]
# Interpreted the whole table, compiled a part of it: with the test above, each rule meets two problems.
PAIRS = [
    (cls, problem)
    for i, cls in enumerate(TABLE)
    for j, problem in enumerate(PROBLEMS)
    if not COMPILING or (j - 2 * i) % 7 == 0
]


@pytest.mark.parametrize("dtype", ["float32"] if COMPILING else ["float64", "float32"])
@pytest.mark.parametrize(("cls", "problem"), PAIRS, ids=[f"{cls.__name__}-{problem}" for cls, problem in PAIRS])
def test_every_rule_on_every_problem(cls, problem, dtype):
    x0 = (problem.start(rng=0) + 0.1).astype(dtype)
    method = cls(0.01)
    result = optimize(problem, x0, method=method, max_iter=7, gtol=0)
    x, state = x0.copy(), method.init(x0)
    for _ in range(7):
        method.step(x, problem.grad(x), state)
    assert result.x.dtype == dtype
    np.testing.assert_array_equal(result.x, x)
    assert result.fun == problem.value(x)


def path_of_torch(cls, rate, settings, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed: parity with torch.optim is not checked")
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # NAdam keeps its product of momenta in it
    try:
        x = torch.tensor(start(5, dtype), requires_grad=True)
        optimizer = getattr(torch.optim, cls.__name__)([x], lr=rate, **settings)
        iterates = []
        for k in range(200):
            x.grad = torch.tensor(gradient(x.detach().numpy(), k))
            optimizer.step()
            iterates.append(x.detach().numpy().copy())
        return np.array(iterates)
    finally:
        torch.set_default_dtype(default)


def path_of_optax(cls, rate, settings, dtype):
    optax = pytest.importorskip("optax", reason="optax is not installed: parity with optax.lion is not checked")
    import jax

    b1, b2 = settings.get("betas", (0.9, 0.99))
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        optimizer = optax.lion(rate, b1=b1, b2=b2, weight_decay=settings.get("weight_decay", 0.001))
        x = jax.numpy.asarray(start(5, dtype))
        state, iterates = optimizer.init(x), []
        for k in range(200):
            updates, state = optimizer.update(jax.numpy.asarray(gradient(np.asarray(x), k)), state, x)
            x = optax.apply_updates(x, updates)
            iterates.append(np.asarray(x).copy())
        return np.array(iterates)
    finally:
        jax.config.update("jax_enable_x64", False)


def test_momentum_beats_plain_descent_in_a_narrow_valley():
    problem = problems.Quadratic(np.diag([1.0, 100.0]))
    runs = {
        settings: optimize(problem, method=SGD(0.009, **dict(settings)), gtol=1e-8).nit
        for settings in ((), (("momentum", 0.8),), (("momentum", 0.8), ("nesterov", True)))
    }
    plain, heavy_ball, nesterov = runs.values()
    assert heavy_ball < plain / 4
    assert nesterov < plain / 4


@pytest.mark.parametrize("cls", [cls for cls in TABLE if cls not in (SGD, Adadelta)], ids=lambda cls: cls.__name__)
def test_reaches_the_minimum_of_a_valley(cls):
    schedule = 0.01 if cls is Rprop else InverseTimeDecay(0.3 if cls is Adagrad else 0.05, 0.005)
    result = optimize(problems.Rosenbrock(b=10.0), method=cls(schedule), max_iter=20_000, target=1e-4)
    assert result.success, str(result)


@pytest.mark.parametrize(
    ("cls", "parameters", "error", "message"),
    [
        (SGD, {"learning_rate": -0.1}, ValueError, "learning_rate must be finite and >= 0, got -0.1"),
        (SGD, {"learning_rate": np.inf}, ValueError, "learning_rate must be finite"),
        (SGD, {"learning_rate": "fast"}, TypeError, "learning_rate must be a real number, got 'fast'"),
        (SGD, {"momentum": 1.5}, ValueError, r"momentum must be in \[0, 1\), got 1.5"),
        (SGD, {"momentum": 1}, ValueError, "momentum"),
        (SGD, {"momentum": 0.9, "dampening": -0.1}, ValueError, "dampening"),
        (SGD, {"weight_decay": -1.0}, ValueError, "weight_decay"),
        (SGD, {"nesterov": True}, ValueError, "nesterov needs momentum > 0 and dampening = 0, got momentum=0.0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "nesterov needs"),
        (SGD, {"nesterov": "yes"}, TypeError, "nesterov must be True or False, got 'yes'"),
        (Adagrad, {"lr_decay": -1}, ValueError, "lr_decay"),
        (Adagrad, {"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value"),
        (Adadelta, {"rho": 1.1}, ValueError, "rho"),
        (RMSprop, {"alpha": -0.1}, ValueError, "alpha"),
        (RMSprop, {"momentum": 1.0}, ValueError, "momentum"),
        (RMSprop, {"centered": 1}, TypeError, "centered"),
        (Rprop, {"learning_rate": InverseTimeDecay(0.1, 0.1)}, TypeError, "learning_rate must be a real number"),
        (Rprop, {"etas": (1.2, 0.5)}, ValueError, r"etas\[0\] must be in \(0, 1\)"),
        (Rprop, {"step_sizes": (1.0, 0.5)}, ValueError, r"step_sizes\[1\]"),
        (Adam, {"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (Adam, {"betas": 0.9}, ValueError, "betas must be two numbers"),
        (Adam, {"eps": -1e-8}, ValueError, "eps"),
        (Adam, {"amsgrad": 1}, TypeError, "amsgrad"),
        (AdamW, {"weight_decay": -1}, ValueError, "weight_decay"),
        (NAdam, {"momentum_decay": -1}, ValueError, "momentum_decay"),
        (Lion, {"betas": (0.9, "b")}, TypeError, r"betas\[1\]"),
    ],
)
def test_bad_parameters_are_refused_at_construction(cls, parameters, error, message):
    with pytest.raises(error, match=message):
        cls(**parameters)


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: cls.__name__)
def test_are_values(cls):
    assert cls(0.1) == cls(learning_rate=0.1)
    assert cls(0.1) != cls(0.2)
    assert hash(cls(0.1)) == hash(cls(0.1))
    method = cls(0.2 if cls is Rprop else InverseTimeDecay(0.2, 0.01))
    assert eval(repr(method), vars(gradopt)) == method
    with pytest.raises(AttributeError):
        method.learning_rate = 0.5
    assert gradopt.methods.as_method(cls.__name__.upper()) == cls()


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
