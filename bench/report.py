"""The report of `python -m pytest bench --report`: report.md, report.json, report.png, and the tables of the README."""

import datetime
import importlib.metadata
import json
import platform
import re
import subprocess
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
PEERS = ("numba", "numpy", "scipy", "jax", "optax", "torch", "scikit-learn")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def machine():
    """What this machine is, and what it was just measured to do with one thread."""
    a, b = np.ones(8_000_000), np.ones(8_000_000)
    square = {dtype: np.ones((768, 768), dtype) for dtype in ("float32", "float64")}
    moved = a.nbytes * 3 / _best(lambda: np.add(a, 1.0, out=b))  # reading, and writing what is read first
    operations = {name: 2 * 768**3 / _best(lambda m=m: m @ m) for name, m in square.items()}
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version for name in PEERS if (version := _version(name))},
        "bytes_per_second": moved,
        "operations_per_second": operations,
    }


def _best(run):
    times = []
    for _ in range(7):
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


def seconds(value):
    """A time with its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1.0:
            return f"{value * scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def met(row):
    """Whether the aim of a row was reached."""
    wanted = re.fullmatch(r">= ([\d.]+)", row["aim"])
    if wanted:
        return row["ratio"] >= float(wanted[1])
    number, unit = re.fullmatch(r"ours < ([\d.]+) (s|ms|us)", row["aim"]).groups()
    return row["ours"] < float(number) * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[unit]


def floor(row, machine):
    """Seconds that the hardware needs at the least for a unit of the work; None where nobody said what that is."""
    least = [row["bytes"] / machine["bytes_per_second"]] if row["bytes"] else []
    if row["operations"]:
        least.append(row["operations"] / machine["operations_per_second"][row["real"]])
    return max(least, default=None)


def markdown(rows, tables, machine):
    """The tables, a section for each file of benchmarks."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    speeds = machine["operations_per_second"]
    lines = [
        f"`python -m pytest bench --report` made these tables on {machine['date']}, at commit {machine['commit']}:"
        f" {machine['processor']}, {machine['system']}; {versions}. One thread each, both sides of a row in turn;"
        " medians, the quartiles of the ratio in brackets. The floor is what the machine needs for the bytes or the"
        f" operations of the work alone, at {machine['bytes_per_second'] / 1e9:.0f} GB/s from memory and"
        f" {speeds['float64'] / 1e9:.0f} GFLOP/s (float32: {speeds['float32'] / 1e9:.0f}), which it was just measured"
        " to do; what fits into a cache may beat it.",
    ]
    for section in dict.fromkeys([*(row["section"] for row in rows), *(table["section"] for table in tables)]):
        lines += ["", f"**{section}**"]
        chosen = [row for row in rows if row["section"] == section]
        if chosen:
            lines += [
                "",
                "| work | ours | other | other / ours | floor | aim | outcome |",
                "|---|---|---|---|---|---|---|",
            ]
        for row in chosen:
            least = floor(row, machine)
            ratio = f"**{row['ratio']:.3g}** ({row['low']:.3g} to {row['high']:.3g})"
            what = f"{row['what']}, {'an' if row['unit'][0] in 'aeiou' else 'a'} {row['unit']}"
            outcome = "; ".join(filter(None, ["met" if met(row) else "MISSED", row["outcome"]]))
            numbers = [seconds(row["ours"]), seconds(row["theirs"]), ratio, seconds(least) if least else "", row["aim"]]
            lines.append("| " + " | ".join([what, *numbers, outcome]) + " |")
        for table in tables:
            if table["section"] == section:
                lines += ["", *table["lines"]]
    return "\n".join(lines)


def picture(rows, path):
    """Bars of the ratios."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.21 * len(rows) + 1), layout="constrained")
    places = np.arange(len(rows))[::-1]
    ratios = np.array([row["ratio"] for row in rows])
    errors = np.abs([[row["ratio"] - row["low"], row["high"] - row["ratio"]] for row in rows]).T
    sections = list(dict.fromkeys(row["section"] for row in rows))
    colors = [f"C{sections.index(row['section'])}" for row in rows]
    axes.barh(places, ratios - 1.0, left=1.0, xerr=errors, color=colors, error_kw={"elinewidth": 0.7})
    axes.axvline(1.0, color="k", linewidth=0.8)
    axes.set(xscale="log", xlabel="times as fast as the other (left of the line: slower)", ylim=(-0.7, len(rows) - 0.3))
    names = [row["what"] if len(row["what"]) < 75 else row["what"][:72] + "..." for row in rows]
    axes.set_yticks(places, names, fontsize=6)
    figure.savefig(path, dpi=110)


def write(rows, tables):
    """Write all; returns the names of the files."""
    here = machine()
    text = markdown(rows, tables, here)
    (HERE / "report.md").write_text(f"# What was measured\n\n{text}\n\n![ratios](report.png)\n")
    told = [{**row, "met": bool(met(row)), "floor": floor(row, here)} for row in rows]
    (HERE / "report.json").write_text(json.dumps({"machine": here, "rows": told, "tables": tables}, indent=1) + "\n")
    picture(rows, HERE / "report.png")
    readme = README.read_text()
    before, found, rest = readme.partition(BEGIN)
    if found:
        README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return "bench/report.md, bench/report.json, bench/report.png, README.md"
