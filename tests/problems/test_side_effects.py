"""What a user's function does beside computing, and pandas objects among its arguments."""

import numpy as np
import pytest

import gradopt
from gradopt import optimize, trace


class Model:
    """An objective that keeps what it has seen."""

    def __init__(self):
        self.calls, self.log = 0, []

    def __call__(self, x):
        self.calls += 1
        self.prediction = 2.0 * x
        self.log.append(np.sum((x - 1.0) ** 2))
        return self.log[-1]


def test_the_last_call_has_real_numbers_at_the_result():
    model = Model()
    result = optimize(model, [5.0, 3.0])
    np.testing.assert_array_equal(model.prediction, 2.0 * result.x)
    assert model.log[-1] == pytest.approx(result.fun, abs=1e-20)
    assert model.calls <= result.nfev + 2  # the two with stand-ins evaluate nothing


def test_stand_ins_print_as_such():
    model = Model()
    optimize(model, [5.0, 3.0])
    kept = [value for value in model.log if not isinstance(value, float)]
    assert {repr(value) for value in kept} == {"<traced array of shape ()>"}


def test_an_error_in_the_last_call_leaves_the_result():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 5:
            raise RuntimeError("not again")
        return np.sum(x**2)

    result = optimize(fun, [1.0, 2.0])
    assert result.success
    assert len(calls) == 5


def test_a_trace_of_ones_own_is_not_called_again():
    model = Model()
    traced = trace(model, [5.0, 3.0])
    before = model.calls
    optimize(traced)
    assert model.calls == before


class TestPandas:
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([1.0, 2.0, 3.0], index=[7, 8, 9])
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [0.5, -1.0]})

    def test_series_in_args_count_by_their_values(self):
        result = optimize(lambda x, s: np.sum((x[0] * s - 2.0 * s) ** 2), [0.0], args=(self.series,))
        assert result.x[0] == pytest.approx(2.0)
        assert "reverse mode over its trace" in result.message

    def test_series_on_either_side(self):
        for function in (lambda x, s: np.sum((s * x - 2.0) ** 2), lambda x, s: np.sum((x - s) ** 2)):
            result = optimize(function, np.zeros(3), args=(self.series,))
            assert "reverse mode over its trace" in result.message
            assert result.success

    def test_series_from_outside(self):
        series = self.series
        result = optimize(lambda x: np.sum((series.to_numpy() * x[0] - 2.0 * series.to_numpy()) ** 2), [0.0])
        assert result.x[0] == pytest.approx(2.0)

    def test_frames_too(self):
        result = optimize(lambda x, A: np.sum((A @ x - 1.0) ** 2), [0.0, 0.0], args=(self.frame,))
        np.testing.assert_allclose(result.x, np.linalg.solve(self.frame.to_numpy(), np.ones(2)), rtol=1e-5)

    def test_as_start(self):
        result = optimize(lambda x: np.sum((x - 1.0) ** 2), self.series)
        assert type(result.x) is np.ndarray

    def test_with_args_takes_another(self):
        traced = trace(lambda x, s: np.sum((x[0] - s) ** 2), [0.0], (self.series,))
        other = self.pandas.Series([4.0, 4.0, 4.0])
        assert gradopt.optimize(traced.with_args(other)).x[0] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("function", "x0", "hint"),
    [
        (lambda x: np.abs(x[0] + 1j * x[1] - 2.0) ** 2, [0.0, 1.0], "complex numbers can't be traced"),
    ],
)
def test_messages_name_the_cause(function, x0, hint):
    assert hint in optimize(function, x0, max_iter=2).message


def test_a_sparse_matrix_is_named():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(2.0 * np.eye(2))
    result = optimize(lambda x, A: np.sum((A @ x - 1.0) ** 2), [0.0, 0.0], args=(matrix,))
    assert "a sparse matrix can't be traced: use its toarray()" in result.message
    np.testing.assert_allclose(result.x, [0.5, 0.5], atol=1e-6)
