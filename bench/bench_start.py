"""How long a fresh process takes, with and without compiled code on disk."""

import os
import subprocess
import sys

import pytest

SOLVE = """
import gradopt
gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3))
"""
TWO_LINES = """
import sys
sys.path.insert(0, {folder!r})
import two_lines, numpy as np
two_lines.double(np.ones(2))
"""
KERNEL = """
from numba import njit
@njit(cache=True)
def double(x):
    return x[0] * 2.0
"""


def run(code, cache):
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}, check=True)


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "two_lines.py").write_text(KERNEL)
    return TWO_LINES.format(folder=str(tmp_path))


def test_warm_process_against_numba_alone(pair, kernel, tmp_path):
    what = "a process that solves Rosenbrock, compiled before, against one that runs a cached two-line Numba kernel"
    cache = tmp_path / "cache"
    pair(lambda: run(SOLVE, cache), lambda: run(kernel, cache), what, ">= 0.62", rounds=9, unit="process")


def test_cold_process_against_numba_alone(pair, kernel, tmp_path):
    folders = iter(range(1000))
    what = "the same with nothing compiled before, both"
    pair(
        lambda: run(SOLVE, tmp_path / str(next(folders))),
        lambda: run(kernel, tmp_path / str(next(folders))),
        what,
        "ours < 4 s",
        rounds=5,
        unit="process",
    )
