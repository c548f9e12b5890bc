"""The choice of a step along a direction, by the strong Wolfe conditions.

    f(x + step d) <= f(x) + c1 step g'd           sufficient decrease
    abs(g(x + step d)'d) <= c2 abs(g'd)           curvature

The search keeps a bracket: its low end is the best step so far with sufficient decrease, and between it and the high
end lie steps that meet both conditions. This combines algorithms 3.5 and 3.6 of J. Nocedal and S. Wright, Numerical
Optimization, 2nd ed. Near a minimum rounding hides the decrease, and the slope alone must decide: the approximate Wolfe
conditions of W. Hager and H. Zhang, A new conjugate gradient method with guaranteed descent and an efficient line
search, SIAM J. Optim. 16 (2005).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gradopt._compiler import kernel

SUFFICIENT_DECREASE = 1e-4  # c1

_NEAREST, _FARTHEST = 0.1, 8.0  # how far ahead the next step may be, in lengths of the last move
_MARGIN = 0.1  # how near to an end of the bracket it may be, as a fraction of the bracket
_RETREAT = 0.25  # the fraction to keep of the way to a step at which the objective is not finite


class Bracket(NamedTuple):
    """Two steps, the objective at each, and its derivative along the direction."""

    low: float  # the best step so far with sufficient decrease; 0 at first
    low_fun: float
    low_slope: float
    high: float  # the other end, on either side of `low`; infinite until there is one
    high_fun: float  # infinite where the objective was not finite
    high_slope: float


class WolfeConditions(NamedTuple):
    """The conditions that a step must meet."""

    start_fun: float  # the objective at step 0
    flat: float  # the largest abs(slope) that the curvature condition allows
    noise: float  # the error of the objective
    bends: bool  # whether the path may bend at bounds; if so, decrease alone is enough once a step was too long


@kernel(late_bound=True)
def assess_step(conditions, bracket, step, fun, slope, predicted_change):
    """Judge a step that was tried, and narrow the bracket.

    conditions : WolfeConditions
    bracket : Bracket
    step, fun, slope : the step, the objective there and its derivative
    predicted_change : the change of the objective over this step according to the slope at step 0, < 0

    Returns (whether to accept the step, the new bracket, the step to try next).
    """
    low, low_fun, low_slope, high, high_fun, high_slope = bracket
    if not abs(fun) + abs(slope) < np.inf:
        return False, Bracket(low, low_fun, low_slope, step, np.inf, np.inf), low + _RETREAT * (step - low)
    decreased = fun - conditions.start_fun <= SUFFICIENT_DECREASE * predicted_change
    # Where the path bends, the slope may vanish at a corner that is not lower than the start.
    hidden = fun <= conditions.start_fun + conditions.noise and (
        not conditions.bends or -predicted_change <= conditions.noise
    )
    if abs(slope) <= conditions.flat and (decreased or hidden):
        return True, bracket, step
    if conditions.bends and decreased and (slope > 0.0 or high < np.inf):
        return True, bracket, step
    if not decreased or (low > 0.0 and fun >= low_fun):
        high, high_fun, high_slope = step, fun, slope
    elif high == np.inf and slope < 0.0:  # the minimum is farther: extrapolate to where the slope vanishes
        moved, steeper = step - low, low_slope - slope
        ahead = moved * slope / steeper if steeper < 0.0 else np.inf
        farther = step + min(max(ahead, _NEAREST * moved), _FARTHEST * moved)
        return False, Bracket(step, fun, slope, high, high_fun, high_slope), farther
    else:
        if slope * (high - low) >= 0.0:
            high, high_fun, high_slope = low, low_fun, low_slope
        low, low_fun, low_slope = step, fun, slope
    share = _RETREAT
    if abs(high_fun) + abs(high_slope) < np.inf:  # the minimiser of the cubic with these values and derivatives
        share = 0.5
        a = low_slope + high_slope - 3.0 * (low_fun - high_fun) / (low - high)
        if a * a >= low_slope * high_slope:
            b = math.copysign(math.sqrt(a * a - low_slope * high_slope), high - low)
            root = 1.0 - (high_slope + b - a) / (high_slope - low_slope + 2.0 * b)
            if abs(root) < np.inf:
                share = min(max(root, _MARGIN), 1.0 - _MARGIN)
    return False, Bracket(low, low_fun, low_slope, high, high_fun, high_slope), low + share * (high - low)
