"""Forks wait for the compiler: a child would inherit its lock, locked by a thread that the child has not.

LLVM has a lock of its own. Whatever asks LLVM outside Numba's compiler holds Numba's lock meanwhile.
"""

from __future__ import annotations

import os

from gradopt._compiler.numba_api import lock

if lock is not None and hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lock.global_compiler_lock.acquire,
        after_in_parent=lock.global_compiler_lock.release,
        after_in_child=lock.global_compiler_lock.release,
    )
