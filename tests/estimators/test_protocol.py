"""scikit-learn's protocol: its own checks, its own tests, and what pipelines and searches need."""

import contextlib
import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")

import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import gradopt
from gradopt import estimators
from gradopt.estimators import MLPClassifier, MLPRegressor

from marks import compiled_only

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore:Can't check dok:UserWarning",
)
X, y = load_iris(return_X_y=True)

# Of scikit-learn's own tests, those that look at parts that are not public.
LOOK_INSIDE = {
    "test_gradient": "calls _loss_grad_lbfgs",
    "test_learning_rate_warmstart": "reads _optimizer.learning_rate",
    "test_adaptive_learning_rate": "reads _optimizer.learning_rate",
}


@compiled_only
@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@compiled_only
@pytest.mark.slow
def test_scikit_learns_own_tests_pass_with_our_classes():
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "in_place_of_sklearns", "-p", "no:cacheprovider", "--pyargs"]
    command += ["sklearn.neural_network.tests.test_mlp", "-W", "ignore", "-rf", "-c", os.devnull]
    root = Path(gradopt.__file__).parents[1]
    path = os.pathsep.join([str(here), str(root)])
    output = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    failed = {line.split("::")[1].split(" ")[0] for line in output.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == set(LOOK_INSIDE), output.stdout[-3000:]
    assert "passed" in output.stdout


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_scikit_learns_and_then_ours(name):
    ours, theirs = (getattr(module, name)().get_params() for module in (estimators, neural_network))
    assert {key: ours[key] for key in theirs} == theirs
    added = {"dropout", "frozen", "monitor", "callback", "progress"}
    assert set(ours) - set(theirs) == added | {"class_weight" if name == "MLPClassifier" else "quantile"}


@pytest.mark.parametrize("make", [pickle.dumps, copy.deepcopy])
def test_copies_predict_and_go_on_the_same(make):
    model = MLPClassifier((6,), random_state=0)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1, 2])
    other = make(model)
    other = pickle.loads(other) if isinstance(other, bytes) else other
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(other.partial_fit(X, y).coefs_[0], model.partial_fit(X, y).coefs_[0])


def test_a_clone_keeps_a_method_of_ours():
    solver = gradopt.AdamW(gradopt.OneCycle(0.01, 30), weight_decay=0.1)
    assert clone(MLPClassifier(solver=solver)).solver == solver


@contextlib.contextmanager
def joblibs(backend):
    """joblib with a backend; that of Dask has a cluster of this process."""
    joblib = pytest.importorskip("joblib")
    with contextlib.ExitStack() as stack:
        if backend == "dask":
            distributed = pytest.importorskip("distributed")
            settings = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
            stack.enter_context(distributed.Client(stack.enter_context(distributed.LocalCluster(**settings))))
        stack.enter_context(joblib.parallel_backend(backend, n_jobs=2))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "loky", "dask"])
def test_grid_searches_in_threads_processes_and_on_dask(backend):
    pipe = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=30, random_state=0))
    grid = {"mlpclassifier__alpha": [1e-4, 10.0], "mlpclassifier__solver": ["adam", gradopt.RMSprop(0.01)]}
    with joblibs(backend):
        search = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    alone = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.9


def test_sample_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier((5,), max_iter=5, random_state=0).set_fit_request(sample_weight=True, validation=False)
        model.set_score_request(sample_weight=True)
        scores = cross_validate(model, X, y, params={"sample_weight": np.ones(150)}, cv=3)
    assert np.isfinite(scores["test_score"]).all()


def test_feature_names_are_kept():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(frame, y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("bacd")])


def test_the_html_shows_the_parameters():
    assert "hidden_layer_sizes" in MLPClassifier((3,))._repr_html_()


def test_without_scikit_learn_the_message_says_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
import gradopt
try:
    gradopt.estimators
except ImportError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "gradopt[sklearn]"' in output.stdout


def test_the_package_alone_does_not_import_scikit_learn():
    code = "import sys, gradopt; assert 'sklearn' not in sys.modules; assert gradopt.estimators.MLPClassifier"
    subprocess.run([sys.executable, "-c", code], check=True)
