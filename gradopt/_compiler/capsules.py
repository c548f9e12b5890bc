"""The addresses of C functions that Cython modules export, as scipy does with its LAPACK and special functions."""

from __future__ import annotations

import ctypes
from typing import Any

_address_in: Any = ctypes.pythonapi.PyCapsule_GetPointer
_address_in.restype, _address_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_name_of: Any = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]


def exported(module: Any, name: str, result: str) -> int:
    """The address of an exported function, or of its variant for doubles; result : how its C type begins."""
    functions = module.__pyx_capi__
    variants = [functions[v] for v in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}") if v in functions]
    capsule = next(one for one in variants if _name_of(one).decode().startswith(result))
    return int(_address_in(capsule, _name_of(capsule)))
