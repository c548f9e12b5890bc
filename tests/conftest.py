"""Settings of the test run: a fresh cache folder, pictures without a screen, reproducible properties."""

import os
import re
import tempfile

_cache = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share the folder of the process that started them
    _cache = tempfile.TemporaryDirectory(prefix="gradopt-tests-")
    os.environ["NUMBA_CACHE_DIR"] = _cache.name
os.environ["MPLBACKEND"] = "Agg"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from gradopt.compiler import COMPILING  # noqa: E402

settings.register_profile("gradopt", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("gradopt")


def named(case):
    """What a test is called by what it tries: the same in every process."""
    return re.sub(r" at 0x\w+", "", str(case))[:60]


compiled_only = pytest.mark.skipif(not COMPILING, reason="needs the compiler")


def pytest_unconfigure() -> None:
    if _cache:
        _cache.cleanup()


def pytest_report_header() -> str:
    return f"compiler: {'on' if COMPILING else 'off'}"


@pytest.fixture
def rng():
    return np.random.default_rng(20)
