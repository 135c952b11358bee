"""Who had an address, and when: names beside the segments, so that packets keep those that were true at their time.

They lie in names.age (`_signed_file.py`, packed); closed records that end before everything in the store go when it is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from kubeshark.core_capture.store.catalogue._signed_file import Signed, SignedFile
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import NAMES, NAMES_LOCK
from kubeshark.errors import Damaged

__all__ = ["NameKind", "NameRecord", "change_names", "load_names", "names_key", "share_names"]

NameKind = Literal["pod", "service", "node", "host"]

MAX_RECORDS = 100_000
"""Of more only the latest begun are kept."""

MAX_PLAIN_BYTES = 256 << 20

_Text = Annotated[str, msgspec.Meta(max_length=253)]
_Address = Annotated[str, msgspec.Meta(max_length=45)]
_Texts = Annotated[dict[_Text, Annotated[str, msgspec.Meta(max_length=4_096)]], msgspec.Meta(max_length=128)]


class NameRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One name of some addresses, from `since_ns` (nanoseconds since 1970) until just before `until_ns`; None: still.

    `kind`: a service has its own addresses, or those of who answers for it; a host is whatever has a name outside.
    """

    kind: NameKind
    name: _Text
    namespace: _Text = ""
    addresses: Annotated[tuple[_Address, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    since_ns: int
    until_ns: int | None = None
    labels: _Texts = {}
    annotations: _Texts = {}
    node: _Text = ""
    node_address: Annotated[str, msgspec.Meta(max_length=45)] = ""
    owner: Annotated[str, msgspec.Meta(max_length=400)] = ""  # Kind/name of its controller


class _Body(msgspec.Struct):
    records: list[NameRecord]
    version: Literal[1] = 1


_FILE = SignedFile(NAMES, _Body, MAX_PLAIN_BYTES, is_packed=True)


def load_names(files: Backend, identities: Sequence[Identity]) -> list[NameRecord]:
    """Return the records, by their begin; none without the file. Raise NotForUsError or Damaged."""
    found = _load(files, identities)
    return found.body.records if found else []


def names_key(files: Backend, identities: Sequence[Identity]) -> str | None:
    """Return the public key of the node that signed the file, None without one."""
    found = _load(files, identities)
    return found.public_key if found else None


def change_names(
    files: Backend,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    key: NodeKey,
    change: Callable[[list[NameRecord]], Iterable[NameRecord]],
    *,
    oldest_ns: int | None = None,
) -> list[NameRecord]:
    """Replace the records by what `change` makes of them; they last when this returns.

    Those that ended before `oldest_ns`, the first packet of the store, go. Raises StoreError, Changed where another
    process wrote meanwhile.
    """
    with files.lock(NAMES_LOCK):
        found = _load(files, identities)
        known, version = (found.body.records, found.version) if found else ([], "")
        kept = [
            record
            for record in change(known)
            if record.until_ns is None
            or (record.until_ns > record.since_ns and (oldest_ns is None or record.until_ns > oldest_ns))
        ]
        kept.sort(key=lambda record: record.since_ns)
        del kept[:-MAX_RECORDS]
        if kept == known:
            return kept
        _FILE.replace(files, _Body(kept), recipients, key, version)
    return kept


def share_names(files: Backend, other: Backend) -> None:
    """Copy the file, signed and encrypted as it is, over that of another store; raise StoreError or OSError."""
    found = files.open(NAMES)
    try:
        data = found.pread(found.size(), 0)
    finally:
        found.close()
    other.replace(NAMES, data)


def _load(files: Backend, identities: Sequence[Identity]) -> Signed[_Body] | None:
    found = _FILE.read(files, identities)
    if found and len(found.body.records) > MAX_RECORDS:
        raise Damaged(f"has more than {MAX_RECORDS:,} records", file=NAMES)
    return found
