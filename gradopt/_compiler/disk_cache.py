"""The disk cache of machine code: its keys, its files, and which code it stores."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

from gradopt._compiler.numba_api import PRESENT, cache
from gradopt._compiler.stamp import stamp
from gradopt._compiler.value_types import is_of_this_package

_STAMP = stamp()

_DIGEST_SIZE = hashlib.sha256().digest_size

_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if not _warned:
        _warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


class CacheFiles(cache.IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index of a function's machine code, with a separate file for each key.

    Numba itself numbers the files. When two processes fill the cache at once, they may give one number to different
    overloads, or to different functions of one factory; the index of one process then names the other's file. Each
    file begins with a digest: damaged machine code would end the process.
    """

    def save(self, key: Any, data: Any) -> None:
        overloads = self._load_index()
        if key not in overloads:
            digest = hashlib.sha256(cache.dumps(key)).hexdigest()[:24]
            overloads[key] = self._index_name.removesuffix("nbi") + digest + ".nbc"
            self._save_index(overloads)
        self._save_data(overloads[key], data)

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[_DIGEST_SIZE:]).digest() != content[:_DIGEST_SIZE]:
            raise ValueError(f"{name} is damaged")
        return pickle.loads(content[_DIGEST_SIZE:])


class StampedCache(cache.FunctionCache):  # type: ignore[misc]
    """Numba's disk cache with the sources of the whole package in the key, for the package's own classes.

    Numba itself checks only the file that defines a function. A loop that was compiled together with a kernel from
    another file would keep using that kernel's old code after an edit. Users' functions and configuration classes,
    which the sources do not cover, are compiled in each process.
    """

    def __init__(self, function: Any, flags: dict[str, Any]) -> None:
        super().__init__(function)
        self._flags = tuple(sorted((name, str(value)) for name, value in flags.items()))
        place = self._impl.locator
        self._cache_file = CacheFiles(self._cache_path, self._impl.filename_base, place.get_source_stamp())

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """The key: Numba's own (signature, processor, bytecode, closure), the package's sources, the parts
        of Numba that it uses, the flags.
        """
        return (*super()._index_key(sig, codegen), _STAMP, PRESENT, self._flags)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if not all(map(is_of_this_package, sig)):
            return None
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # the file is damaged, or names classes of another version of the package
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        if not all(map(is_of_this_package, sig)):
            return
        try:
            super().save_overload(sig, data)
        except OSError as error:  # a full disk, a quota, a folder that became read-only
            _warn_once(f"machine code can't be kept in {self.cache_path} ({error}); each process compiles anew")
