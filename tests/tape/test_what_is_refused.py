"""What can not be traced: the error says which line, and what to write."""

import math

import numpy as np
import pytest
from scipy import special, stats

from gradopt import TraceError, trace

from traces import rosenbrock

OUTSIDE = [np.zeros(3)] * 100  # too long a list to be looked through


def written_outside(x):
    OUTSIDE[0][0] = x[0]
    return OUTSIDE[0].sum()


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("f", "message"),
        [
            (lambda x: np.sum(x[x > 0.3]), r"line \d+ of test_what_is_refused.py.*an index that depends.*np\.where"),
            (lambda x: float(f"{x[0]}"), "could not convert"),
            (lambda x: special.gammainc(x[0], 1.0), "argument 1 of gammainc.*no closed form"),
            (lambda x: special.ellipk(x[0]), r"line \d+ of test_what_is_refused.py.*ellipk"),
            (lambda x: stats.norm.ppf(x[0]), "ppf of a distribution that depends on x"),
            (written_outside, r"line \d+ of test_what_is_refused.py, `OUTSIDE\[0\]\[0\] = x\[0\]`"),
            (lambda x: np.linalg.svd(x.reshape(1, 3))[1][0], r"test_what_is_refused.py"),
            (lambda x: np.random.default_rng().normal() * x[0], "does something else at each call"),
            (lambda x: np.add(x, 1.0, out=OUTSIDE[0]).sum(), "written into a ndarray that the trace does not know"),
            (lambda x: np.sum(np.add(x, 1.0, where=np.array([True, False, True]))), "where= and no out="),
            (lambda x: np.sum(x[:2] * x[:3]), "broadcast"),
            (lambda x: x[99], "out of bounds"),
            (lambda x: np.max(x[5:5]), "zero-size array"),
        ],
    )
    def test_says_which_line_and_what_to_do(self, f, message):
        x = np.array([0.5, 0.25, 0.75])
        try:
            with np.errstate(all="ignore"):
                f(x.copy())
        except Exception as error:  # the function itself is wrong, and says so
            with pytest.raises(type(error)):
                trace(f, x)
        else:
            with pytest.raises(TraceError, match=message):
                trace(f, x)

    def test_a_vector_is_no_objective(self, x):
        with pytest.raises(TypeError, match="fun must return a real number"):
            trace(lambda x: x**2, x)

    @pytest.mark.parametrize("bad", [None, 3, "f"])
    def test_no_function(self, bad):
        with pytest.raises(TypeError, match="fun must be a function"):
            trace(bad, [1.0])

    @pytest.mark.parametrize("bad", [[], [[1.0]], [math.nan], ["a"]])
    def test_no_start(self, bad):
        with pytest.raises(ValueError, match="x0 must be"):
            trace(rosenbrock, bad)
