"""What tests are marked with, and called by."""

import re
import sys
from pathlib import Path

import pytest

import gradopt
from gradopt._compiler import COMPILING, numba_api

PACKAGE = Path(gradopt.__file__).parent


def _name(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


# All modules; of those in `_compiler`, which may stand for one another, the ones in use.
MODULES = [
    name
    for name in map(_name, sorted(PACKAGE.rglob("*.py")))
    if not name.startswith("gradopt._compiler.") or name in sys.modules
]


def named(case):
    """What a test is called by what it tries: the same in every process."""
    return re.sub(r" at 0x\w+", "", str(case))[:60]


compiled_only = pytest.mark.skipif(not COMPILING, reason="needs the compiler")
private_numba = pytest.mark.skipif(numba_api.PLAIN, reason="needs more than Numba's public interface")
