"""Penalties, dropout and frozen layers."""

import numpy as np
import pytest

from gradopt import SGD, Adam, Network, check_gradient, every, optimize, problems
from gradopt._network.dropout import drop

NET = Network.mlp([3, 6, 5, 2], activation="tanh")
RNG = np.random.default_rng(6)
X, LABELS = RNG.normal(size=(30, 3)), RNG.integers(0, 2, 30)
THETA = NET.init(rng=1) + 0.1
PLAIN = problems.Classifier(NET, X, LABELS)


@pytest.mark.parametrize("alpha", [0.7, (0.5, 0.0, 2.0)])
@pytest.mark.parametrize("rows", [None, [0, 4, 9]])
def test_the_penalty_is_the_squares_of_the_weights_over_the_rows(alpha, rows):
    problem = problems.Classifier(NET, X, LABELS, alpha=alpha)
    value, grad = problem.value_and_grad(THETA, rows)
    plain, plain_grad = PLAIN.value_and_grad(THETA, rows)
    count, expected, slopes = len(rows or X), plain, plain_grad.copy()
    factors = np.broadcast_to(alpha, 3)
    for factor, (weight, _), (slope, _) in zip(factors, NET.layers_of(THETA), NET.layers_of(slopes), strict=True):
        expected += factor / 2 * np.sum(weight**2) / count
        slope += factor * weight / count
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(grad, slopes, rtol=1e-12, atol=1e-15)
    assert check_gradient(problem, THETA)


def test_validation_losses_have_no_penalty():
    problem = problems.Classifier(NET, X, LABELS, alpha=5.0, dropout=0.5)
    result = optimize(problem, THETA, method=SGD(0.01), epochs=2, validation=(X, LABELS), restore_best=False)
    assert result.history.val_fun[-1] == pytest.approx(PLAIN.value(result.x), rel=1e-12)
    assert result.fun == pytest.approx(problems.Classifier(NET, X, LABELS, alpha=5.0).value(result.x), rel=1e-12)


@pytest.mark.parametrize("frozen", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
def test_frozen_layers_have_no_gradient_and_the_others_the_same(frozen):
    problem = problems.Classifier(NET, np.tile(X, (10, 1)), np.tile(LABELS, 10), alpha=0.1, frozen=frozen)
    free = problems.Classifier(NET, np.tile(X, (10, 1)), np.tile(LABELS, 10), alpha=0.1)
    grad, whole = problem.grad(THETA), free.grad(THETA)
    for layer, (parts, of_whole) in enumerate(zip(NET.layers_of(grad), NET.layers_of(whole), strict=True)):
        for part, expected in zip(parts, of_whole, strict=True):
            np.testing.assert_array_equal(part, 0.0 if layer in frozen else expected)


@pytest.mark.parametrize("settings", [{"method": Adam(0.01), "batch_size": 8, "epochs": 2, "rng": 0}, {"max_iter": 20}])
def test_frozen_layers_stay_as_they_are(settings):
    result = optimize(problems.Classifier(NET, X, LABELS, frozen=[1]), THETA, **settings)
    moved = [
        not np.array_equal(one[0], other[0])
        for one, other in zip(NET.layers_of(result.x), NET.layers_of(THETA), strict=True)
    ]
    assert moved == [True, False, True]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_the_share_it_should_and_keeps_the_mean(rate, dtype):
    outputs, slopes = np.ones(200_000, dtype), np.full(200_000, 2.0, dtype)
    drop(outputs, slopes, rate, np.array([12345.0, 7.0]), 1)
    dropped = outputs == 0.0
    assert dropped.mean() == pytest.approx(rate, abs=0.005)
    np.testing.assert_array_equal(slopes[dropped], 0.0)
    np.testing.assert_allclose(outputs[~dropped], 1.0 / (1.0 - rate), rtol=1e-6)
    np.testing.assert_allclose(slopes[~dropped], 2.0 / (1.0 - rate), rtol=1e-6)
    for lag in (1, 2, 5, 64):  # neighbours know nothing of each other
        assert np.corrcoef(dropped[:-lag], dropped[lag:])[0, 1] == pytest.approx(0.0, abs=0.01)
    for memory, layer in (((12345.0, 8.0), 1), ((12346.0, 7.0), 1), ((12345.0, 7.0), 0)):
        others = np.ones(200_000, dtype)
        drop(others, slopes, rate, np.array(memory), layer)
        assert np.corrcoef(dropped, others == 0.0)[0, 1] == pytest.approx(0.0, abs=0.01)


def test_the_gradient_with_dropout_is_that_of_the_network_without_the_dropped_outputs():
    """One batch from a fixed memory: the same outputs are dropped at each evaluation, so that differences exist."""
    problem = problems.Classifier(NET, X, LABELS, dropout=(0.4, 0.2))
    lowered, rows = problem.lower_for_training(np.dtype(float)), np.arange(30)
    work = problem.batch_workspace(np.float64, 30)

    def value_and_grad(theta):
        from gradopt.extend import batch_value_and_grad

        work.dropout[:] = 99.0, 3.0
        grad = np.empty_like(theta)
        return batch_value_and_grad(lowered, grad, work, theta, rows), grad

    value, grad = value_and_grad(THETA)
    assert value != PLAIN.value(THETA)
    for i in range(0, NET.n, 7):
        step = 1e-6 * np.eye(NET.n)[i]
        difference = value_and_grad(THETA + step)[0] - value_and_grad(THETA - step)[0]
        assert grad[i] == pytest.approx(difference / 2e-6, rel=1e-5, abs=1e-8)


def test_the_objective_and_predictions_drop_nothing():
    problem = problems.Classifier(NET, X, LABELS, dropout=0.5)
    assert problem.value(THETA) == PLAIN.value(THETA)
    np.testing.assert_array_equal(problem.value_and_grad(THETA, [3, 4])[1], PLAIN.value_and_grad(THETA, [3, 4])[1])


def test_a_run_with_dropout_has_the_same_bits_however_it_is_cut():
    problem = problems.Classifier(NET, X, LABELS, dropout=0.3)
    settings = {"method": SGD(0.1, momentum=0.9), "batch_size": 7}
    whole = optimize(problem, epochs=7, rng=5, **settings)
    watched = optimize(problem, epochs=7, rng=5, callback=every(2, lambda x: None), **settings)
    np.testing.assert_array_equal(watched.x, whole.x)
    part = optimize(problem, max_iter=13, rng=5, **settings)
    rest = optimize(problem, state=part.state, max_iter=35 - 13)
    np.testing.assert_array_equal(rest.x, whole.x)
    other = optimize(problem, epochs=7, rng=6, **settings)
    assert not np.array_equal(other.x, whole.x)


HOSTILE = [
    ({"alpha": -1.0}, ValueError, "alpha must be finite and >= 0"),
    ({"alpha": (1.0, 2.0)}, ValueError, "alpha must be one number or 3, one per layer"),
    ({"dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\)"),
    ({"dropout": (0.1, -0.1)}, ValueError, r"dropout\[1\]"),
    ({"dropout": (0.1, 0.1, 0.1)}, ValueError, "dropout must be one number or 2"),
    ({"frozen": [3]}, ValueError, "numbers of layers below 3"),
    ({"frozen": 0}, TypeError, "frozen must be a sequence"),
    ({"frozen": [0.0]}, TypeError, "frozen must be an integer"),
]


@pytest.mark.parametrize(("settings", "error", "message"), HOSTILE, ids=[case[2][:40] for case in HOSTILE])
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        problems.Classifier(NET, X, LABELS, **settings)


def test_dropout_needs_batches():
    with pytest.raises(ValueError, match="dropout=0.5 needs a training run"):
        optimize(problems.Classifier(NET, X, LABELS, dropout=0.5), THETA)
