"""The compile layer: cache, floating-point mode, memory; and the layers of the package."""

import doctest
import gc
import importlib
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numba.core.dispatcher import Dispatcher

import gradopt
from gradopt._compiler import borrowed, copy_back, flushing, interrupts_held_back, kernel, on_stack, subnormals
from gradopt._compiler.disk_cache import CacheFiles, StampedCache

from marks import compiled_only

PACKAGE = Path(gradopt.__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*sorted(info.name for info in pkgutil.walk_packages(gradopt.__path__, "gradopt.")), "gradopt"]
)
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


SOLVE = """
import gradopt
result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3), max_iter=10, gtol=0)
from gradopt._loops.first_order import iterate
print(result.fun, gradopt.problems.Rosenbrock().value([2.0, 2.0]), sum(iterate.stats.cache_hits.values()))
"""


def python(code, folder, **environment):
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.split()


@pytest.mark.slow
@compiled_only
def test_an_edited_kernel_is_noticed_by_the_cached_loop(tmp_path):
    copy = tmp_path / "gradopt"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    here = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first, again = (python(SOLVE, tmp_path, **here) for _ in range(2))
    assert first[2] == "0"
    assert again == [*first[:2], "1"]  # from the disk cache
    kernel = copy / "problems" / "classics" / "rosenbrock.py"
    source = kernel.read_text()
    edited = source.replace("return f\n", "return f + 1000.0\n")
    assert edited != source
    kernel.write_text(edited)
    after = python(SOLVE, tmp_path, **here)
    assert float(after[0]) == float(first[0]) + 1000.0
    assert float(after[1]) == float(first[1]) + 1000.0


@pytest.mark.slow
@compiled_only
def test_a_cache_of_another_version_is_replaced(tmp_path):
    """Its index may name classes that are gone, which Numba does not expect."""
    here = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = python(SOLVE, tmp_path, **here)
    for index in tmp_path.rglob("*.nbi"):
        content = index.read_bytes()
        assert b"Progress" in content or b"iterate" not in index.name.encode()
        index.write_bytes(content.replace(b"Progress", b"Regressp"))
    assert python(SOLVE, tmp_path, **here) == first
    assert python(SOLVE, tmp_path, **here) == [*first[:2], "1"]


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


def test_two_processes_that_fill_the_cache_at_once_write_no_file_of_each_other(tmp_path):
    one, other = (CacheFiles(str(tmp_path), "name", "stamp") for _ in range(2))
    one.save("first key", 1)
    index = (tmp_path / "name.nbi").read_bytes()
    (tmp_path / "name.nbi").unlink()  # the other has looked before
    other.save("second key", 2)
    (tmp_path / "name.nbi").write_bytes(index)
    assert one.load("first key") == 1
    assert one.load("second key") is None


@compiled_only
def test_no_two_kernels_have_one_name():
    for module in pkgutil.walk_packages(gradopt.__path__, "gradopt."):
        importlib.import_module(module.name)
    dispatchers = [item for item in gc.get_objects() if issubclass(type(item), Dispatcher)]
    cached = [dispatcher for dispatcher in dispatchers if isinstance(dispatcher._cache, StampedCache)]
    kernels = {dispatcher.py_func for dispatcher in cached if not is_inlined(dispatcher)}
    names = [(kernel.__module__, kernel.__qualname__) for kernel in kernels]
    assert len(names) > 50
    assert [name for name, times in Counter(names).items() if times > 1] == []


def is_inlined(dispatcher):  # so that it leaves no machine code of its own
    return dispatcher.targetoptions.get("forceinline")


VALUES = """
import gradopt
for number in {0} * 2:
    problem = gradopt.problems.MGH(number)
    print(problem.value_and_grad(problem.x0)[0])
"""


@pytest.mark.slow
@compiled_only
def test_functions_of_one_factory_from_the_caches_of_two_processes(tmp_path):
    here = {"NUMBA_CACHE_DIR": str(tmp_path)}
    # Each of the first two processes compiles its function first, so that both count it the same.
    beale, gulf, both = (python(VALUES.format(numbers), tmp_path, **here) for numbers in ([5], [11], [5, 11]))
    assert beale[0] != gulf[0]
    assert both == [beale[0], gulf[0]] * 2


@pytest.mark.slow
@compiled_only
def test_users_functions_leave_no_file_in_the_cache(tmp_path):
    code = (
        "import gradopt\nfor _ in range(2): gradopt.optimize({}, [1.0], method='sgd', gtol=0, max_iter=600, jac={})\n"
    )
    function = code.format("lambda x: x[0] ** 2", "lambda x: 2 * x")
    python("import gradopt; gradopt.optimize(gradopt.problems.Quadratic(2.0), method='sgd')", tmp_path)
    python(function, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    files = sorted(path.name for path in (tmp_path / "cache").rglob("*.nbi"))
    assert files
    assert not any(name.startswith(("<stdin>", "<string>", "differences.", "user_functions.")) for name in files)


OWN_PROBLEM = """
import gradopt
from gradopt.extend import config
from gradopt.extend import value_and_grad

@config
class Line(gradopt.problems.Problem):
    n = 1

@value_and_grad.on(Line)
def _(problem, grad, work, x):
    grad[0] = 1.0
    return VALUE

result = gradopt.optimize(Line(), [0.0], method="sgd", max_iter=3)
print(result.fun, Line().value([1.0]))
"""


@pytest.mark.slow
@compiled_only
def test_an_edited_problem_of_a_users_own_is_noticed(tmp_path):
    here = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    for value in ("1.0", "2.0"):
        (tmp_path / "own.py").write_text(OWN_PROBLEM.replace("VALUE", value))
        assert python("import own", tmp_path, **here) == [value, value]


@pytest.mark.slow
@compiled_only
def test_works_where_no_cache_folder_can_be_written(tmp_path):
    """Here by a locator that finds no place, as in a read-only container without a home folder."""
    code = "import numba.core.caching as c\nc.CacheImpl._locator_classes = []\n" + SOLVE
    assert python(code, tmp_path)[2] == "0"


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
    def test_kernels_are_loaded_and_compiled_without_interruption(self, monkeypatch):
        held = []
        monkeypatch.setattr(interrupts_held_back, "__enter__", lambda self: held.append(self))
        monkeypatch.setattr(interrupts_held_back, "__exit__", lambda *arguments: None)
        gradopt.optimize(lambda x: 3.0 * x[0], [1.0], jac="3-point", method="sgd", max_iter=1)
        assert len(held) >= 2  # the function and the loop


@compiled_only
class TestSubnormals:
    @staticmethod
    @njit
    def tiny(x):
        return x * 0.5

    def test_are_flushed_within_the_call_only(self):
        smallest = np.float64(2.3e-308)
        assert self.tiny(smallest) > 0.0
        assert flushing(self.tiny, (smallest,)) == 0.0
        assert self.tiny(smallest) > 0.0

    @pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
    def test_the_mode_comes_back_after_an_exception(self, error):
        def fails():
            raise error

        with pytest.raises(error):
            flushing(fails, ())
        assert self.tiny(np.float64(2.3e-308)) > 0.0

    @pytest.mark.parametrize("call", [0, 1])
    def test_the_mode_comes_back_if_ctrl_c_comes_when_a_kernel_was_compiled(self, monkeypatch, call):
        """The handler of Ctrl-C runs when the compiler is done, before the new kernel is called."""
        calls = []

        def late(kernel):
            def kernel_after_compilation(*arguments):
                calls.append(arguments)
                if len(calls) == call + 1:
                    raise KeyboardInterrupt
                return kernel(*arguments)

            return kernel_after_compilation

        for name in ("_current_mode", "_restore"):
            monkeypatch.setattr(subnormals, name, late(getattr(subnormals, name)))
        with pytest.raises(KeyboardInterrupt):
            flushing(abs, (1.0,))
        assert self.tiny(np.float64(2.3e-308)) > 0.0

    def test_runs_flush_them_and_restore_the_mode(self):
        problem = gradopt.problems.Quadratic(2e-308 * np.eye(8))
        result = gradopt.optimize(problem, np.full(8, 0.25), method=gradopt.SGD(0.1), max_iter=1, gtol=0)
        assert result.jac.tolist() == [0.0] * 8
        assert problem.grad(np.full(8, 0.25)).all()

    def test_runs_restore_the_mode_after_an_error(self):
        def fails_later(x):
            return 1.0 / np.ones(3)[int(x[0])]

        with pytest.raises(IndexError):
            gradopt.optimize(fails_later, [0.0], jac=lambda x: -np.ones_like(x), method=gradopt.SGD(1.0))
        assert self.tiny(np.float64(2.3e-308)) > 0.0


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


@compiled_only
def test_a_loop_is_optimised_where_it_has_become_part_of_another_function():
    """Only there it is known how long it is. Optimised before, by vectors, it would not be unrolled there."""

    @kernel(inline=True)
    def move(v, w):
        for j in range(v.size):
            v[j] -= 0.5 * w[j]

    @kernel
    def repeat(length, v, w, times):
        of_v, of_w = on_stack(length, v), on_stack(length, w)
        for _ in range(times):
            move(of_v, of_w)
            for j in range(of_w.size):
                of_w[j] = 2.0 * of_v[j]
        copy_back(length, v, of_v)

    x, many = np.ones(2), np.ones(100)
    repeat((0, 0), x, x.copy(), 2)
    repeat(None, many, many.copy(), 2)
    assert {*x, *many} == {0.0}
    of_two, of_many = repeat.inspect_llvm().values()
    assert "x double>" not in of_two
    assert "x double>" in of_many
