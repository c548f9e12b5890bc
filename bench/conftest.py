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

_ROWS, _TABLES = [], []


def pytest_addoption(parser):
    parser.addoption(
        "--report",
        action="store_true",
        help="write bench/report.md, .json and .png, and the tables of the README",
    )


def pytest_configure(config):
    """The table of pytest-benchmark knows one side of each row only."""
    if config.getoption("--report"):
        config.option.benchmark_quiet = True


def _section(request):
    """What a file of benchmarks is about: the beginning of its docstring."""
    return re.split("[,:.]", request.module.__doc__)[0]


@dataclass
class Pair:
    """Times two functions in turn (A B A B ...) and keeps the medians and the spread of the ratio."""

    benchmark: object
    section: str
    needed: dict = field(default_factory=dict)

    def needs(self, bytes=0, operations=0, real="float64"):
        """Say what a unit of the work moves from and to memory, and computes, at the least."""
        self.needed = {"bytes": bytes, "operations": operations, "real": real}
        return self

    def __call__(self, ours, theirs, what, aim, rounds=15, units=1, unit="call", outcome=""):
        """Measure `ours` against `theirs`.

        what : what is compared with what
        aim : the ratio theirs / ours that is wanted, as text such as ">= 2"
        units : how many units of work one call does; times are given per unit
        outcome : what both arrived at
        """
        ours(), theirs()  # compile and warm up outside the clock
        times = {ours: [], theirs: []}
        for _ in range(rounds):
            for function in (ours, theirs):
                started = time.perf_counter()
                function()
                times[function].append((time.perf_counter() - started) / units)
        return self.record(ours, np.array(times[ours]), np.array(times[theirs]), what, aim, unit, outcome)

    def record(self, ours, our_times, their_times, what, aim, unit, outcome=""):
        """Keep a row of the table, of times that were taken in turn."""
        report.measure()
        # Once more under pytest-benchmark, for its own table and its --benchmark-* options.
        self.benchmark.pedantic(ours, rounds=3, iterations=1)
        ratio, low, high = (float(np.quantile(their_times / our_times, q)) for q in (0.5, 0.25, 0.75))
        row = {"what": what, "aim": aim, "unit": unit, "ratio": ratio, "low": low, "high": high}
        row |= {"ours": float(np.median(our_times)), "theirs": float(np.median(their_times))}
        self.benchmark.extra_info.update(row)
        _ROWS.append({"section": self.section, "outcome": outcome, "bytes": 0, "operations": 0, **row, **self.needed})


@pytest.fixture
def pair(benchmark, request):
    """Time two functions in turn and store their ratio with the benchmark."""
    return Pair(benchmark, _section(request))


@pytest.fixture
def table(request):
    """Keep a table of another form, a list of lines in Markdown."""
    return lambda lines: _TABLES.append({"section": _section(request), "lines": lines})


def pytest_terminal_summary(terminalreporter, config):
    """Print the tables, ready for the README."""
    if not _ROWS and not _TABLES:
        return
    terminalreporter.section("ratios: the other's time over ours, medians, quartiles in brackets")
    terminalreporter.write_line(report.markdown(_ROWS, _TABLES, report.machine()))
    if config.getoption("--report"):
        terminalreporter.write_line(f"\nwritten: {report.write(_ROWS, _TABLES)}")
