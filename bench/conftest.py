"""`python -m pytest bench` prints a table of ratios: two things timed in turn, in one run."""

import os

# One thread each, before any of the peers is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import time
from dataclasses import dataclass

import numpy as np
import pytest

_ROWS = []


@dataclass
class Pair:
    """Times two functions in turn (A B A B ...) and keeps the medians and the spread of the ratio."""

    benchmark: object

    def __call__(self, ours, theirs, what, aim, rounds=15, units=1, unit="call"):
        """Measure `ours` against `theirs`.

        what : what is compared with what
        aim : the ratio theirs / ours that is wanted, as text such as ">= 2"
        units : how many units of work one call does; times are given per unit
        """
        ours(), theirs()  # compile and warm up outside the clock
        times = {ours: [], theirs: []}
        for _ in range(rounds):
            for function in (ours, theirs):
                started = time.perf_counter()
                function()
                times[function].append((time.perf_counter() - started) / units)
        return self.record(ours, np.array(times[ours]), np.array(times[theirs]), what, aim, unit)

    def record(self, ours, our_times, their_times, what, aim, unit):
        """Keep a row of the table, of times that were taken in turn."""
        # Once more under pytest-benchmark, for its own table and its --benchmark-* options.
        self.benchmark.pedantic(ours, rounds=3, iterations=1)
        ratio, low, high = (float(np.quantile(their_times / our_times, q)) for q in (0.5, 0.25, 0.75))
        row = {"what": what, "aim": aim, "unit": unit, "ratio": ratio, "low": low, "high": high}
        row |= {"ours": float(np.median(our_times)), "theirs": float(np.median(their_times))}
        self.benchmark.extra_info.update(row)
        _ROWS.append(row)


@pytest.fixture
def pair(benchmark):
    """Time two functions in turn and store their ratio with the benchmark."""
    return Pair(benchmark)


def _seconds(value):
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1.0:
            return f"{value * scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def pytest_terminal_summary(terminalreporter):
    """Print the table, ready for the README."""
    if not _ROWS:
        return
    terminalreporter.section("ratios: the other's time over ours, medians, quartiles in brackets")
    lines = ["| work | ours | other | other / ours | aim |", "|---|---|---|---|---|"]
    for row in _ROWS:
        ratio = f"**{row['ratio']:.3g}** ({row['low']:.3g} to {row['high']:.3g})"
        what = f"{row['what']}, {'an' if row['unit'][0] in 'aeiou' else 'a'} {row['unit']}"
        lines.append(f"| {what} | {_seconds(row['ours'])} | {_seconds(row['theirs'])} | {ratio} | {row['aim']} |")
    terminalreporter.write_line("\n".join(lines))
