"""Users' functions as machine code: the data that they take from outside are those of the call."""

import gc
import os
import subprocess
import sys
import weakref
from types import ModuleType

import numpy as np
import pytest
from numba import njit, types

from gradopt._compiler import COMPILING, numba_api
from gradopt._compiler import user_functions as user
from gradopt._compiler.user_functions import NotCompilable, compiled_function

from marks import private_numba

pytestmark = pytest.mark.skipif(not COMPILING, reason="the compiler is off")

VECTOR = types.float64[::1]
weight, table, name = 0.0, np.array([1.0, 2.0, 3.0]), "x"


def is_number(returned):
    return isinstance(returned, (types.Float, types.Integer))


def run(function, *arguments):
    given = tuple(VECTOR if isinstance(argument, np.ndarray) else types.float64 for argument in arguments)
    compiled = compiled_function(function, given, is_number)
    return compiled.call(compiled.data, *arguments)


def helper(x):
    return weight * np.sum(x) + table[0]


def with_global(x):
    return np.sum((x - table) ** 2)


def with_branch_on_global(x):
    return 100.0 if weight else np.sum(x)


def with_helper(x):
    return helper(x) + helper(2.0 * x)


def with_helper_of_helper(x):
    return with_helper(x) * weight


def with_lambda(x):
    scaled = lambda v: v * table[1] + weight  # noqa: E731
    return scaled(x[0]) + scaled(x[1])


def with_comprehension(x):
    return sum([weight + x[i] * table[i] for i in range(3)])


def with_loop(x):
    total = 0.0
    for value in table:
        total += value * x[0]
        if total > 1e300:
            total = weight
    return total


def with_second_argument(x, t):
    return np.sum(x * table) * t


def of_closure(data):
    def f(x):
        return np.sum(data * x)

    return f


def of_default(data):
    def f(x, data=data, power=2):
        return np.sum(data * x) ** power

    return f


def of_helper_in_closure(data):
    inner = of_closure(data)

    def f(x):
        return inner(x) + 1.0

    return f


def of_nested_function(data):
    def f(x):
        def inner(v):
            return np.sum(v * data)

        return inner(x) + inner(x + 1.0)

    return f


def of_tuple(data):
    both = (data, 2.0, 3)

    def f(x):
        return np.sum(both[0] * x) * both[1] + both[2]

    return f


GLOBALS = [
    with_global,
    with_branch_on_global,
    with_helper,
    with_helper_of_helper,
    with_lambda,
    with_comprehension,
    with_loop,
]
MAKERS = [of_closure, of_default, of_helper_in_closure, of_nested_function, of_tuple]
X = np.array([0.5, -1.5, 2.0])


@pytest.mark.parametrize("function", GLOBALS, ids=lambda function: function.__name__)
def test_globals_are_those_of_the_call(function, monkeypatch):
    assert run(function, X) == pytest.approx(function(X), rel=1e-14)
    compiled = len(user._known)
    monkeypatch.setitem(globals(), "weight", 2.5)
    assert run(function, X) == pytest.approx(function(X), rel=1e-14)
    monkeypatch.setitem(globals(), "table", np.array([5.0, 6.0, 7.0]))
    assert run(function, X) == pytest.approx(function(X), rel=1e-14)
    assert len(user._known) == compiled or numba_api.rewriting is None


def test_an_array_that_is_filled_again_has_its_new_numbers(monkeypatch):
    monkeypatch.setitem(globals(), "table", np.array([1.0, 2.0, 3.0]))
    assert run(with_global, X) == with_global(X)
    table[:] = [5.0, 6.0, 7.0]
    assert run(with_global, X) == with_global(X)


@pytest.mark.parametrize("make", MAKERS)
def test_closures_of_one_code_are_compiled_once_and_not_kept(make):
    one, other = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 4.0])
    assert run(make(one), X) == pytest.approx(make(one)(X), rel=1e-14)
    compiled = len(user._known)
    assert run(make(other), X) == pytest.approx(make(other)(X), rel=1e-14)
    if numba_api.rewriting is None:
        return
    assert len(user._known) == compiled
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None


def test_another_dtype_or_number_of_dimensions_is_compiled_anew():
    for data in (
        np.ones(3),
        np.ones(3, np.float32),
        np.ones((1, 3)),
        np.ones(3, int),
        np.ones(6)[::2],
        2.0,
        np.float32(2),
    ):
        assert run(of_closure(data), X) == pytest.approx(of_closure(data)(X), rel=1e-6)


def test_attributes_of_a_users_module_are_those_of_the_call():
    settings = ModuleType("settings")
    settings.rate, settings.table = 2.0, np.array([1.0, 2.0, 3.0])

    def f(x):
        return settings.rate * np.sum(x * settings.table)

    assert run(f, X) == f(X)
    settings.rate, settings.table = 3.0, np.ones(3)
    assert run(f, X) == f(X)


def test_other_arguments_stay_as_they_are():
    assert run(with_second_argument, X, 2.0) == with_second_argument(X, 2.0)


def test_constants_are_part_of_the_code():
    def make(power):
        return lambda x: np.sum(x) ** power

    assert run(make(2), X) == make(2)(X)
    assert run(make(3), X) == make(3)(X)


@private_numba
def test_a_helper_that_is_not_called_by_its_name_is_refused():
    def apply(function, x):
        return function(x)

    def f(x):
        return apply(helper, x)

    with pytest.raises(NotCompilable):
        run(f, X)


@private_numba
def test_a_helper_without_arguments_is_refused():
    def total():
        return table[0]

    with pytest.raises(NotCompilable, match="needs an argument"):
        run(lambda x: total() + x[0], X)


def test_a_dispatcher_is_taken_as_it_is():
    factor = 2.0
    function = njit(lambda x: factor * x[0])
    assert run(function, X) == 1.0
    assert run(lambda x: function(x) + weight, X) == 1.0 + weight


def test_what_can_not_be_compiled_says_so_each_time_and_keeps_nothing():
    class Thing:
        pass

    for _ in range(3):
        thing = Thing()
        gone = weakref.ref(thing)
        with pytest.raises(NotCompilable, match="Untyped global name|Thing|freevar"):
            run(lambda x, thing=thing: x[0] if (lambda: thing)() else 0.0, X)
        del thing
        gc.collect()
        assert gone() is None


def test_caches_are_bounded(monkeypatch):
    from gradopt._compiler.bounded import Bounded

    cache = Bounded(3)
    for i in range(10):
        cache[i] = str(i)
        assert cache.get(0 if i < 5 else i) is not None
    assert len(cache) == 3
    assert [cache.get(i) for i in (0, 9, 7)] == [None, "9", "7"]


def test_advice_of_numba_is_not_passed_on():
    A = np.arange(36.0).reshape(6, 6)[::2, ::2]
    assert run(lambda x: np.sum(A @ x), X) == pytest.approx(np.sum(A @ X))  # "faster on contiguous arrays"


FORK = """
import os, sys, threading, time
import numpy as np, gradopt

def compile_on():
    for k in range(3):
        scope = {"np": np}
        exec(f"def f(x): return np.sum((x - {k}.5) ** 2) + np.sum(np.exp(-x * {k}))", scope)
        gradopt.optimize(scope["f"], [0.0], jac="3-point", max_iter=1)

thread = threading.Thread(target=compile_on)
thread.start()
time.sleep(0.3)
child = os.fork()
if child == 0:
    compile_on()
    os._exit(7)
thread.join()
for _ in range(2400):
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        sys.exit(0 if os.waitstatus_to_exitcode(status) == 7 else 1)
    time.sleep(0.1)
os.kill(child, 9)
sys.exit(2)
"""


@pytest.mark.slow
@private_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_while_another_thread_compiles():
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=False).returncode == 0
