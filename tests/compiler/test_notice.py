"""The notice for those who wait, and the command that fills the cache."""

import io
import logging
import sys
import warnings
from types import SimpleNamespace

import pytest

from gradopt.__main__ import main
from gradopt._compiler import notice, numba_api, tested

from marks import private_numba


def some_kernel():
    pass


some_kernel.__module__ = "gradopt._loops.some"


def event_of(function, **attributes):
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function, **attributes)})


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(notice, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


def told(clock, events, caplog):
    """The notices for a list of (seconds since the last event, event or None for an end)."""
    listener = notice._Notice()
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="gradopt"):
        for seconds, event in events:
            clock.seconds += seconds
            listener.on_end(None) if event is None else listener.on_start(event)
    return [record.getMessage() for record in caplog.records]


OURS, USERS, OTHERS = event_of(some_kernel), event_of(main, is_of_a_user=True), event_of(sys.exit)
OTHERS.data["dispatcher"].py_func = lambda: None


def test_a_long_wait_is_told_once(clock, caplog):
    texts = told(clock, [(0, OURS), (1.5, OURS), (0.1, None), (0.6, OURS), (9, OURS), (1, None)], caplog)
    assert len(texts) == 1
    assert "compiling some_kernel and what it calls" in texts[0]
    assert ("its own code is kept on disk" in texts[0]) == (numba_api.cache is not None)


def test_several_short_ones_in_a_row_are_one_wait(clock, caplog):
    assert told(clock, [(0, OURS), (0.9, None), (0.1, OURS), (0.9, None), (0.2, OURS)], caplog)
    assert not told(clock, [(0, OURS), (0.9, None), (5.0, OURS), (0.9, None), (5.0, OURS)], caplog)


def test_short_waits_are_not_told(clock, caplog):
    assert not told(clock, [(0, OURS), (1.0, OURS), (0.5, None), (0.2, None)], caplog)


def test_what_others_compile_is_not_told(clock, caplog):
    assert not told(clock, [(0, OTHERS), (5.0, OURS), (1, None), (1, None)], caplog)


def test_a_function_of_the_user_is_named(clock, caplog):
    assert "compiling your function main" in told(clock, [(0, USERS), (5.0, OURS)], caplog)[0]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_it_is_a_line_that_can_be_switched_off(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    notice.tell("this")
    assert terminal.getvalue().count("\n") == 1
    assert "GRADOPT_QUIET=1 switches this line off" in terminal.getvalue()
    monkeypatch.setenv("GRADOPT_QUIET", "1")
    notice.tell("this")
    assert terminal.getvalue().count("\n") == 1


def test_where_nothing_is_kept_on_disk_nothing_says_so(monkeypatch):
    monkeypatch.setattr(numba_api, "cache", None)
    with pytest.raises(SystemExit, match="nothing to fill: GRADOPT_PLAIN_NUMBA is set, or"):
        main(["warm", "--methods", "sgd"])
    monkeypatch.setattr(notice, "cache", None)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    notice.tell("this")
    assert "some seconds, in each process" in terminal.getvalue()
    assert "kept on disk." not in terminal.getvalue()


@private_numba
def test_the_command_says_what_it_fills_the_cache_with(capsys):
    main(["warm", "--methods", "sgd", "--dtypes", "float64"])
    out = capsys.readouterr().out
    for what in ("a traced function", "Rosenbrock", "a Classifier", "a Regressor", "in all"):
        assert what in out


def test_the_command_refuses_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        main(["warm", "--methods", "newton"])
    assert "choose from" in capsys.readouterr().err


def test_a_numba_newer_than_tested_gets_a_warning():
    newer = tested.NEWEST[0], tested.NEWEST[1] + 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tested.warn_of_newer(newer, "0.99.0")
        tested.warn_of_newer(tested.NEWEST, "0.68.9")
    (warning,) = caught
    assert "and this is 0.99.0" in str(warning.message)
