"""Loads what makes Python objects of bytes in C (native/objects.c), where that could be built.

Whoever calls it does the same in Python without it: `native` is None then.
"""

from __future__ import annotations

from types import ModuleType

__all__ = ["native"]

ABI = 3

native: ModuleType | None
try:
    from kubeshark.pipeline import _objects_native as native
except ImportError:  # no compiler when it was installed, or a big-endian machine
    native = None
if native is not None and native.ABI != ABI:
    raise ImportError("kubeshark.pipeline._objects_native was built from other sources: build it again")
