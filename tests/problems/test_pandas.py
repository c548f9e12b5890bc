"""pandas objects as starts and arguments count by their values."""

import numpy as np
import pytest

from gradopt import optimize, trace

pandas = pytest.importorskip("pandas")
SERIES = pandas.Series([1.0, 2.0, 3.0], index=[7, 8, 9])
FRAME = pandas.DataFrame({"a": [1.0, 2.0], "b": [0.5, -1.0]})


def test_series_in_args_count_by_their_values():
    result = optimize(lambda x, s: np.sum((x[0] * s - 2.0 * s) ** 2), [0.0], args=(SERIES,))
    assert result.x[0] == pytest.approx(2.0)
    assert "reverse mode over its trace" in result.message


def test_series_on_either_side():
    for function in (lambda x, s: np.sum((s * x - 2.0) ** 2), lambda x, s: np.sum((x - s) ** 2)):
        result = optimize(function, np.zeros(3), args=(SERIES,))
        assert "reverse mode over its trace" in result.message
        assert result.success


def test_series_from_outside():
    series = SERIES
    result = optimize(lambda x: np.sum((series.to_numpy() * x[0] - 2.0 * series.to_numpy()) ** 2), [0.0])
    assert result.x[0] == pytest.approx(2.0)


def test_frames_too():
    result = optimize(lambda x, A: np.sum((A @ x - 1.0) ** 2), [0.0, 0.0], args=(FRAME,))
    np.testing.assert_allclose(result.x, np.linalg.solve(FRAME.to_numpy(), np.ones(2)), rtol=1e-5)


def test_as_start():
    result = optimize(lambda x: np.sum((x - 1.0) ** 2), SERIES)
    assert type(result.x) is np.ndarray


def test_with_args_takes_another():
    traced = trace(lambda x, s: np.sum((x[0] - s) ** 2), [0.0], (SERIES,))
    other = pandas.Series([4.0, 4.0, 4.0])
    assert optimize(traced.with_args(other)).x[0] == pytest.approx(4.0)
