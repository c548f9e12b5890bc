"""`python -m pytest bench` prints a table of ratios: two things timed in turn, in one run; --report writes it down."""

import os
import re

# One thread each, before any of the peers is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import time
from dataclasses import dataclass, field

import numpy as np
import pytest
import report
from quiet import Patience

_ROWS, _TABLES = [], []
_SECONDS, _QUICK_SECONDS = 15, 0  # that a row waits for the machine to be quiet
_QUICK_ROUNDS = 3


def pytest_addoption(parser):
    parser.addoption(
        "--report",
        action="store_true",
        help="write bench/report.md, .json and .png, and the tables of docs/benchmarks.md",
    )
    parser.addoption("--quick", action="store_true", help="a look in two minutes: few rounds, no wait, no slow rows")


def pytest_configure(config):
    """Look at the options; the table of pytest-benchmark knows one side of each row only."""
    if config.getoption("--report") and config.getoption("--quick"):
        raise pytest.UsageError("--report is no quick look")
    if config.getoption("--report") or config.getoption("--quick"):
        config.option.benchmark_quiet = True


def pytest_collection_modifyitems(config, items):
    """Leave the slow rows out of a quick look."""
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def _section(request):
    """What a file of benchmarks is about: the beginning of its docstring."""
    return re.split("[,:.]", request.module.__doc__)[0]


def _seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@dataclass
class Pair:
    """Times two functions in turn (A B A B ...) and keeps the medians and the spread of the ratio."""

    benchmark: object
    section: str
    quick: bool
    tell: object
    needed: dict = field(default_factory=dict)

    def needs(self, bytes=0, operations=0, real="float64"):
        """Say what a unit of the work moves from and to memory, and computes, at the least."""
        self.needed = {"bytes": bytes, "operations": operations, "real": real}
        return self

    def __call__(self, ours, theirs, what, aim, rounds=15, units=1, unit="call", outcome="", own_clock=False):
        """Measure `ours` against `theirs`.

        what : what is compared with what
        aim : the ratio theirs / ours that is wanted, as text such as ">= 2"
        units : how many units of work one call does, or (of ours, of theirs); times are given per unit
        outcome : what both arrived at
        own_clock : whether the functions return the seconds they took
        """
        if not self.quick:
            report.measure()
        ours(), theirs()  # compile and warm up outside the clock
        patience = Patience(_QUICK_SECONDS if self.quick else _SECONDS)
        rounds = min(rounds, _QUICK_ROUNDS) if self.quick else rounds

        def one_round():
            return [function() if own_clock else _seconds(function) for function in (ours, theirs)]

        times = np.array([patience.round(one_round) for _ in range(rounds)]) / units
        # Once more under pytest-benchmark, for its own table and its --benchmark-* options.
        self.benchmark.pedantic(ours, rounds=1 if own_clock else 3, iterations=1)
        ratio, low, high = (float(np.quantile(times[:, 1] / times[:, 0], q)) for q in (0.5, 0.25, 0.75))
        row = {"what": what, "aim": aim, "unit": unit, "ratio": ratio, "low": low, "high": high}
        row |= dict(zip(("ours", "theirs"), np.median(times, axis=0).tolist(), strict=True))
        row |= {"quiet": patience.rewarded}
        self.benchmark.extra_info.update(row)
        _ROWS.append({"section": self.section, "outcome": outcome, "bytes": 0, "operations": 0, **row, **self.needed})
        self.tell(report.line(row))


@pytest.fixture
def pair(benchmark, request):
    """Time two functions in turn, store their ratio with the benchmark, and print it."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def tell(text):
        with capture.global_and_fixture_disabled():  # else it would be kept for a failure
            terminal.ensure_newline()
            terminal.write_line(text)

    return Pair(benchmark, _section(request), request.config.getoption("--quick"), tell)


@pytest.fixture
def table(request):
    """Keep a table of another form, a list of lines in Markdown."""
    return lambda lines: _TABLES.append({"section": _section(request), "lines": lines})


def pytest_terminal_summary(terminalreporter, config):
    """Print the tables."""
    if not _ROWS and not _TABLES:
        return
    terminalreporter.section("ratios: the other's time over ours, medians, quartiles in brackets")
    if config.getoption("--quick"):
        terminalreporter.write_line("a quick look: three rounds a row, and nobody saw whether the machine was quiet\n")
    terminalreporter.write_line(report.text(_ROWS))
    for table in _TABLES:
        terminalreporter.write_line("\n".join(["", table["section"], *table["lines"]]))
    if config.getoption("--report"):
        terminalreporter.write_line(f"\nwritten: {report.write(_ROWS, _TABLES)}")
