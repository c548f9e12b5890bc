"""Machine code on disk: what it is kept by, and who may read it."""

import gc
import importlib
import shutil
from collections import Counter
from pathlib import Path

import pytest

import gradopt
from gradopt._compiler import numba_api

from marks import MODULES, compiled_only
from processes import python

if numba_api.cache is None:
    pytest.skip("Numba's public interface has no such cache", allow_module_level=True)

from gradopt._compiler.disk_cache import CacheFiles, StampedCache

PACKAGE = Path(gradopt.__file__).parent

SOLVE = """
import gradopt
result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3), max_iter=10, gtol=0)
from gradopt._loops.first_order import iterate
print(result.fun, gradopt.problems.Rosenbrock().value([2.0, 2.0]), sum(iterate.stats.cache_hits.values()))
"""


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
    for module in MODULES:
        importlib.import_module(module)
    dispatchers = [item for item in gc.get_objects() if issubclass(type(item), numba_api.dispatcher.Dispatcher)]
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
