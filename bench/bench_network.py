"""Training of dense networks beside the peers, and beside their matrix products alone. One thread each."""

import time
from itertools import pairwise

import numpy as np
import pytest
from numba import njit

from gradopt import SGD, Network, optimize, problems
from gradopt._compiler import flushing
from gradopt._core.protocol import value_and_grad
from gradopt._loops.clipping import NoClipping
from gradopt._loops.types import RUNNING
from gradopt._run.training import Training, TrainingLimits
from gradopt._run.training_plan import Plan, RowOrders, Watch

RATE, MOMENTUM = 0.05, 0.9
EPOCHS = 30  # in one call, as in a training; neither side then runs on the other's cold caches


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(images))[:1437]
    return images[order].astype(np.float32) / 16, labels[order]


def random_rows(rows, n_in, classes):
    rng = np.random.default_rng(0)
    return rng.random((rows, n_in), dtype=np.float32), rng.integers(0, classes, rows)


def our_epochs(sizes, activation, X, y, batch_size, epochs=1):
    """Epochs by the compiled loop, the drawing of their orders included, from the same start each time."""
    problem = problems.Classifier(Network.mlp(sizes, activation), X, y)
    start = problem.start(rng=0)
    training = Training(
        problem,
        SGD(RATE, momentum=MOMENTUM),
        start.copy(),
        Plan(batch_size, True, RowOrders(np.random.default_rng(0), len(X), True)),
        Watch(None, "loss", None, True),
        TrainingLimits(2**60, 2**60, -np.inf, NoClipping()),
        False,
        None,
        None,
    )

    def run():
        training._arrays.x[:] = start
        training._arrays.slots[0][:] = 0.0
        goal = training.rounds + epochs
        while training.rounds < goal:
            assert training.advance(goal - training.rounds) == RUNNING
        return training.fun

    return run


def torch_network(torch, sizes, activation, dtype=None):
    layers = []
    for m, n in pairwise(sizes):
        layers += [torch.nn.Linear(m, n, dtype=dtype), getattr(torch.nn, activation)()]
    return torch.nn.Sequential(*layers[:-1])


def torch_epochs(sizes, activation, X, y, batch_size):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, loss = torch_network(torch, sizes, activation), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    X, y = torch.tensor(X), torch.tensor(y)

    def run():
        order, total = torch.randperm(len(X)), 0.0
        for rows in order.split(batch_size):
            optimizer.zero_grad()
            value = loss(network(X[rows]), y[rows])
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
        return total / len(X)

    return run


def compiled_torch_epochs(sizes, X, y, batch_size):
    """A step without autograd or optimizer, written by hand and put through torch.compile; full batches only."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    weights = [torch.tensor(rng.normal(0.0, np.sqrt(2 / m), (m, n)).astype(np.float32)) for m, n in pairwise(sizes)]
    biases = [torch.zeros(n) for n in sizes[1:]]
    velocities = [torch.zeros_like(p) for p in weights + biases]
    X, y = torch.tensor(X), torch.tensor(y)

    def step(w1, w2, b1, b2, v1, v2, c1, c2, x, labels):
        z1 = x @ w1 + b1
        a1 = z1.relu()
        z2 = a1 @ w2 + b2
        p = z2.softmax(1)
        d2 = (p - torch.nn.functional.one_hot(labels, sizes[-1]).float()) / len(x)
        d1 = (d2 @ w2.T) * (z1 >= 0)
        for v, p_, g in ((v1, w1, x.T @ d1), (v2, w2, a1.T @ d2), (c1, b1, d1.sum(0)), (c2, b2, d2.sum(0))):
            v.mul_(MOMENTUM).add_(g)
            p_.sub_(RATE * v)
        return -p[torch.arange(len(x)), labels].log().mean()

    compiled = torch.compile(step)

    def run():
        with torch.no_grad():
            for rows in torch.randperm(len(X)).split(batch_size):
                if len(rows) == batch_size:
                    value = compiled(*weights, *biases, *velocities, X[rows], y[rows])
        return float(value)

    return run


def jax_epochs(sizes, X, y, batch_size):
    """One jitted epoch: lax.scan over batches, optax.sgd; full batches only."""
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    jnp = jax.numpy
    rng = np.random.default_rng(0)
    parameters = [
        (jnp.array(rng.normal(0.0, np.sqrt(2 / m), (m, n)).astype(np.float32)), jnp.zeros(n, jnp.float32))
        for m, n in pairwise(sizes)
    ]
    optimizer = optax.sgd(RATE, momentum=MOMENTUM)
    steps = len(X) // batch_size
    X, y = jnp.array(X), jnp.array(y)

    def loss(parameters, rows):
        x = X[rows]
        for w, b in parameters[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = parameters[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ w + b, y[rows]).mean()

    @jax.jit
    def epoch(parameters, state, order):
        def step(carry, rows):
            parameters, state = carry
            value, grad = jax.value_and_grad(loss)(parameters, rows)
            updates, state = optimizer.update(grad, state)
            return (optax.apply_updates(parameters, updates), state), value

        (parameters, state), values = jax.lax.scan(step, (parameters, state), order.reshape(steps, batch_size))
        return parameters, state, values.mean()

    state, orders = optimizer.init(parameters), np.random.default_rng(0)

    def run():
        nonlocal parameters, state
        order = jnp.array(orders.permutation(len(X))[: steps * batch_size])
        parameters, state, value = jax.block_until_ready(epoch(parameters, state, order))
        return float(value)

    return run


def products_alone(sizes, rows, dtype, repeats, dot):
    """The matrix products of a gradient, and nothing else."""
    rng = np.random.default_rng(0)
    layers = []
    for m, n in pairwise(sizes):
        x, w, d = (rng.normal(size=shape).astype(dtype) for shape in ((rows, m), (m, n), (rows, n)))
        layers.append((x, w, d, np.empty_like(d), np.empty_like(w), np.empty_like(x)))
    layers = tuple(layers)

    @njit(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
    def plain(a, b, out):
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                out[i, j] = 0.0
            for k in range(a.shape[1]):
                for j in range(b.shape[1]):
                    out[i, j] += a[i, k] * b[k, j]

    @njit(error_model="numpy")
    def run(layers):
        (x1, w1, d1, z1, g1, _), (x2, w2, d2, z2, g2, p2) = layers
        for _ in range(repeats):
            if dot:
                np.dot(x1, w1, z1), np.dot(x2, w2, z2)
                np.dot(d2, w2.T, p2), np.dot(x2.T, d2, g2), np.dot(x1.T, d1, g1)
            else:
                plain(x1, w1, z1), plain(x2, w2, z2)
                plain(d2, w2.T, p2), plain(x2.T, d2, g2), plain(x1.T, d1, g1)

    return lambda: run(layers)


STEPS = EPOCHS * -(-1437 // 32)


def operations(widths, rows):
    """Of the five products of a two-layer network and their like, forward and backward."""
    return 6 * rows * sum(a * b for a, b in pairwise(widths))


def pair_of_epochs(pair, ours, their_epoch, what, aim):
    def theirs():
        for _ in range(EPOCHS):
            value = their_epoch()
        return value

    pair.needs(operations=operations([64, 32, 10], 1437), real="float32")
    outcome = f"loss {ours():.3f} and {theirs():.3f} after {EPOCHS} epochs"
    pair(ours, theirs, what, aim, rounds=9, units=EPOCHS, unit="epoch", outcome=outcome)


def our_digits(digits):
    return our_epochs([64, 32, 10], "relu", *digits, 32, EPOCHS)


def test_digits_against_torch(pair, digits):
    theirs = torch_epochs([64, 32, 10], "ReLU", *digits, 32)
    pair_of_epochs(pair, our_digits(digits), theirs, "64-32-10, relu, batch 32, digits, against torch eager", ">= 40")


@pytest.mark.filterwarnings("ignore")  # of torch's own parts
def test_digits_against_compiled_torch(pair, digits):
    try:
        theirs = compiled_torch_epochs([64, 32, 10], *digits, 32)
        theirs()
    except Exception as error:  # torch.compile needs a C++ compiler
        pytest.skip(f"torch.compile does not work here: {error!r:.200}")
    pair_of_epochs(
        pair,
        our_digits(digits),
        theirs,
        "64-32-10, relu, batch 32, digits, against a step by hand, torch.compile'd",
        ">= 10",
    )


def test_digits_against_jax(pair, digits):
    theirs = jax_epochs([64, 32, 10], *digits, 32)
    pair_of_epochs(
        pair,
        our_digits(digits),
        theirs,
        "64-32-10, relu, batch 32, digits, against jax.lax.scan over one jitted epoch",
        ">= 3",
    )


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # it was to do so many epochs and no more
def test_digits_against_scikit_learn(pair, digits):
    neural_network = pytest.importorskip("sklearn.neural_network")
    X, y = digits
    network = neural_network.MLPClassifier(
        (32,),
        solver="sgd",
        batch_size=32,
        learning_rate_init=RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        alpha=0.0,
        tol=0.0,
        n_iter_no_change=10**6,
        max_iter=EPOCHS,
    )
    what = "64-32-10, relu, batch 32, digits, against scikit-learn's MLPClassifier"
    ours = our_digits(digits)
    outcome = f"loss {ours():.3f} and {network.fit(X, y).loss_:.3f} after {EPOCHS} epochs"
    pair(ours, lambda: network.fit(X, y), what, ">= 25", rounds=9, units=EPOCHS, unit="epoch", outcome=outcome)


def test_digits_against_the_products_alone(pair, digits):
    ours = our_digits(digits)
    theirs = products_alone([64, 32, 10], 32, np.float32, STEPS, dot=True)
    pair.needs(operations=operations([64, 32, 10], 32), real="float32")
    pair(
        ours,
        theirs,
        "64-32-10, relu, batch 32, digits, against its five matrix products by np.dot",
        ">= 0.56",
        units=STEPS,
        unit="step",
    )


def test_true_sgd_against_torch(pair, digits):
    X, y = digits
    ours, theirs = our_epochs([64, 32, 10], "relu", X, y, 1), torch_epochs([64, 32, 10], "ReLU", X, y, 1)
    pair.needs(operations=operations([64, 32, 10], 1437), real="float32")
    pair(ours, theirs, "64-32-10, relu, batch 1, against torch eager", ">= 100", rounds=5, unit="epoch")


def test_tiny_network_against_torch(pair):
    X, y = random_rows(1440, 16, 2)
    ours, theirs = our_epochs([16, 8, 4, 2], "relu", X, y, 32, EPOCHS), torch_epochs([16, 8, 4, 2], "ReLU", X, y, 32)
    pair_of_epochs(pair, ours, theirs, "16-8-4-2, relu, batch 32, against torch eager", ">= 100")


def test_wide_network_against_torch(pair):
    X, y = random_rows(2560, 784, 10)
    ours, theirs = our_epochs([784, 256, 10], "relu", X, y, 128), torch_epochs([784, 256, 10], "ReLU", X, y, 128)
    pair(ours, theirs, "784-256-10, relu, batch 128, against torch eager", ">= 1.4", rounds=9, unit="epoch")


def one_gradient(repeats):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 24)), rng.integers(0, 2, 200)
    problem = problems.Classifier(Network.mlp([24, 8, 2], "tanh"), X, y)
    x, work, twin = problem.start(rng=0), problem.workspace(np.float64), problem.lower(np.float64)
    grad = np.empty_like(x)

    @njit
    def repeated(twin, grad, work, x):
        for _ in range(repeats):
            value = value_and_grad(twin, grad, work, x)
        return value

    def run():
        return flushing(repeated, (twin, grad, work, x))

    return run, X, y


def test_one_gradient_against_torch(pair):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    repeats = 200
    ours, X, y = one_gradient(repeats)
    network, loss = torch_network(torch, [24, 8, 2], "Tanh", torch.float64), torch.nn.CrossEntropyLoss()
    X, y = torch.tensor(X), torch.tensor(y)

    def theirs():
        for _ in range(repeats):
            network.zero_grad()
            loss(network(X), y).backward()

    pair(
        ours, theirs, "24-8-2, tanh, 200 rows, float64, value and gradient, against torch eager", ">= 40", units=repeats
    )


def test_one_gradient_against_the_products_alone(pair):
    repeats = 1000
    ours, _, _ = one_gradient(repeats)
    theirs = products_alone([24, 8, 2], 200, np.float64, repeats, dot=True)
    pair.needs(operations=operations([24, 8, 2], 200))
    pair(
        ours,
        theirs,
        "24-8-2, tanh, 200 rows, float64, value and gradient, against its five matrix products by np.dot",
        ">= 0.4",
        units=repeats,
    )


def test_single_samples_against_plain_loops(pair, digits):
    X, y = digits
    ours = our_epochs([64, 32, 10], "sigmoid", X, y, 1)
    theirs = products_alone([64, 32, 10], 1, np.float32, len(X), dot=False)
    pair(
        ours,
        theirs,
        "64-32-10, sigmoid, one sample at a time, against its products as plain loops",
        ">= 0.33",
        units=len(X),
        unit="sample",
    )


def test_training_does_not_slow_down(benchmark, digits):
    """Momentum and softmax decay into subnormal numbers as a network converges; epochs must not get slower."""
    problem = problems.Classifier(Network.mlp([64, 32, 10]), *digits)
    seconds = []

    def note_time(intermediate_result):
        seconds.append(time.perf_counter())

    def run():
        seconds.clear()
        optimize(problem, method=SGD(0.1, momentum=0.9), batch_size=1, epochs=60, rng=0, callback=note_time)

    benchmark.pedantic(run, rounds=1, warmup_rounds=1)
    spans = np.diff(seconds)
    benchmark.extra_info["last_over_first"] = float(np.median(spans[-10:]) / np.median(spans[:10]))
