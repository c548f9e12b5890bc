"""Beside torch, where it is installed: gradients by layer, and training on the same batches."""

import numpy as np
import pytest

from gradopt import SGD, Network, optimize, problems

torch = pytest.importorskip("torch", reason="torch is not installed: nothing is compared with it")

NETWORKS = [
    Network.mlp([4, 3], "identity"),
    Network.mlp([5, 8, 4, 3], "tanh"),
    Network.mlp([6, 1, 7, 3], "gelu", "silu"),
]
MODULES = {"identity": "Identity", "tanh": "Tanh", "gelu": "GELU", "silu": "SiLU"}


def twin_of(network, theta):
    modules = []
    for layer, (weight, bias) in zip(network.layers, network.layers_of(theta), strict=True):
        linear = torch.nn.Linear(layer.n_in, layer.n_out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight[:], linear.bias[:] = torch.tensor(weight.T), torch.tensor(bias)
        modules += [linear, getattr(torch.nn, MODULES[layer.activation])()]
    return torch.nn.Sequential(*modules)


def flat(module, slice_of):
    pieces = []
    for linear in module:
        if isinstance(linear, torch.nn.Linear):
            pieces += [slice_of(linear.weight).detach().numpy().T.ravel(), slice_of(linear.bias).detach().numpy()]
    return np.concatenate(pieces)


@pytest.mark.parametrize("network", NETWORKS, ids=["linear", "tanh", "gelu"])
def test_gradients_by_layer(network, rng):
    theta = network.init(rng=2) + 0.1
    X, labels = rng.normal(size=(40, network.n_in)), rng.integers(0, 3, 40)
    twin = twin_of(network, theta)
    torch.nn.CrossEntropyLoss()(twin(torch.tensor(X)), torch.tensor(labels)).backward()
    ours = network.layers_of(problems.Classifier(network, X, labels).grad(theta))
    theirs = network.layers_of(flat(twin, lambda parameter: parameter.grad))
    for (weight, bias), (their_weight, their_bias) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(weight, their_weight, rtol=1e-6, atol=1e-6 * np.abs(their_weight).max())
        np.testing.assert_allclose(bias, their_bias, rtol=1e-6, atol=1e-6 * np.abs(their_bias).max())


@pytest.mark.parametrize("network", NETWORKS, ids=["linear", "tanh", "gelu"])
def test_50_steps_on_the_same_batches(network, rng):
    theta = network.init(rng=2)
    X, labels = rng.normal(size=(80, network.n_in)), rng.integers(0, 3, 80)
    problem, twin, orders = problems.Classifier(network, X, labels), twin_of(network, theta), np.random.default_rng(6)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)
    for _ in range(5):
        for rows in problem.batches(8, orders):
            optimizer.zero_grad()
            torch.nn.CrossEntropyLoss()(twin(torch.tensor(X[rows])), torch.tensor(labels[rows])).backward()
            optimizer.step()
    result = optimize(problem, theta, method=SGD(0.05, momentum=0.9), batch_size=8, epochs=5, rng=6)
    assert result.nit == 50
    np.testing.assert_allclose(result.x, flat(twin, lambda parameter: parameter), rtol=1e-10, atol=1e-10)
