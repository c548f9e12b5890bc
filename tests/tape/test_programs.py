"""Random programs that make arrays, write into them, branch and loop: their traces against plain calls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Program, difference, points

from gradopt import trace


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=60)
def test_traces_of_programs_are_right(seed):
    program = Program(seed)
    f, x = program.function(), np.random.default_rng(seed).uniform(0.2, 0.9, 4)
    with np.errstate(all="ignore"):
        problem = trace(f, x)
        for y in points(x, seed):
            wanted = difference(f, y)
            value, grad = problem.value_and_grad(y)
            assert value == pytest.approx(f(y), rel=1e-10, nan_ok=True), program.source
            known = np.isfinite(wanted)
            assert np.all(np.abs(grad - wanted)[known] <= 1e-5 * max(1.0, np.max(np.abs(grad)))), program.source
