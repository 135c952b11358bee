"""Snapshots: named time windows that retention never deletes. They copy nothing: they keep segments where they are.

They lie in snapshots.age (`_signed_file.py`). Its own lock lets a snapshot be made beside a writer; who deletes
segments holds it too, so that nothing goes that a snapshot just named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from kubeshark.core_capture.store._limits import MAX_STATE_BYTES
from kubeshark.core_capture.store.catalogue._signed_file import SignedFile
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import SNAPSHOTS, SNAPSHOTS_LOCK
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.errors import Damaged, StoreError, UsageError

__all__ = ["Snapshot", "add_snapshot", "delete_snapshot", "load_snapshots", "snapshots_key"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class NobodyKnowsError(Damaged):
    """What must be kept cannot be read any more, and nothing else says it."""

    def __init__(self, error: Damaged) -> None:
        self.file, self.offset = error.file, error.offset
        hint = f"nothing is pruned until somebody deletes {SNAPSHOTS} and creates the snapshots anew"
        StoreError.__init__(self, error.message, hint=hint)


class Snapshot(Struct, frozen=True):
    """Keeps every segment with packets from `since_ns` to `until_ns`, both inclusive."""

    name: Annotated[str, msgspec.Meta(pattern=rf"^{_NAME.pattern}$")]
    since_ns: int
    until_ns: int
    created: Annotated[str, msgspec.Meta(max_length=40)]  # RFC 3339

    def keeps(self, info: SegmentInfo) -> bool:
        """Say whether the segment has packets that may lie in the window."""
        return info.packets > 0 and info.last_ns >= self.since_ns and info.first_ns <= self.until_ns


class _Body(msgspec.Struct):
    snapshots: list[Snapshot]
    version: Literal[1] = 1


_FILE = SignedFile(SNAPSHOTS, _Body, MAX_STATE_BYTES)


def load_snapshots(files: Backend, identities: Sequence[Identity]) -> list[Snapshot]:
    """Return the snapshots by name; raise NotForUsError or Damaged: then nobody knows what must be kept."""
    return _known(files, identities)[0]


def snapshots_key(files: Backend, identities: Sequence[Identity]) -> str | None:
    """Return the public key of the node that signed the file, None without one."""
    found = _FILE.read(files, identities)
    return found.public_key if found else None


def add_snapshot(
    files: Backend,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    key: NodeKey,
    name: str,
    since_ns: int,
    until_ns: int,
) -> Snapshot:
    """Make a snapshot that lasts when this returns."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"snapshot name {name[:80]!r}", hint="use at most 63 letters, digits, dots, dashes")
    if until_ns < since_ns:
        raise UsageError("a snapshot's window ends before it begins", hint="--since is the earlier time")
    with files.lock(SNAPSHOTS_LOCK):
        known, version = _known(files, identities)
        if any(snapshot.name == name for snapshot in known):
            raise StoreError(f"there is a snapshot {name!r} already", hint="delete it first, or take another name")
        made = Snapshot(name, since_ns, until_ns, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        _FILE.replace(files, _Body([*known, made]), recipients, key, version)
    return made


def delete_snapshot(
    files: Backend, identities: Sequence[Identity], recipients: Sequence[Recipient], key: NodeKey, name: str
) -> Snapshot:
    """Take a snapshot away; its segments stay until retention comes round."""
    with files.lock(SNAPSHOTS_LOCK):
        listed, version = _known(files, identities)
        known = {snapshot.name: snapshot for snapshot in listed}
        gone = known.pop(name, None)
        if gone is None:
            raise StoreError(
                f"no snapshot {name[:80]!r} in {files.location}", hint='see "kubeshark store snapshot list"'
            )
        _FILE.replace(files, _Body(list(known.values())), recipients, key, version)
    return gone


def _known(files: Backend, identities: Sequence[Identity]) -> tuple[list[Snapshot], str]:
    """Return the snapshots and the version that is to be replaced."""
    try:
        found = _FILE.read(files, identities)
    except Damaged as error:
        raise NobodyKnowsError(error) from error
    return (sorted(found.body.snapshots, key=lambda each: each.name), found.version) if found else ([], "")
