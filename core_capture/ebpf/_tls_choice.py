"""Whose TLS is read: processes and control groups, as the kernel's program looks them up."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Final

from kubeshark.core_capture.ebpf._processes import TlsProcess
from kubeshark.errors import UsageError

__all__ = [
    "CGROUPS",
    "MAX_CHOSEN",
    "PODS",
    "POD_LOGS",
    "has_pods",
    "is_of_pods",
    "keys_of",
    "keys_of_pods",
    "pod_name",
    "uids_of",
]

CGROUPS: Final = Path("/sys/fs/cgroup")
POD_LOGS: Final = Path("/var/log/pods")
"""Where a kubelet keeps the logs of its pods: a folder NAMESPACE_NAME_UID each."""

PODS: Final = "pods"
"""The choice of processes of pods that are named while it runs, and of nobody else."""

MAX_CHOSEN: Final = 4096
_ID: Final = re.compile(r"[0-9A-Za-z_-]{8,64}")
_CGROUP_BIT: Final = 1 << 63
_POD: Final = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})")
_HOW: Final = "write all, pid:NUMBER, name:PROGRAM, container:ID, pod:UID or pod:NAMESPACE/NAME, or pods alone"


def keys_of(
    choices: Sequence[str],
    processes: Sequence[TlsProcess],
    cgroups: Path = CGROUPS,
    logs: Path = POD_LOGS,
    *,
    must_exist: bool = True,
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
        elif named := pod_name(choice):
            uids = uids_of(*named, logs)
            found = [_CGROUP_BIT | inode for uid in uids for inode in _cgroups_of(kind, uid, cgroups)]
        else:
            raise UsageError(f"{choice!r} chooses no processes", hint=_HOW)
        if not found and must_exist:
            hint = f"by name pods of this machine are found in {logs}, or by an API server; pod:UID needs neither"
            if not pod_name(choice):
                hint = '"kubeshark capture --list-tls" shows who uses TLS'
            raise UsageError(f"there is no {kind} {value}", hint=hint)
        keys.update(dict.fromkeys(found))
    if len(keys) > MAX_CHOSEN:
        raise UsageError(f"{len(keys):,} processes and groups are more than {MAX_CHOSEN:,}", hint='choose "all"')
    return [struct.pack("<Q", key) for key in keys]


def keys_of_pods(uids: Set[str], cgroups: Path = CGROUPS) -> list[bytes]:
    """Return the keys of the pods of this machine that have these uids; none for a pod that is not here.

    One walk for all of them. Of more than MAX_CHOSEN groups none is chosen: raises UsageError.
    """
    inside: dict[str, bool] = {}  # folder → whether it is a wanted pod's
    keys: list[bytes] = []
    for folder, _, _ in os.walk(cgroups) if uids else ():
        above, _, name = folder.rpartition("/")
        inside[folder] = inside.get(above, False) or _pod_of(name) in uids
        if inside[folder]:
            with suppress(FileNotFoundError):  # it ended meanwhile
                keys.append(struct.pack("<Q", _CGROUP_BIT | Path(folder).stat().st_ino))
    if len(keys) > MAX_CHOSEN:
        raise UsageError(f"{len(keys):,} control groups of selected pods are more than {MAX_CHOSEN:,}")
    return keys


def has_pods(cgroups: Path = CGROUPS) -> bool:
    """Say whether this is the tree of a node: a container's own view of it has no groups of pods."""
    return any("pod" in name for _, names, _ in os.walk(cgroups) for name in names)


def is_of_pods(cgroup: str, uids: Set[str]) -> bool:
    """Say whether a control group, by its path, is of one of these pods."""
    return any(_pod_of(name) in uids for name in cgroup.split("/"))


def _pod_of(group: str) -> str:
    """Return whose group it is by its name: "pod1f2e-…", or of systemd "kubepods-burstable-pod1f2e_….slice"."""
    uid = group.rpartition("pod")[2].removesuffix(".slice").replace("_", "-")
    return uid if "pod" in group and _ID.fullmatch(uid) else ""  # "kubepods" is nobody's


def pod_name(choice: str) -> tuple[str, str] | None:
    """Return (namespace, name) of a choice that says pod:NAMESPACE/NAME."""
    found = _POD.fullmatch(choice.removeprefix("pod:")) if choice.startswith("pod:") else None
    return (found[1], found[2]) if found else None


def uids_of(namespace: str, name: str, logs: Path = POD_LOGS) -> list[str]:
    """Return the uids of the pods of this machine that have a name, also of one that was there before."""
    begin = f"{namespace}_{name}_"  # neither has an underscore in it
    with suppress(OSError):
        uids = [entry.name.removeprefix(begin) for entry in logs.iterdir() if entry.name.startswith(begin)]
        return [uid for uid in uids if _ID.fullmatch(uid)]
    return []


def _cgroups_of(kind: str, value: str, cgroups: Path) -> Iterator[int]:
    """Yield the inodes of the groups of a container or pod, and of those below them."""
    names = {value, value.replace("-", "_")}  # systemd writes a pod's uid with underscores
    prefix = "pod" if kind == "pod" else ""
    for folder, _, _ in os.walk(cgroups):
        inside = folder.removeprefix(str(cgroups))
        if any(prefix + name in inside for name in names):
            yield Path(folder).stat().st_ino
