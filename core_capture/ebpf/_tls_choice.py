"""Whose TLS is read: processes and control groups, as the kernel's program looks them up."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kubeshark.core_capture.ebpf._processes import TlsProcess
from kubeshark.errors import UsageError

__all__ = ["CGROUPS", "MAX_CHOSEN", "keys_of"]

CGROUPS: Final = Path("/sys/fs/cgroup")
MAX_CHOSEN: Final = 4096
_ID: Final = re.compile(r"[0-9A-Za-z_-]{8,64}")
_CGROUP_BIT: Final = 1 << 63
_HOW: Final = "write all, pid:NUMBER, name:PROGRAM, container:ID or pod:UID"


def keys_of(
    choices: Sequence[str], processes: Sequence[TlsProcess], cgroups: Path = CGROUPS, *, must_exist: bool = True
) -> list[bytes]:
    """Return the keys of the map `chosen`: 8 bytes each. Raises UsageError for what can name nobody.

    A container and a pod are chosen by their control groups: processes that start there later are read, too.
    """
    keys: dict[int, None] = {}
    for choice in choices:
        kind, _, value = choice.partition(":")
        if choice == "all":
            found = [0]
        elif kind == "pid" and value.isascii() and value.isdigit():
            found = [int(value)] if Path(f"/proc/{int(value)}").is_dir() else []
        elif kind == "name" and value:
            found = [each.pid for each in processes if each.name == value[:15]]  # the kernel keeps as much
        elif kind in ("container", "pod") and _ID.fullmatch(value):
            found = [_CGROUP_BIT | inode for inode in _cgroups_of(kind, value, cgroups)]
        else:
            raise UsageError(f"{choice!r} chooses no processes", hint=_HOW)
        if not found and must_exist:
            raise UsageError(f"there is no {kind} {value}", hint='"kubeshark capture --list-tls" shows who uses TLS')
        keys.update(dict.fromkeys(found))
    if len(keys) > MAX_CHOSEN:
        raise UsageError(f"{len(keys):,} processes and groups are more than {MAX_CHOSEN:,}", hint='choose "all"')
    return [struct.pack("<Q", key) for key in keys]


def _cgroups_of(kind: str, value: str, cgroups: Path) -> Iterator[int]:
    """Yield the inodes of the groups of a container or pod, and of those below them."""
    names = {value, value.replace("-", "_")}  # systemd writes a pod's uid with underscores
    prefix = "pod" if kind == "pod" else ""
    for folder, _, _ in os.walk(cgroups):
        inside = folder.removeprefix(str(cgroups))
        if any(prefix + name in inside for name in names):
            yield Path(folder).stat().st_ino
