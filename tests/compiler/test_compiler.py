"""The compile layer: interrupts and memory; and the examples of the docstrings."""

import doctest
import importlib
import signal
import sys

import numpy as np
import pytest
from numba import njit

import gradopt
from gradopt._compiler import borrowed, interrupts_held_back, on_stack

from marks import MODULES, compiled_only, private_numba
from processes import python


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_public_name_has_a_docstring_with_an_example():
    for name in set(gradopt.plot.__all__):
        assert ">>>" in getattr(gradopt.plot, name).__doc__, name
    for name in set(gradopt.__all__) - {"problems", "plot"}:
        documentation = getattr(gradopt, name).__doc__
        assert documentation, name
        assert ">>>" in documentation, name
    for name in set(gradopt.problems.__all__) - {"Problem", "RowProblem"}:
        assert ">>>" in getattr(gradopt.problems, name).__doc__, name


INTERRUPTED = """
import os, signal, threading, numpy as np, gradopt
def fun(x):
    total = 0.0
    for i in range(1000):
        total += ((x - 1) ** 2).sum() * 1e-4
    return total
gradopt.optimize(fun, np.zeros(5), jac="3-point", max_iter=0)
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    gradopt.optimize(fun, np.zeros(300), jac="3-point")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
@compiled_only
def test_ctrl_c_before_the_first_call_of_a_kernel_apart(tmp_path):
    assert python(INTERRUPTED, tmp_path) == ["interrupted"]


class TestInterrupts:
    def test_wait_for_the_end_of_the_block(self):
        ended = []

        def interrupted():
            with interrupts_held_back(), interrupts_held_back():
                signal.raise_signal(signal.SIGINT)
                ended.append(True)

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert ended
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_an_error_in_the_block_comes_through(self):
        with pytest.raises(KeyError), interrupts_held_back():
            raise KeyError
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    @compiled_only
    @private_numba
    def test_kernels_are_loaded_and_compiled_without_interruption(self, monkeypatch):
        held = []
        monkeypatch.setattr(interrupts_held_back, "__enter__", lambda self: held.append(self))
        monkeypatch.setattr(interrupts_held_back, "__exit__", lambda *arguments: None)
        gradopt.optimize(lambda x: 3.0 * x[0], [1.0], jac="3-point", method="sgd", max_iter=1)
        assert len(held) >= 2  # the function and the loop


@compiled_only
class TestMemory:
    """What a loop writes through borrowed and stacked arrays must arrive, read again or not."""

    @staticmethod
    @njit
    def write(length, x, record):
        x, record = on_stack(length, x), borrowed(record)
        for row in range(record[0].size):
            x[0] += 1.0
            record[0][row] = x[0]
            record[1][row] = -x[0]
        return x[0]

    @pytest.mark.parametrize("length", [None, (0, 0)])
    def test_writes_arrive(self, length):
        x, record = np.zeros(2), (np.zeros(3), np.zeros(3))
        assert self.write(length, x, record) == 3.0
        assert record[0].tolist() == [1.0, 2.0, 3.0]
        assert record[1].tolist() == [-1.0, -2.0, -3.0]
        assert x[0] == (3.0 if length is None else 0.0)

    def test_borrowing_frees_nothing_and_leaks_nothing(self):
        x = np.zeros(2)
        record = (np.zeros(3), np.zeros(3))
        counts = [sys.getrefcount(array) for array in record]
        for _ in range(100):
            self.write(None, x, record)
        assert [sys.getrefcount(array) for array in record] == counts
