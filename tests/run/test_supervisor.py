"""What is done between two chunks of a run, in which order; and how a run goes back to an earlier update."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt import RetryFromBest, Status, every
from gradopt._loops.types import RUNNING, Steering
from gradopt._results.result import OptimizeResult
from gradopt._run import supervisor
from gradopt._run.base import Run
from gradopt._run.callbacks import Callbacks
from gradopt._run.progress_bar import NoBar
from gradopt._run.supervisor import Supervision, supervise

PROBLEM = SimpleNamespace(interpreted=True)


class ScriptedRun(Run):
    """A run that does what a script says and writes down what it is asked.

    script : for each chunk the rounds that it does, at most, and the status that it returns
    """

    def __init__(self, script=(), limit=5, started=RUNNING, after_rounds=None, confirmations=None):
        super().__init__(PROBLEM, None, Steering(None, 1.0, None, None), 0)
        self.script, self.limit, self.started = list(script), limit, started
        self.after_rounds, self.confirmations = after_rounds or {}, confirmations or {}
        self.done, self.log = 0, []

    @property
    def rounds(self):
        return self.done

    @property
    def fun(self):
        return 10.0 - self.done

    @property
    def rate(self):
        return 0.5

    def intermediate(self, with_state):
        return OptimizeResult(x=np.full(1, float(self.done)), nit=self.done, fun=self.fun)

    def start(self, unobserved):
        self.log.append("start unobserved" if unobserved else "start")
        return self.started

    def limit_reached(self):
        self.log.append("limit?")
        return Status.MAX_ITER if self.done >= self.limit else RUNNING

    def advance(self, at_most):
        self.log.append(f"advance {at_most}")
        rounds, status = self.script.pop(0) if self.script else (1, RUNNING)
        self.done += rounds if at_most is None else min(rounds, at_most)
        return status

    def after_round(self):
        self.log.append(f"after round {self.done}")
        return self.after_rounds.get(self.done, RUNNING)

    def confirmed(self, status):
        self.log.append(f"confirmed {Status(status).name}")
        return self.confirmations.get(self.done, status)

    def retry(self, factor):
        self.log.append(f"retry {factor}")
        self.retries += 1
        return RUNNING


class LoggedBar(NoBar):
    shows = True

    def __init__(self, log):
        self.log = log

    def show(self, done, fun, rate):
        self.log.append(f"show {done} {fun} {rate}")


def supervised(run, callback=None, recover=None, deadline=math.inf, bar=None):
    """How the run ended, and what it was asked, without the questions for limits."""
    status = supervise(run, Supervision(Callbacks(callback), bar or NoBar(), recover, deadline))
    assert isinstance(status, Status)
    return status, [entry for entry in run.log if entry != "limit?"]


def logging(run, answer=None):
    def callback(intermediate_result):
        run.log.append(f"callback {intermediate_result.nit}")
        return answer(intermediate_result.nit) if answer else None

    return callback


class TestOneRound:
    def test_its_parts_come_in_this_order(self):
        run = ScriptedRun(limit=1)
        status = supervise(run, Supervision(Callbacks(logging(run)), LoggedBar(run.log), None, math.inf))
        assert status == Status.MAX_ITER
        assert run.log == [
            *("start", "limit?", "advance 1", "show 1 9.0 0.5", "callback 1", "after round 1", "limit?"),
            "confirmed MAX_ITER",
        ]

    def test_a_chunk_within_a_round_is_not_shown(self):
        run = ScriptedRun([(0, RUNNING), (0, RUNNING), (1, RUNNING)], limit=1)
        _, log = supervised(run, logging(run), bar=LoggedBar(run.log))
        assert log.count("advance 1") == 3
        assert [entry for entry in log if entry.startswith(("show", "callback", "after"))] == [
            *("show 1 9.0 0.5", "callback 1", "after round 1")
        ]

    def test_a_run_that_has_ended_at_its_start_does_none(self):
        run = ScriptedRun(started=Status.GTOL)
        assert supervised(run, logging(run)) == (Status.GTOL, ["start", "confirmed GTOL"])

    def test_a_run_without_rounds_does_none(self):
        run = ScriptedRun(limit=0)
        assert supervised(run, logging(run)) == (Status.MAX_ITER, ["start", "confirmed MAX_ITER"])


class TestObservation:
    def test_nobody_observes(self):
        run = ScriptedRun([(3, RUNNING), (9, Status.FTOL)], limit=99)
        _, log = supervised(run)
        assert log == ["start unobserved", "advance None", "after round 3", "advance None", "confirmed FTOL"]

    @pytest.mark.parametrize("observer", ["callback", "recover", "bar"])
    def test_somebody_does(self, observer):
        run = ScriptedRun(limit=1)
        observers = {"callback": logging(run), "recover": RetryFromBest(), "bar": LoggedBar(run.log)}
        _, log = supervised(run, **{observer: observers[observer]})
        assert log[0] == "start"

    def test_chunks_end_where_callbacks_are_due(self):
        run = ScriptedRun([(9, RUNNING)] * 9, limit=7)
        _, log = supervised(run, [every(3, logging(run)), every(5, logging(run))])
        assert [entry for entry in log if entry.startswith(("advance", "callback"))] == [
            *(
                "advance 3",
                "callback 3",
                "advance 2",
                "callback 5",
                "advance 1",
                "callback 6",
                "advance 3",
                "callback 9",
            )
        ]


class TestEnds:
    def test_the_limit_comes_before_the_deadline(self):
        assert supervised(ScriptedRun(limit=0), deadline=-math.inf)[0] == Status.MAX_ITER
        assert supervised(ScriptedRun(limit=1), deadline=-math.inf)[0] == Status.MAX_TIME

    def test_after_the_deadline_no_chunk_begins(self, monkeypatch):
        clock = iter([0.0, 1.0, 2.0, 3.0])
        monkeypatch.setattr(supervisor, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        run = ScriptedRun(limit=99)
        assert supervised(run, deadline=2.0)[0] == Status.MAX_TIME
        assert run.rounds == 2

    @pytest.mark.parametrize("status", [Status.GTOL, Status.TARGET, Status.LINE_SEARCH, Status.NON_FINITE])
    def test_a_loop_that_stops_ends_the_run(self, status):
        run = ScriptedRun([(1, RUNNING), (1, status)])
        found, log = supervised(run, logging(run))
        assert found == status
        assert log[-3:] == ["advance 1", "callback 2", f"confirmed {status.name}"]  # the callback sees the last round

    def test_a_run_may_end_with_a_round(self):
        run = ScriptedRun(after_rounds={2: Status.EARLY_STOPPED})
        assert supervised(run)[0] == Status.EARLY_STOPPED
        assert run.rounds == 2

    @pytest.mark.parametrize("answer", [True, np.True_, StopIteration])
    def test_a_callback_may_ask_to_stop(self, answer):
        def stop(nit):
            if answer is StopIteration and nit == 2:
                raise StopIteration
            return answer if nit == 2 else None

        run = ScriptedRun()
        status, log = supervised(run, logging(run, stop))
        assert (status, run.rounds) == (Status.CALLBACK, 2)
        assert log[-3:] == ["callback 2", "after round 2", "confirmed CALLBACK"]

    @pytest.mark.parametrize("answer", [None, False, 1, "stop", np.ones(2), 0.0])
    def test_other_answers_ask_for_nothing(self, answer):
        run = ScriptedRun(limit=2)
        assert supervised(run, logging(run, lambda nit: answer))[0] == Status.MAX_ITER

    def test_all_callbacks_are_called_though_the_first_one_asks_to_stop(self):
        run = ScriptedRun()
        status, log = supervised(run, [lambda x: True, logging(run)])
        assert (status, log.count("callback 1")) == (Status.CALLBACK, 1)

    def test_other_reasons_come_before_that_of_a_callback(self):
        def stop(x):
            return True

        assert supervised(ScriptedRun([(1, Status.FTOL)]), stop)[0] == Status.FTOL
        assert supervised(ScriptedRun(after_rounds={1: Status.TARGET}), stop)[0] == Status.TARGET
        assert supervised(ScriptedRun(limit=1), stop)[0] == Status.CALLBACK

    def test_an_exception_of_a_callback_goes_through(self):
        run = ScriptedRun()
        with pytest.raises(ZeroDivisionError):
            supervised(run, lambda x: 1 / 0)
        assert run.rounds == 1

    def test_what_the_last_look_says_counts(self):
        run = ScriptedRun(confirmations={5: Status.NON_FINITE})
        assert supervised(run)[0] == Status.NON_FINITE


class TestRecovery:
    @pytest.mark.parametrize("attempts", [1, 3])
    def test_a_run_that_goes_on_diverging_is_given_up(self, attempts):
        run = ScriptedRun([(1, Status.NON_FINITE)] * 9, limit=99)
        status, log = supervised(run, recover=RetryFromBest(0.25, attempts))
        assert (status, run.retries) == (Status.NON_FINITE, attempts)
        assert log.count("retry 0.25") == attempts
        assert log.count("confirmed NON_FINITE") == attempts + 1

    def test_one_that_does_not_is_not_tried_again(self):
        run = ScriptedRun([(1, Status.NON_FINITE), (1, RUNNING), (1, Status.GTOL)], limit=99)
        status, log = supervised(run, recover=RetryFromBest(0.25))
        assert status == Status.GTOL
        assert log == [
            *("start", "advance None", "confirmed NON_FINITE", "retry 0.25"),
            *("advance None", "after round 2", "advance None", "confirmed GTOL"),
        ]

    def test_a_start_that_is_not_finite_is_not_tried_again(self):
        run = ScriptedRun(started=Status.NON_FINITE)
        run.failed_at_start = True
        assert supervised(run, recover=RetryFromBest()) == (Status.NON_FINITE, ["start", "confirmed NON_FINITE"])

    def test_without_recovery_nothing_is(self):
        run = ScriptedRun([(1, Status.NON_FINITE)])
        assert supervised(run) == (Status.NON_FINITE, ["start unobserved", "advance None", "confirmed NON_FINITE"])

    def test_an_apparent_success_is_tried_again_if_it_was_none(self):
        run = ScriptedRun(limit=2, confirmations={1: Status.NON_FINITE})
        run.script = [(1, Status.TARGET), (1, RUNNING)]
        status, log = supervised(run, recover=RetryFromBest())
        assert (status, run.retries) == (Status.MAX_ITER, 1)
        assert log[2:4] == ["confirmed TARGET", "retry 0.5"]

    def test_limits_hold_for_all_attempts_together(self):
        run = ScriptedRun([(3, Status.NON_FINITE), (2, RUNNING)], limit=5)
        status, _ = supervised(run, recover=RetryFromBest())
        assert (status, run.rounds) == (Status.MAX_ITER, 5)


class CountingRun(Run):
    """A run in chunks whose state says all about how it came about."""

    def __init__(self, kept=1):
        super().__init__(PROBLEM, None, Steering(None, 1.0, None, None), 0)
        self.snapshots_kept = kept
        self.x, self.slot, self.facts = np.ones(2), np.zeros(1), (0, "start")
        self.replayed = []

    @property
    def nit(self):
        return self.facts[0]

    def chunk(self, updates):
        self._take_snapshot((self.x, self.slot))
        self._update(updates)

    def _update(self, updates):
        for _ in range(updates):
            self.slot += self.x[0]
            self.x *= [1.5, -0.5]
            self.facts = self.nit + 1, f"after {self.nit + 1}"

    def _facts(self):
        return self.facts

    def _set_facts(self, facts):
        self.facts = facts

    def _replay(self, updates):
        self.replayed.append(updates)
        self._update(updates)

    def state(self):
        return self.x.tolist(), self.slot.tolist(), self.facts


class TestGoingBack:
    @given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.sampled_from([1, 2, 3]), st.data())
    def test_to_any_update_that_a_snapshot_reaches(self, chunks, kept, data):
        run = CountingRun(kept)
        for updates in chunks:
            run.chunk(updates)
        begins = np.cumsum([0, *chunks])[:-1].tolist()
        nit, before = data.draw(st.integers(0, run.nit)), run.state()
        reached = [begin for begin in begins[-kept:] if begin <= nit]
        assert run._go_back_to(nit) == bool(reached)
        if reached:
            whole = CountingRun()
            whole._update(nit)
            assert run.state() == whole.state()
            assert run.replayed == [nit - max(reached)]
        else:
            assert (run.state(), run.replayed) == (before, [])

    @pytest.mark.parametrize("kept", [1, 2, 3])
    def test_no_more_snapshots_are_kept_than_asked_for(self, kept):
        run = CountingRun(kept)
        for count in range(1, 6):
            run.chunk(1)
            assert len(run._snapshots) == min(count, kept)
        assert [snapshot.nit for snapshot in run._snapshots] == list(range(5 - kept, 5))

    def test_as_a_rule_one_is(self):
        assert Run.snapshots_kept == 1

    def test_arrays_stay_the_same_objects(self):
        run = CountingRun()
        x, slot = run.x, run.slot
        run.chunk(3)
        assert run._go_back_to(1)
        assert run.x is x
        assert run.slot is slot

    def test_further_and_further(self):
        run = CountingRun(2)
        run.chunk(2)
        run.chunk(2)
        for nit in (3, 2, 1, 0):
            assert run._go_back_to(nit)
            assert run.nit == nit
        assert run.replayed == [1, 0, 1, 0]

    def test_not_without_a_snapshot(self):
        assert not CountingRun()._go_back_to(0)


class TestRestart:
    def test_the_method_begins_anew_at_the_point(self):
        run = CountingRun()
        run.chunk(3)
        x, point = run.x, np.array([5.0, 6.0])
        run._restart_at(run.x, point, [run.slot], 0.25)
        assert (x.tolist(), run.slot.tolist(), run.retries, run.scale) == ([5.0, 6.0], [0.0], 1, 0.25)
        run._restart_at(run.x, point, [], 0.25)
        assert (run.retries, run.scale) == (2, 0.0625)
        assert not np.shares_memory(run.x, point)

    def test_no_way_leads_back_to_before(self):
        run = CountingRun()
        run.chunk(3)
        run._restart_at(run.x, np.zeros(2), [], 0.5)
        assert not run._go_back_to(0)

    def test_updates_are_those_of_this_run(self):
        run = CountingRun()
        run._first_nit = 2
        run.chunk(5)
        assert run.updates == 3
