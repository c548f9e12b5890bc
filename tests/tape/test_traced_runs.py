"""Traced functions in runs."""

import numba
import numpy as np
import pytest
import scipy.optimize

import gradopt
from gradopt import TraceError, optimize, trace

from marks import compiled_only, private_numba
from traces import rosenbrock


class TestInARun:
    def test_it_is_the_default(self):
        result = optimize(rosenbrock, np.zeros(6))
        assert result.success
        assert "reverse mode" in result.message
        np.testing.assert_allclose(result.x, np.ones(6), atol=1e-4)
        assert result.nfev == result.njev + 3  # thrice in Python: at x0, at a second point, at the result

    def test_what_can_not_be_traced_goes_by_differences_and_says_why(self):
        def f(x):
            return np.sum(x[x > 0.0] ** 2)

        result = optimize(f, [1.0])
        assert "3-point differences, since it can't be traced: line" in result.message
        assert "np.where" in result.message
        with pytest.raises(TraceError, match="np.where"):
            optimize(f, [1.0], jac="trace")

    @pytest.mark.parametrize("method", ["sgd", "adam", "lbfgs", "nonlinearcg", "rprop"])
    def test_every_method(self, method):
        problem = trace(lambda x: np.sum((x - np.arange(3.0)) ** 2), np.zeros(3))
        result = optimize(problem, method=method, max_iter=5)
        same = optimize(
            gradopt.problems.Quadratic(2.0 * np.eye(3), 2.0 * np.arange(3.0), 5.0),
            np.zeros(3),
            method=method,
            max_iter=5,
        )
        np.testing.assert_allclose(result.x, same.x, atol=1e-12)

    def test_bounds(self):
        result = optimize(rosenbrock, np.zeros(3), bounds=[(None, 0.5)] * 3)
        assert result.success
        assert (result.x <= 0.5).all()

    def test_check_gradient(self, x):
        assert gradopt.check_gradient(rosenbrock, x, jac="trace").passed
        assert gradopt.check_gradient(trace(rosenbrock, x)).passed

    def test_scipy(self):
        result = scipy.optimize.minimize(rosenbrock, np.zeros(4), method=gradopt.LBFGS())
        assert result.success
        assert "reverse mode" in result.message

    def test_float32_stays_so(self):
        result = optimize(rosenbrock, np.zeros(3, np.float32))
        assert result.x.dtype == np.float32
        np.testing.assert_allclose(result.x, 1.0, atol=1e-2)

    def test_resumes_bit_for_bit(self):
        problem = trace(rosenbrock, np.zeros(5))
        whole = optimize(problem, max_iter=12)
        half = optimize(problem, max_iter=5)
        assert optimize(problem, state=half.state, max_iter=7).x.tolist() == whole.x.tolist()

    @compiled_only
    def test_in_compiled_code(self):
        problem, method = gradopt.compiled(trace(rosenbrock, np.zeros(3))), gradopt.compiled(gradopt.LBFGS())
        starts = np.zeros((4, 3)) + np.arange(4.0)[:, None]

        @numba.njit(parallel=True)
        def minima(problem, method, starts):
            for i in numba.prange(len(starts)):
                gradopt.descend(problem, method, starts[i], 500, 1e-8)

        minima(problem, method, starts)
        np.testing.assert_allclose(starts, 1.0, atol=1e-5)

    @private_numba
    def test_the_tape_compiles_nothing(self):
        optimize(trace(rosenbrock, np.zeros(3)), max_iter=2)
        assert optimize(lambda x: np.sum(np.cosh(x)) + x[0], np.ones(2), max_iter=2).compile_time == 0.0
