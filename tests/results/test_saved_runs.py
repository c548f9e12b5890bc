"""Files of gradopt 0.1.0 still load, and their runs go on with the same numbers."""

import json

import numpy as np
import pytest

import gradopt

from marks import compiled_only
from saved_runs import RUNS, SAVED, outcome, processor

OUTCOMES = json.loads((SAVED / "outcomes.json").read_text())


def assert_same(result, expected):
    """To the bit on the processor and with the compiler that wrote the files, else to rounding."""
    found = outcome(result)
    if processor() == OUTCOMES["processor"]:
        assert found == expected
        return
    assert found["nit"] == expected["nit"]
    for name in ("x", "fun", "best_x", "best_fun", "history"):
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-3, atol=1e-5)


@compiled_only
@pytest.mark.parametrize("name", RUNS)
def test_a_saved_run_loads_and_goes_on(name):
    problem, _, second = RUNS[name]()
    first, after = OUTCOMES[name]
    loaded = gradopt.load(SAVED / f"{name}.npz")
    assert outcome(loaded) == first
    assert_same(gradopt.optimize(problem, state=loaded.state, **second), after)


@compiled_only
@pytest.mark.parametrize("name", RUNS)
def test_the_same_run_today_gives_the_same_file(name):
    problem, first, _ = RUNS[name]()
    assert_same(gradopt.optimize(problem, **first), OUTCOMES[name][0])


def test_a_saved_trace_is_the_function_still():
    problem, _, _ = RUNS["traced"]()
    saved = gradopt.load(SAVED / "traced.npz").problem
    x = [1.5, 0.7, -0.2]
    assert saved.value(x) == problem.value(x)
    np.testing.assert_array_equal(saved.grad(x), problem.grad(x))
