"""Weight decay by layer, which leaves biases alone, and frozen layers, whatever the method."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize

import gradopt
from gradopt import SGD, Adam, AdamW, Lion, Network, optimize, problems

from marks import named

NET = Network.mlp([3, 4, 3, 2], activation="tanh")
RNG = np.random.default_rng(3)
X, LABELS = RNG.normal(size=(20, 3)), RNG.integers(0, 2, 20)
PROBLEM = problems.Classifier(NET, X, LABELS)
THETA = NET.init(rng=1) + 0.1
METHODS = [
    SGD(0.1, momentum=0.9),
    gradopt.Adagrad(0.1),
    gradopt.Adadelta(),
    gradopt.RMSprop(0.01, momentum=0.5, centered=True),
    Adam(0.01, amsgrad=True),
    AdamW(0.01),
    gradopt.Adamax(),
    gradopt.NAdam(),
    gradopt.RAdam(),
    Lion(0.001),
]


def with_decay(method, decay):
    return dataclasses.replace(method, weight_decay=decay)


def steps_by_part(method, decays, count):
    """A naive twin: each part is a vector of its own, with a method of its own."""
    x = THETA.copy()
    parts = [part for pair in NET.layers_of(x) for part in pair]
    of_parts = [with_decay(method, decay) for pair in decays for decay in (pair, 0.0)]
    flat = [part.reshape(-1) for part in parts]
    states = [one.init(part) for one, part in zip(of_parts, flat, strict=True)]
    for _ in range(count):
        slopes = [slope.reshape(-1) for pair in NET.layers_of(PROBLEM.grad(x)) for slope in pair]
        for one, part, slope, state in zip(of_parts, flat, slopes, states, strict=True):
            one.step(part, slope, state)
    return x


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_each_layer_has_its_decay_and_biases_have_none(method):
    decays = (0.3, 0.0, 0.1)
    result = optimize(PROBLEM, THETA, method=with_decay(method, decays), max_iter=30, gtol=0.0)
    np.testing.assert_allclose(result.x, steps_by_part(method, decays, 30), rtol=1e-10)
    trained = optimize(PROBLEM, THETA, method=with_decay(method, decays), epochs=30)
    np.testing.assert_array_equal(trained.x, result.x)


def test_one_number_is_for_the_weights_of_all_layers():
    for decay in ((0.2,), [0.2], np.array([0.2])):
        result = optimize(PROBLEM, THETA, method=AdamW(0.01, weight_decay=decay), epochs=20)
        every = optimize(PROBLEM, THETA, method=AdamW(0.01, weight_decay=(0.2, 0.2, 0.2)), epochs=20)
        np.testing.assert_array_equal(result.x, every.x)
    assert AdamW(weight_decay=[0.2]) == AdamW(weight_decay=(0.2,))


def test_the_same_decay_for_weights_and_biases_is_the_plain_one():
    network = Network([gradopt.Dense(3, 4, "tanh", bias=False), gradopt.Dense(4, 2, bias=False)])
    problem = problems.Classifier(network, X, LABELS)
    theta = network.init(rng=0)
    one, other = (optimize(problem, theta, method=Adam(0.01, weight_decay=w), epochs=20) for w in (0.2, (0.2,)))
    np.testing.assert_array_equal(one.x, other.x)


@pytest.mark.parametrize("method", [AdamW(0.01, weight_decay=0.3), AdamW(0.01, weight_decay=(0.3,)), gradopt.Rprop()])
def test_frozen_layers_do_not_decay(method):
    problem = problems.Classifier(NET, X, LABELS, frozen=[0, 2])
    result = optimize(problem, THETA, method=method, max_iter=20)
    pairs = zip(NET.layers_of(result.x), NET.layers_of(THETA), strict=True)
    same = [all(np.array_equal(part, before) for part, before in zip(*pair, strict=True)) for pair in pairs]
    assert same == [True, False, True]


def test_runs_with_decay_by_layer_resume_and_are_saved(tmp_path):
    method = SGD(0.1, momentum=0.9, weight_decay=(0.1, 0.2, 0.0))
    whole = optimize(PROBLEM, THETA, method=method, batch_size=7, epochs=6, rng=0)
    part = optimize(PROBLEM, THETA, method=method, batch_size=7, epochs=2, rng=0)
    part.save(tmp_path / "part.npz")
    state = gradopt.load(tmp_path / "part.npz").state
    assert state.method == method
    np.testing.assert_array_equal(optimize(PROBLEM, state=state, epochs=4).x, whole.x)


def test_decay_by_layer_is_for_networks():
    method = SGD(0.1, weight_decay=(0.1,))
    message = "weight_decay must be one number but for networks"
    with pytest.raises(ValueError, match=message):
        optimize(problems.Rosenbrock(), method=method)
    with pytest.raises(ValueError, match=message):
        optimize(lambda x: x @ x, [1.0, 2.0], method=method)
    with pytest.raises(ValueError, match=message):
        scipy.optimize.minimize(lambda x: x @ x, [1.0, 2.0], method=method)
    with pytest.raises(ValueError, match=message):
        gradopt.compiled(method)
    with pytest.raises(ValueError, match=message):
        method.init(np.ones(2))
    with pytest.raises(ValueError, match=message):
        gradopt.optimize_many(lambda x: x @ x, np.ones((3, 2)), method=method)
    with pytest.raises(ValueError, match="or 3, one per layer, got"):
        optimize(PROBLEM, THETA, method=SGD(0.1, weight_decay=(0.1, 0.2)))
    with pytest.raises(ValueError, match=r"weight_decay\[1\] must be finite and >= 0"):
        SGD(weight_decay=(0.1, -0.2))
    with pytest.raises(ValueError, match="got none"):
        SGD(weight_decay=())
