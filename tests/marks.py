"""What tests are marked with, and called by."""

import pkgutil
import re
import sys

import pytest

import gradopt
from gradopt._compiler import COMPILING, numba_api

# All modules that can be imported: of those that stand for one another, the ones in use.
MODULES = [
    module.name
    for module in pkgutil.walk_packages(gradopt.__path__, "gradopt.")
    if not module.name.startswith("gradopt._compiler.") or module.name in sys.modules
]


def named(case):
    """What a test is called by what it tries: the same in every process."""
    return re.sub(r" at 0x\w+", "", str(case))[:60]


compiled_only = pytest.mark.skipif(not COMPILING, reason="needs the compiler")
private_numba = pytest.mark.skipif(numba_api.PLAIN, reason="needs more than Numba's public interface")
