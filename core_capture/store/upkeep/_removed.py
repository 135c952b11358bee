"""Segments that were removed on purpose: a record takes their place in the chain, so that `verify` does not miss them.

store.json is public and anybody who writes to the folder may change it. So a record is signed by the node that removed
the segments, and names the hashes at both ends: a chain with a record in it holds as it did with the segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from msgspec.structs import replace

from kubeshark.core_capture.store.catalogue._state import Removed
from kubeshark.core_capture.store.keys._signing import NodeKey, is_signed
from kubeshark.core_capture.store.segments._info import Chain

__all__ = ["is_genuine", "with_removed"]


def with_removed(
    records: Iterable[Removed],
    links: Iterable[tuple[Chain, str]],
    why: Literal["pruned", "recovered"],
    key: NodeKey,
) -> list[Removed]:
    """Return the records and those of the segments with these (chain, SHA-256 of the index), neighbours joined.

    Only what `key` signed itself is joined: nobody's forged record becomes genuine by standing beside one.
    """
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    others, own = list[Removed](), list[Removed]()
    for record in records:
        (own if record.by == key.public and is_genuine(record) else others).append(record)
    own += [Removed(why, c.public_key, c.sequence, c.sequence, c.previous, sha, when, key.public) for c, sha in links]
    joined: list[Removed] = []
    for record in sorted(own, key=lambda record: (record.key, record.first, record.last)):
        before = joined[-1] if joined else None
        if before is not None and _follows(record, before):
            latest = max(before.when, record.when)
            joined[-1] = replace(before, last=record.last, sha256=record.sha256, when=latest, signature="")
        elif record != before:
            joined.append(record)
    signed = [r if r.signature else replace(r, signature=key.sign(_content(r)).hex()) for r in joined]
    return sorted(others + signed, key=lambda record: (record.key, record.first))


def is_genuine(record: Removed) -> bool:
    """Say whether the node that the record names as remover signed it."""
    return is_signed(_content(record), bytes.fromhex(record.signature), record.by)


def _follows(record: Removed, before: Removed) -> bool:
    return (
        record.why == before.why
        and record.key == before.key
        and record.first == before.last + 1
        and record.previous == before.sha256
    )


def _content(r: Removed) -> bytes:
    fields = ("kubeshark removed", r.why, r.key, r.first, r.last, r.previous, r.sha256, r.when, r.by)
    return "\n".join(map(str, fields)).encode()
