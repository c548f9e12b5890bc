"""What a user's type checker sees: a strict script passes, and mistakes are found."""

import subprocess
import sys
from pathlib import Path

import pytest

from marks import compiled_only

HERE = Path(__file__).parent

pytest.importorskip("mypy")
pytestmark = [pytest.mark.slow, compiled_only]  # once is enough


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")  # NumPy's types are read once


def check(name, folder):
    options = ["--strict", "--config-file=", "--no-error-summary", f"--cache-dir={folder}"]
    command = [sys.executable, "-m", "mypy", *options, name]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.splitlines()


def test_a_strict_script_passes(cache):
    assert check("script.py", cache) == []


def test_mistakes_are_found(cache):
    source = (HERE / "mistakes.py").read_text().splitlines()
    found = {int(line.split(":")[1]) for line in check("mistakes.py", cache) if ": error:" in line}
    first = next(i for i, line in enumerate(source, 1) if "nitt" in line)
    assert found == set(range(first, len(source) + 1))


def test_the_script_runs(tmp_path):
    command = [sys.executable, str(HERE / "script.py")]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
