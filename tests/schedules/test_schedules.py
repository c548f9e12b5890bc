from functools import partial

import numpy as np
import pytest

from gradopt import (
    SGD,
    Constant,
    CosineDecay,
    CosineWarmRestarts,
    Cyclic,
    ExponentialDecay,
    InverseTimeDecay,
    Join,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    ReduceOnPlateau,
    StepDecay,
    Warmup,
    every,
    optimize,
    per_epoch,
    problems,
)
from gradopt.extend import current_rate, observe

import naive
from marks import compiled_only

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


def each(function, *arguments, **settings):
    return lambda k: np.array([function(int(i), *arguments, **settings) for i in k])


TABLE += [
    (PolynomialDecay(0.2, 0.05, 40), lambda k: naive.polynomial(k, 0.2, 0.05, 40)),
    (PolynomialDecay(0.2, 0.0, 30, power=2.5), lambda k: naive.polynomial(k, 0.2, 0.0, 30, 2.5)),
    (CosineWarmRestarts(0.2, 7, final=0.01), each(naive.warm_restarts, 0.2, 7, final=0.01)),
    (CosineWarmRestarts(0.2, 4, multiplier=3), each(naive.warm_restarts, 0.2, 4, 3)),
    (OneCycle(0.3, 50), each(naive.one_cycle, 0.3, 50)),
    (OneCycle(0.3, 20, 0.5, 10.0, 100.0), each(naive.one_cycle, 0.3, 20, 0.5, 10.0, 100.0)),
    (Cyclic(0.1, 0.3, 5), each(naive.cyclic, 0.1, 0.3, 5)),
    (Cyclic(0.1, 0.3, 5, 9, "triangular2"), each(naive.cyclic, 0.1, 0.3, 5, 9, "triangular2")),
    (Cyclic(0.0, 0.3, 4, 3, "exp_range", 0.95), each(naive.cyclic, 0.0, 0.3, 4, 3, "exp_range", 0.95)),
    (
        Join([0.1, StepDecay(0.4, 3, 0.5), CosineDecay(0.2, 9)], [10, 25]),
        each(
            lambda k: 0.1 if k < 10 else 0.4 * 0.5 ** ((k - 10) // 3) if k < 25 else naive.cosine(k - 25, 0.2, 9, 0.0)
        ),
    ),
    (
        Warmup(Join([0.3, Warmup(0.2, 4)], [6]), 5),
        each(lambda k: 0.3 * k / 5 if k < 5 else 0.3 if k < 11 else min(0.2, 0.2 * (k - 11) / 4)),
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


def test_periods_that_grow_beyond_all_numbers():
    np.testing.assert_allclose(CosineWarmRestarts(1.0, 16, multiplier=2**60)([0, 16, 20, 2**50]), 1.0, rtol=1e-6)


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
        (lambda: PiecewiseConstant([0.1], [3]), ValueError, "one item more than boundaries, got 1 values and 1"),
        (lambda: PiecewiseConstant([0.1, 0.2, 0.3], [5, 5]), ValueError, "boundaries must increase"),
        (lambda: PiecewiseConstant([0.1, -0.2], [5]), ValueError, r"values\[1\]"),
        (lambda: PiecewiseConstant(0.1, [5]), TypeError, "values must be a sequence, got 0.1"),
        (lambda: CosineDecay(0.1, 10, final=-1), ValueError, "final"),
        (lambda: Warmup("constant", 10), TypeError, "schedule"),
        (lambda: Warmup(ReduceOnPlateau(0.1), 3), ValueError, "schedule must be a pure function of the update count"),
        (lambda: Join([0.1], [3]), ValueError, "one item more than boundaries"),
        (lambda: Join([0.1, per_epoch(StepDecay(0.1, 2))], [3]), ValueError, r"schedules\[1\] must be a pure"),
        (lambda: Join([0.1, 0.2], [0]), ValueError, r"boundaries\[0\]"),
        (lambda: per_epoch(ReduceOnPlateau(0.1)), TypeError, "pure schedule"),
        (lambda: PolynomialDecay(0.1, 0.0, 10, power=0), ValueError, "power"),
        (lambda: CosineWarmRestarts(0.1, 0), ValueError, "period"),
        (lambda: CosineWarmRestarts(0.1, 5, multiplier=1.5), TypeError, "multiplier"),
        (lambda: OneCycle(0.1, 10, pct_start=1.5), ValueError, "pct_start"),
        (lambda: OneCycle(0.1, 10, div_factor=0), ValueError, "div_factor"),
        (lambda: Cyclic(0.3, 0.1, 5), ValueError, "high"),
        (lambda: Cyclic(0.1, 0.3, 5, mode="square"), ValueError, "mode must be one of"),
        (lambda: ReduceOnPlateau(0.1, factor=1.0), ValueError, r"factor must be in \(0, 1\)"),
        (lambda: ReduceOnPlateau(0.1, patience=-1), ValueError, "patience"),
        (lambda: ReduceOnPlateau(0.1)(3), TypeError, "depends on the objective"),
        (lambda: SGD(lambda k: "fast").lower(), TypeError, r"learning_rate\(0\) must be a real number"),
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
        (PolynomialDecay(0.2, 0.0, 40, 2.0), lambda o: lr_scheduler.PolynomialLR(o, 40, 2.0)),
        (CosineWarmRestarts(0.2, 7, 2, 0.01), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7, 2, 0.01)),
        (CosineWarmRestarts(0.2, 7), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7)),
        (OneCycle(0.2, 51), lambda o: lr_scheduler.OneCycleLR(o, 0.2, 51, cycle_momentum=False)),
        (
            OneCycle(0.2, 60, 0.4, 5.0, 50.0),
            lambda o: lr_scheduler.OneCycleLR(
                o, 0.2, 60, pct_start=0.4, div_factor=5.0, final_div_factor=50.0, cycle_momentum=False
            ),
        ),
        *(
            (
                Cyclic(0.1, 0.2, 6, 9, mode, 0.97),
                lambda o, mode=mode: lr_scheduler.CyclicLR(
                    o, 0.1, 0.2, 6, 9, mode=mode, gamma=0.97, cycle_momentum=False
                ),
            )
            for mode in ("triangular", "triangular2", "exp_range")
        ),
        (
            Join([Warmup(0.2, 10, 0.1), StepDecay(0.2, 7, 0.5)], [12]),
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 10), lr_scheduler.StepLR(o, 7, 0.5)], [12]
            ),
        ),
    ]
    for schedule, make in pairs:
        np.testing.assert_allclose(schedule(k), rates(make), rtol=1e-12, err_msg=str(schedule))


PLATEAUS = [
    ReduceOnPlateau(0.2, patience=2),
    ReduceOnPlateau(0.2, 0.5, patience=0, threshold=0.2, cooldown=3),
    ReduceOnPlateau(0.2, 0.3, patience=1, minimum=0.05),
]


def losses_of(count):
    rng = np.random.default_rng(1)
    losses = np.abs(np.exp(-0.1 * np.arange(count)) + 0.05 * rng.normal(size=count))  # torch reduces at no negative one
    losses[7] = np.nan
    return losses


def rates_of(schedule, losses):
    """By the kernels, as a loop uses them."""
    state, twin, rates = np.zeros(5), schedule.lower(), []
    for loss in losses:
        observe(twin, state, loss, 0)
        rates.append(current_rate(twin, state, 0))
    return rates


@pytest.mark.parametrize("schedule", PLATEAUS, ids=str)
def test_plateau_equals_torch(schedule):
    torch = pytest.importorskip("torch", reason="torch is not installed: parity with its schedulers is not checked")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=schedule.factor,
        patience=schedule.patience,
        threshold=schedule.threshold,
        cooldown=schedule.cooldown,
        min_lr=schedule.minimum,
    )
    theirs = []
    for loss in losses_of(60):
        scheduler.step(loss)
        theirs.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates_of(schedule, losses_of(60)), theirs, rtol=1e-12)
    assert len(set(theirs)) > 2


@pytest.mark.parametrize("every_updates", [1, 4])
def test_plateau_in_the_loop_looks_after_updates(every_updates):
    schedule = ReduceOnPlateau(0.9, 0.5, patience=1, threshold=0.3, every=every_updates)
    bowl = problems.Quadratic(np.diag([1.0, 2.2]))
    history = optimize(bowl, [1.0, 1.0], method=SGD(schedule), max_iter=40, gtol=0).history
    seen = history.fun[every_updates::every_updates]
    expected = np.concatenate([np.full(every_updates, 0.9), np.repeat(rates_of(schedule, seen), every_updates)])
    np.testing.assert_array_equal(history.learning_rate, expected[:41])
    assert len(set(history.learning_rate)) == 2


def test_plateau_by_epoch_looks_at_the_validation_loss():
    rng = np.random.default_rng(0)
    t = rng.normal(size=40)
    fit = problems.PolynomialFit(t[:30], t[:30] + 0.3 * rng.normal(size=30), degree=1)
    schedule = ReduceOnPlateau(0.1, 0.5, patience=1)
    history = optimize(fit, method=SGD(schedule), batch_size=7, epochs=25, rng=0, validation=(t[30:], t[30:])).history
    np.testing.assert_array_equal(history.learning_rate[1:], rates_of(schedule, history.val_fun)[:-1])
    assert len(set(history.learning_rate)) > 2
    without = optimize(fit, method=SGD(schedule), batch_size=7, epochs=25, rng=0).history
    np.testing.assert_array_equal(without.learning_rate[1:], rates_of(schedule, without.fun)[:-1])


@pytest.mark.parametrize("batch_size", [None, 7])
def test_plateau_goes_on_where_it_stopped(batch_size):
    t = np.random.default_rng(0).normal(size=30)
    fit = problems.PolynomialFit(t, t**3, degree=1)
    settings = {"method": SGD(ReduceOnPlateau(0.1, 0.5, patience=1), momentum=0.5)}
    training = {} if batch_size is None else {"batch_size": batch_size, "rng": 0, "epochs": 99}
    whole = optimize(fit, **settings, **training, max_iter=40)
    begun = optimize(fit, **settings, **training, max_iter=17, callback=every(3, lambda x: None))
    resumed = optimize(fit, state=begun.state, max_iter=23)
    np.testing.assert_array_equal(whole.x, resumed.x)
    np.testing.assert_array_equal(whole.state.schedule_state, resumed.state.schedule_state)


def test_a_function_of_the_update_count_is_a_schedule():
    rate = lambda k: 0.1 / (1 + k) ** 0.5  # noqa: E731
    result = optimize(problems.Quadratic(1.0), [1.0], method=SGD(rate), max_iter=5, gtol=0)
    np.testing.assert_allclose(result.history.learning_rate, [rate(k) for k in range(6)], rtol=1e-15)
    np.testing.assert_allclose(Warmup(rate, 2)([0, 1, 2, 3]), [0, 0.05, rate(0), rate(1)], rtol=1e-15)


def sometimes(k):
    if k < 100:
        return 0.1


@compiled_only
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda k: 0.1 * len(globals()), "globals"),
        (sometimes, "a return is missing"),
        (lambda k: 0.1 if k < 5 else 1j, "complex"),
        (partial(sometimes), "not a function"),
    ],
)
def test_a_function_that_cannot_be_compiled_is_refused(function, reason):
    for schedule in (SGD, lambda rate: Warmup(rate, 3)):
        with pytest.raises(TypeError, match=f"learning_rate must be a function that Numba can compile.*{reason}"):
            schedule(function)


def test_a_function_sees_the_numbers_outside_of_it_as_they_are():
    scope = {"rate": 0.1}
    exec("def function(k): return rate", scope)
    for scope["rate"] in (0.1, 0.3):
        x = optimize(problems.Quadratic(1.0), [1.0], method=SGD(scope["function"]), max_iter=1).x
        np.testing.assert_allclose(x, 1.0 - scope["rate"], rtol=1e-15)


@compiled_only
def test_a_function_is_compiled_with_what_it_sees_when_its_method_is_made():
    scope = {"rate": 0.1}
    exec("def function(k): return rate", scope)
    methods = [SGD(scope["function"]), SGD(Warmup(scope["function"], 1, 1.0)), SGD(Join([scope["function"], 0.1], [5]))]
    scope["rate"] = 0.3
    for method in methods:
        x = optimize(problems.Quadratic(1.0), [1.0], method=method, max_iter=1).x
        np.testing.assert_allclose(x, 0.9, rtol=1e-15)


def test_a_function_of_the_epoch():
    line = problems.PolynomialFit([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], degree=1)
    rates = optimize(
        line, method=SGD(per_epoch(lambda k: 0.01 * (k + 1))), batch_size=1, epochs=3
    ).history.learning_rate
    np.testing.assert_allclose(rates, [0.01, 0.02, 0.03])


@pytest.mark.parametrize("level", [-1e6, -1.0, -1e-3, 0.0, 1.0])
def test_plateau_reduces_at_any_level_of_the_objective(level):
    schedule = ReduceOnPlateau(1e-3, factor=0.5, patience=1)
    still = optimize(problems.Quadratic(1e-20, c=level), [1.0], method=SGD(schedule), max_iter=8, gtol=0)
    np.testing.assert_allclose(still.history.learning_rate[-1], 1e-3 / 8)


def test_plateau_of_another_rate_begins_anew_at_resume():
    fit = problems.Quadratic(2.0)
    first = optimize(fit, [1.0], method=SGD(ReduceOnPlateau(1e-3, patience=0)), max_iter=5)
    again = optimize(fit, state=first.state, method=SGD(ReduceOnPlateau(1e-2)), max_iter=3)
    assert (again.history.learning_rate == 1e-2).all()
    same = optimize(fit, state=first.state, max_iter=3)
    assert same.history.learning_rate[0] == first.history.learning_rate[-1]


@pytest.mark.parametrize(
    "schedule", [OneCycle(0.1, steps=5), PolynomialDecay(0.1, 0.01, 4), lambda k: 0.1 / min(k + 1, 4)]
)
def test_a_schedule_that_has_ended_before_the_run_begins_is_told(schedule):
    fit = problems.Quadratic(2.0)
    first = optimize(fit, [1.0], method=SGD(1e-3), max_iter=10)
    with pytest.warns(RuntimeWarning, match="has ended before update 10"):
        optimize(fit, state=first.state, method=SGD(schedule), max_iter=3)
    for lasting in (Constant(0.1), InverseTimeDecay(0.1, 0.5), Join([Constant(0.01), OneCycle(0.1, 5)], [10])):
        again = optimize(fit, state=first.state, method=SGD(lasting), max_iter=3)
        optimize(fit, state=again.state, max_iter=3)
