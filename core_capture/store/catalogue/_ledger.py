"""What a node wrote, for itself: so much of each segment as deleting it takes, readable without any identity.

A node that captures holds recipients only, and cannot read the indexes it wrote before it was started last. Its
retention goes by this file. It says no more than names, sizes and times of files do, and nothing of the packets.

Signed by the node, and believed for nothing but its own segments: whoever could make it say something else of the chain
would have their own deletions signed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

import msgspec

from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.catalogue._summary import Summary
from kubeshark.core_capture.store.keys._signing import NodeKey, decode_signed, encode_signed
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import LEDGER
from kubeshark.core_capture.store.segments._info import Chain, Count, SegmentInfo, SourceRecord
from kubeshark.errors import Damaged

__all__ = ["load_ledger", "save_ledger"]

MAX_LEDGER_BYTES = 4 << 20
_MAX_ROWS = 12_000  # of 300 bytes at most: 750 GB of packets; of more only the newest are kept
_SUMMARY = Summary(0, 0, frozenset(), None, bytes(64))


class _Row(msgspec.Struct, array_like=True):
    name: Annotated[str, msgspec.Meta(max_length=120)]
    sequence: Count
    previous: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    has_packets: bool
    last_ns: int


class _Body(msgspec.Struct):
    rows: list[_Row]
    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


def load_ledger(files: Backend, key: NodeKey) -> list[Entry]:
    """Return what this node wrote, in order; nothing if it wrote nothing. Raise Damaged unless it signed it.

    Of an entry only name, chain, hash, `last_ns` and whether there are packets mean something.
    """
    try:
        content = files.read(LEDGER, MAX_LEDGER_BYTES + 1).data
    except FileNotFoundError:
        return []
    if len(content) > MAX_LEDGER_BYTES:
        raise Damaged(f"is larger than {MAX_LEDGER_BYTES:,} bytes", file=LEDGER)
    body, signed_by = decode_signed(content, _Body, LEDGER)
    if signed_by != key.public:
        raise Damaged("is not signed by this node", file=LEDGER)
    return [_entry(row, key.public) for row in body.rows]


def save_ledger(files: Backend, entries: Iterable[Entry], present: Collection[str], key: NodeKey) -> None:
    """Write it anew, of those entries of this node that are `present`."""
    own = [entry for entry in entries if entry.chain.public_key == key.public and entry.info.name in present]
    rows = [
        _Row(e.info.name, e.chain.sequence, e.chain.previous, e.sha256, e.info.packets > 0, e.info.last_ns) for e in own
    ]
    body = _Body(sorted(rows, key=lambda row: row.sequence)[-_MAX_ROWS:])
    files.replace(LEDGER, encode_signed(body, key))


def _entry(row: _Row, public_key: str) -> Entry:
    info = SegmentInfo(
        name=row.name,
        node="",
        created="",
        link_type=0,
        packets=int(row.has_packets),
        flows=0,
        captured_bytes=0,
        stored_bytes=0,
        first_ns=row.last_ns,
        last_ns=row.last_ns,
        source=SourceRecord("", "", -1, 0, -1, 0, complete=False),
    )
    return Entry(info, Chain(row.sequence, row.previous, public_key), row.sha256, _SUMMARY)
