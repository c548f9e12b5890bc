"""The file format: named arrays and facts in one .npz file without pickle, with a digest, replaced atomically.

It does not depend on results; `result.py` defines the contents of a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate

_FORMAT, _VERSION = "gradopt result", 1


def write(path: Path, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file; it replaces an older one of that name only when it is complete."""
    header = {"format": _FORMAT, "version": _VERSION, "digest": _digest(arrays, facts)}
    _replace(path, arrays | {"facts": np.array(json.dumps(facts | header, default=as_json))})


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts and the arrays of a file; raises a ValueError if it is damaged, was changed, or has another format."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        name, version, digest = facts.pop("format"), facts.pop("version", None), facts.pop("digest", None)
    except FileNotFoundError:
        raise
    except Exception as error:  # from the zip format, NumPy or JSON
        reason = "" if "pickle" in str(error) else f": {error}"  # NumPy's advice about pickle does not help here
        raise ValueError(f"{path} is damaged or not a saved result{reason}") from None
    if (name, version) != (_FORMAT, _VERSION):
        raise ValueError(f"{path} is a {name} of version {version}, not of version {_VERSION}")
    if digest != _digest(arrays, facts):
        raise ValueError(f"{path} was changed after it was saved")
    return facts, arrays


def as_json(value: Any) -> Any:
    """A value that json can't write itself: NumPy's numbers, and the arrays in the state of some bit generators."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"can't save {validate.shown(value)}")


def _digest(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=as_json).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _replace(path: Path, arrays: dict[str, Any]) -> None:
    """Write under another name in the same folder, then rename: a reader sees the old file or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
