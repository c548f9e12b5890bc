"""Training runs: batches, epochs, validation, what ends them, and going on where one stopped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradopt
from gradopt import SGD, ExponentialDecay, Network, Status, StepDecay, Warmup, every, optimize, per_epoch, problems

import naive
from marks import named

RNG = np.random.default_rng(8)
NET = Network.mlp([3, 4, 2], activation="tanh")
X = RNG.normal(size=(23, 3))
LABELS = (X[:, 0] + 0.3 * RNG.normal(size=23) > 0).astype(int)
CLASSIFIER = problems.Classifier(NET, X[:17], LABELS[:17])
VALIDATION = (X[17:], LABELS[17:])
FIT = problems.PolynomialFit(X[:, 0], X[:, 1])
START = NET.init(rng=5)


MOMENTUM = SGD(0.2, momentum=0.9)


def train(*, method=MOMENTUM, batch_size=5, rng=3, **settings):
    return optimize(CLASSIFIER, START, method=method, batch_size=batch_size, rng=rng, **settings)


def assert_same(one, other):
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.state.x, other.state.x)
    np.testing.assert_array_equal(one.best_x, other.best_x)
    np.testing.assert_array_equal(one.state.slots, other.state.slots)
    assert (one.fun, one.best_fun, one.nit) == (other.fun, other.best_fun, other.nit)


def test_it_is_sgd_on_the_batches_in_their_order():
    for batch_size in (1, 5, 17):
        rng, theta, velocity, losses = np.random.default_rng(3), START.copy(), 0.0, []
        for _ in range(3):
            total = 0.0
            for rows in CLASSIFIER.batches(batch_size, rng):
                layers = NET.layers_of(theta)
                gradient = naive.tanh_network_gradient(layers, X[rows], LABELS[rows])
                total += len(rows) * naive.cross_entropy(NET.forward(theta, X[rows]), LABELS[rows])
                velocity = 0.9 * velocity + gradient
                theta = theta - 0.2 * velocity
            losses.append(total / 17)
        result = train(batch_size=batch_size, epochs=3)
        np.testing.assert_allclose(result.x, theta, rtol=1e-10)
        np.testing.assert_allclose(result.history.fun, losses, rtol=1e-12)
        assert result.history.grad_norm[-1] == pytest.approx(np.linalg.norm(gradient), rel=1e-10)


@given(rows=st.integers(1, 40), batch_size=st.integers(1, 40), seed=st.integers(0, 5))
def test_batches_cover_each_row_once(rows, batch_size, seed):
    problem = problems.PolynomialFit(np.arange(rows), np.arange(rows))
    if batch_size > rows:
        with pytest.raises(ValueError, match=f"at most the {rows} rows"):
            problem.batches(batch_size)
        return
    batches = list(problem.batches(batch_size, seed))
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    again = problem.batches(batch_size, np.random.default_rng(seed))
    for one, other in zip(batches, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_without_shuffling_the_rows_keep_their_order(batch_size):
    size = batch_size or 17
    x, method = START.copy(), SGD(0.2)
    state = method.init(x)
    for _ in range(2):
        for start in range(0, 17, size):
            _, grad = CLASSIFIER.value_and_grad(x, range(start, min(start + size, 17)))
            method.step(x, grad, state)
    result = optimize(CLASSIFIER, START, method=method, batch_size=batch_size, epochs=2, shuffle=False)
    np.testing.assert_array_equal(result.x, x)


def test_the_result():
    result = train(epochs=4, validation=VALIDATION, restore_best=False)
    assert (result.status, result.success) == (Status.COMPLETED, True)
    assert (result.nit, result.nfev, result.njev, result.jac) == (16, 17, 16, None)
    assert result.fun == CLASSIFIER.value(result.x)
    assert list(result.history) == ["nit", "fun", "learning_rate", "grad_norm", "val_fun", "val_accuracy"]
    np.testing.assert_array_equal(result.history.nit, [4, 8, 12, 16])
    held_out = problems.Classifier(NET, *VALIDATION)
    assert result.history.val_fun[-1] == held_out.value(result.x)
    assert result.history.val_accuracy[-1] == held_out.score(result.x, *VALIDATION)


def test_the_start_is_drawn_before_the_orders():
    rng = np.random.default_rng(11)
    start = NET.init(rng)
    drawn = optimize(CLASSIFIER, method=SGD(0.1), batch_size=4, epochs=2, rng=11)
    given_start = optimize(CLASSIFIER, start, method=SGD(0.1), batch_size=4, epochs=2, rng=rng)
    np.testing.assert_array_equal(drawn.x, given_start.x)
    full = optimize(CLASSIFIER, method=SGD(0.1), max_iter=2, rng=11)
    assert full.history.fun[0] == CLASSIFIER.value(start)


def test_float32_stays_float32():
    problem = problems.Classifier(NET, X.astype(np.float32), LABELS)
    result = optimize(problem, method=SGD(0.1, momentum=0.5), batch_size=4, epochs=2, rng=0, record="x")
    assert {result.x.dtype, result.state.slots[0].dtype, result.history.x.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize("problem", [CLASSIFIER, FIT], ids=["network", "fit"])
@given(first=st.integers(0, 15), second=st.integers(0, 15), batch_size=st.sampled_from([1, 5, 7, None]))
def test_resumed_is_uninterrupted_within_epochs_too(problem, first, second, batch_size):
    method = SGD(per_epoch(ExponentialDecay(0.05, 0.9)), momentum=0.9)
    settings = {"method": method, "batch_size": batch_size, "epochs": 100, "rng": 4}
    start = START if problem is CLASSIFIER else np.zeros(3)
    whole = optimize(problem, start, **settings, max_iter=first + second)
    begun = optimize(problem, start, **settings, max_iter=first)
    for _ in range(2):  # a state can be used twice
        resumed = optimize(problem, state=begun.state, max_iter=second)
        assert_same(whole, resumed)
    assert whole.status == Status.COMPLETED


def test_3_and_4_epochs_are_7():
    settings = {"validation": VALIDATION, "patience": 6}
    whole = train(epochs=7, **settings)
    begun = train(epochs=3, **settings)
    resumed = optimize(CLASSIFIER, state=begun.state, epochs=4, **settings)
    assert_same(whole, resumed)
    for column in whole.history:
        both = np.concatenate([begun.history[column], resumed.history[column]])
        np.testing.assert_array_equal(whole.history[column], both)


def test_callbacks_record_and_bar_change_nothing(capsys):
    pytest.importorskip("tqdm")
    seen = []

    def note(intermediate_result):
        seen.append(intermediate_result)

    plain = train(epochs=6, validation=VALIDATION)
    watched = train(epochs=6, validation=VALIDATION, callback=[every(2, note)], progress=True, record=None)
    assert_same(plain, watched)
    assert [result.epoch for result in seen] == [2, 4, 6]
    assert [result.fun for result in seen] == list(plain.history.fun[1::2])
    assert [result.val_accuracy for result in seen] == list(plain.history.val_accuracy[1::2])
    assert len(watched.history) == 0
    assert "epoch" in capsys.readouterr().err


def test_patience_ends_the_run_exactly():
    result = train(method=SGD(1.5), epochs=200, validation=VALIDATION, patience=3)
    assert result.status == Status.EARLY_STOPPED
    best = int(np.argmin(result.history.val_fun))
    assert len(result.history) == best + 1 + 3
    until_best = train(method=SGD(1.5), epochs=best + 1)
    np.testing.assert_array_equal(result.x, until_best.x)
    assert result.best_fun == result.history.val_fun[best]
    assert result.fun == CLASSIFIER.value(result.x)
    last = train(method=SGD(1.5), epochs=200, validation=VALIDATION, patience=3, restore_best=False)
    np.testing.assert_array_equal(last.x, last.state.x)
    np.testing.assert_array_equal(last.best_x, result.x)


def test_accuracy_can_be_monitored():
    result = train(method=SGD(0.5), epochs=50, validation=VALIDATION, patience=5, monitor="accuracy")
    best = int(np.argmax(result.history.val_accuracy))
    assert result.status == Status.EARLY_STOPPED
    assert len(result.history) == best + 1 + 5
    assert result.best_fun == result.history.val_fun[best]


def test_target_time_callback_and_limits():
    result = train(epochs=100, target=0.4)
    assert result.status == Status.TARGET
    assert result.history.fun[-1] <= 0.4 < result.history.fun[-2]
    result = train(max_time=0.2, epochs=10**9)
    assert result.status == Status.MAX_TIME
    assert not result.success
    stopped = train(epochs=9, callback=lambda x: True)
    assert (stopped.status, stopped.nit) == (Status.CALLBACK, 4)
    assert train(epochs=0).nit == 0
    assert len(train().history) == 100
    partial = train(max_iter=6)
    assert (partial.status, partial.nit) == (Status.COMPLETED, 6)
    np.testing.assert_array_equal(partial.history.nit, [4, 6])


def test_schedules_count_updates_or_epochs():
    by_update = train(method=SGD(StepDecay(0.1, every=4, factor=0.5)), epochs=3)
    by_epoch = train(method=SGD(per_epoch(StepDecay(0.1, every=1, factor=0.5))), epochs=3)
    np.testing.assert_array_equal(by_update.x, by_epoch.x)
    np.testing.assert_array_equal(by_epoch.history.learning_rate, [0.1, 0.05, 0.025])
    with pytest.raises(ValueError, match="per_epoch"):
        optimize(CLASSIFIER, START, method=SGD(per_epoch(StepDecay(0.1, 2))))
    with pytest.raises(ValueError, match="update count"):
        Warmup(per_epoch(StepDecay(0.1, 2)), 3)
    with pytest.raises(TypeError, match="update count"):
        per_epoch(0.1)
    with pytest.raises(ValueError, match="update count"):
        SGD(per_epoch(StepDecay(0.1, 2))).init(START)
    assert repr(per_epoch(StepDecay(0.1, 2))) == "per_epoch(StepDecay(initial=0.1, every=2, factor=0.1))"


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_divergence_keeps_the_last_finite_iterate(momentum, shuffle):
    fit = problems.PolynomialFit(np.linspace(0, 9, 12), np.linspace(0, 9, 12) ** 2)
    method = SGD(5.0, momentum)
    result = optimize(fit, method=method, batch_size=5, epochs=1000, shuffle=shuffle, rng=0)
    assert result.status == Status.NON_FINITE
    assert f"at update {result.nit + 1} (learning rate 5)" in result.message
    assert np.isfinite(result.x).all()
    # The state is that of a run which stopped there.
    until = optimize(fit, method=method, batch_size=5, max_iter=result.nit, epochs=1000, shuffle=shuffle, rng=0)
    if until.status == Status.COMPLETED:
        np.testing.assert_array_equal(result.x, until.x)
        np.testing.assert_array_equal(result.state.slots, until.state.slots)
        assert result.state.training.row == until.state.training.row


def test_a_start_that_is_not_finite():
    start = np.full(NET.n, 1e308)
    result = optimize(problems.Regressor(NET, X, X[:, :2]), start, method=SGD(0.1), batch_size=4, rng=0)
    assert (result.status, result.nit) == (Status.NON_FINITE, 0)
    assert "at the start" in result.message
    np.testing.assert_array_equal(result.x, start)


def test_an_objective_that_is_not_finite_over_all_rows_is_no_success():
    t = np.array([0.0, 0.0, 1e154])
    fit = problems.PolynomialFit(t, t, degree=1)
    result = optimize(fit, [1.5e154, 0.0], method=SGD(0.0), batch_size=1, max_iter=2, shuffle=False)
    assert result.status == Status.NON_FINITE


def memory_map(tmp_path, array):
    path = tmp_path / "X.bin"
    array.tofile(path)
    return np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_memory_maps_are_read_by_batch(tmp_path, dtype):
    data = (40 * X).astype(dtype)
    mapped = problems.Classifier(NET, memory_map(tmp_path, data), LABELS)
    assert isinstance(mapped.X, np.memmap)
    assert np.shares_memory(mapped.lower(np.dtype(dtype) if dtype != np.uint8 else np.float64).X, mapped.X)
    held = problems.Classifier(NET, data, LABELS)
    settings = {"method": SGD(0.01), "batch_size": 4, "epochs": 2, "rng": 0}
    np.testing.assert_array_equal(optimize(mapped, **settings).x, optimize(held, **settings).x)
    assert mapped.score(START, data, LABELS) == held.score(START, data, LABELS)
    # Rows that follow one another are not copied, where they are in memory.
    for rows in (None, range(3, 9), [0], [22], [4, 3], [2, 4], [5, 5]):
        for one, other in zip(mapped.value_and_grad(START, rows), held.value_and_grad(START, rows), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_row_of_a_memory_map_that_is_not_finite_is_named(tmp_path):
    data = X.copy()
    data[13, 1] = -np.inf
    mapped = problems.Classifier(Network.mlp([3, 4, 2]), memory_map(tmp_path, data), LABELS)
    with pytest.raises(ValueError, match="row 13 of Classifier"):
        optimize(mapped, method=SGD(0.01), batch_size=4, epochs=2, rng=0)
    with pytest.raises(ValueError, match="row 13"):
        mapped.value(mapped.start(0))
    assert np.isfinite(mapped.value_and_grad(mapped.start(0), rows=[0, 12, 14])[0])
    y = np.column_stack([X[:, 0], X[:, 1]])
    y[7, 0] = np.nan
    regressor = problems.Regressor(NET, X, memory_map(tmp_path, y))
    with pytest.raises(ValueError, match="row 7"):
        optimize(regressor, method=SGD(0.01), batch_size=4, epochs=2, rng=0)
    with pytest.raises(ValueError, match="native byte order"):
        problems.Classifier(NET, memory_map(tmp_path, X.astype(">f8")), LABELS)


def test_the_worked_example():
    problem = problems.shape_classifier()
    history = optimize(problem, method=SGD(1e-7), batch_size=1, epochs=1, shuffle=False, record="x")
    w1, w2, w3 = problem.x0
    np.testing.assert_array_equal(history.x[0], w1)
    assert history.x[1] == w2 + 1e-7 * 2000
    assert history.x[2] == w3 + 1e-7 * 3000
    outputs = problem.predict(history.x, problem.X)
    np.testing.assert_allclose(outputs, [0.43, 1.0, 1.3], rtol=1e-12)
    np.testing.assert_allclose(0.5 * (outputs - [0, 1, 1]) ** 2, [0.09245, 0, 0.045], rtol=1e-11, atol=1e-30)
    for rows in ([0], [1]):
        np.testing.assert_allclose(problem.value_and_grad(problem.x0, rows)[1], 0, atol=1e-12)
    with_ends = optimize(problem, method=SGD(1e-7), batch_size=1, max_iter=2, shuffle=False)
    np.testing.assert_array_equal(with_ends.x, problem.x0)


RUN = {"problem": CLASSIFIER, "x0": START, "method": SGD(0.1), "batch_size": 5, "epochs": 2}
HOSTILE = [
    ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1"),
    ({"batch_size": 18}, ValueError, "at most the 17 rows"),
    ({"batch_size": 2.0}, TypeError, "batch_size must be an integer"),
    ({"epochs": -1}, ValueError, "epochs must be an integer >= 0"),
    ({"epochs": 1.5}, TypeError, "epochs"),
    ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
    ({"gtol": 1e-3}, ValueError, "gtol has no meaning for a training run"),
    ({"ftol": 1e-3}, ValueError, "ftol has no meaning"),
    ({"xtol": 1e-3}, ValueError, "xtol has no meaning"),
    ({"patience": 3}, ValueError, "patience needs validation"),
    ({"monitor": "accuracy"}, ValueError, "needs validation"),
    ({"monitor": "speed"}, ValueError, "monitor must be one of"),
    ({"validation": X}, ValueError, "validation must be two arrays"),
    ({"validation": (X, LABELS + 5)}, ValueError, r"validation: y must be labels in \[0, 2\)"),
    ({"validation": VALIDATION, "patience": 0}, ValueError, "patience must be an integer >= 1"),
    (
        {"problem": FIT, "x0": None, "validation": (X[:, 0], X[:, 1]), "monitor": "accuracy"},
        ValueError,
        "must be 'loss'",
    ),
    ({"problem": lambda x: x}, ValueError, "rows of data"),
    ({"rng": "seed"}, TypeError, "rng must be"),
]


@pytest.mark.parametrize(("settings", "error", "message"), HOSTILE, ids=[named(case[0]) for case in HOSTILE])
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        optimize(**(RUN | settings))


def test_states_are_refused_where_they_do_not_fit():
    begun = train(max_iter=6)
    for changed in ({"batch_size": 4}, {"rng": 1}, {"shuffle": False}):
        with pytest.raises(ValueError, match="within an epoch of 17 rows, in batches of 5"):
            optimize(CLASSIFIER, state=begun.state, **changed)
    with pytest.raises(ValueError, match="within an epoch"):
        optimize(problems.Classifier(NET, X, LABELS), state=begun.state)
    with pytest.raises(ValueError, match="state.x must have"):
        optimize(FIT, state=train(epochs=1).state)
    with pytest.raises(ValueError, match="rows of data"):
        optimize(problems.Rosenbrock(n=NET.n), state=begun.state)
    between = train(epochs=1)
    assert optimize(CLASSIFIER, state=between.state, batch_size=17, rng=1, epochs=2).nit == between.nit + 2


def test_validation_of_a_fit():
    result = optimize(FIT, method=SGD(0.05), batch_size=4, epochs=20, rng=0, validation=(X[:9, 2], X[:9, 1]))
    assert list(result.history) == ["nit", "fun", "learning_rate", "grad_norm", "val_fun"]
    assert result.best_fun == result.history.val_fun.min()
    assert gradopt.problems.PolynomialFit(X[:9, 2], X[:9, 1]).value(result.x) == result.best_fun


@pytest.mark.parametrize("bad", [np.inf, 1e200])
@pytest.mark.parametrize("settings", [{}, {"patience": 2}, {"recover": gradopt.RetryFromBest()}])
def test_a_validation_loss_that_is_never_finite_is_no_success(bad, settings):
    X = np.random.default_rng(0).normal(size=(40, 3))
    problem = problems.Regressor(Network.mlp([3, 4, 1], activation="relu"), X, X[:, 0])
    far = np.minimum(X * bad, 1e300) if bad < np.inf else np.full_like(X, 1e300)
    result = optimize(problem, method=SGD(0.01), batch_size=8, epochs=4, rng=0, validation=(far, X[:, 0]), **settings)
    assert (result.success, result.status) == (False, Status.NON_FINITE)
    assert "validation" in result.message
    assert np.isfinite(result.fun)
    assert len(result.history) == (settings.get("patience") or 4)


def test_a_run_that_ends_early_has_drawn_no_further_orders():
    curve = train(epochs=30, record="x").history
    epochs = int(curve.fun[:20].argmin()) + 1
    rng, after = np.random.default_rng(3), np.random.default_rng(3)
    result = train(epochs=30, rng=rng, target=curve.fun[epochs - 1], record="x")
    assert (result.status, len(result.history.fun)) == (Status.TARGET, epochs)
    np.testing.assert_array_equal(result.history.x, curve.x[:epochs])
    for _ in range(epochs):
        CLASSIFIER.batches(5, after)
    assert rng.bit_generator.state == after.bit_generator.state
    assert_same(optimize(CLASSIFIER, state=result.state, epochs=5), train(epochs=epochs + 5))


def test_divergence_in_the_first_epoch_with_validation_rows():
    problem = problems.Regressor(Network.mlp([3, 2]), 3.0 * X, X[:, :2])
    result = optimize(problem, method=SGD(1e5), epochs=3, batch_size=1, rng=0, validation=(X, X[:, :2]))
    assert result.status == Status.NON_FINITE
    assert np.isfinite(result.x).all()
