"""A step of building the package: the digest of its sources is written beside them. Loaded by setuptools, by its path.

An installed package then need not read all its files to know which machine code is its own.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from setuptools.command.build_py import build_py

_stamp = runpy.run_path(str(Path(__file__).with_name("stamp.py")))


class BuildWithStamp(build_py):
    """The usual step, and the digest."""

    def run(self) -> None:
        """Copy the sources, then write their digest."""
        super().run()
        if not self.editable_mode:
            package = Path(self.build_lib) / "gradopt"
            (package / "_compiler" / _stamp["FILE"]).write_text(_stamp["source_stamp"](package))
