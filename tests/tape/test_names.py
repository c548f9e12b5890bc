"""What names mean while a function is traced: NumPy, math, Python's own functions, helpers, methods and objects."""

import functools
import itertools
import math
import threading
import weakref
from math import exp

import numba
import numpy as np
import pytest

import gradopt
from gradopt import optimize, trace
from gradopt.problems.functions import tracing

X = np.array([0.5, 0.25, 0.75])
calls = 0


class Model:
    scale = 2.0

    def __init__(self, data):
        self.data, self.last = data, None

    @property
    def double(self):
        return 2.0 * self.scale

    @staticmethod
    def squared(v):
        return float(v) ** 2

    def helper(self, v):
        return math.exp(v) * self.scale

    def __call__(self, x):
        return np.sum((self.data - self.helper(x[0])) ** 2) + self.double * x[1] ** 2

    def loss(self, x):
        out = np.zeros(3)
        out[0] = self.helper(x[0])
        out[1:] = x[1:]
        self.last = out
        return np.sum(out**2) + Model.squared(x[1])


MODEL = Model(np.array([1.0, 2.0, 3.0]))


def importing(x):
    from math import sin

    import numpy as xp

    def inner(v):
        return xp.array([v, sin(v)])

    return xp.sum(inner(x[0]) * inner(x[1]))


def counting(x):
    global calls
    calls += 1
    return np.sum(x**2)


def recursive(x):
    def fibonacci(n, a, b):
        return a if n == 0 else fibonacci(n - 1, b, a + b)

    return fibonacci(10, x[0], x[1])


def aliased(x):
    a = np.zeros(4)
    b, c = a[1:3], a.reshape(2, 2)
    b += x[:2]
    c[1, 1] = x[2]
    a[:2] *= 2.0
    a.T[0] = x[0]
    return np.sum(a**2) + c.sum() * b[0]


def written_in_place(x):
    y = x
    y += 1.0
    x[0] = x[1] * 2.0
    return np.sum(x * y)


def appended(x):
    out = []
    for v in x:
        out.append(v**2)
        out.append(1.0)
    return np.sum(np.array(out) * np.arange(6.0))


def triangle(x):
    lower = np.eye(3)
    lower[np.tril_indices(3, -1)] = x
    lower[np.diag_indices(3)] = np.exp(x)
    return np.sum((lower @ lower.T) ** 2)


def masked(x):
    a = x * 1.0
    a[a > 0.6] = 0.1
    return np.sum(a**2)


def recursion(p, r):
    s = np.empty(len(r))
    s[0] = np.var(r)
    for t in range(1, len(r)):
        s[t] = p[0] + p[1] * r[t - 1] ** 2 + p[2] * s[t - 1]
    return np.sum(np.log(s) + r**2 / s)


def placed(x):
    out = np.zeros((3, 2))
    np.put_along_axis(out, np.array([[1], [0], [1]]), x[:, None] ** 2, axis=1)
    return np.sum(out * np.arange(6.0).reshape(3, 2))


FUNCTIONS = {
    "put_along_axis": placed,
    "accumulate": lambda x: np.sum(np.logaddexp.accumulate(x) * x) + np.sum(np.multiply.accumulate(x)),
    "a callable object": MODEL,
    "a bound method": MODEL.loss,
    "imports within": importing,
    "a global that counts": counting,
    "a recursive helper": recursive,
    "aliases": aliased,
    "x written": written_in_place,
    "a list": appended,
    "places": triangle,
    "a mask that depends on x": masked,
    "a partial": functools.partial(lambda a, x, b=1.0: np.sum(a * x**2) + b, np.array([1.0, 2.0, 3.0]), b=3.0),
    "Python's functions": lambda x: sum(v * v for v in x) + max(v for v in x) + min(x) + abs(x[0] - 1) + round(x[1]),
    "math": lambda x: math.fsum([x[0], x[1]]) + math.hypot(x[0], x[1]) + math.log(x[0], 2) + exp(x[2]),
    "products of math": lambda x: math.prod([x[0], x[1]]) + math.dist(x, [0.0, 1.0, 2.0]) + math.atan2(x[0], x[1]),
    "conversions": lambda x: float(np.sum(x)) * np.float64(x[0]) + x.sum().item() + np.asarray(x, dtype=float)[1],
    "more conversions": lambda x: np.sum(x.real) + x.astype(float)[1] + np.array([x[0], 1.0], dtype=float)[0],
    "formats": lambda x: np.sum(x) + len(f"{np.linspace(0, 1, 3)[1]:.2f}"),
    "isinstance": lambda x: np.sum(x) if isinstance(x, np.ndarray) and isinstance(x[0], float) else 0.0,
    "defaults": (lambda data: lambda x, data=data, np=np: np.sum((data - x) ** 2))(np.ones(3)),
    "any, all": lambda x: any([x[0] > 0.4, x[1] > 0.4]) * x[2] + all(v > 0 for v in x) * x[0],
    "sorted": lambda x: sorted(x)[1] ** 2 + sorted([x[0], x[2]], reverse=True)[0],
    "a flat copy": lambda x: (lambda a: (a.flatten().fill(7.0), np.sum(a**2))[1])(x * 1.0),
    "items without end": lambda x: x[0] * any(i > 3 for i in itertools.count()) + x[1],
    "an integer from outside": (lambda data: lambda x: x[int(data[1])] * data[0])(np.array([0.5, 2.0])),
    "a number as an index": lambda x: np.arange(5.0)[int(4.0 * x[0])] * x[1],
    "a compiled helper": (lambda helper: lambda x: helper(x[0]) * x[1])(numba.njit(lambda v: math.sin(v) ** 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_traces_are_right(name):
    f = FUNCTIONS[name]
    problem = trace(f, X)
    for x in (X, 1.1 * X, np.array([0.9, 0.3, 0.2])):
        assert problem.value(x) == pytest.approx(f(x.copy()), rel=1e-12)
    assert gradopt.check_gradient(problem, 1.1 * X).passed


def test_nothing_changes_for_the_user():
    before = dict(vars(Model))
    trace(lambda x: np.sum(x**2) + MODEL.loss(x), X)
    assert dict(vars(Model)) == before
    assert type(MODEL.last) is np.ndarray  # of a plain call: the trace has a model of its own


def test_other_threads_see_nothing():
    inside, go_on = threading.Event(), threading.Event()

    def f(x):
        if type(x) is not np.ndarray:
            inside.set()
            assert go_on.wait(60)
        return np.sum(np.array([x[0], math.exp(x[1])]))

    thread = threading.Thread(target=trace, args=(f, X))
    thread.start()
    assert inside.wait(60)
    try:
        assert type(np.zeros(2)) is np.ndarray
        assert f(X) == X[0] + math.exp(X[1])
    finally:
        go_on.set()
        thread.join()


class TestKeptTapes:
    def test_serve_fits_to_other_data(self, monkeypatch):
        traces, path = [], tracing.Recording.path
        monkeypatch.setattr(tracing.Recording, "path", lambda *given: traces.append(1) or path(*given))
        t = np.linspace(0.0, 1.0, 9)
        for amount in (2.0, 3.0, 4.0):
            y = amount * np.exp(-1.5 * t)
            fit = gradopt.curve_fit(lambda t, a, b: a * np.exp(-b * t), t, y, p0=[1.0, 1.0])
            np.testing.assert_allclose(fit.popt, [amount, 1.5], rtol=1e-7)
        assert len(traces) == 1

    DATA = np.random.default_rng(0).normal(size=50)

    def test_a_recursion_is_traced_once_for_all_data(self, monkeypatch):
        first = trace(recursion, [0.1, 0.1, 0.8], self.DATA)
        monkeypatch.setattr(tracing, "Meanings", None)  # a new trace would fail
        again = trace(recursion, [0.2, 0.1, 0.7], 2.0 * self.DATA)
        assert again.tape is first.tape
        x = np.array([0.2, 0.15, 0.6])
        assert again.value(x) == pytest.approx(recursion(x, 2.0 * self.DATA), rel=1e-12)
        assert first.value(x) == pytest.approx(recursion(x, self.DATA), rel=1e-12)

    @staticmethod
    def made(data, power=2, helper=np.sin):
        def f(x):
            return np.sum((data - helper(x[0]) * x[1]) ** power)

        return f

    @pytest.mark.parametrize(
        "other",
        [{"data": DATA[:20]}, {"data": 3.0 * DATA}, {"power": 4}, {"helper": np.cos}, {"helper": lambda v: v * v}],
        ids=lambda other: next(iter(other)),
    )
    def test_closures_have_their_own_values(self, other):
        for arguments in ({"data": self.DATA}, {"data": self.DATA} | other):
            f = self.made(**arguments)
            assert trace(f, X).value(1.1 * X) == pytest.approx(f(1.1 * X), rel=1e-12)

    def test_a_buffer_that_is_filled_again(self):
        buffer = np.zeros(3)

        def f(x):
            return np.sum((x - buffer) ** 2)

        for value in (1.0, 2.0, 5.0):
            buffer[:] = value
            np.testing.assert_allclose(optimize(f, X).x, value)

    def test_no_array_of_the_user_is_kept(self):
        data = np.zeros(10_000)
        trace(self.made(data), X)
        alive = weakref.ref(data)
        del data
        assert alive() is None

    def test_kept_traces_keep_their_numbers(self):
        buffer = np.zeros(3)
        problem = trace(lambda x: np.sum((x - buffer) ** 2), X)
        buffer[:] = 5.0
        assert problem.value(np.zeros(3)) == 0.0

    def test_what_the_code_branches_on(self):
        def made(flag, limit):
            return lambda x: np.sum(x) if flag and limit > 2 else np.sum(x**2)

        for flag, limit in ((True, 3), (False, 3), (True, 1), (True, 3)):
            f = made(flag, limit)
            assert trace(f, X).value(X) == f(X)


def test_a_saved_trace_holds_the_arrays_from_outside(tmp_path):
    data = np.array([1.0, 2.0, 3.0])
    path = tmp_path / "run.npz"
    optimize(trace(lambda x: np.sum((x - data) ** 2), X), max_iter=1).save(path)
    data[:] = 0.0
    assert gradopt.load(path).problem.value(np.array([1.0, 2.0, 4.0])) == 1.0
