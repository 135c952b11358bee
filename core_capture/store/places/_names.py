"""Names of the files in a store, and what they say.

NAME.pcap.zst.age, NAME.idx.age   a segment: data and index
NAME.000001.log.age, …            its packets while it is open: pieces of the log, by number
….damaged                         an index or a piece of the log that `recover` could not read, and replaced
.tmp-…                            not yet renamed; of no value once its writer is gone
catalogue.age                     roll-up of all indexes, may be missing or stale
snapshots.age                     named time windows that retention keeps
names.age                         who had an address when (`_name_history.py`), may be missing
store.json                        recipients, counter, chain heads, what was removed (public)
ledger.json                       what a node that captures wrote, for its own retention (public)
scheduled.json                    in which schedules' windows they were captured (`_marks.py`; public)
uploads.json                      which segments have reached the archive (`_upload_journal.py`)
.reserve                          room that a live writer with a retention gives up when it must delete on a full disk
.lock, .snapshots.lock, .names.lock   held by the one writer, and by who changes snapshots or names
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from kubeshark.errors import UsageError

__all__ = [
    "ASIDE",
    "CATALOGUE",
    "DATA_SUFFIX",
    "INDEX_SUFFIX",
    "LEDGER",
    "LOCK",
    "LOG_SUFFIX",
    "MAX_PIECES",
    "NAMES",
    "NAMES_LOCK",
    "RESERVE",
    "SCHEDULED",
    "SNAPSHOTS",
    "SNAPSHOTS_LOCK",
    "STATE",
    "TEMPORARY",
    "UPLOADS",
    "check_node",
    "index_names",
    "is_node",
    "is_of_store",
    "is_public",
    "log_name",
    "log_pieces",
    "make_name",
    "node_of",
    "number_of",
    "numbers_in",
    "open_names",
    "orphans",
    "owner_of",
    "piece_of",
    "size_of",
]

DATA_SUFFIX = ".pcap.zst.age"
INDEX_SUFFIX = ".idx.age"
LOG_SUFFIX = ".log.age"
TEMPORARY = ".tmp-"
ASIDE = ".damaged"
CATALOGUE = "catalogue.age"
SNAPSHOTS = "snapshots.age"
NAMES = "names.age"
STATE = "store.json"
MAX_PIECES = 999_999
"""Pieces of one open segment: two a second for six days."""

LOCK = ".lock"
RESERVE = ".reserve"
LEDGER = "ledger.json"
UPLOADS = "uploads.json"
SCHEDULED = "scheduled.json"
SNAPSHOTS_LOCK = ".snapshots.lock"
NAMES_LOCK = ".names.lock"

_OWN = frozenset({LOCK, SNAPSHOTS_LOCK, NAMES_LOCK, RESERVE, LEDGER, SCHEDULED, UPLOADS})
_SUFFIXES = (DATA_SUFFIX, INDEX_SUFFIX)
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9._-]{0,62}-(\d{4,18})")
_PIECE = re.compile(rf"({_NAME.pattern})\.(\d{{6}}){re.escape(LOG_SUFFIX)}")


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


def is_node(text: str) -> bool:
    """Say whether `text` is a node's name."""
    return _NODE.fullmatch(text) is not None


def number_of(name: str) -> int | None:
    """Return n of a segment's name, None if it is not one."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def node_of(name: str) -> str:
    """Return the node in a segment's name."""
    return name.partition("-")[2].rpartition("-")[0]


def numbers_in(files: Iterable[str]) -> set[int]:
    """Return the numbers of all segments of which a store has any file, a piece of the log or a temporary one."""
    found = set[int]()
    for file in files:
        name = file.removeprefix(TEMPORARY)
        piece = piece_of(name)
        number = number_of(piece[0] if piece else name.removesuffix(DATA_SUFFIX).removesuffix(INDEX_SUFFIX))
        found |= set() if number is None else {number}
    return found


def index_names(files: Iterable[str]) -> list[str]:
    """Return the names of all segments among a store's files that have an index, sorted; that is by start."""
    found = (file.removesuffix(INDEX_SUFFIX) for file in files if file.endswith(INDEX_SUFFIX))
    return sorted(name for name in found if number_of(name) is not None)


def orphans(files: Iterable[str]) -> list[str]:
    """Return the names of the segments of which there is published data and no index, sorted."""
    listed = set(files)
    found = (file.removesuffix(DATA_SUFFIX) for file in listed if file.endswith(DATA_SUFFIX))
    return sorted(name for name in found if number_of(name) is not None and f"{name}{INDEX_SUFFIX}" not in listed)


def owner_of(file: str) -> str:
    """Return the segment whose file this was before `recover` put it aside, "" for any other file."""
    if not file.endswith(ASIDE):
        return ""
    was = file.removesuffix(ASIDE)
    piece = piece_of(was)
    name = piece[0] if piece else was.removesuffix(INDEX_SUFFIX)
    return name if number_of(name) is not None else ""


def is_public(file: str) -> bool:
    """Say whether a file is one that readers of a store ask for; everything else in a folder is nobody's business."""
    if file in (STATE, CATALOGUE, SNAPSHOTS, NAMES) or piece_of(file) is not None:
        return True
    return any(file.endswith(suffix) and number_of(file.removesuffix(suffix)) is not None for suffix in _SUFFIXES)


def is_of_store(file: str) -> bool:
    """Say whether a file is one that only stores have: a lock, too, for who writes has it before all others."""
    return file in _OWN or file.startswith(TEMPORARY) or is_public(file)


def log_name(name: str, number: int) -> str:
    """Return the name of a piece of the log; by name they sort as by number."""
    return f"{name}.{number:06d}{LOG_SUFFIX}"


def piece_of(file: str) -> tuple[str, int] | None:
    """Return (name of the segment, number) of a piece of the log, None if a file is not one."""
    found = _PIECE.fullmatch(file)
    return (found[1], int(found[3])) if found else None


def log_pieces(files: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of the log's pieces among a store's files, ascending, by segment; segments by name."""
    found = defaultdict[str, list[int]](list)
    for name, number in sorted(filter(None, map(piece_of, files))):
        found[name].append(number)
    return dict(found)


def size_of(sizes: Mapping[str, int], name: str) -> int:
    """Return the bytes that a segment's files take; those that are not there take none."""
    return sum(sizes.get(f"{name}{suffix}", 0) for suffix in (DATA_SUFFIX, INDEX_SUFFIX))


def open_names(listed: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the pieces of every segment that has no index yet, by name."""
    sealed = set(index_names(listed))
    return {name: numbers for name, numbers in log_pieces(listed).items() if name not in sealed}
