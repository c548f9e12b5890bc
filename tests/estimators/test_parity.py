"""The same seed gives the same network as scikit-learn's own class, to rounding."""

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="without scikit-learn nothing compares the estimators with its own")

from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

from gradopt import estimators

from marks import compiled_only, named

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")

RNG = np.random.default_rng(2)
DIGITS = load_digits()
DIGITS = DIGITS.data[:500] / 16.0, DIGITS.target[:500]
IRIS = load_iris(return_X_y=True)
NAMES = IRIS[0], np.array(["setosa", "a", "b"])[IRIS[1]]
DIABETES = load_diabetes()
DIABETES = DIABETES.data * 10.0, DIABETES.target / 100.0
TWO = DIGITS[0], DIGITS[1] > 4
LABELS = make_multilabel_classification(150, random_state=0)
OUTPUTS = DIABETES[0], np.column_stack([DIABETES[1], DIABETES[0][:, 2] ** 2])
WEIGHTS = RNG.uniform(0.1, 2.0, 500)

C, R = "MLPClassifier", "MLPRegressor"
CASES = [
    (C, DIGITS, {"max_iter": 20}),
    (C, DIGITS, {"max_iter": 20, "hidden_layer_sizes": (20, 10), "activation": "tanh", "alpha": 0.1}),
    (C, DIGITS, {"max_iter": 40, "early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.01}),
    (C, DIGITS, {"max_iter": 15, "batch_size": 33, "weighted": True}),
    (C, DIGITS, {"max_iter": 40, "early_stopping": True, "weighted": True, "validation_fraction": 0.3}),
    (C, NAMES, {"max_iter": 30, "activation": "logistic", "hidden_layer_sizes": 7}),
    (C, IRIS, {"max_iter": 200, "batch_size": 16, "learning_rate_init": 0.05, "tol": 1e-2}),
    (C, IRIS, {"max_iter": 25, "hidden_layer_sizes": ()}),
    (C, IRIS, {"max_iter": 25, "hidden_layer_sizes": (), "activation": "logistic"}),
    (C, IRIS, {"max_iter": 12, "shuffle": False}),
    (C, TWO, {"max_iter": 20}),
    (C, TWO, {"max_iter": 30, "early_stopping": True, "activation": "identity"}),
    (C, LABELS, {"max_iter": 20}),
    (C, LABELS, {"max_iter": 30, "early_stopping": True}),
    (R, DIABETES, {"max_iter": 30}),
    (R, DIABETES, {"max_iter": 30, "loss": "poisson", "weighted": True}),
    (R, DIABETES, {"max_iter": 60, "early_stopping": True, "learning_rate_init": 0.01}),
    (R, OUTPUTS, {"max_iter": 30}),
    (R, OUTPUTS, {"max_iter": 60, "early_stopping": True}),
]
SCHEDULES = [
    {"learning_rate": "invscaling", "learning_rate_init": 0.1, "power_t": 0.3},
    {"learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 1e-2, "n_iter_no_change": 2, "max_iter": 300},
    {"learning_rate": "adaptive", "early_stopping": True, "n_iter_no_change": 1, "max_iter": 300},
    {"nesterovs_momentum": False, "momentum": 0.5, "learning_rate_init": 0.1},
]


def both(name, **settings):
    return getattr(neural_network, name)(**settings), getattr(estimators, name)(**settings)


def assert_same(theirs, ours, tolerance=1e-9):
    parts = zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True)
    for one, other in parts:
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * np.abs(one).max())
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    for attribute in ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        one, other = getattr(theirs, attribute), getattr(ours, attribute)
        assert (one is None) == (other is None), attribute
        if one is not None:
            np.testing.assert_allclose(other, one, rtol=1e-6, err_msg=attribute)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("name", "data", "settings"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_a_fit_gives_the_same_network(name, data, settings, solver):
    settings = dict(settings, solver=solver, random_state=7)
    weights = WEIGHTS[: len(data[0])] if settings.pop("weighted", False) else None
    theirs, ours = both(name, **settings)
    assert_same(theirs.fit(*data, sample_weight=weights), ours.fit(*data, sample_weight=weights))
    if name == R:
        np.testing.assert_allclose(ours.predict(data[0]), theirs.predict(data[0]))
    else:
        np.testing.assert_array_equal(ours.predict(data[0]), theirs.predict(data[0]))
        np.testing.assert_allclose(ours.predict_proba(data[0]), theirs.predict_proba(data[0]), atol=1e-9)
        np.testing.assert_allclose(ours.predict_log_proba(data[0]), theirs.predict_log_proba(data[0]), rtol=1e-6)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize("settings", SCHEDULES, ids=named)
def test_schedules_of_sgd(settings):
    settings = {"solver": "sgd", "random_state": 3, "max_iter": 30} | settings
    theirs, ours = both(C, **settings)
    assert_same(theirs.fit(*IRIS), ours.fit(*IRIS))


def test_float32_stays_float32():
    theirs, ours = both(C, random_state=1, max_iter=5, solver="sgd")
    X = DIGITS[0].astype(np.float32)
    assert_same(theirs.fit(X, DIGITS[1]), ours.fit(X, DIGITS[1]), 1e-5)
    assert ours.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_partial_fits_go_on_as_there(solver, learning_rate):
    rate = {"learning_rate": learning_rate, "learning_rate_init": 0.05, "tol": 0.5, "n_iter_no_change": 1}
    for seed in (5, np.random.RandomState(5), np.random.RandomState(5)):
        theirs, ours = both(C, solver=solver, random_state=seed, **rate)
        if seed != 5:
            theirs.random_state = np.random.RandomState(5)
            ours.random_state = np.random.RandomState(5)
        for i in range(12):
            rows = np.arange(i * 40, (i + 1) * 40 + 3 * i) % 500
            theirs.partial_fit(DIGITS[0][rows], DIGITS[1][rows], classes=np.arange(10))
            ours.partial_fit(DIGITS[0][rows], DIGITS[1][rows], classes=np.arange(10))
            assert_same(theirs, ours)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "sgd", "learning_rate": "invscaling"}])
def test_warm_starts_go_on_as_there(settings):
    theirs, ours = both(C, warm_start=True, max_iter=6, random_state=5, **settings)
    for _ in range(3):
        assert_same(theirs.fit(*DIGITS), ours.fit(*DIGITS))


def test_the_random_state_is_left_as_there():
    one, other = np.random.RandomState(9), np.random.RandomState(9)
    neural_network.MLPClassifier(random_state=one, max_iter=200, tol=0.05).fit(*IRIS)
    estimators.MLPClassifier(random_state=other, max_iter=200, tol=0.05).fit(*IRIS)
    assert one.randint(2**31) == other.randint(2**31)


@compiled_only
def test_lbfgs_finds_as_low_a_loss():
    for name, data in ((C, IRIS), (C, TWO), (R, DIABETES), (C, LABELS)):
        theirs, ours = both(name, solver="lbfgs", hidden_layer_sizes=(), max_iter=2000, random_state=0, tol=1e-6)
        theirs.fit(*data), ours.fit(*data)
        assert ours.loss_ <= theirs.loss_ * (1.0 + 1e-3)
        assert ours.score(*data) == pytest.approx(theirs.score(*data), abs=0.02)


def test_verbose_prints_as_there(capsys):
    printed = []
    for model in both(C, verbose=True, max_iter=4, random_state=0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(*IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_verbose_says_how_the_rate_adapts(capsys):
    printed = []
    settings = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1, "max_iter": 60}
    for model in both(C, verbose=True, random_state=0, learning_rate_init=0.1, **settings):
        model.fit(*IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Setting learning rate to" in printed[0]
