"""Which core runs: the C one where it was built, else the Python reference, which says so once."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.core_capture._columns import Core

__all__ = ["core_name", "load_core"]


@functools.cache
def load_core(name: str = "") -> Core:
    """Return the core called `name` ("native", "reference"), by default $KUBESHARK_CORE, else the fastest there is."""
    wanted = _wanted(name)
    if wanted != "reference":
        try:
            from kubeshark.core_capture.native import NativeCore

            return NativeCore()
        except ImportError as error:
            if wanted == "native":
                raise UsageError("the C core was not built", hint="install python3-dev and run make setup") from error
            print(  # noqa: T201 - said once, where a log would not be seen
                "kubeshark: the C core was not built (no Python.h?): using the slower Python reference",
                file=sys.stderr,
            )
    from kubeshark.core_capture.reference import ReferenceCore

    return ReferenceCore()


def core_name() -> str:
    """Return the name of the core that `load_core` would return; at the cost of loading the C one alone."""
    if _wanted() != "reference":
        with suppress(ImportError):
            import kubeshark.core_capture._core_native  # noqa: F401

            return "native"
    return "reference"


def _wanted(name: str = "") -> str:
    wanted = name or os.environ.get("KUBESHARK_CORE", "")
    if wanted not in ("", "native", "reference"):
        raise UsageError(f"KUBESHARK_CORE is {wanted!r}", hint='use "native" or "reference"')
    return wanted
