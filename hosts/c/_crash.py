"""Where a C or C++ plugin crashed, or is: the addresses that it left (sdk/c/kubeshark_crash.c), by name.

The plugin may have written anything there: an address is only a number that is looked up in a table.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from contextlib import suppress
from pathlib import Path

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts._artefact import artefact
from kubeshark.hosts.c._lines import LINES_SUFFIX, Call, read_table

__all__ = ["RECORD_BYTES", "where_it_crashed", "where_it_is"]

_HEAD = struct.Struct("<8sII")
_MAGIC = b"KSCRASH1"
_MAX_ADDRESSES = 32
RECORD_BYTES = _HEAD.size + 8 * _MAX_ADDRESSES
ASK_SECONDS = 0.1  # for an answer of microseconds, on a busy machine
CALLERS = 2  # a line is for reading


def where_it_is(folder: Path, result: memoryview, pid: int) -> str:
    """Ask a process that takes too long where it is; "" if it does not say so at once. It has to be ended then."""
    with suppress(OSError):
        os.kill(pid, signal.SIGVTALRM)
        deadline = time.monotonic() + ASK_SECONDS
        while time.monotonic() < deadline:
            if where := where_it_crashed(folder, result, signal.SIGVTALRM):
                return where
            time.sleep(ASK_SECONDS / 100)
    return ""


def where_it_crashed(folder: Path, result: memoryview, number: int) -> str:
    """Return ` in parse (plugin.c:34), called from dissect (plugin.c:60)`; "" if that is not known."""
    magic, said, count = _HEAD.unpack_from(result)
    if magic != _MAGIC or said != number or not 0 < count <= _MAX_ADDRESSES:
        return ""
    addresses = struct.unpack_from(f"<{count}Q", result, _HEAD.size)
    try:
        table = read_table(folder / f"{artefact(folder, read_manifest(folder))}{LINES_SUFFIX}")
    except PluginRejected:
        return ""
    if table is None:
        return ""
    calls = list(dict.fromkeys(call for address in addresses for call in table.at(address)))
    if not calls:
        return ""
    callers = f", called from {', '.join(map(_shown, calls[1 : CALLERS + 1]))}" if len(calls) > 1 else ""
    return f" in {_shown(calls[0])}{callers}"


def _shown(call: Call) -> str:
    name, file, line = call
    text = f"{name[:80]} ({file[-80:]}:{line})"
    return "".join(char if char.isprintable() else "?" for char in text)
