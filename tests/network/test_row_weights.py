"""Weights of rows and of classes, and sparse rows."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import gradopt
from gradopt import SGD, Network, Status, check_gradient, optimize, problems

NET = Network.mlp([4, 3, 3], activation="tanh")
RNG = np.random.default_rng(4)
X = RNG.normal(size=(20, 4)) * (RNG.random((20, 4)) < 0.5)
LABELS = RNG.integers(0, 3, 20)
TARGETS = RNG.random((20, 3))
WEIGHTS = RNG.integers(0, 4, 20).astype(float)
THETA = NET.init(rng=1) + 0.1


def of_kind(kind, X, labels, targets, **settings):
    if kind == "classifier":
        return problems.Classifier(NET, X, labels, **settings)
    return problems.Regressor(NET, X, targets, kind, **settings)


KINDS = [
    "classifier",
    "mse",
    "mae",
    "rmse",
    "half_squared_error",
    "huber",
    "quantile",
    "poisson",
    "binary_cross_entropy",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_counts_as_so_many_rows(kind):
    """A row of weight 3 is three rows, one of weight 0 is none: in the loss, its gradient, batches and measures."""
    weighted = of_kind(kind, X, LABELS, TARGETS, sample_weight=WEIGHTS, alpha=0.3)
    repeated = np.repeat(np.arange(20), WEIGHTS.astype(int))
    plain = of_kind(kind, X[repeated], LABELS[repeated], TARGETS[repeated], alpha=0.3)
    for one, other in zip(weighted.value_and_grad(THETA), plain.value_and_grad(THETA), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    rows = [3, 8, 8, 19, 2]
    of_them = np.concatenate([np.flatnonzero(repeated == row) for row in rows])
    for one, other in zip(weighted.value_and_grad(THETA, rows), plain.value_and_grad(THETA, of_them), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    for name, value in weighted.assess(THETA).items():
        assert value == pytest.approx(plain.assess(THETA)[name], rel=1e-12)
    assert check_gradient(weighted, THETA)


@given(scale=st.floats(1e-3, 1e3))
def test_only_the_ratios_of_weights_count(scale):
    for alpha in (0.0, 0.2):
        one = problems.Classifier(NET, X, LABELS, sample_weight=WEIGHTS, alpha=alpha)
        other = problems.Classifier(NET, X, LABELS, sample_weight=scale * WEIGHTS, alpha=scale * alpha)
        assert other.value(THETA) == pytest.approx(one.value(THETA), rel=1e-12)


def test_class_weights_multiply_those_of_the_rows():
    by_class = np.array([0.5, 2.0, 0.0])
    expected = problems.Classifier(NET, X, LABELS, sample_weight=WEIGHTS * by_class[LABELS]).value(THETA)
    for given_as in (by_class, {0: 0.5, 1: 2.0, 2: 0.0}, tuple(by_class)):
        problem = problems.Classifier(NET, X, LABELS, sample_weight=WEIGHTS, class_weight=given_as)
        assert problem.value(THETA) == pytest.approx(expected, rel=1e-12)
    assert problems.Classifier(NET, X, LABELS, class_weight={1: 2.0}).class_weight == (1.0, 2.0, 1.0)


def test_balanced_classes_have_equal_weights_in_all():
    balanced = problems.Classifier(NET, X, LABELS, sample_weight=WEIGHTS, class_weight="balanced")
    totals = np.bincount(LABELS, balanced.weights)
    np.testing.assert_allclose(totals, WEIGHTS.sum() / 3)
    absent = problems.Classifier(NET, X[LABELS < 2], LABELS[LABELS < 2], class_weight="balanced")
    assert absent.class_weight[2] == 0.0


def test_a_batch_without_weight_changes_nothing():
    problem = problems.Classifier(NET, X, LABELS, sample_weight=np.eye(20)[7], alpha=0.1)
    value, grad = problem.value_and_grad(THETA, [1, 2, 3])
    assert value == 0.0
    assert not grad.any()
    result = optimize(problem, THETA, method=SGD(0.1), batch_size=5, epochs=3, shuffle=False)
    assert result.status == Status.COMPLETED
    assert result.nit == 12


def test_a_training_run_with_weights_is_sgd_on_the_weighted_batches():
    problem = problems.Regressor(NET, X, TARGETS, sample_weight=WEIGHTS + 0.5)
    x = THETA.copy()
    for start in range(0, 20, 6):
        x -= 0.2 * problem.value_and_grad(x, np.arange(start, min(start + 6, 20)))[1]
    result = optimize(problem, THETA, method=SGD(0.2), batch_size=6, epochs=1, shuffle=False)
    np.testing.assert_allclose(result.x, x, rtol=1e-13)


def test_errors_of_weighted_likelihoods():
    rng, line = np.random.default_rng(8), Network.mlp([2, 1])
    X = rng.normal(size=(80, 2))
    labels, weights = (X[:, 0] + rng.normal(size=80) > 0).astype(int), rng.integers(0, 4, 80)
    repeated = np.repeat(np.arange(80), weights)
    weighted = problems.Classifier(line, X, labels, sample_weight=weights)
    plain = problems.Classifier(line, X[repeated], labels[repeated])
    one, other = (gradopt.uncertainty(optimize(problem, np.zeros(3), gtol=1e-9)) for problem in (weighted, plain))
    np.testing.assert_allclose(one.stderr, other.stderr, rtol=1e-6)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_give_the_same_bits(make, dtype):
    dense = problems.Classifier(NET, X.astype(dtype), LABELS, sample_weight=WEIGHTS, dropout=0.2)
    sparse = problems.Classifier(NET, make(X.astype(dtype)), LABELS, sample_weight=WEIGHTS, dropout=0.2)
    assert sparse.dtype == dtype
    settings = {"method": SGD(0.1), "batch_size": 6, "epochs": 3, "rng": 0}
    one, other = (optimize(p, THETA.astype(dtype), **settings) for p in (dense, sparse))
    np.testing.assert_array_equal(one.x, other.x)
    assert one.fun == other.fun
    np.testing.assert_array_equal(sparse.predict(one.x, make(X)), dense.predict(one.x, X))
    np.testing.assert_array_equal(NET.forward(THETA, make(X)), NET.forward(THETA, X))


def test_sparse_elements_that_are_given_twice_are_added():
    twice = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [0, 0, 1], [0, 2, 3]), shape=(2, 4))
    np.testing.assert_array_equal(NET.forward(THETA, twice), NET.forward(THETA, twice.toarray()))


HOSTILE = [
    ({"sample_weight": WEIGHTS[:3]}, ValueError, "one number per row, 20, got 3"),
    ({"sample_weight": -WEIGHTS}, ValueError, r"sample_weight must be >= 0, got -\d at \["),
    ({"sample_weight": np.zeros(20)}, ValueError, "positive for at least one row"),
    ({"sample_weight": np.full(20, np.nan)}, ValueError, "got nan"),
    ({"sample_weight": 2.0}, ValueError, "one-dimensional"),
    ({"class_weight": "equal"}, ValueError, "class_weight must be one of 'balanced'"),
    ({"class_weight": {3: 1.0}}, ValueError, r"labels in \[0, 3\), got 3"),
    ({"class_weight": {"a": 1.0}}, ValueError, "got 'a'"),
    ({"class_weight": [1.0, 2.0]}, ValueError, "one number per class, 3, got 2"),
    ({"class_weight": {0: -1.0}}, ValueError, r"class_weight\[0\]"),
    ({"class_weight": [0.0, 0.0, 0.0]}, ValueError, "positive for at least one label"),
]


@pytest.mark.parametrize(("settings", "error", "message"), HOSTILE, ids=[case[2][:40] for case in HOSTILE])
def test_bad_weights_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        problems.Classifier(NET, X, LABELS, **settings)


def test_bad_sparse_rows_are_refused():
    bad = scipy.sparse.csr_array(X)
    bad.data[5] = np.nan
    row = np.searchsorted(bad.indptr, 5, side="right") - 1
    with pytest.raises(ValueError, match=rf"got nan at \[{row}, {bad.indices[5]}\]"):
        problems.Classifier(NET, bad, LABELS)
    with pytest.raises(ValueError, match="X must have 4 columns"):
        problems.Classifier(NET, scipy.sparse.csr_array((20, 5)), LABELS)
    with pytest.raises(ValueError, match="same number of rows, got 20 and 3"):
        problems.Classifier(NET, scipy.sparse.csr_array(X), LABELS[:3])
    with pytest.raises(ValueError, match="real, two-dimensional sparse"):
        problems.Classifier(NET, scipy.sparse.csr_array(X * 1j), LABELS)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="y must be >= 0 for poisson, got -1"):
        problems.Regressor(NET, X, -np.ones((20, 3)), "poisson")
    with pytest.raises(ValueError, match=r"quantile must be in \(0, 1\)"):
        problems.Regressor(NET, X, TARGETS, "quantile", quantile=1.0)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_the_quantile_loss_finds_the_quantile(q):
    constant = Network.mlp([1, 1])
    y = RNG.exponential(size=401)
    problem = problems.Regressor(constant, np.zeros((401, 1)), y, "quantile", quantile=q)
    at = np.sort(y)[int(q * 401)]
    assert problem.value([0.0, at]) == min(problem.value([0.0, value]) for value in y)
    result = optimize(problem, [0.0, 1.0], method=SGD(gradopt.InverseTimeDecay(1.0, 0.1)), epochs=600)
    assert result.fun == pytest.approx(problem.value([0.0, at]), rel=2e-3)


def test_counts_are_predicted_by_their_mean():
    t = np.linspace(-1.0, 1.0, 300)
    counts = RNG.poisson(np.exp(0.5 * t + 1.0))
    problem = problems.Regressor(Network.mlp([1, 1]), t[:, None], counts, "poisson")
    result = optimize(problem, [0.0, 0.0], gtol=1e-9)
    mean = problem.predict(result.x, t[:, None])
    assert mean.sum() == pytest.approx(counts.sum(), rel=1e-6)  # as the score equations say
    assert mean @ t == pytest.approx(counts @ t, rel=1e-6)
    design = np.stack([t, np.ones(300)])
    errors = np.sqrt(np.diag(np.linalg.inv((design * mean) @ design.T)))
    np.testing.assert_allclose(gradopt.uncertainty(result).stderr, errors, rtol=1e-4)
