"""The report of `python -m pytest bench --report`: report.md, report.json, report.png, and docs/benchmarks.md."""

import datetime
import functools
import importlib.metadata
import json
import platform
import re
import subprocess
import textwrap
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PEERS = ("numba", "numpy", "scipy", "jax", "optax", "torch", "scikit-learn")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


_ARRAYS = np.ones(8_000_000), np.ones(8_000_000)
_SQUARES = {dtype: np.ones((768, 768), dtype) for dtype in ("float32", "float64")}
_speeds: dict[str, float] = {}


def measure():
    """See what the machine can do with one thread now; the best of all looks counts."""
    a, b = _ARRAYS
    bytes_of = {a.sum: a.nbytes, lambda: np.copyto(b, a): 3 * a.nbytes, lambda: np.add(b, 1.0, out=b): 2 * a.nbytes}
    seen = [("bytes", moved / _best(run)) for run, moved in bytes_of.items()]  # what is written is read first
    seen += [(name, 2 * 768**3 / _best(lambda m=m: m @ m)) for name, m in _SQUARES.items()]
    for name, speed in seen:
        _speeds[name] = max(_speeds.get(name, 0.0), speed)


@functools.cache
def machine():
    """What this machine is, and what it was seen to do."""
    measure()
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "processor": _processor(),
        "kind": _kind(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version for name in PEERS if (version := _version(name))},
        "bytes_per_second": _speeds["bytes"],
        "operations_per_second": {name: _speeds[name] for name in _SQUARES},
    }


def _best(run):
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def _git(*arguments):
    return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True).stdout.strip()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _kind():
    """The kind of a processor: by the width of its vectors, on which most of the times depend."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        flags = []
    wide = [name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags]
    return (wide or [platform.machine()])[0]


def seconds(value):
    """A time with its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1.0:
            return f"{value * scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def _of_aim(row):
    """The speed of a row as a part of what it aims at: from 1 on, the aim is met."""
    wanted = re.fullmatch(r">= ([\d.]+)", row["aim"])
    if wanted:
        return row["ratio"] / float(wanted[1])
    number, unit = re.fullmatch(r"ours < ([\d.]+) (s|ms|us)", row["aim"]).groups()
    return float(number) * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[unit] / row["ours"]


def met(row):
    """Whether the aim of a row was reached."""
    return _of_aim(row) >= 1.0


def verdict(row):
    """Whether the aim was reached, and how far it is; within its spread: the upper quartile reaches the aim."""
    if met(row):
        return "met"
    if met({**row, "ratio": row["high"]}):
        return "missed within its spread"
    return f"{'LOST' if row['ratio'] < 1.0 else 'MISSED'}, at {_of_aim(row):.0%} of the aim"


def line(row):
    """A row in one line of plain text."""
    ratio = f"{row['ratio']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
    quiet = "" if row["quiet"] else " [not a quiet machine]"
    return f"{ratio:<24} {row['aim']:<14} {verdict(row):<26} {row['what']}{quiet}"


def text(rows):
    """The rows as a table in plain text, a section for each file of benchmarks, with the counts at the end."""
    lines = [f"{'other / ours':<24} {'aim':<14} {'outcome':<26} work"]
    for section in dict.fromkeys(row["section"] for row in rows):
        lines += ["", section, *(line(row) for row in rows if row["section"] == section)]
    words = [verdict(row).partition(",")[0] for row in rows]
    kinds = ("met", "missed within its spread", "MISSED", "LOST")
    counts = ", ".join(f"{words.count(kind)} {kind}" for kind in kinds if kind in words)
    return "\n".join([*lines, "", f"{len(rows)} rows: {counts}"])


def floor(row, machine):
    """Seconds that the hardware needs at the least for a unit of the work; None where nobody said what that is."""
    least = [row["bytes"] / machine["bytes_per_second"]] if row["bytes"] else []
    if row["operations"]:
        least.append(row["operations"] / machine["operations_per_second"][row["real"]])
    return max(least, default=None)


def markdown(rows, tables, machine, others=()):
    """The tables, a section for each file of benchmarks; others : the reports of processors of other kinds."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    speeds = machine["operations_per_second"]
    lines = [
        f"`python -m pytest bench --report` made these tables on {machine['date']}, at commit {machine['commit']}:"
        f" {machine['processor']} ({machine['kind']}), {machine['system']}; {versions}. One thread each, both sides of"
        " a row in turn; medians, the quartiles of the ratio in brackets. The machine is shared, and at times half as"
        " fast: a round during which it was so is taken again while 15 seconds last. The floor is what the machine"
        f" needs for the bytes or the operations of the work alone, at {machine['bytes_per_second'] / 1e9:.0f} GB/s"
        f" from memory and {speeds['float64'] / 1e9:.0f} GFLOP/s (float32: {speeds['float32'] / 1e9:.0f}), the best"
        " that it was seen to do meanwhile; what fits into a cache may beat it.",
    ]
    lines += [
        f"\nThe column {other['machine']['kind']} is from {other['machine']['date']}, commit"
        f" {other['machine']['commit']}: {other['machine']['processor']}."
        for other in others
    ]
    elsewhere = [
        (other["machine"]["kind"], {(row["section"], row["what"]): row for row in other["rows"]}) for other in others
    ]
    heads = ["work", "ours", "other", f"other / ours, {machine['kind']}", *(kind for kind, _ in elsewhere)]
    heads += ["floor", "aim", "outcome"]
    for section in dict.fromkeys([*(row["section"] for row in rows), *(table["section"] for table in tables)]):
        lines += ["", f"**{section}**"]
        chosen = [row for row in rows if row["section"] == section]
        if chosen:
            lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for row in chosen:
            least = floor(row, machine)
            ratio = f"**{row['ratio']:.3g}** ({row['low']:.3g} to {row['high']:.3g})"
            there = [of_kind.get((section, row["what"])) for _, of_kind in elsewhere]
            what = f"{row['what']}, {'an' if row['unit'][0] in 'aeiou' else 'a'} {row['unit']}"
            outcome = "; ".join(
                filter(None, [verdict(row), row["outcome"], "" if row["quiet"] else "not a quiet machine"])
            )
            cells = [what, seconds(row["ours"]), seconds(row["theirs"]), ratio]
            cells += [f"{other['ratio']:.3g}" if other else "" for other in there]
            cells += [seconds(least) if least else "", row["aim"], outcome]
            lines.append(f"| {' | '.join(cells)} |")
        for table in tables:
            if table["section"] == section:
                lines += ["", *table["lines"]]
    return "\n".join(lines)


def picture(rows, path):
    """Bars of the ratios, by workload: a missed aim that is still ahead of the other is no loss."""
    import matplotlib.pyplot as plt

    lines = []  # from top to bottom: names of sections, and rows
    for section in dict.fromkeys(row["section"] for row in rows):
        lines += [section, *(row for row in rows if row["section"] == section)]
    figure, axes = plt.subplots(figsize=(9.5, 0.185 * len(lines) + 1), layout="constrained")
    for place, line in zip(range(len(lines))[::-1], lines, strict=True):
        if isinstance(line, str):
            axes.axhspan(place - 0.5, place + 0.5, color="0.93")
            axes.annotate(line, (0, place), (-6, 0), ("axes fraction", "data"), "offset points", **_HEADING)
            continue
        ratio = line["ratio"]
        color, _ = _COLORS[0 if met(line) else 1 if ratio > 1.0 else 2]
        axes.barh(place, ratio - 1.0, left=1.0, color=color)
        shown = f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}".replace(",", " ")
        axes.annotate(shown, (max(ratio, 1.0), place), (3, 0), "data", "offset points", fontsize=7, va="center")
    axes.axvline(1.0, color="k", linewidth=0.8)
    axes.margins(x=0.12)
    axes.set(xscale="log", ylim=(-0.7, len(lines) - 0.3), xlabel="time of the other / ours (left of 1: ours is slower)")
    named = [(len(lines) - 1 - i, _short(line["what"])) for i, line in enumerate(lines) if not isinstance(line, str)]
    axes.set_yticks(*zip(*named, strict=True), fontsize=7)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color, _ in _COLORS]
    axes.legend(handles, [text for _, text in _COLORS], loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)


def _short(what):
    """What is compared, in the width of a label; the tables have all of it."""
    return textwrap.shorten(what, 76, placeholder=" ...")


# Colours that everyone can tell apart (M. Okabe and K. Ito, 2008).
_COLORS = [("#009E73", "aim met"), ("#56B4E9", "aim missed, but faster"), ("#D55E00", "aim missed, slower")]
_HEADING = {"fontsize": 7.5, "fontweight": "bold", "ha": "right", "va": "center", "annotation_clip": False}


def write(rows, tables):
    """Write all; returns the names of the files. The report of another kind of processor stays in report.json."""
    here = machine()
    told = [{**row, "met": bool(met(row)), "floor": floor(row, here)} for row in rows]
    reports = json.loads((HERE / "report.json").read_text()) | {
        here["kind"]: {"machine": here, "rows": told, "tables": tables}
    }
    others = [report for kind, report in reports.items() if kind != here["kind"]]
    text = markdown(rows, tables, here, others)
    (HERE / "report.md").write_text(f"# What was measured\n\n{text}\n\n![ratios](report.png)\n")
    (HERE / "report.json").write_text(json.dumps(reports, indent=1) + "\n")
    picture(rows, HERE / "report.png")
    before, found, rest = PAGE.read_text().partition(BEGIN)
    if found:
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return "bench/report.md, bench/report.json, bench/report.png, docs/benchmarks.md"
