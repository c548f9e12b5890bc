"""The update alone, on 10 000 000 float32 parameters: beside moving its arrays, and beside torch fused."""

import numpy as np
import pytest
from numba import njit

from gradopt import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop
from gradopt._compiler import flushing
from gradopt._core.aligned import aligned_copy
from gradopt._core.protocol import update

N = 10_000_000

# Each rule with the number of arrays that it reads and writes, beside x, which it does too, and the gradient.
RULES = [
    (SGD(), 0),
    (SGD(momentum=0.9), 1),
    (Adagrad(), 1),
    (Adadelta(), 2),
    (RMSprop(), 1),
    (RMSprop(momentum=0.9, centered=True), 3),
    (Rprop(), 2),
    (Adam(), 2),
    (Adam(amsgrad=True), 3),
    (AdamW(), 2),
    (Adamax(), 2),
    (NAdam(), 2),
    (RAdam(), 2),
    (Lion(), 1),
]


def name_of(method):
    flags = [flag for flag in ("momentum", "centered", "amsgrad") if getattr(method, flag, False)]
    return type(method).__name__ + "".join(f", {flag}" for flag in flags)


IDS = [name_of(method) for method, _ in RULES]


def our_update(method):
    rng = np.random.default_rng(0)
    x, grad = (aligned_copy(rng.random(N, dtype=np.float32) - shift) for shift in np.array([0.0, 0.5], np.float32))
    state, twin = method.init(x), method.lower()
    for slot in state.slots:
        slot[:] = 0.01

    def run():
        flushing(update, (twin, state.slots, x, grad, 1e-6, 1000))

    return run


@njit
def move_0(x, g):
    for j in range(x.size):
        x[j] += g[j]


@njit
def move_1(x, g, a):
    for j in range(x.size):
        a[j] += g[j]
        x[j] += a[j]


@njit
def move_2(x, g, a, b):
    for j in range(x.size):
        a[j] += g[j]
        b[j] += g[j]
        x[j] += a[j]


@njit
def move_3(x, g, a, b, c):
    for j in range(x.size):
        a[j] += g[j]
        b[j] += g[j]
        c[j] += a[j]
        x[j] += b[j]


def moved(arrays):
    """Bytes: x and each array there and back, the gradient."""
    return 4 * N * (3 + 2 * arrays)


@pytest.mark.parametrize(("method", "arrays"), RULES, ids=IDS)
def test_update_against_moving_the_arrays(pair, method, arrays):
    data = [np.ones(N, np.float32) for _ in range(arrays + 2)]  # of zeros, not written, there is one page
    move = (move_0, move_1, move_2, move_3)[arrays]
    what = f"update of {name_of(method)}, 10 000 000 float32, against moving its arrays"
    pair.needs(moved(arrays))(our_update(method), lambda: move(*data), what, ">= 0.8", rounds=9)


@pytest.mark.parametrize(
    "method", [SGD(), SGD(momentum=0.9), Adagrad(), Adam(), Adam(amsgrad=True), AdamW()], ids=name_of
)
def test_update_against_fused_torch(pair, method):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    x = torch.rand(N, requires_grad=True)
    x.grad = torch.rand(N) - 0.5
    settings = {name: getattr(method, name) for name in ("momentum", "amsgrad") if getattr(method, name, False)}
    optimizer = getattr(torch.optim, type(method).__name__)([x], lr=1e-6, fused=True, **settings)
    what = f"update of {name_of(method)}, 10 000 000 float32, against torch's fused one"
    arrays = dict(zip(IDS, (arrays for _, arrays in RULES), strict=True))[name_of(method)]
    pair.needs(moved(arrays))(our_update(method), optimizer.step, what, ">= 1", rounds=9)
