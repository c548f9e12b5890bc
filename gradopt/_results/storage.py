"""The file format: named arrays and facts in one .npz file without pickle, with a digest, replaced atomically.

It does not depend on results; `result.py` defines the contents of a file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import stat
import zipfile
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
        with zipfile.ZipFile(path) as file:
            arrays = {member.filename.removesuffix(".npy"): _array(file, member) for member in file.infolist()}
        facts = json.loads(str(arrays.pop("facts")))
        name, version, digest = facts.pop("format"), facts.pop("version", None), facts.pop("digest", None)
    except FileNotFoundError:
        raise
    except Exception as error:  # from the zip format, NumPy or JSON
        told = not isinstance(error, zipfile.BadZipFile) and "allow_pickle" not in str(error)  # they don't help here
        reason = f": {error}" if told else ""
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


def _array(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of a file; it takes no more memory than the file has bytes."""
    if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
        raise ValueError(f"{member.filename} is not an array as they are saved here")
    with file.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[version](stream)
        if math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise ValueError(f"{member.filename} has not the bytes of an array {shape} of {dtype}")
    with file.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)  # type: ignore[no-any-return]


def _replace(path: Path, arrays: dict[str, Any]) -> None:
    """Write under another name in the same folder, then rename: a reader sees the old file or the new one.

    A new file gets the rights that the umask allows, a replaced one keeps its own; links are followed.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
