import numpy as np
import pytest

from gradopt import (
    SGD,
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstant,
    StepDecay,
    Warmup,
    optimize,
    problems,
)

import naive

K = np.arange(60)

TABLE = [
    (Constant(0.3), lambda k: np.full(k.shape, 0.3)),
    (InverseTimeDecay(0.2, 0.01), lambda k: naive.inverse_time(k, 0.2, 0.01)),
    (ExponentialDecay(0.2, 0.9), lambda k: naive.exponential(k, 0.2, 0.9)),
    (ExponentialDecay(0.2, 0.5, steps=7), lambda k: naive.exponential(k, 0.2, 0.5, 7)),
    (ExponentialDecay(0.2, 0.5, steps=7, staircase=True), lambda k: naive.exponential(k, 0.2, 0.5, 7, True)),
    (StepDecay(0.2, 10), lambda k: naive.step_decay(k, 0.2, 10)),
    (PiecewiseConstant([0.3, 0.2, 0.1], [5, 20]), lambda k: naive.piecewise(k, [0.3, 0.2, 0.1], [5, 20])),
    (PiecewiseConstant([0.3], []), lambda k: np.full(k.shape, 0.3)),
    (CosineDecay(0.2, 40, final=0.01), lambda k: naive.cosine(k, 0.2, 40, 0.01)),
    (Warmup(0.4, 8, start_factor=0.25), lambda k: naive.warmup(k, lambda k: np.full(k.shape, 0.4), 8, 0.25)),
    (
        Warmup(StepDecay(0.4, 10, 0.5), 8),
        lambda k: naive.warmup(k, lambda k: naive.step_decay(k, 0.4, 10, 0.5), 8),
    ),
]
IDS = [str(schedule) for schedule, _ in TABLE]


@pytest.mark.parametrize(("schedule", "expected"), TABLE, ids=IDS)
def test_equals_its_formula_for_every_k(schedule, expected):
    np.testing.assert_allclose(schedule(K), expected(K), rtol=1e-14)


@pytest.mark.parametrize(("schedule", "expected"), TABLE[1:9:3], ids=IDS[1:9:3])
def test_the_loop_uses_it(schedule, expected):
    result = optimize(problems.Quadratic(1e-3), method=SGD(schedule), max_iter=30, gtol=0)
    np.testing.assert_array_equal(result.history.learning_rate, schedule(np.arange(31)))
    np.testing.assert_allclose(result.x, np.prod(1 - 1e-3 * expected(np.arange(30))), rtol=1e-13)


def test_scalars_give_floats_and_shapes_are_kept():
    schedule = InverseTimeDecay(0.2, 0.01)
    assert type(schedule(100)) is float
    assert schedule(100) == 0.1
    assert schedule(np.zeros((2, 3), int)).shape == (2, 3)
    assert schedule(np.arange(10)[::2]).tolist() == [schedule(k) for k in range(0, 10, 2)]
    assert schedule(np.zeros(0, int)).shape == (0,)


@pytest.mark.parametrize("k", [1.5, "3", None, [0.0, 1.0]])
def test_k_must_be_an_integer(k):
    with pytest.raises(TypeError, match="k must be an integer"):
        Constant(0.1)(k)


def test_k_must_not_be_negative():
    with pytest.raises(ValueError, match="k must be >= 0, got -1"):
        Constant(0.1)([3, -1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant(-0.1), ValueError, r"value must be finite and >= 0, got -0.1"),
        (lambda: Constant(np.nan), ValueError, "value"),
        (lambda: Constant("0.1"), TypeError, "value must be a real number, got '0.1'"),
        (lambda: Constant(True), TypeError, "value"),
        (lambda: InverseTimeDecay(0.1, -1), ValueError, "decay"),
        (lambda: ExponentialDecay(0.1, 0.0), ValueError, "rate must be finite and > 0, got 0.0"),
        (lambda: ExponentialDecay(0.1, 0.5, steps=0), ValueError, "steps must be an integer >= 1, got 0"),
        (lambda: ExponentialDecay(0.1, 0.5, steps=2.0), TypeError, "steps must be an integer, got 2.0"),
        (lambda: ExponentialDecay(0.1, 0.5, staircase=1), TypeError, "staircase"),
        (lambda: StepDecay(0.1, 0), ValueError, "every"),
        (lambda: PiecewiseConstant([0.1], [3]), ValueError, "one more than boundaries, got 1 values and 1"),
        (lambda: PiecewiseConstant([0.1, 0.2, 0.3], [5, 5]), ValueError, "boundaries must increase"),
        (lambda: PiecewiseConstant([0.1, -0.2], [5]), ValueError, r"values\[1\]"),
        (lambda: PiecewiseConstant(0.1, [5]), TypeError, "values must be a sequence, got 0.1"),
        (lambda: CosineDecay(0.1, 10, final=-1), ValueError, "final"),
        (lambda: Warmup("constant", 10), TypeError, "schedule"),
        (lambda: Warmup(0.1, 10, start_factor=2), ValueError, r"start_factor must be in \[0, 1\], got 2"),
    ],
)
def test_bad_parameters_are_refused_at_construction(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_are_values():
    assert StepDecay(0.1, 5) == StepDecay(0.1, every=5, factor=0.1)
    assert len({StepDecay(0.1, 5), StepDecay(0.1, 5), StepDecay(0.2, 5)}) == 2
    assert repr(Warmup(0.1, 10)) == "Warmup(schedule=0.1, steps=10, start_factor=0.0)"
    with pytest.raises(AttributeError):
        StepDecay(0.1, 5).every = 6


def test_equal_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed: parity with its schedulers is not checked")
    from torch.optim import lr_scheduler

    def rates(make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
        scheduler, out = make(optimizer), []
        for _ in range(50):
            out.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return out

    k = np.arange(50)
    pairs = [
        (StepDecay(0.2, 10, 0.5), lambda o: lr_scheduler.StepLR(o, 10, 0.5)),
        (ExponentialDecay(0.2, 0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (PiecewiseConstant([0.2, 0.1, 0.05], [10, 30]), lambda o: lr_scheduler.MultiStepLR(o, [10, 30], 0.5)),
        (CosineDecay(0.2, 49, 0.01), lambda o: lr_scheduler.CosineAnnealingLR(o, 49, 0.01)),
        (Warmup(0.2, 10, 0.1), lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 10)),
        (InverseTimeDecay(0.2, 0.1), lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + 0.1 * k))),
    ]
    for schedule, make in pairs:
        np.testing.assert_allclose(schedule(k), rates(make), rtol=1e-12, err_msg=str(schedule))
