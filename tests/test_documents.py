"""The README's snippets run as they stand."""

import doctest
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_snippets_run():
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 30
    assert result.failed == 0


def test_the_two_commands_are_one_line_each():
    blocks = README.read_text().split("```bash\n")[1:]
    commands = [block.split("```")[0].strip() for block in blocks]
    assert len(commands) == 2
    for command in commands:
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")
