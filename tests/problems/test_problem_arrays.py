"""The arrays of problems: read-only, copies of the caller's; data larger than memory are read by blocks."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradopt
from gradopt import Network, optimize, problems
from gradopt.problems.networks import supervised

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(50, 3)), np.linspace(0.0, 1.0, 9)
LABELS = (X[:, 0] > 0).astype(int)
CASES = [
    (problems.Quadratic(np.eye(2), np.ones(2)), ("A", "b")),
    (problems.PolynomialFit(T, T**2), ("t", "y")),
    (problems.CurveFit(lambda t, p: p[0] * t, T, T), ("t", "y")),
    (problems.Classifier(Network.mlp([3, 1]), X, LABELS), ("X", "y")),
    (problems.Classifier(Network.mlp([3, 2]), X, LABELS), ("X", "y")),
    (problems.Regressor(Network.mlp([3, 1]), X, X[:, 1]), ("X", "y")),
]


@pytest.mark.parametrize(("problem", "names"), CASES, ids=lambda value: type(value).__name__)
def test_are_read_only(problem, names):
    for name in names:
        with pytest.raises(ValueError, match="read-only"):
            getattr(problem, name)[...] = 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("problem", "names"), CASES, ids=lambda value: type(value).__name__)
def test_and_work_in_both_precisions(problem, names, dtype):
    n = 1 if isinstance(problem, problems.CurveFit) else problem.n
    value, grad = problem.value_and_grad(np.full(n, 0.3, dtype))
    assert np.isfinite(value)
    assert grad.dtype == dtype


def test_the_callers_arrays_stay_writable():
    A = np.eye(2)
    problem = problems.Quadratic(A)
    A[0, 0] = 9.0
    assert problem.A[0, 0] == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: problems.Classifier(Network.mlp([3, 4, 2], activation="tanh"), X, LABELS),
        lambda: problems.Classifier(Network.mlp([3, 1]), X, LABELS),
        lambda: problems.Regressor(Network.mlp([3, 2]), X, X[:, :2], loss="rmse"),
        lambda: problems.Regressor(Network.mlp([3, 1]), X, X[:, 1], loss="half_squared_error"),
    ],
)
def test_measures_do_not_depend_on_blocks(make, monkeypatch):
    problem = make()
    theta = problem.network.init(0)
    whole = problem.assess(theta)
    assert whole["fun"] == pytest.approx(problem.value(theta), rel=1e-13)
    if "accuracy" in whole:
        assert whole["accuracy"] == problem.score(theta, problem.X, problem.y)
    monkeypatch.setattr(supervised, "_BLOCK_NUMBERS", 7)
    monkeypatch.setattr(supervised, "BLOCK_ROWS", 7)
    blocks = problem.assess(theta)
    assert blocks.keys() == whole.keys()
    for name, value in whole.items():
        assert blocks[name] == pytest.approx(value, rel=1e-13)


def test_a_faulty_row_is_named_by_its_number(tmp_path, monkeypatch):
    data = np.memmap(tmp_path / "x", np.float32, "w+", shape=(40, 3))
    data[:] = X[:40]
    problem = problems.Classifier(Network.mlp([3, 2]), data, LABELS[:40])
    monkeypatch.setattr(supervised, "_BLOCK_NUMBERS", 7)
    monkeypatch.setattr(supervised, "BLOCK_ROWS", 7)
    data[33, 1] = np.nan
    with pytest.raises(ValueError, match="row 33"):
        optimize(problem, problem.network.init(0, dtype=np.float32), batch_size=5, max_iter=1, shuffle=False)


class TestEvaluations:
    """Workspaces are kept from one evaluation to the next, and x is read where it is."""

    @pytest.mark.parametrize(
        "x",
        [
            np.array([0.5, -1.5, 2.0]),
            np.array([0.5, 9.0, -1.5, 9.0, 2.0])[::2],
            np.array([0.5, -1.5, 2.0], ">f8"),
            np.array([0.5, -1.5, 2.0]).view(type("Own", (np.ndarray,), {})),
            [0.5, -1.5, 2.0],
        ],
        ids=["plain", "strided", "swapped", "subclass", "list"],
    )
    @pytest.mark.parametrize("writeable", [True, False])
    def test_take_any_form_of_x_and_leave_it(self, x, writeable):
        if isinstance(x, np.ndarray):
            x = x.copy() if x.flags.c_contiguous else x
            x.flags.writeable = writeable
        value, grad = problems.Rosenbrock(n=3).value_and_grad(x)
        assert value == pytest.approx(100 * (1.75**2 + 0.25**2) + 0.25 + 6.25)
        assert type(grad) is np.ndarray
        np.testing.assert_array_equal(x, [0.5, -1.5, 2.0])

    def test_return_new_gradients(self):
        problem, x = problems.Rosenbrock(), np.zeros(2)
        one, other = problem.grad(x), problem.grad(x)
        one[:] = 7.0
        np.testing.assert_array_equal(other, [-2.0, 0.0])

    def test_of_models_do_not_depend_on_earlier_ones(self):
        problem = problems.CurveFit(lambda t, p: p[0] * np.exp(-p[1] * t), T, np.exp(-T))
        x = np.array([1e-3, 0.5])
        before = problem.grad(x)
        problem.grad([1e6, 3.0])
        np.testing.assert_array_equal(problem.grad(x), before)

    def test_in_threads_at_once(self):
        problem = gradopt.trace(lambda x: np.sum(np.exp(-(x**2)) + x[::-1] * np.sin(x)), np.zeros(400))
        points = RNG.normal(size=(40, 400))
        wanted = [problem.value_and_grad(x) for x in points]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(problem.value_and_grad, [*points] * 5))
        for (value, grad), (right, slope) in zip(got, wanted * 5, strict=True):
            assert value == right
            np.testing.assert_array_equal(grad, slope)

    def test_leave_no_trace_in_a_pickle(self):
        problem = problems.Rosenbrock(n=3)
        size = len(pickle.dumps(problem))
        problem.value(np.zeros(3))
        assert len(pickle.dumps(problem)) == size


def test_probabilities_are_predicted_where_the_loss_is_that_of_probabilities():
    y = (X[:, :1] > 0).astype(float)
    problem = problems.Regressor(Network.mlp([3, 1]), X, y, loss="binary_cross_entropy")
    theta = np.array([20.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(problem.predict(theta, X), 1.0 / (1.0 + np.exp(-20.0 * X[:, 0])), rtol=1e-12)
    assert problem.score(theta, X, y) > 0.8
