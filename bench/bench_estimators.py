"""Estimators beside scikit-learn's of the same names and seeds, all in: checks, split, training. One thread each."""

import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
from process import fresh

from gradopt import estimators

sklearn = pytest.importorskip("sklearn")

from sklearn import datasets, neural_network

pytestmark = pytest.mark.filterwarnings("ignore")
WHOLE = {"max_iter": 200, "tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}


def standardised(load):
    X, y = load(return_X_y=True)
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0), y


def products(sizes, rows):
    """The operations of the products alone in an epoch."""
    of_layers = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    return 2 * rows * (3 * sum(of_layers) - of_layers[0])


def compared(pair, kind, X, y, what, aim, hidden, outputs, rounds=7, **settings):
    settings = WHOLE | {"hidden_layer_sizes": hidden} | settings
    epochs, models = settings["max_iter"], {}

    def fit(module):
        def run():
            models[module] = getattr(module, kind)(**settings).fit(X, y)

        return run

    pair.needs(operations=products([X.shape[1], *hidden, outputs], len(X)), real=str(X.dtype))
    ours, theirs = fit(estimators), fit(neural_network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours(), theirs()
        one, other = models[estimators], models[neural_network]
        weights = zip(one.coefs_, other.coefs_, strict=True)
        apart = max(np.abs(a - b).max() / np.abs(b).max() for a, b in weights)
        outcome = f"scores {one.score(X, y):.4f} and {other.score(X, y):.4f}, weights {apart:.0e} apart"
        pair(ours, theirs, what, aim, rounds=rounds, units=epochs, unit="epoch", outcome=outcome)


def test_digits(pair):
    X, y = datasets.load_digits(return_X_y=True)
    compared(pair, "MLPClassifier", X / 16.0, y, "digits, 64-32-10, adam, batches of 200", ">= 5", (32,), 10)


def test_digits_in_small_batches(pair):
    X, y = datasets.load_digits(return_X_y=True)
    X = (X / 16.0).astype(np.float32)
    what = "digits in float32, 64-32-10, adam, batches of 32"
    compared(pair, "MLPClassifier", X, y, what, ">= 15", (32,), 10, batch_size=32, max_iter=50)


@pytest.mark.parametrize(
    ("name", "kind", "outputs"),
    [
        ("iris", "Classifier", 3),
        ("wine", "Classifier", 3),
        ("breast_cancer", "Classifier", 1),
        ("diabetes", "Regressor", 1),
    ],
)
def test_small_data(pair, name, kind, outputs):
    X, y = standardised(getattr(datasets, f"load_{name}"))
    what = f"{name.replace('_', ' ')}, {X.shape[1]}-100-{outputs}, adam, batches of {min(200, len(X))}"
    compared(pair, f"MLP{kind}", X, y if kind == "Classifier" else y / 100.0, what, ">= 8", (100,), outputs)


@pytest.mark.parametrize(("name", "hidden", "outputs"), [("iris", 100, 3), ("digits", 32, 10)])
def test_a_hundred_rows(pair, name, hidden, outputs):
    X, y = standardised(getattr(datasets, f"load_{name}"))
    rows = np.random.default_rng(0).permutation(len(X))[:100]
    what = f"100 rows of {name}, {X.shape[1]}-{hidden}-{outputs}, adam: an inner fit of a search"
    compared(pair, "MLPClassifier", X[rows], y[rows], what, ">= 10", (hidden,), outputs, tol=1e-4, n_iter_no_change=10)


LARGE = {"hidden_layer_sizes": (256,), "max_iter": 4, "random_state": 0, "tol": 0.0, "n_iter_no_change": np.inf}


@pytest.fixture(scope="module")
def large():
    rng = np.random.default_rng(0)
    return rng.random((10_000, 784), dtype=np.float32), rng.integers(0, 10, 10_000)


def test_a_large_network(pair, large):
    what, settings = "784-256-10 in float32, 10 000 rows, adam, batches of 200", {"max_iter": 4}
    compared(pair, "MLPClassifier", *large, what, ">= 1.5", (256,), 10, rounds=5, **settings)


def test_a_large_network_against_torch(pair, large):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)
    network, loss = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    X, y = torch.tensor(large[0]), torch.tensor(large[1])

    def theirs():
        for _ in range(LARGE["max_iter"]):
            for rows in torch.randperm(len(X)).split(200):
                optimizer.zero_grad()
                loss(network(X[rows]), y[rows]).backward()
                optimizer.step()

    def ours():
        estimators.MLPClassifier(**LARGE).fit(*large)

    pair.needs(operations=products([784, 256, 10], 10_000), real="float32")
    what = "784-256-10 in float32, 10 000 rows, adam, batches of 200, against a loop over torch"
    pair(ours, theirs, what, ">= 1", rounds=5, units=LARGE["max_iter"], unit="epoch")


FIRST_FIT = """
import time, warnings
warnings.simplefilter("ignore")
started = time.perf_counter()
from {module} import MLPClassifier
import numpy as np
rng = np.random.default_rng(0)
MLPClassifier((32,), max_iter=20, random_state=0).fit(rng.normal(size=(300, 64)), np.arange(300) % 10)
print(time.perf_counter() - started)
"""


@pytest.mark.slow
def test_a_first_fit(pair, tmp_path):
    def process(module):
        return lambda: float(fresh(FIRST_FIT.format(module=module), tmp_path))

    ours, theirs = process("gradopt.estimators"), process("sklearn.neural_network")
    seconds = time.perf_counter()
    ours(), theirs()
    cold = time.perf_counter() - seconds
    after = f"with compiled code on disk; the very first took {cold:.0f} s with its peer"
    limit = np.median([theirs() for _ in range(3)]) + 0.5
    what = "import and first fit in a new process, against scikit-learn's and half a second more"
    pair(ours, theirs, what, f"ours < {limit:.1f} s", rounds=5, unit="process", outcome=after, own_clock=True)
