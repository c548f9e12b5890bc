"""The digest of the package's sources, which is part of the key of all machine code on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

FILE = "sources.sha256"  # beside this module in a built package, where the sources do not change


def source_stamp(package: Path) -> str:
    """The digest of all Python files of the package in this folder, with their names."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def stamp() -> str:
    """The digest of the sources: as built, or of the files as they are in a checkout."""
    built = Path(__file__).with_name(FILE)
    return built.read_text() if built.exists() else source_stamp(Path(__file__).parents[1])
