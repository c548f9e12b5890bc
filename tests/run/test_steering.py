"""Clipping, and going on after divergence."""

import numpy as np
import pytest

from gradopt import SGD, Network, RetryFromBest, Status, optimize, problems
from gradopt._core import protocol
from gradopt.extend import config
from gradopt.schedules import Schedule

RNG = np.random.default_rng(4)
FIT = problems.PolynomialFit(RNG.normal(size=30), RNG.normal(size=30))
BOWL = problems.Quadratic(np.diag([1.0, 4.0, 9.0]))
LARGE = problems.Quadratic(np.diag(np.arange(1.0, 9.0)))


def clipped(grad, norm=np.inf, value=np.inf):
    grad = grad * min(1.0, norm / (np.linalg.norm(grad) + 1e-6))
    return np.clip(grad, -value, value)


@pytest.mark.parametrize("problem", [BOWL, LARGE], ids=["in registers", "in arrays"])
@pytest.mark.parametrize("bounds", [{"norm": 0.7}, {"value": 0.3}, {"norm": 0.7, "value": 0.5}], ids=str)
def test_clipping(problem, bounds):
    x, method = problem.x0 + 1.0, SGD(0.1, momentum=0.5, weight_decay=0.1)
    arguments = {f"clip_{name}": bound for name, bound in bounds.items()}
    result = optimize(problem, x, method=method, max_iter=12, gtol=0, **arguments)
    state, norms = method.init(x), []
    for _ in range(12):
        grad = problem.grad(x)
        norms.append(np.linalg.norm(grad))
        method.step(x, clipped(grad, **bounds), state)
    np.testing.assert_allclose(result.x, x, rtol=1e-13)
    np.testing.assert_allclose(result.history.grad_norm[:-1], norms, rtol=1e-13)  # the objective's own
    np.testing.assert_array_equal(result.jac, problem.grad(result.x))


def test_clipping_in_batches():
    x, method = FIT.x0 + 1.0, SGD(0.1, momentum=0.5)
    state = method.init(x)
    for rows in FIT.batches(7, rng=2):
        method.step(x, clipped(FIT.value_and_grad(x, rows)[1], norm=0.4), state)
    result = optimize(FIT, FIT.x0 + 1.0, method=method, batch_size=7, epochs=1, rng=2, clip_norm=0.4)
    np.testing.assert_allclose(result.x, x, rtol=1e-13)


def test_clipping_equals_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed: its clipping is not compared")
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    x.grad = torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_([x], 2.0)
    torch.nn.utils.clip_grad_value_([x], 1.5)
    np.testing.assert_allclose(clipped(np.array([3.0, -4.0, 12.0]), 2.0, 1.5), x.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clip_norm": 0}, ValueError, "clip_norm must be finite and > 0"),
        ({"clip_value": -1.0}, ValueError, "clip_value"),
        ({"clip_norm": "1"}, TypeError, "clip_norm"),
        ({"recover": True}, TypeError, "recover must be a RetryFromBest or None, got True"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        optimize(BOWL, method=SGD(0.1), **arguments)
    with pytest.raises(ValueError, match=r"factor must be in \(0, 1\)"):
        RetryFromBest(factor=1.0)
    with pytest.raises(ValueError, match="attempts"):
        RetryFromBest(attempts=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_recovery(momentum):
    calls = []
    result = optimize(
        BOWL, BOWL.x0 + 1.0, method=SGD(0.5, momentum), recover=RetryFromBest(0.2), max_iter=3000, callback=calls.append
    )
    assert result.success
    assert "1 attempt after divergence, the last with 0.2 times the rates" in result.message
    history, first = result.history, optimize(BOWL, BOWL.x0 + 1.0, method=SGD(0.5, momentum), max_iter=3000)
    assert first.status == Status.NON_FINITE
    # All of the first attempt is still there, and counted.
    again = int(np.argmax(history.retry))
    assert again == len(first.history)
    np.testing.assert_array_equal(history.fun[:again], first.history.fun)
    assert history.fun[again] == first.best_fun
    assert history.nit[again] == history.nit[again - 1] == first.nit
    assert result.nfev >= result.nit + 3  # two starts, and the one that was not finite
    # From the best iterate on it is a run of its own with a lower rate.
    second = optimize(BOWL, first.best_x, method=SGD(0.5 * 0.2, momentum))
    np.testing.assert_allclose(result.x, second.x, rtol=1e-10, atol=1e-12)
    assert result.nit == first.nit + second.nit


def test_recovery_gives_up_honestly():
    result = optimize(BOWL, BOWL.x0 + 1.0, method=SGD(1e6), recover=RetryFromBest(0.5, attempts=2))
    assert result.status == Status.NON_FINITE
    assert "2 attempts after divergence, the last with 0.25 times the rates" in result.message
    assert np.isfinite(result.x).all()
    assert result.history.retry.max() == 2
    at_start = optimize(BOWL, [1e200, 1.0, 1.0], method=SGD(0.1), recover=RetryFromBest())
    assert (at_start.status, at_start.nit, at_start.history.retry.max()) == (Status.NON_FINITE, 0, 0)


def test_recovered_runs_go_on():
    settings = {"method": SGD(0.5, 0.9), "recover": RetryFromBest(0.2), "gtol": 0}
    whole = optimize(BOWL, BOWL.x0 + 1.0, **settings, max_iter=3000)
    begun = optimize(BOWL, BOWL.x0 + 1.0, **settings, max_iter=2900)
    resumed = optimize(BOWL, state=begun.state, gtol=0, max_iter=100)
    np.testing.assert_array_equal(whole.x, resumed.x)
    assert (begun.state.memory_starts_at > 0, begun.state.scale) == (True, 0.2)


def test_recovery_of_training():
    t = np.linspace(0, 3, 24)
    fit = problems.PolynomialFit(t, t**2)
    settings = {"batch_size": 6, "epochs": 400, "rng": 0}
    assert optimize(fit, method=SGD(0.5, 0.5), **settings).status == Status.NON_FINITE
    result = optimize(fit, method=SGD(0.5, 0.5), recover=RetryFromBest(0.1), **settings)
    assert result.status == Status.COMPLETED
    assert "after divergence" in result.message
    assert result.history.retry[-1] >= 1
    assert result.fun < 0.1
    assert result.njev > result.nit
    # From the start again, where even the first epoch was worse; also when the first update was too large already.
    for rate, batch_size in ((0.3, 6), (1e160, 1)):
        recover = RetryFromBest(0.1 if rate < 1 else 1e-81, attempts=5)
        result = optimize(fit, method=SGD(rate), batch_size=batch_size, epochs=200, rng=0, recover=recover)
        assert result.status == Status.COMPLETED
        assert result.history.retry[-1] >= 1
        assert result.fun < fit.value(fit.x0)
    network = problems.Classifier(Network.mlp([2, 3, 2]), RNG.normal(size=(9, 2)), np.arange(9) % 2)
    assert not optimize(
        network, method=SGD(0.1), recover=RetryFromBest(), batch_size=3, epochs=2, rng=0
    ).history.retry.any()


T = np.linspace(-1, 1, 20)
LINE = problems.PolynomialFit(T, 1 + 2 * T)


@pytest.mark.parametrize("epochs", [45, 46, 47])
def test_recovery_where_an_epoch_ends(epochs):
    """Full batches diverge between epochs: after the last one, or when the next one has begun."""
    seen = []
    settings = {"epochs": epochs, "callback": lambda intermediate_result: seen.append(intermediate_result.epoch)}
    result = optimize(LINE, np.zeros(3), method=SGD(1e3), recover=RetryFromBest(1e-4, attempts=2), **settings)
    assert result.status == Status.COMPLETED
    assert result.history.nit.tolist() == list(range(1, epochs + 1))
    assert result.history.retry[-1] == (epochs > 45)
    assert (result.fun < 2.0) == (epochs > 45)
    assert seen == [*range(1, min(epochs, 46) + 1), *range(46, epochs + 1)]


@config
class SpikeAt(Schedule):
    """A rate that makes a run diverge in one update."""

    at: int
    usual: float = 0.1
    size: float = 1e160


@protocol.rate.on(SpikeAt)
def _(schedule, k):
    return schedule.size if k == schedule.at else schedule.usual


@pytest.mark.parametrize("at", [18, 19])
def test_an_update_that_ended_an_epoch_and_diverged_leaves_no_trace(at):
    """At 18 the epoch goes on after it, at 19 it was its last one: back to the best epoch before either way."""
    settings = {"batch_size": 5, "rng": 0}
    spike, recover = SpikeAt(at, size=1e200), RetryFromBest(1e-201, attempts=1)
    result = optimize(LINE, np.zeros(3), method=SGD(spike), epochs=5, recover=recover, **settings)
    before = optimize(LINE, np.zeros(3), method=SGD(0.1), epochs=4, **settings)
    assert result.status == Status.COMPLETED
    assert result.fun < 1.1 * before.fun  # one more step of 0.1 from there
    assert result.best_fun == result.history.fun.min()
    assert np.isfinite(LINE.value(result.best_x))


def test_the_best_point_of_a_run_that_diverged_at_once_is_the_start():
    result = optimize(LINE, np.zeros(3), method=SGD(1e200), epochs=1)
    assert (result.status, result.nit, len(result.history)) == (Status.NON_FINITE, 0, 0)
    np.testing.assert_array_equal([result.x, result.best_x, result.state.x, result.state.best_x], 0.0)
    assert result.fun == result.best_fun == LINE.value(np.zeros(3))


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"max_iter": 0}, {"epochs": 2}])
@pytest.mark.parametrize("recover", [None, RetryFromBest(attempts=2)])
def test_a_start_whose_loss_is_infinite_is_no_success(settings, recover):
    result = optimize(LINE, np.full(3, 1e200), method=SGD(0.1), batch_size=5, recover=recover, **settings)
    assert (result.status, result.nit) == (Status.NON_FINITE, 0)
    assert result.message == "the objective is NaN or infinite at the start x0; choose another start"
    np.testing.assert_array_equal(result.x, 1e200)


@pytest.mark.parametrize("restore_best", [True, False])
def test_a_diverged_end_is_seen_behind_the_best_epoch(restore_best):
    settings = {"method": SGD(SpikeAt(5, size=1e200)), "validation": (T, 1 + 2 * T), "restore_best": restore_best}
    result = optimize(LINE, np.zeros(3), epochs=6, **settings)
    assert (result.status, result.nit) == (Status.NON_FINITE, 5)
    assert np.isfinite(result.history.val_fun).all()
    assert result.state.fun == LINE.value(result.state.x)
    assert optimize(LINE, state=result.state, method=SGD(0.1), epochs=2).success


@pytest.mark.parametrize("ends", [{"target": 1e3}, {"callback": lambda intermediate_result: True}, {"epochs": 1}])
def test_recovery_however_the_run_ends(ends):
    recover = RetryFromBest(1e-201, attempts=3)
    result = optimize(LINE, np.zeros(3), method=SGD(1e200), recover=recover, **({"epochs": 5} | ends))
    assert result.success or result.status == Status.CALLBACK
    assert result.history.retry[-1] == 1
    assert np.isfinite(result.fun)


def test_a_taken_back_epoch_costs_no_patience():
    settings = {"validation": (T, 1 + 2 * T), "patience": 4, "recover": RetryFromBest(1e-300, attempts=1)}
    result = optimize(LINE, np.zeros(3), method=SGD(SpikeAt(2, usual=0.0)), epochs=20, **settings)
    assert (result.status, result.nit) == (Status.EARLY_STOPPED, 5)


def test_evaluations_of_a_recovered_run_are_counted(monkeypatch):
    calls, assess = [], problems.PolynomialFit.assess
    monkeypatch.setattr(problems.PolynomialFit, "assess", lambda self, x: calls.append(1) or assess(self, x))
    for epochs in (5, 6, 7):
        calls.clear()
        recover = RetryFromBest(0.5)
        result = optimize(LINE, np.zeros(3), method=SGD(SpikeAt(5, size=1e200)), epochs=epochs, recover=recover)
        assert result.nfev - result.njev == len(calls)


def test_the_history_ends_with_the_run_where_mini_batches_diverge():
    for epochs in range(1, 10):
        result = optimize(LINE, np.zeros(3), method=SGD(1e50), batch_size=3, epochs=epochs, rng=0)
        assert (np.diff(result.history.nit) > 0).all()
        assert result.history.nit.tolist()[-1:] == [result.nit][: len(result.history)]
    assert result.status == Status.NON_FINITE
