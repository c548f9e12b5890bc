"""Scripts in processes of their own."""

import os
import subprocess
import sys


def python(code, folder, **environment):
    """The words that a script prints, run in this folder."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.split()
