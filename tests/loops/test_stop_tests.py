"""The tests that end a run: which holds, and in which order."""

import numpy as np
import pytest

from gradopt import Status
from gradopt._loops.stop_tests import finite, search_verdict, step_verdict, value_verdict
from gradopt._loops.types import RUNNING, StopTests

OFF = StopTests(gtol=0.0, ftol=-1.0, xtol=-1.0, target=-np.inf)


@pytest.mark.parametrize(
    ("fun", "sound", "stationary", "expected"),
    [
        (1.0, True, False, RUNNING),
        (1.0, True, True, Status.GTOL),
        (0.5, True, True, Status.TARGET),
        (0.5, True, False, Status.TARGET),
        (0.5, False, True, Status.NON_FINITE),
    ],
)
def test_values_are_judged_in_the_order_non_finite_target_gtol(fun, sound, stationary, expected):
    assert value_verdict(OFF._replace(target=0.5), fun, sound, stationary) == expected


@pytest.mark.parametrize("pair", [(np.nan, 1.0), (1.0, np.nan), (np.inf, 0.0), (0.0, np.inf), (-np.inf, 1.0)])
def test_what_is_not_finite(pair):
    assert not finite(*pair)
    assert finite(-1e300, 1e300)


def verdict(tests, before, after, x=(1.0, 1.0), last=(0.0, 0.0)):
    return step_verdict(None, tests, before, after, np.array(last), np.array(x), np.empty(2))


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ftol_is_relative_above_1_and_absolute_below(scale, sign):
    tests = OFF._replace(ftol=1e-6)
    allowed = 1e-6 * max(scale, 1.0)
    assert verdict(tests, sign * scale, sign * scale - 0.9 * allowed) == Status.FTOL
    assert verdict(tests, sign * scale, sign * scale - 1.2 * allowed) == RUNNING


def test_xtol_compares_the_step_with_x():
    tests = OFF._replace(xtol=1e-3)
    assert verdict(tests, 1.0, 0.0, x=(1e3, 0.0), last=(1e3 - 0.9, 0.0)) == Status.XTOL
    assert verdict(tests, 1.0, 0.0, x=(1e3, 0.0), last=(1e3 - 1.1, 0.0)) == RUNNING
    assert verdict(tests._replace(ftol=10.0), 1.0, 0.0, x=(1e3, 0.0), last=(1e3, 0.0)) == Status.FTOL


def test_nothing_ends_where_all_is_off():
    assert verdict(OFF, 1.0, 1.0, x=(1.0, 1.0), last=(1.0, 1.0)) == RUNNING
    assert verdict(OFF._replace(ftol=0.0), 1.0, 1.0) == Status.FTOL


@pytest.mark.parametrize(
    ("expected_gain", "walled", "last_tried", "expected"),
    [
        (1e-10, False, 1.0, Status.FTOL),
        (1e-10, True, 1.0, Status.LINE_SEARCH),
        (4e-7, False, 1.0, Status.FTOL),
        (6e-7, False, 1.0, Status.LINE_SEARCH),
        (np.inf, False, 1.0, Status.FTOL),
        (np.inf, True, 1.0, Status.LINE_SEARCH),
        (np.inf, True, np.nan, Status.NON_FINITE),
        (np.inf, True, np.inf, Status.NON_FINITE),
    ],
)
def test_why_a_line_search_found_no_step(expected_gain, walled, last_tried, expected):
    assert search_verdict(OFF._replace(ftol=1e-9), expected_gain, walled, 5.0, last_tried) == expected
