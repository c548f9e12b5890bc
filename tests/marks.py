"""What tests are marked with, and called by."""

import re

import pytest

from gradopt._compiler import COMPILING


def named(case):
    """What a test is called by what it tries: the same in every process."""
    return re.sub(r" at 0x\w+", "", str(case))[:60]


compiled_only = pytest.mark.skipif(not COMPILING, reason="needs the compiler")
