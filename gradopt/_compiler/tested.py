"""The newest Numba that the package was tested with: a newer one gets a warning, once."""

from __future__ import annotations

import warnings

import numba

NEWEST = (0, 68)


def warn_of_newer(version: tuple[int, ...], text: str) -> None:
    """Warn if this version of Numba, such as (0, 68) and "0.68.1", is newer than the newest that was tested."""
    if version > NEWEST:
        newest = ".".join(map(str, NEWEST))
        warnings.warn(
            f"gradopt was tested with Numba up to {newest}, and this is {text}: if it fails to compile, install"
            f" numba=={newest}.*, or set NUMBA_DISABLE_JIT=1 to run without the compiler",
            RuntimeWarning,
            stacklevel=2,
        )


warn_of_newer(numba.version_info.short, numba.__version__)
