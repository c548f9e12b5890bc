"""What can not be traced: the error says which line, and what to write."""

import math

import numpy as np
import pytest

from gradopt import TraceError, trace

from traces import rosenbrock


def changed(x):
    y = x
    y += 1.0
    return np.sum(x * y)


def assigned(x):
    out = np.zeros(3)
    out[0] = x[0]
    return out.sum()


def overwritten(x):
    x[0] = 2.0
    return np.sum(x)


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("f", "message"),
        [
            (lambda x: x[0] if x[0] > 0 else -x[0], r"line \d+ of test_what_is_refused.py.*branch.*np\.where"),
            (lambda x: np.sum(x) if 0 < x[0] < 1 else 0.0, r"branch.*np\.where"),
            (lambda x: math.sin(x[0]), r"test_what_is_refused.py.*np\.sin"),
            (lambda x: float(x[0]), "np.stack"),
            (lambda x: x[int(x[0])], "an integer made of what depends on x"),
            (assigned, r"line \d+ of test_what_is_refused.py, `out\[0\] = x\[0\]`"),
            (overwritten, "assignment into an array.*np.stack"),
            (lambda x: np.sort(x)[0], r"np\.sort can't be traced"),
            (lambda x: np.interp(x[0], [0.0, 1.0], [1.0, 2.0]), r"test_what_is_refused.py"),
            (lambda x: x[np.argmax(x)], r"np\.argmax"),
            (lambda x: np.random.default_rng().normal() * x[0], "does something else at each call"),
            (changed, "changes arrays in place"),
            (lambda x: np.sum(np.round(x, 1)), r"np\.round"),
            (lambda x: np.add(x[0], 1.0, out=np.zeros(())), r"np\.add with an array to put the result into"),
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
