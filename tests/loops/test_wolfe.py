"""The line search along one line: what is accepted, and where the next step goes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt._loops.wolfe import SUFFICIENT_DECREASE, Bracket, WolfeConditions, assess_step


def first_bracket(f, slope):
    return Bracket(0.0, f(0.0), slope(0.0), np.inf, np.inf, np.inf)


def searched(f, slope, step=1.0, c2=0.9, bends=False, tries=60):
    """The accepted step, and how many were tried."""
    conditions = WolfeConditions(f(0.0), -c2 * slope(0.0), 0.0, bends)
    bracket = first_bracket(f, slope)
    for count in range(1, tries + 1):
        accepted, bracket, following = assess_step(conditions, bracket, step, f(step), slope(step), step * slope(0.0))
        if accepted:
            return step, count
        step = following
    raise AssertionError("no step was accepted")


@given(
    minimizer=st.floats(1e-4, 1e4),
    first=st.floats(1e-3, 1e3),
    power=st.sampled_from([2, 4]),
    c2=st.floats(0.1, 0.9),
)
def test_what_is_accepted_meets_the_strong_wolfe_conditions(minimizer, first, power, c2):
    def f(a):
        return (a / minimizer - 1.0) ** power

    def slope(a):
        return power * (a / minimizer - 1.0) ** (power - 1) / minimizer

    step, _ = searched(f, slope, first, c2)
    assert f(step) <= f(0.0) + SUFFICIENT_DECREASE * step * slope(0.0)
    assert abs(slope(step)) <= c2 * abs(slope(0.0))


def test_a_parabola_takes_one_interpolation():
    step, count = searched(lambda a: (a - 3.0) ** 2, lambda a: 2.0 * (a - 3.0), step=8.0, c2=0.1)
    assert (step, count) == (pytest.approx(3.0), 2)


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan), (-np.inf, -1.0)])
def test_a_step_that_is_not_finite_becomes_the_far_end(bad):
    conditions = WolfeConditions(1.0, 0.9, 0.0, False)
    bracket = Bracket(0.0, 1.0, -1.0, np.inf, np.inf, np.inf)
    accepted, after, following = assess_step(conditions, bracket, 4.0, *bad, -4.0)
    assert not accepted
    assert (after.low, after.high, after.high_fun) == (0.0, 4.0, np.inf)
    assert 0.0 < following < 4.0


def test_the_bracket_only_shrinks():
    def f(a):
        return np.cos(3.0 * a) + 0.1 * a * a - 0.2 * a

    def slope(a):
        return -3.0 * np.sin(3.0 * a) + 0.2 * a - 0.2

    conditions = WolfeConditions(f(0.0), 1e-12, 0.0, False)
    bracket, step, width = first_bracket(f, slope), 0.7, np.inf
    for _ in range(40):
        accepted, bracket, step = assess_step(conditions, bracket, step, f(step), slope(step), step * slope(0.0))
        if accepted:
            break
        if bracket.high < np.inf:
            now = abs(bracket.high - bracket.low)
            assert now <= width
            assert min(bracket.low, bracket.high) <= step <= max(bracket.low, bracket.high)
            assert bracket.low_fun <= f(0.0)
            width = now


def test_where_rounding_hides_the_decrease_the_slope_decides():
    noise = 1e-12
    conditions, bracket = WolfeConditions(1.0, 0.9, noise, False), Bracket(0.0, 1.0, -1e-13, np.inf, np.inf, np.inf)
    assert assess_step(conditions, bracket, 1.0, 1.0 + 0.5 * noise, 1e-14, -1e-13)[0]
    assert not assess_step(conditions, bracket, 1.0, 1.0 + 2.0 * noise, 1e-14, -1e-13)[0]
    # Within bounds the slope may vanish at a corner that is no lower: there must be little to gain, too.
    bends = conditions._replace(bends=True)
    assert not assess_step(bends, bracket, 1.0, 1.0, 1e-14, -1e-3)[0]


def test_within_bounds_a_decrease_is_enough_once_a_step_was_too_long():
    conditions = WolfeConditions(1.0, 1e-9, 0.0, True)
    open_ended, closed = (Bracket(0.0, 1.0, -1.0, high, 2.0, 1.0) for high in (np.inf, 4.0))
    assert not assess_step(conditions, open_ended, 1.0, 0.5, -0.5, -1.0)[0]
    assert assess_step(conditions, closed, 1.0, 0.5, -0.5, -1.0)[0]
    assert not assess_step(conditions._replace(bends=False), closed, 1.0, 0.5, -0.5, -1.0)[0]
