"""What the estimators add to scikit-learn's, and what bad input gets."""

import warnings

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")

from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

import gradopt
from gradopt.estimators import MLPClassifier, MLPRegressor

from marks import compiled_only, named

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits()
X, y = DIGITS.data[:400] / 16.0, DIGITS.target[:400]
HELD = DIGITS.data[400:600] / 16.0, DIGITS.target[400:600]
NAMES = np.array(["no", "yes"])[(y > 4).astype(int)]


def small(**settings):
    return MLPClassifier(**({"hidden_layer_sizes": (12,), "max_iter": 8, "random_state": 0} | settings))


def test_validation_rows_give_curves_and_change_nothing():
    model = small().fit(X, y, validation=HELD)
    alone = small().fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], alone.coefs_[0])
    assert (alone.validation_loss_curve_, alone.validation_scores_) == (None, None)
    probabilities = model.predict_proba(HELD[0])[np.arange(200), HELD[1]]
    assert model.validation_loss_curve_[-1] == pytest.approx(-np.log(probabilities).mean(), rel=1e-12)
    assert model.validation_scores_[-1] == model.score(*HELD)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 8


def test_early_stopping_on_the_validation_loss_keeps_its_best_epoch():
    settings = {
        "max_iter": 500,
        "monitor": "validation_loss",
        "learning_rate_init": 0.05,
        "n_iter_no_change": 5,
        "tol": 0,
    }
    model = small(early_stopping=True, **settings).fit(X, y, validation=HELD)
    curve = model.validation_loss_curve_
    assert len(curve) == int(np.argmin(curve)) + 1 + 6 < 500
    probabilities = model.predict_proba(HELD[0])[np.arange(200), HELD[1]]
    assert min(curve) == pytest.approx(-np.log(probabilities).mean(), rel=1e-12)


def test_early_stopping_with_given_rows_splits_none_off():
    model = small(early_stopping=True, max_iter=300).fit(X, y, validation=HELD)
    assert model.t_ == 400 * model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(*HELD)


def test_validation_of_a_regressor_and_of_several_labels():
    data = load_diabetes()
    A, b = data.data * 10.0, data.target / 100.0
    model = MLPRegressor(hidden_layer_sizes=(10,), max_iter=5, random_state=0)
    model.fit(A[:300], b[:300], validation=(A[300:], b[300:]))
    assert model.validation_loss_curve_[-1] == pytest.approx(np.mean((model.predict(A[300:]) - b[300:]) ** 2) / 2)
    assert model.validation_scores_[-1] == pytest.approx(model.score(A[300:], b[300:]))
    labels = np.column_stack([y > 4, y % 2 == 0]).astype(int)
    model = small().fit(X[:300], labels[:300], validation=(X[300:], labels[300:]))
    assert model.validation_scores_[-1] == model.score(X[300:], labels[300:])


def test_class_weights_are_weights_of_their_rows():
    weights = {"no": 0.5, "yes": 3.0}
    by_class = small(class_weight=weights).fit(X, NAMES)
    by_row = small().fit(X, NAMES, sample_weight=[weights[name] for name in NAMES])
    np.testing.assert_array_equal(by_class.coefs_[0], by_row.coefs_[0])
    balanced = small(class_weight="balanced").fit(X, NAMES)
    assert not np.array_equal(balanced.coefs_[0], small().fit(X, NAMES).coefs_[0])


def test_a_label_of_small_weight_is_predicted_less_often():
    often, seldom = (small(class_weight={"yes": weight}).fit(X, NAMES).predict(X) for weight in (20.0, 0.05))
    assert (often == "yes").sum() > (seldom == "yes").sum()


@pytest.mark.parametrize(
    "solver",
    [
        gradopt.AdamW(gradopt.CosineDecay(0.02, 600)),
        gradopt.SGD(gradopt.per_epoch(gradopt.StepDecay(0.3, 20))),
        gradopt.RMSprop(0.01),
        gradopt.LBFGS(memory=20),
        gradopt.NonlinearCG(),
    ],
    ids=named,
)
def test_any_method_is_a_solver(solver):
    model = small(solver=solver, max_iter=30, batch_size=20).fit(X, y)
    assert model.score(X, y) > 0.9
    assert hasattr(model, "partial_fit") == (solver.loop.batches is not None)


def test_a_method_goes_on_in_partial_fits_as_in_one_run():
    solver, whole = gradopt.Adam(gradopt.InverseTimeDecay(0.02, 0.1)), small(solver=gradopt.Adam(), max_iter=1)
    whole.fit(X, y)
    model = small(solver=solver, shuffle=False)
    for _ in range(4):
        model.partial_fit(X, y, classes=np.arange(10))
    together = small(solver=solver, shuffle=False, max_iter=4).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], together.coefs_[0], rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, together.loss_curve_, rtol=1e-12)


@compiled_only
@pytest.mark.parametrize("activation", ["gelu", "silu", "leaky_relu", "softplus", "sigmoid", ("tanh", "relu")])
def test_activations_are_ours_and_by_layer(activation):
    sizes = (9, 7) if isinstance(activation, tuple) else (9,)
    model = small(activation=activation, hidden_layer_sizes=sizes, max_iter=200).fit(X, y)
    assert model.score(X, y) > 0.6
    names = [activation] if isinstance(activation, str) else list(activation)
    layers = zip([*sizes, 10], [64, *sizes], [*names, "identity"], strict=True)
    network = gradopt.Network([gradopt.Dense(n_in, n_out, name) for n_out, n_in, name in layers])
    theta = np.concatenate(
        [part.ravel() for pair in zip(model.coefs_, model.intercepts_, strict=True) for part in pair]
    )
    np.testing.assert_allclose(model.decision_function(X), network.forward(theta, X), rtol=1e-12)


def test_frozen_layers_keep_what_was_learned():
    model = small(hidden_layer_sizes=(8, 8), warm_start=True).fit(X, y)
    before = [part.copy() for part in model.coefs_ + model.intercepts_]
    model.set_params(frozen=[0]).fit(X, y)
    same = [np.array_equal(one, other) for one, other in zip(before, model.coefs_ + model.intercepts_, strict=True)]
    assert same == [True, False, False] * 2


@compiled_only
def test_dropout_and_penalties_by_layer():
    assert small(dropout=0.5, max_iter=150).fit(X, y).score(X, y) > 0.9
    free, held = small(max_iter=60).fit(X, y), small(alpha=(0.0, 50.0), max_iter=60).fit(X, y)
    assert np.linalg.norm(held.coefs_[1]) < 0.7 * np.linalg.norm(free.coefs_[1])


@pytest.mark.parametrize("loss", ["mae", "absolute_error", "huber", "quantile"])
def test_losses_of_the_regressor(loss):
    rng = np.random.default_rng(0)
    t = np.linspace(-1.0, 1.0, 300)
    noisy = t + rng.exponential(0.5, 300)
    model = MLPRegressor(
        loss, (), solver=gradopt.Adam(gradopt.CosineDecay(0.05, 600)), quantile=0.9, max_iter=300, alpha=0
    )
    below = np.mean(noisy < model.set_params(random_state=0).fit(t[:, None], noisy).predict(t[:, None]))
    assert below == pytest.approx({"quantile": 0.9, "huber": 0.6}.get(loss, 0.5), abs=0.05)


def test_callbacks_see_each_epoch_and_can_end_the_run(tmp_path):
    seen = []

    def look(intermediate_result):
        seen.append((intermediate_result.epoch, intermediate_result.fun, intermediate_result.val_fun))
        return intermediate_result.epoch == 4

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who ended the run needs no warning
        model = small(callback=[look, gradopt.checkpoint(tmp_path / "run.npz")]).fit(X, y, validation=HELD)
    assert [entry[0] for entry in seen] == [1, 2, 3, 4]
    assert [entry[1] for entry in seen] == model.loss_curve_
    assert [entry[2] for entry in seen] == model.validation_loss_curve_
    saved = gradopt.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(saved.x[: 64 * 12].reshape(64, 12), model.coefs_[0])


def test_an_interrupted_fit_keeps_what_it_has():
    def interrupt(intermediate_result):
        if intermediate_result.epoch == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        model = small(callback=interrupt).fit(X, y)
    assert (model.n_iter_, len(model.loss_curve_)) == (3, 3)
    assert model.score(X, y) > 0.1


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_rows_give_the_same_bits(make):
    dense, sparse = small().fit(X, y), small().fit(make(X), y)
    np.testing.assert_array_equal(sparse.coefs_[0], dense.coefs_[0])
    np.testing.assert_array_equal(sparse.predict_proba(make(X)), dense.predict_proba(X))


@compiled_only
def test_log_probabilities_are_finite_where_probabilities_are_0():
    model = small(hidden_layer_sizes=(), max_iter=1).fit(X, y)
    model.coefs_ = [1e4 * model.coefs_[0]]
    assert (model.predict_proba(X) == 0.0).any()
    assert np.isfinite(model.predict_log_proba(X)).all()


def test_divergence_is_an_error_or_the_best_epoch():
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        small(solver="sgd", learning_rate_init=1e200, max_iter=20).fit(X, y)
    settings = {"activation": "identity", "solver": "sgd", "learning_rate_init": 1.0, "early_stopping": True}
    model = MLPRegressor(**settings, random_state=0)
    with pytest.warns(ConvergenceWarning, match="NaN or infinite in epoch"):
        model.fit(10.0 * X, y)
    assert np.isfinite(model.coefs_[0]).all()
    assert np.isnan(model.validation_scores_[-1])


@pytest.mark.parametrize(
    ("settings", "validation"),
    [({"monitor": "score"}, None), ({"solver": "lbfgs"}, HELD), ({}, 3), ({}, (HELD[0][:, :5], HELD[1]))],
)
def test_a_refused_fit_leaves_the_model_unfitted(settings, validation):
    model = small(**settings)
    with pytest.raises(ValueError, match="validation|features"):
        model.fit(X, y, validation=validation)
    assert not hasattr(model, "coefs_")


BAD = [
    ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": "wide"}, "'hidden_layer_sizes' parameter"),
    ({"activation": "cubic"}, "'activation' parameter of MLPClassifier must be a str among"),
    ({"activation": ("relu", "relu")}, "'activation' parameter"),
    (
        {"solver": "newton"},
        "must be a str among {'lbfgs', 'sgd', 'adam'} or a method",
    ),
    ({"alpha": -1.0}, r"'alpha' parameter of MLPClassifier must be a float in the range \[0.0, inf\)"),
    ({"alpha": (1.0,)}, "alpha must be one number or 2"),
    ({"learning_rate_init": 0.0}, r"in the range \(0.0, inf\)"),
    ({"learning_rate": "cosine"}, "'learning_rate' parameter"),
    ({"momentum": 2.0}, r"in the range \[0.0, 1.0\]"),
    ({"beta_1": 1.0}, r"in the range \[0.0, 1.0\)"),
    ({"max_iter": 0}, r"must be an int in the range \[1, inf\)"),
    ({"max_iter": 2.5}, "must be an int"),
    ({"tol": "small"}, "'tol' parameter"),
    ({"batch_size": "all"}, "'batch_size' parameter"),
    ({"shuffle": "yes"}, "'shuffle' parameter of MLPClassifier must be True or False"),
    ({"monitor": "accuracy"}, "'monitor' parameter"),
    ({"monitor": "score"}, "needs early_stopping=True or fit"),
    ({"dropout": 1.0}, "'dropout' parameter"),
    ({"frozen": [5]}, "frozen must be numbers of layers below 2"),
    ({"class_weight": {"maybe": 1.0}}, r"The classes, \['no', 'yes'\], are not in class_weight, which has \['maybe'\]"),
    ({"class_weight": "equal"}, "class_weight must be one of 'balanced'"),
    ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
    ({"dropout": 0.1, "solver": "lbfgs"}, "dropout needs a solver that works on batches"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=[str(case[0])[:40] for case in BAD])
def test_bad_parameters_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(X, NAMES)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(400), "at least one non-zero"),
        (-np.ones(400), "must be >= 0"),
        (np.ones(3), "expected"),
        (np.ones((400, 2)), "1D array or scalar"),
        (np.full(400, np.nan), "NaN"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, y, sample_weight=weights)


def test_bad_data_are_refused():
    with pytest.raises(ValueError, match="Unknown label type"):
        small().fit(X, X[:, 5] + 0.5)
    with pytest.raises(ValueError, match="contains NaN"):
        small().fit(np.where(X == X.max(), np.nan, X), y)
    with pytest.raises(ValueError, match="64 features"):
        small().fit(X, y).predict(X[:, :3])
    with pytest.raises(ValueError, match="labels that are not among"):
        small().fit(X[y < 5], y[y < 5], validation=(X, y))
    with pytest.raises(ValueError, match=r"validation must be \(X, y\)"):
        small().fit(X, y, validation=X)
    with pytest.raises(ValueError, match="need a solver that works on batches"):
        small(solver="lbfgs").fit(X, y, validation=HELD)
    with pytest.raises(ValueError, match="partial_fit does not support"):
        small(early_stopping=True).partial_fit(X, y, classes=np.arange(10))
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small().partial_fit(X, y)
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        _ = small(solver="lbfgs").partial_fit
    with pytest.raises(ValueError, match="can't change after the first fit"):
        small(warm_start=True).fit(X, y).set_params(hidden_layer_sizes=(3, 3)).fit(X, y)
    with pytest.warns(DataConversionWarning):
        small().fit(X, y[:, None])


def test_what_a_stranger_gives():
    columns = np.column_stack([y > 4, y % 2 == 0]).astype(int)
    expected = small().fit(X, columns)
    for labels in (5 * columns, scipy.sparse.csr_array(columns), scipy.sparse.coo_array(columns)):
        model = small().fit(X, labels)
        np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert scipy.sparse.issparse(model.predict(X))
    with pytest.raises(ValueError, match="one label per row, or several, as in the first fit"):
        small(warm_start=True).fit(X, y).partial_fit(X, columns)
    assert small().fit(X, np.array(["a", "b"], object)[(y > 4).astype(int)]).classes_.dtype == "<U1"
    with pytest.raises(TypeError, match="'alpha' parameter"):
        small(alpha="much").fit(X, y)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        small(class_weight="balanced").partial_fit(X, y, classes=np.arange(10))
    equal = small(class_weight=dict.fromkeys(range(12), 1.0)).fit(X, y)
    np.testing.assert_allclose(equal.coefs_[0], small().fit(X, y).coefs_[0], rtol=1e-9)
    assert small().fit(X.astype(np.float32), y).predict_proba(X).dtype == np.float64


def test_what_a_stranger_gives_to_regressors():
    regressor = MLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=2)
    np.testing.assert_array_equal(regressor.fit(X, y > 4).coefs_[0], regressor.fit(X, (y > 4) * 1.0).coefs_[0])
    for outputs, targets in ((1, X[:, 0]), (3, X[:, :3])):
        with pytest.raises(ValueError, match=f"y must have 2 outputs, as in the first fit, got {outputs}"):
            regressor.fit(X, X[:, :2]).partial_fit(X, targets)
        with pytest.raises(ValueError, match=f"y must have 2 columns, the network's outputs, got {outputs}"):
            regressor.fit(X, X[:, :2], validation=(X, targets))
    with pytest.raises(ValueError, match="works on sums of squares alone, .* got Targets"):
        MLPRegressor(solver=gradopt.LevenbergMarquardt()).fit(X, y)
    simplex = MLPRegressor(hidden_layer_sizes=(), solver=gradopt.NelderMead(), max_iter=50)
    assert simplex.fit(X[:, 20:22], y).loss_ < 20.0


def test_validation_is_without_class_weights():
    model = small(class_weight={"yes": 9.0}).fit(X[:300], NAMES[:300], validation=(X[300:], NAMES[300:]))
    probabilities = model.predict_proba(X[300:])[np.arange(100), (NAMES[300:] == "yes").astype(int)]
    assert model.validation_loss_curve_[-1] == pytest.approx(-np.log(probabilities).mean(), rel=1e-12)
    assert model.validation_scores_[-1] == model.score(X[300:], NAMES[300:])
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_a_warm_start_that_watches_something_else_begins_its_best_anew():
    model = small(warm_start=True, early_stopping=True, learning_rate_init=0.05).fit(X, y)
    model.set_params(early_stopping=False, max_iter=40, tol=0).fit(X, y)
    assert model.n_iter_ == 40
    assert model.best_loss_ == min(model.loss_curve_[8:])
    model = small(solver="lbfgs", warm_start=True).fit(X, y)
    assert len(model.set_params(solver="adam").fit(X, y).loss_curve_) == 8


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_rows_and_one_class(rows):
    model = small().fit(X[:rows], y[:rows] * 0 + 3)
    np.testing.assert_array_equal(model.predict(X), 3)
    regressor = MLPRegressor(hidden_layer_sizes=(2,), random_state=0, max_iter=3).fit(X[:rows], y[:rows])
    assert regressor.predict(X).shape == (400,)
