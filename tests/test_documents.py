"""The snippets of the README and of the documentation run as they stand, and what they say of the code is so."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.special

import gradopt

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for folder in (DOCS, DOCS / "how_to") for path in folder.glob("*.md"))
WITH_SNIPPETS = ["README.md", *(page for page in PAGES if ">>> " in (ROOT / page).read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_SNIPPETS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_snippets_run(name):
    result = doctest.testfile(str(ROOT / name), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 3
    assert result.failed == 0


def test_the_two_commands_are_one_line_each():
    blocks = README.read_text().split("```bash\n")[1:]
    commands = [block.split("```")[0].strip() for block in blocks]
    assert len(commands) == 2
    for command in commands:
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")


def test_the_tree_of_the_design_notes_has_all_folders():
    tree = (ROOT / "docs" / "design.md").read_text().split("gradopt/\n")[1].split("```")[0]
    listed = set(re.findall(r"^  (\w+)(?:/|\.py)", tree, re.MULTILINE))
    package = Path(gradopt.__file__).parent
    there = {
        path.stem
        for path in package.iterdir()
        if path.stem not in ("__init__", "__pycache__") and path.suffix != ".typed"
    }
    assert listed == there


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
        assert target.startswith("http") or ((ROOT / name).parent / target).exists(), target


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 160
    assert README.read_text().index(">>> ") < 900  # code on the first screen


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs" / "reference" / "index.md").read_text()
    listed = set(re.findall(r"^   (\w+)$", page, re.MULTILINE))
    public = set(gradopt.__all__) | set(gradopt.problems.__all__) | set(gradopt.plot.__all__)
    assert public - {"plot", "problems"} <= listed


def test_the_changelog_knows_the_version():
    assert f"## {gradopt.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_what_the_tables_say_is_traced_is_tested():
    tables = (ROOT / "docs" / "tables.md").read_text()
    rows = tables.split("| what can be traced | |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    sources = "".join(path.read_text() for path in (ROOT / "tests" / "tape").glob("*.py"))
    missing = []
    for row in rows[:-1]:
        for code in re.findall(r"`([a-z0-9_.]+)`", row):
            name = code.removeprefix("np.")
            if name == "args" or name.startswith(("scipy.", "np.", "tests")):
                continue
            spellings = (f"np.{name}(", f".{name}(", f"np.fft.{name}(", f" {name}(", f".{name} ", f"{name}.")
            spellings = (*spellings, f'"{name}"', f"stats.{name},", f" {name} ")
            missing += [] if any(spelling in sources for spelling in spellings) else [code]
    assert not missing


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x[x > 0.6].sum(),
        lambda x: scipy.special.gammainc(x, 1.0).sum(),
        lambda x: np.linalg.eigvals(np.outer(x, x)).real.sum(),
        lambda x: np.sum(x * np.random.default_rng().normal(size=2)),
    ],
)
def test_what_the_tables_say_is_not_traced_is_refused(fun):
    with pytest.raises(gradopt.TraceError):
        gradopt.trace(fun, [0.5, 0.7])
