"""Processes of their own, as a user starts them."""

import os
import subprocess
import sys


def fresh(code, cache, check=True):
    """Run code in a new Python with its Numba cache in the folder `cache`; returns what it prints.

    The bytecode of all modules is kept on disk, which is Python's default: without it, a package that was not put in
    place by pip is compiled from its sources in every process.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=check, capture_output=True, text=True).stdout
