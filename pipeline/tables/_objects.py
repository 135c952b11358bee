"""Loads what makes and moves Python objects in C (native/objects.c), where that could be built.

Whoever calls it does the same in Python without it: `native` is None then.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

__all__ = ["native", "pick"]

ABI = 5

native: ModuleType | None
try:
    from kubeshark.pipeline import _objects_native as native
except ImportError:  # no compiler when it was installed, or a big-endian machine
    native = None
if native is not None and native.ABI != ABI:
    raise ImportError("kubeshark.pipeline._objects_native was built from other sources: build it again")


def pick(lists: Sequence[list[Any]], places: NDArray[Any]) -> list[Any]:
    """Return the values at these places, i8, of lists laid end to end; none of them counts from the end."""
    if native is not None:
        picked: list[Any] = native.pick(tuple(lists), places)
        return picked
    values = lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
    return [values[place] for place in places.tolist()]
