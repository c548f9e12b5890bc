"""What a user's function does beside computing, and messages that name why it can't be traced."""

import numpy as np
import pytest
from numba import njit

from gradopt import optimize, trace

from marks import compiled_only


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


def test_no_stand_in_gets_into_what_the_user_keeps():
    model, seen = Model(), {"last": 0.0}

    def fun(x):
        seen["last"] = np.sum(x**2) + 0.0 * seen["last"]
        return seen["last"]

    optimize(model, [5.0, 3.0])
    optimize(fun, [5.0, 3.0])
    assert {type(value) for value in [*model.log, seen["last"]]} <= {float, np.float64}


def test_an_error_in_the_last_call_leaves_the_result():
    calls = []

    def fun(x):
        calls.append(x)
        if type(x) is np.ndarray and len(calls) == 3:  # at x0, near it, at the result; the trace has its own list
            raise RuntimeError("not again")
        return np.sum(x**2)

    result = optimize(fun, [1.0, 2.0])
    assert result.success
    assert len(calls) == 3


def test_a_trace_of_ones_own_is_not_called_again():
    model = Model()
    traced = trace(model, [5.0, 3.0])
    before = model.calls
    optimize(traced)
    assert model.calls == before


@compiled_only  # interpreted, the call is not cheap
def test_long_loops_over_cheap_calls_are_not_traced():
    @njit
    def fun(x):
        value = x[0]
        for _ in range(15_000):
            value = value * 0.999 + 0.001
        return (value - 2.0) ** 2

    result = optimize(fun, [1.0], max_iter=5)
    assert "the trace has more than 20000 operations, and would cost more than a run by differences" in result.message
    assert "reverse mode" in optimize(fun, [1.0], jac="trace", max_iter=5).message


def test_a_sparse_matrix_is_traced():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(2.0 * np.eye(2))
    result = optimize(lambda x, A: np.sum((A @ x - 1.0) ** 2), [0.0, 0.0], args=(matrix,))
    assert "reverse mode" in result.message
    np.testing.assert_allclose(result.x, [0.5, 0.5], atol=1e-6)
