"""Results on disk: the same bits back, clear errors for other files, and no loss when a process is killed."""

import dataclasses
import json
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

import gradopt
from gradopt import (
    LBFGS,
    SGD,
    Adam,
    Join,
    NAdam,
    ReduceOnPlateau,
    RetryFromBest,
    RMSprop,
    Rprop,
    StepDecay,
    Warmup,
    checkpoint,
    every,
    load,
    optimize,
    per_epoch,
    problems,
)
from gradopt._compiler import COMPILING
from gradopt._core.config import Config, config
from gradopt._results import storage
from gradopt.extend import rate, update
from gradopt.methods import FirstOrderMethod, Method
from gradopt.schedules import Schedule

from marks import compiled_only
from rules import TABLE

RNG = np.random.default_rng(6)
FIT = problems.PolynomialFit(RNG.normal(size=40), RNG.normal(size=40))
NOT_DIGESTED = {"format", "version", "digest"}
NETWORK = problems.Classifier(gradopt.Network.mlp([3, 4, 2]), RNG.normal(size=(30, 3)), RNG.integers(0, 2, 30))


def assert_same(one, other):
    assert set(one) - {"problem"} == set(other) - {"problem"}  # a file holds traced functions alone
    for key in set(one) - {"state", "history", "problem"}:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)
        assert type(one[key]) is type(other[key]) or isinstance(one[key], (float, bool))
    for column in one.history:
        np.testing.assert_array_equal(one.history[column], other.history[column])
        assert one.history[column].dtype == other.history[column].dtype
    mine, theirs = one.state, other.state
    for name in ("x", "best_x", "slots", "schedule_state"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    for name in ("method", "nit", "memory_starts_at", "scale", "fun", "best_fun"):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert vars(mine.training or mine).keys() == vars(theirs.training or theirs).keys()


# Lowered for some of the methods only: each costs seconds.
@pytest.mark.parametrize("cls", (SGD, Adam, NAdam) if COMPILING else TABLE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("training", [False, True], ids=["whole", "batches"])
def test_saved_and_resumed_is_uninterrupted(cls, training, tmp_path):
    """For every method; with a schedule or a plateau, mini-batches and validation."""
    rate = TABLE[cls][0]
    if cls is not Rprop:
        rate = ReduceOnPlateau(rate, 0.5, patience=1) if cls in (Adam, RMSprop) else Warmup(StepDecay(rate, 7, 0.5), 3)
    settings = {"method": cls(rate)}
    watch = {"validation": (NETWORK.X[:9], NETWORK.y[:9]), "patience": 50} if training else {}
    if training:
        settings |= {"batch_size": 7, "epochs": 99, "rng": 1}
    start = NETWORK.start(rng=0)
    whole = optimize(NETWORK, start, **settings, **watch, max_iter=24)
    begun = optimize(NETWORK, start, **settings, **watch, max_iter=13)
    begun.save(tmp_path / "run.npz")
    loaded = load(tmp_path / "run.npz")
    assert_same(begun, loaded)
    resumed = optimize(NETWORK, state=loaded.state, **watch, max_iter=11)
    np.testing.assert_array_equal(whole.x, resumed.x)
    np.testing.assert_array_equal(whole.state.slots, resumed.state.slots)
    assert (whole.fun, whole.best_fun, whole.nit) == (resumed.fun, resumed.best_fun, resumed.nit)


def test_schedules_generators_and_dtypes_come_back(tmp_path):
    method = NAdam(Join([0.1, per_epoch(StepDecay(0.2, 3)).schedule], [4]), betas=(0.5, 0.9))
    rng = np.random.Generator(np.random.MT19937(5))
    begun = optimize(FIT, np.zeros(3, np.float32), method=method, batch_size=6, max_iter=9, rng=rng)
    begun.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert loaded.state.method == method
    assert loaded.x.dtype == np.float32
    one, other = (optimize(FIT, state=result.state, max_iter=12) for result in (begun, loaded))
    np.testing.assert_array_equal(one.x, other.x)


def test_a_recovered_run_comes_back(tmp_path):
    bowl = problems.Quadratic(np.diag([1.0, 9.0]))
    begun = optimize(bowl, [1.0, 1.0], method=SGD(0.5), recover=RetryFromBest(0.1), max_iter=700, gtol=0)
    begun.save(tmp_path / "run.npz")
    assert_same(begun, load(tmp_path / "run.npz"))
    assert load(tmp_path / "run.npz").history.retry[-1] == 1


def test_checkpoints_beside_other_callbacks(tmp_path):
    path, seen = tmp_path / "run.npz", []
    callbacks = [every(10, checkpoint(path)), lambda x: seen.append(x)]
    result = optimize(FIT, method=Adam(0.01), max_iter=35, gtol=0, callback=callbacks)
    assert len(seen) == 35
    saved = load(path)
    assert saved.nit == saved.state.nit == 30
    np.testing.assert_array_equal(optimize(FIT, state=saved.state, max_iter=5, gtol=0).x, result.x)
    result = optimize(FIT, method=Adam(0.01), batch_size=9, epochs=5, rng=0, callback=every(2, checkpoint(path)))
    assert load(path).state.training.epoch == 4
    np.testing.assert_array_equal(optimize(FIT, state=load(path).state, epochs=1).x, result.x)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["run.npz"]


def rule(factor, count=1):
    """A class of a user's by the name Mine; each call is another one, as where a cell of a notebook is run again."""

    @config
    class Mine(FirstOrderMethod):
        slots = tuple(f"slot {i}" for i in range(count))
        learning_rate: object = 0.1

    @update.on(Mine)
    def _(method, slots, x, grad, rate, k):
        for j in range(x.size):
            x[j] -= factor * rate * grad[j]
        for i in range(len(slots)):
            slots[i][0] = i + 1.0

    return Mine


def test_a_class_that_was_defined_again_is_the_last_one(tmp_path):
    path = tmp_path / "run.npz"
    for factor in (1.0, 2.0):
        cls = rule(factor)
        result = optimize(problems.Quadratic(2.0), [1.0], method=cls(), max_iter=1)
        result.save(path)

        @config
        class Mine(problems.Problem):  # no method, though of that name
            pass

        assert type(load(path).state.method) is cls
        for state in (result.state, load(path).state):
            further = optimize(problems.Quadratic(2.0), state=state, max_iter=1)
            np.testing.assert_allclose(further.x, (1.0 - 0.2 * factor) ** 2)


def test_a_file_of_old_does_not_say_whose_a_class_is(tmp_path):
    path = tmp_path / "run.npz"
    optimize(problems.Quadratic(2.0), [1.0], method=rule(1.0)(), max_iter=1).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    facts = json.loads(str(arrays.pop("facts")))
    facts["state.method"]["class"] = "Mine"
    facts["digest"] = storage._digest(arrays, {name: facts[name] for name in facts.keys() - NOT_DIGESTED})
    np.savez(path, facts=np.array(json.dumps(facts)), **arrays)
    assert type(load(path).state.method).__name__ == "Mine"


def test_slots_keep_their_order(tmp_path):
    result = optimize(problems.Quadratic(2.0), [1.0], method=rule(1.0, count=12)(), max_iter=1)
    result.save(tmp_path / "run.npz")
    assert [slot[0] for slot in load(tmp_path / "run.npz").state.slots] == list(range(1, 13))


def test_classes_derived_from_those_of_the_package_or_of_their_name(tmp_path):
    @config
    class Half(StepDecay):
        pass

    @config
    class Constant(Schedule):
        value: float

    class Plain(Adam):
        pass

    @config
    class Inner(Config):
        factor: float = 0.5

    @config
    class Outer(FirstOrderMethod):
        slots = ()
        learning_rate: object = 0.1
        inner: Inner = Inner(0.25)

    @update.on(Outer)
    def _(method, slots, x, grad, rate, k):
        for j in range(x.size):
            x[j] -= method.inner.factor * rate * grad[j]

    for cls in (Half, Constant):
        rate.on(cls)(lambda schedule, k: 0.05)
    for method in (SGD(Half(0.1, 5)), SGD(Constant(0.1)), SGD(gradopt.Constant(0.1)), Plain(0.1), Adam(0.1), Outer()):
        optimize(FIT, method=method, max_iter=1).save(tmp_path / "run.npz")
        loaded = load(tmp_path / "run.npz").state.method
        assert type(loaded) is type(method)
        assert loaded == method


def change(data, at, flip=1):
    data = bytearray(data)
    data[at] ^= flip
    return bytes(data)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    optimize(FIT, method=SGD(0.01), max_iter=5).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"hello", whole[: len(whole) // 2], whole[:-10], change(whole, 60), change(whole, 700)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"run.npz (is damaged|was changed)"):
            load(path)
    np.savez(path, x=np.ones(2))
    with pytest.raises(ValueError, match="not a saved result"):
        load(path)
    np.savez(path, facts=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a saved result"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")


def test_a_file_with_any_byte_of_its_index_changed_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    optimize(FIT, method=SGD(0.01), max_iter=2).save(path)
    whole, result = path.read_bytes(), load(path)
    start = whole.index(b"PK\x01\x02")
    for at in range(start, start + 60):
        for flip in (1, 210):
            path.write_bytes(change(whole, at, flip))
            try:
                loaded = load(path)
            except ValueError:
                continue
            assert_same(loaded, result)  # not every byte means something


def test_a_changed_or_newer_file_is_noticed(tmp_path):
    path = tmp_path / "run.npz"
    optimize(FIT, method=SGD(0.01), max_iter=5).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"x": arrays["x"] + 1}))
    with pytest.raises(ValueError, match="was changed after it was saved"):
        load(path)
    np.savez(path, **(arrays | {"facts": np.array(str(arrays["facts"]).replace('"version": 1', '"version": 9'))}))
    with pytest.raises(ValueError, match="version 9, not of version 1"):
        load(path)


def test_what_a_file_cannot_hold(tmp_path):
    result = optimize(FIT, method=SGD(lambda k: 0.01), max_iter=2)
    with pytest.raises(TypeError, match="a file can't hold the function"):
        result.save(tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="folder"):
        checkpoint(tmp_path / "none" / "run.npz")
    save, calls = every(1000, checkpoint(tmp_path / "run.npz")), []
    with pytest.raises(TypeError, match="a file can't hold the function"):  # before the first step
        optimize(FIT, method=SGD(lambda k: 0.01), callback=[calls.append, save])
    assert calls == []

    @config
    class Complex(FirstOrderMethod):
        slots = ()
        learning_rate: object = 0.1
        number: complex = 1j

    update.on(Complex)(lambda method, slots, x, grad, rate, k: None)
    with pytest.raises(TypeError, match="can't save 1j"):
        optimize(FIT, method=Complex(), callback=save)


def test_states_of_other_methods_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    optimize(FIT, method=SGD(0.01), max_iter=5).save(path)
    state = load(path).state
    for cls in TABLE:
        if cls is not SGD:
            with pytest.raises(ValueError, match="method must be SGD"):
                optimize(FIT, state=state, method=cls())
    with pytest.raises(ValueError, match=r"state.x must have"):
        optimize(problems.Rosenbrock(), state=state)
    assert issubclass(SGD, Method)


WRITER = """
import sys
import numpy as np
from gradopt import (Adam, checkpoint, optimize, problems)
problem = problems.Rosenbrock(n=60_000)
print("ready", flush=True)
optimize(problem, method=Adam(1e-3), max_iter=10**6, gtol=0, record=None, callback=checkpoint(sys.argv[1]))
"""


@pytest.mark.slow
@compiled_only
def test_a_kill_while_saving_loses_nothing(tmp_path):
    path = tmp_path / "run.npz"
    updates = []
    for attempt in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        while not path.exists():
            time.sleep(0.01)
            assert process.poll() is None
        time.sleep(0.2 + 0.0137 * attempt)
        process.kill()
        process.wait()
        process.stdout.close()
        updates.append(load(path).nit)
    assert min(updates) >= 1


def changed(path, name, part=None, **settings):
    """A copy of a file in which a member is replaced, or packed otherwise."""
    copy = path.with_name("changed.npz")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", **settings) as new:
        for member in old.namelist():
            new.writestr(member, part if member == name and part is not None else old.read(member))
        if name not in old.namelist():
            new.writestr(name, part)
    return copy


@pytest.fixture
def saved(tmp_path):
    optimize(FIT, max_iter=3).save(tmp_path / "run.npz")
    return tmp_path / "run.npz"


def npy(header, data=b""):
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("readme.txt", b"hello"),
        ("x.npy", b"hello"),
        ("x.npy", b""),
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }")),
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", bytes(800))),
        ("x.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8))),
        ("x.npy", npy("__import__('os').system('false')")),
        ("facts.npy", npy("{'descr': '<U4', 'fortran_order': False, 'shape': (), }", bytes(16))),
    ],
)
def test_members_that_are_no_arrays_are_refused(saved, name, part):
    with pytest.raises(ValueError, match="not a saved result"):
        load(changed(saved, name, part))


def test_a_packed_member_is_not_unpacked(saved):
    with pytest.raises(ValueError, match="as they are saved here"):
        load(changed(saved, "x.npy", bytes(10**7), compression=zipfile.ZIP_DEFLATED))


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_files_have_the_mode_that_the_umask_allows_and_links_stay(tmp_path):
    def mode(path):
        return oct(path.stat().st_mode & 0o777)

    result, path, link = optimize(FIT, max_iter=3), tmp_path / "run.npz", tmp_path / "latest.npz"
    before = os.umask(0o022)
    try:
        result.save(path)
        assert mode(path) == "0o644"
        path.chmod(0o664)
        link.symlink_to(path)
        result.save(link)
        assert link.is_symlink()
        assert mode(path) == "0o664"
        assert [file.name for file in tmp_path.iterdir()] in (["run.npz", "latest.npz"], ["latest.npz", "run.npz"])
    finally:
        os.umask(before)


@pytest.mark.parametrize("cls", [Adam, LBFGS, SGD])
def test_states_whose_parts_do_not_fit_are_refused(cls):
    state = optimize(problems.Rosenbrock(n=2), [0.0, 0.0], method=cls(), max_iter=3).state
    big = problems.Rosenbrock(n=1000)
    longer = dataclasses.replace(state, x=np.zeros(1000), best_x=np.zeros(1000))
    changes = {
        "best_x": np.zeros(3),
        "schedule_state": np.zeros(4),
        "nit": -1,
        "memory_starts_at": 99,
        "scale": np.nan,
        "fun": "low",
        "x": np.zeros((2, 1)),
    }
    if state.slots:
        changes["slots"] = tuple(np.zeros(7) for _ in state.slots)
        with pytest.raises(ValueError, match=r"state.slots\[0\]"):
            optimize(big, state=longer, max_iter=5)
        with pytest.raises(ValueError, match="state.slots"):
            optimize(problems.Rosenbrock(n=2), state=dataclasses.replace(state, slots=state.slots[1:]), max_iter=5)
    for name, value in changes.items():
        with pytest.raises((ValueError, TypeError), match=rf"state\.{name}"):
            optimize(problems.Rosenbrock(n=2), state=dataclasses.replace(state, **{name: value}), max_iter=5)


def test_the_rows_of_a_line_search_memory_are_checked():
    state = optimize(problems.Rosenbrock(n=2), [0.0, 0.0], max_iter=3).state
    for pairs in ((99, 0), (0, 99), (-1, 0), (0, -1)):
        slots = list(state.slots)
        slots[4] = np.array(pairs)
        with pytest.raises(ValueError, match="a count and a row"):
            optimize(problems.Rosenbrock(n=2), state=dataclasses.replace(state, slots=tuple(slots)), max_iter=5)


@pytest.mark.parametrize("name", ["seed", "Generator", "BitGenerator", "RandomState", "default_rng", "nothing"])
def test_only_bit_generators_are_made_from_names(name):
    problem = problems.PolynomialFit(np.arange(5.0), np.arange(5.0), 1)
    state = optimize(problem, [0.0, 0.0], batch_size=1, epochs=2, rng=0).state
    bad = dataclasses.replace(state, training=dataclasses.replace(state.training, bit_generator=name))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(ValueError, match="give rng"):
        optimize(problem, state=bad, epochs=1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    for part, value in (("row", 99), ("rows", 0), ("epoch", -1), ("batch_size", 0), ("waited", -2)):
        bad = dataclasses.replace(state, training=dataclasses.replace(state.training, **{part: value}))
        with pytest.raises(ValueError, match=part):
            optimize(problem, state=bad, epochs=1)
