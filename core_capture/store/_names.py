"""Names of the files in a store, and what they say.

NAME.pcap.zst.age, NAME.idx.age   a segment: data and index
.tmp-…                            not yet renamed; of no value once its writer is gone
catalogue.age                     roll-up of all indexes, may be missing or stale
snapshots.age                     named time windows that retention keeps
store.json                        recipients, counter, chain heads, what was removed (public)
.lock, .snapshots.lock            held by the one writer, and by who changes snapshots
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from kubeshark.errors import UsageError

__all__ = [
    "CATALOGUE",
    "DATA_SUFFIX",
    "INDEX_SUFFIX",
    "LOCK",
    "SNAPSHOTS",
    "SNAPSHOTS_LOCK",
    "STATE",
    "TEMPORARY",
    "check_node",
    "index_names",
    "is_public",
    "make_name",
    "number_of",
    "size_of",
]

DATA_SUFFIX = ".pcap.zst.age"
INDEX_SUFFIX = ".idx.age"
TEMPORARY = ".tmp-"
CATALOGUE = "catalogue.age"
SNAPSHOTS = "snapshots.age"
STATE = "store.json"
LOCK = ".lock"
SNAPSHOTS_LOCK = ".snapshots.lock"

_SUFFIXES = (DATA_SUFFIX, INDEX_SUFFIX)
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9._-]{0,62}-(\d{4,18})")


def make_name(start_ns: int, node: str, number: int) -> str:
    """Return <UTC start>-<node>-<n>; a start outside the years a pcap can hold counts as 1970."""
    seconds = start_ns // 1_000_000_000
    start = datetime.fromtimestamp(seconds if 0 <= seconds < 1 << 32 else 0, UTC)
    return f"{start:%Y%m%dT%H%M%SZ}-{node}-{number:04d}"


def check_node(node: str) -> str:
    """Return `node`; raise UsageError unless it can be part of a file name."""
    if not _NODE.fullmatch(node):
        raise UsageError(f"node name {node!r}", hint="use at most 63 letters, digits, dots and dashes")
    return node


def number_of(name: str) -> int | None:
    """Return n of a segment's name, None if it is not one."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def index_names(files: Iterable[str]) -> list[str]:
    """Return the names of all segments among a store's files that have an index, sorted; that is by start."""
    found = (file.removesuffix(INDEX_SUFFIX) for file in files if file.endswith(INDEX_SUFFIX))
    return sorted(name for name in found if number_of(name) is not None)


def is_public(file: str) -> bool:
    """Say whether a file is one that readers of a store ask for; everything else in a folder is nobody's business."""
    if file in (STATE, CATALOGUE, SNAPSHOTS):
        return True
    return any(file.endswith(suffix) and number_of(file.removesuffix(suffix)) is not None for suffix in _SUFFIXES)


def size_of(sizes: Mapping[str, int], name: str) -> int:
    """Return the bytes that a segment's files take; those that are not there take none."""
    return sum(sizes.get(f"{name}{suffix}", 0) for suffix in (DATA_SUFFIX, INDEX_SUFFIX))
