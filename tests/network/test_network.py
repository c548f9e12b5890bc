"""Networks: activations, losses, passes and initialisation beside their NumPy twins and finite differences."""

import re
from itertools import pairwise

import numpy as np
import pytest

from gradopt import Dense, Network, check_gradient, problems
from gradopt._network.activations import ACTIVATIONS

import naive
from marks import compiled_only


def random_network(rng, sizes, activation="tanh", bias=True):
    layers = [Dense(m, n, activation, bias) for m, n in pairwise(sizes)]
    network = Network(layers)
    return network, rng.normal(size=network.n)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_equal_their_naive_twins(activation, dtype, rng):
    network, theta = random_network(rng, [3, 4, 1, 2], activation)
    X = 3 * rng.normal(size=(5, 3))
    expected = naive.activations(network.layers_of(theta), [activation] * 3, X)
    given_outputs = network.activations(theta.astype(dtype), X)
    for ours, twin in zip(given_outputs, expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(
            ours, twin, rtol=1e-11 if dtype == np.float64 else 2e-4, atol=1e-5 * (dtype != np.float64)
        )
    np.testing.assert_array_equal(network.forward(theta.astype(dtype), X), given_outputs[-1])


def test_blocks_of_rows_change_nothing(rng):
    network = Network.mlp([2, 3, 2], activation="tanh")
    theta = rng.normal(size=network.n)
    X, labels = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    outputs = network.forward(theta, X)
    np.testing.assert_array_equal(outputs[500:503], network.forward(theta, X[500:503]))
    value, grad = problems.Classifier(network, X, labels).value_and_grad(theta)
    assert value == pytest.approx(naive.cross_entropy(outputs, labels), rel=1e-12)
    np.testing.assert_allclose(
        grad, naive.tanh_network_gradient(network.layers_of(theta), X, labels), rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize("sizes", [[2, 3], [3, 4, 2], [2, 1, 3, 2]])
def test_gradient_equals_textbook_backpropagation(sizes, rng):
    network = Network.mlp(sizes, activation="tanh")
    theta, X, labels = rng.normal(size=network.n), rng.normal(size=(7, sizes[0])), rng.integers(0, sizes[-1], 7)
    expected = naive.tanh_network_gradient(network.layers_of(theta), X, labels)
    problem = problems.Classifier(network, X, labels)
    np.testing.assert_allclose(problem.grad(theta), expected, rtol=1e-11, atol=1e-14)
    rows = [4, 0, 4]
    expected = naive.tanh_network_gradient(network.layers_of(theta), X[rows], labels[rows])
    np.testing.assert_allclose(problem.value_and_grad(theta, rows)[1], expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("loss", ["cross_entropy", *naive.OUTPUT_LOSSES])
def test_gradient_equals_finite_differences(activation, loss, depth, rng):
    network = Network.mlp([3, *[2] * (depth - 1), 2], activation)
    X = rng.normal(size=(6, 3))
    if loss == "cross_entropy":
        problem = problems.Classifier(network, X, rng.integers(0, 2, 6))
    else:
        problem = problems.Regressor(network, X, rng.random(size=(6, 2)), loss)
    check = check_gradient(problem, rng.normal(size=network.n) + 0.1)
    assert check, str(check)


@pytest.mark.parametrize("loss", naive.OUTPUT_LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_equal_their_naive_twins(loss, dtype, rng):
    network, theta = random_network(rng, [3, 4, 2])
    X, y = rng.normal(size=(9, 3)), rng.random(size=(9, 2))
    problem = problems.Regressor(network, X, y, loss)
    expected = naive.OUTPUT_LOSSES[loss](network.forward(theta, X), y)
    value, grad = problem.value_and_grad(theta.astype(dtype))
    assert value == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-5)
    assert grad.dtype == dtype
    assert problem.assess(theta)["fun"] == pytest.approx(expected, rel=1e-12)


def test_one_output_is_the_logit_of_label_1(rng):
    network, theta = random_network(rng, [3, 1], "identity")
    X, labels = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    problem = problems.Classifier(network, X, labels)
    z = network.forward(theta, X)
    assert problem.value(theta) == pytest.approx(naive.binary_cross_entropy(z, labels[:, None]), rel=1e-12)
    np.testing.assert_array_equal(problem.predict(theta, X), z[:, 0] > 0)
    assert problem.score(theta, X, labels) == np.mean((z[:, 0] > 0) == labels) == problem.assess(theta)["accuracy"]
    assert check_gradient(problem, theta)


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_are_safe_at_large_outputs(size, dtype):
    X = np.array([[size]], dtype)
    for n_out, label in ((2, 0), (2, 1), (1, 0), (1, 1)):
        network = Network([Dense(1, n_out, bias=False)])
        value, grad = problems.Classifier(network, X, [label]).value_and_grad(np.arange(1, n_out + 1).astype(dtype))
        assert np.isfinite(value)
        assert np.isfinite(grad).all()
        right = (size > 0) == label  # the last output is the largest where size > 0
        assert value == (0.0 if right else 1e4)


def test_backward_is_the_gradient_of_a_weighted_sum_of_outputs(rng):
    network, theta = random_network(rng, [3, 4, 2], "silu")
    X, weights = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    d_theta, d_X = network.backward(theta, X, weights)

    def weighted(theta, X):
        return np.sum(weights * network.forward(theta, X))

    for i in (0, 7, network.n - 1):
        step = 1e-6 * np.eye(network.n)[i]
        assert d_theta[i] == pytest.approx((weighted(theta + step, X) - weighted(theta - step, X)) / 2e-6, rel=1e-6)
    step = np.zeros_like(X)
    step[2, 1] = 1e-6
    assert d_X[2, 1] == pytest.approx((weighted(theta, X + step) - weighted(theta, X - step)) / 2e-6, rel=1e-6)


def test_without_bias(rng):
    network, theta = random_network(rng, [3, 4, 2], "tanh", bias=False)
    assert network.n == 20
    assert [bias for _, bias in network.layers_of(theta)] == [None, None]
    X = rng.normal(size=(4, 3))
    weights = [weight for weight, _ in network.layers_of(theta)]
    np.testing.assert_allclose(network.forward(theta, X), np.tanh(np.tanh(X @ weights[0]) @ weights[1]), rtol=1e-12)


def test_layers_are_views():
    network = Network.mlp([2, 3, 1])
    theta = np.zeros(network.n)
    (w0, b0), (w1, b1) = network.layers_of(theta)
    w0[:], b0[:], w1[:], b1[:] = 1, 2, 3, 4
    np.testing.assert_array_equal(theta, [1] * 6 + [2] * 3 + [3] * 3 + [4])
    names = [network.parameter_name(i) for i in (0, 5, 8, 9, 12)]
    assert names == [
        "layer 0 weight[0, 0]",
        "layer 0 weight[1, 2]",
        "layer 0 bias[2]",
        "layer 1 weight[0, 0]",
        "layer 1 bias[0]",
    ]


def test_a_wrong_gradient_is_found_by_layer(monkeypatch, rng):
    network = Network.mlp([3, 4, 2], activation="tanh")
    theta = rng.normal(size=network.n)
    problem = problems.Classifier(network, rng.normal(size=(5, 3)), [0, 1, 1, 0, 1])
    right = type(problem).value_and_grad

    def wrong(self, x, rows=None):
        value, grad = right(self, x, rows)
        network.layers_of(grad)[1][1][1] *= 1.01
        return value, grad

    monkeypatch.setattr(type(problem), "value_and_grad", wrong)
    check = check_gradient(problem, theta)
    assert not check
    assert check.worst == "layer 1 bias[1]"
    assert "layer 1 bias[1]" in str(check)


@pytest.mark.parametrize(
    ("scheme", "activation", "variance"),
    [
        ("he", "tanh", 2 / 300),
        ("lecun", "relu", 1 / 300),
        ("glorot", "relu", 2 / 500),
        (None, "relu", 2 / 300),
        (None, "tanh", 2 / 500),
    ],
)
def test_initialisation(scheme, activation, variance):
    network = Network([Dense(300, 200, activation)])
    (weight, bias), *_ = network.layers_of(network.init(rng=1, scheme=scheme))
    assert weight.var() == pytest.approx(variance, rel=0.03)
    assert weight.mean() == pytest.approx(0, abs=3 * np.sqrt(variance / weight.size))
    np.testing.assert_array_equal(bias, 0)
    np.testing.assert_array_equal(network.init(1, scheme), network.init(np.random.default_rng(1), scheme))
    assert not network.init(scheme="zeros", dtype=np.float32).any()
    assert network.init(1, scheme, np.float32).dtype == np.float32


@compiled_only
def test_nan_goes_through_every_activation(rng):
    for activation in ACTIVATIONS:
        network = Network.mlp([1, 2, 1], activation)
        theta = np.full(network.n, np.nan)
        assert np.isnan(network.forward(theta, [[1.0]])).all(), activation


NET = Network.mlp([2, 3, 2])
ROWS, LABELS = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
HOSTILE = [
    (lambda: Dense(0, 1), ValueError, "n_in must be an integer >= 1"),
    (lambda: Dense(1, 2.0), TypeError, "n_out must be an integer"),
    (lambda: Dense(1, 1, "cubic"), ValueError, "activation must be one of 'identity'"),
    (lambda: Dense(1, 1, bias=1), TypeError, "bias must be True or False"),
    (lambda: Network([]), ValueError, "at least one"),
    (lambda: Network(Dense(1, 1)), TypeError, "sequence of Dense"),
    (lambda: Network([Dense(1, 2), 3]), TypeError, "got 3 among them"),
    (lambda: Network([Dense(1, 2), Dense(3, 1)]), ValueError, "layer 1 must have n_in=2"),
    (lambda: Network.mlp([3]), ValueError, "at least two widths"),
    (lambda: Network.mlp([3, 0]), ValueError, r"sizes\[1\]"),
    (lambda: NET.init(scheme="best"), ValueError, "scheme must be one of"),
    (lambda: NET.init(dtype=int), ValueError, "dtype must be float32 or float64"),
    (lambda: NET.layers_of(np.zeros(3)), ValueError, r"theta must have shape \(17,\)"),
    (lambda: NET.forward(np.zeros(3), ROWS), ValueError, "theta must have 17 elements"),
    (lambda: NET.forward(np.zeros(17), [[1.0]]), ValueError, "X must have 2 columns, .* got 1"),
    (lambda: NET.forward(np.zeros(17), [[np.nan, 1.0]]), ValueError, r"got nan at \[0, 0\]"),
    (lambda: NET.forward(np.zeros(17), np.zeros((0, 2))), ValueError, "at least one element"),
    (lambda: NET.backward(np.zeros(17), ROWS, [[1.0]]), ValueError, r"d_out must have shape \(2, 2\)"),
    (lambda: problems.Classifier("net", ROWS, LABELS), TypeError, "network must be a gradopt.Network"),
    (lambda: problems.Classifier(NET, [[1.0], [2.0]], LABELS), ValueError, "X must have 2 columns"),
    (lambda: problems.Classifier(NET, [[1.0, np.inf], [2.0, 0.0]], LABELS), ValueError, r"got inf at \[0, 1\]"),
    (lambda: problems.Classifier(NET, np.zeros((0, 2)), []), ValueError, "at least one element"),
    (lambda: problems.Classifier(NET, ROWS, [0, 2]), ValueError, r"labels in \[0, 2\)"),
    (lambda: problems.Classifier(NET, ROWS, [0, -1]), ValueError, r"labels in \[0, 2\).*got -1"),
    (lambda: problems.Classifier(NET, ROWS, [0.0, 1.0]), ValueError, "integer labels.*dtype float64"),
    (lambda: problems.Classifier(NET, ROWS, [True, False]), ValueError, "integer labels"),
    (lambda: problems.Classifier(NET, ROWS, [[0], [1]]), ValueError, "one-dimensional"),
    (lambda: problems.Classifier(NET, ROWS, [0]), ValueError, "same number of rows, got 2 and 1"),
    (lambda: problems.Regressor(NET, ROWS, LABELS), ValueError, "y must have 2 columns.*got 1"),
    (lambda: problems.Regressor(NET, ROWS, ROWS, "cubic"), ValueError, "loss must be one of"),
    (lambda: problems.Regressor(NET, ROWS, [[1.0, np.nan], [0, 0]]), ValueError, "got nan"),
    (lambda: problems.Regressor(NET, ROWS, [[1.0, 2.0], [0, 0]], "binary_cross_entropy"), ValueError, r"in \[0, 1\]"),
    (lambda: problems.Classifier(NET, ROWS, LABELS).value(np.zeros(3)), ValueError, "x must have 17 elements"),
    (lambda: problems.Classifier(NET, ROWS, LABELS).score(np.zeros(17), ROWS, [0]), ValueError, "same number of rows"),
    (
        lambda: problems.Classifier(NET, ROWS, LABELS).value_and_grad(np.zeros(17), [2]),
        ValueError,
        r"rows must be in \[0, 2\)",
    ),
    (lambda: problems.Classifier(NET, ROWS, LABELS).value_and_grad(np.zeros(17), [-1]), ValueError, r"rows must be in"),
    (
        lambda: problems.Classifier(NET, ROWS, LABELS).value_and_grad(np.zeros(17), [0.0]),
        ValueError,
        "array of integers",
    ),
    (lambda: problems.Classifier(NET, ROWS, LABELS).value_and_grad(np.zeros(17), []), ValueError, "non-empty"),
]


@pytest.mark.parametrize(("call", "error", "message"), HOSTILE, ids=[case[2][:40] for case in HOSTILE])
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_they_print_as_they_are_written():
    network = Network([Dense(2, 1, "relu", bias=False)])
    assert eval(repr(network)) == network
    assert hash(Network.mlp([2, 3])) == hash(Network.mlp([2, 3]))
    assert (
        repr(problems.Regressor(network, ROWS, [1.0, 2.0])) == "Regressor(2-1 network, X=(2, 2), y=(2, 1), loss='mse')"
    )


def test_r_squared(rng):
    network, theta = random_network(rng, [2, 2], "identity")
    X = rng.normal(size=(20, 2))
    y = network.forward(theta, X)
    problem = problems.Regressor(network, X, y)
    assert problem.score(theta, X, y) == 1.0
    noisy = y + rng.normal(size=y.shape)
    expected = 1 - np.sum((noisy - y) ** 2, axis=0) / np.sum((noisy - noisy.mean(axis=0)) ** 2, axis=0)
    assert problem.score(theta, X, noisy) == pytest.approx(expected.mean())
    assert problem.score(theta, X, np.ones((20, 2))) == 0.0


@pytest.mark.parametrize("count", [7, 64, 300, 3000])
def test_rows_may_come_more_often_than_there_are(count, rng):
    network = Network.mlp([3, 5, 2])
    X, theta = rng.normal(size=(3, 3)), rng.normal(size=network.n)
    rows = rng.integers(0, 3, count)
    for problem in (
        problems.Classifier(network, X, [0, 1, 1]),
        problems.Regressor(network, X, X[:, :2]),
        problems.PolynomialFit(X[:, 0], X[:, 1], degree=theta.size - 1),
        problems.CurveFit(lambda t, params: np.sum(params) * t, X[:, 0], X[:, 1]),
    ):
        value, grad = problem.value_and_grad(theta, rows)
        each = [problem.value_and_grad(theta, [row]) for row in range(3)]
        shares = np.bincount(rows, minlength=3) / count
        assert value == pytest.approx(sum(share * one for share, (one, _) in zip(shares, each, strict=True)))
        mean = sum(share * one for share, (_, one) in zip(shares, each, strict=True))
        np.testing.assert_allclose(grad, mean, rtol=1e-6, atol=1e-9 * np.abs(grad).max())


def test_losses_of_many_rows_in_single_precision(rng):
    """The product of 200 sums of exponentials, each 4, is beyond float32."""
    X, labels = rng.normal(size=(200, 2)).astype(np.float32), rng.integers(0, 4, 200)
    problem = problems.Classifier(Network.mlp([2, 8, 4]), X, labels)
    assert problem.value(np.zeros(problem.n, np.float32)) == pytest.approx(np.log(4.0), rel=1e-6)


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("n_out", [1, 2, 3])
def test_a_classifier_of_outputs_that_are_squashed_is_refused(output, n_out):
    network = Network.mlp([2, 4, n_out], activation="tanh", output=output)
    with pytest.raises(ValueError, match=f"raw outputs.*'{output}'"):
        problems.Classifier(network, np.eye(2), [0, 1])


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda X, y: (X, y > 0), "y.astype(int)"),
        (lambda X, y: (X, 2 * y - 1), "numpy.unique(y, return_inverse=True)[1]"),
        (lambda X, y: (X, y + 1), "numpy.unique(y, return_inverse=True)[1]"),
        (lambda X, y: (X, y.astype(object)), "numpy.unique(y, return_inverse=True)[1]"),
        (lambda X, y: (X, y.astype(str)), "numpy.unique(y, return_inverse=True)[1]"),
        (lambda X, y: (X > 0, y), "X.astype(float)"),
        (lambda X, y: (X * 1j, y), "X.real"),
    ],
)
def test_labels_and_data_of_other_types_have_a_remedy(change, remedy):
    with pytest.raises(ValueError, match=re.escape(remedy)):
        problems.Classifier(Network.mlp([4, 2]), *change(np.eye(4), np.array([0, 1, 0, 1])))
