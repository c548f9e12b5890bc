"""Settings of the test run: a fresh cache folder, pictures without a screen, reproducible properties."""

import os
import signal
import tempfile

_cache = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share the folder of the process that started them
    _cache = tempfile.TemporaryDirectory(prefix="gradopt-tests-")
    os.environ["NUMBA_CACHE_DIR"] = _cache.name
os.environ["MPLBACKEND"] = "Agg"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a shell script starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import settings

from gradopt._compiler import COMPILING, numba_api

settings.register_profile("gradopt", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("gradopt")


def pytest_collection_modifyitems(items) -> None:
    """What takes long comes last, so that most mistakes show themselves within a minute."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_unconfigure() -> None:
    if _cache:
        _cache.cleanup()


def pytest_report_header() -> str:
    used = ", ".join(numba_api.PRESENT) or "nothing"
    return f"compiler: {'on' if COMPILING else 'off'}; used of Numba beyond its public interface: {used}"


@pytest.fixture
def rng():
    return np.random.default_rng(20)
