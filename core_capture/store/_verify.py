"""Checks a whole store: every chunk of every file, and that segments belong together and to whom they say.

age says that a chunk is what somebody encrypted to us, the index which data file it means, the signature which node
wrote the index, the chain which index that node wrote before. What none of them can say: whether the newest
segments and store.json were removed together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store.catalogue._catalogue import Entry, entry_of, load_catalogue
from kubeshark.core_capture.store.catalogue._lost_index import find_lost_indexes
from kubeshark.core_capture.store.catalogue._name_history import names_key
from kubeshark.core_capture.store.catalogue._state import Removed, StoreState, load_state
from kubeshark.core_capture.store.keys._age_format import SEALED_CHUNK, NotForUsError
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES, is_signed
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import (
    CATALOGUE,
    DATA_SUFFIX,
    INDEX_SUFFIX,
    NAMES,
    SNAPSHOTS,
    STATE,
    TEMPORARY,
    index_names,
    node_of,
    number_of,
    open_names,
    owner_of,
    piece_of,
    size_of,
)
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._reader import Expired, IndexFile, SegmentReader
from kubeshark.core_capture.store.upkeep._leftovers import find_leftovers
from kubeshark.core_capture.store.upkeep._removed import is_genuine
from kubeshark.core_capture.store.upkeep._snapshots import snapshots_key
from kubeshark.core_capture.store.writing._log import OpenSegment
from kubeshark.errors import Damaged, StoreError

__all__ = ["Finding", "VerifyReport", "verify_store"]

_MAX_STRETCHES = 50  # of damage named in one file


class Finding(Struct, frozen=True):
    """One thing that is wrong, or that `verify` cannot vouch for.

    damaged  bytes fail their check; missing  the chain names a segment that is not there; swapped  a segment is not the
    one the chain names; forged  its signature is wrong; unknown  signed by a node not trusted here, or not for us to
    read; note  nothing is wrong, but worth knowing.
    """

    kind: Literal["damaged", "missing", "swapped", "forged", "unknown", "note"]
    file: str
    message: str
    offset: int | None = None
    stranger: str = ""  # public key of a node that is not trusted here, if that is what is wrong

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class VerifyReport(Struct, frozen=True):
    segments: int
    bytes: int  # of files read to the end
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        return all(finding.kind == "note" for finding in self.findings)


class _Link(Struct, frozen=True):
    """A segment's place in its chain."""

    name: str
    chain: Chain
    sha256: str
    entry: Entry  # what the catalogue should say

    @property
    def part(self) -> _Part:
        return _Part(self.name, self.chain.sequence, self.chain.sequence, self.chain.previous, self.sha256)


class _Part(Struct, frozen=True):
    """A stretch of a chain: one segment, or some that were removed."""

    name: str
    first: int
    last: int
    previous: str
    sha256: str


def verify_store(
    files: Backend,
    identities: Sequence[Identity],
    trusted: Collection[str],
    on_progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Read everything; `trusted` are public keys (hex) of nodes, empty: whoever signed is only noted.

    `on_progress` gets (bytes read, bytes in all).
    """
    findings: list[Finding] = []
    links: list[_Link] = []
    listed = files.sizes()
    names = index_names(listed)
    sizes = [size_of(listed, name) for name in names]
    read, total = 0, sum(sizes)
    for name, size in zip(names, sizes, strict=True):
        try:
            for found in _check_segment(files, name, identities, trusted):
                if isinstance(found, _Link):
                    links.append(found)
                else:
                    findings.append(found)
        except NotForUsError as error:
            findings.append(Finding("unknown", error.file, error.message))
        except (Expired, FileNotFoundError):
            findings.append(Finding("note", name, f"{name} was deleted meanwhile"))
        except (StoreError, OSError) as error:
            findings.append(Finding("damaged", name, f"{name}: {error}"))
        read += size
        if on_progress is not None:
            on_progress(read, total)
    findings += _check_log(files, identities, trusted)
    lost = find_lost_indexes(files, listed, _catalogued(files, identities).__contains__)
    findings += [Finding("damaged", error.file, str(error)) for error in lost.values()]
    findings += _check_chains(files, links, {*names, *lost}, trusted)
    findings += _check_catalogue(files, identities, links)
    findings += _check_signed(SNAPSHOTS, lambda: snapshots_key(files, identities), trusted)
    findings += _check_signed(NAMES, lambda: names_key(files, identities), trusted)
    left = files.names()
    findings += [
        Finding("note", name, _left(name))
        for name in find_leftovers(left)
        if name.removesuffix(DATA_SUFFIX) not in lost
    ]
    findings += [Finding("note", name, _kept(name)) for name in left if owner_of(name)]
    return VerifyReport(len(names), read, tuple(findings))


def _check_log(files: Backend, identities: Sequence[Identity], trusted: Collection[str]) -> Iterator[Finding]:
    """Read the log of every segment that is not sealed, one at a time."""
    kinds: dict[str, Literal["damaged", "forged", "missing", "unknown"]] = {
        "damaged": "damaged",
        "forged": "forged",
        "missing": "missing",
        "locked": "unknown",
    }
    for name, numbers in open_names(files.names()).items():
        segment = OpenSegment(name)
        try:
            segment.read(files, numbers, identities)
        except FileNotFoundError:
            yield Finding("note", name, f"{name} was sealed meanwhile")
            continue
        yield from (Finding(kinds[each.kind], each.name, each.message) for each in segment.problems)
        if segment.pieces:
            yield Finding("note", name, f"{name} is not sealed: {segment.packets:,} packets lie in its log")
        if segment.pieces and trusted and segment.public_key not in trusted:
            message = f"the log of {name} is signed by node key {segment.public_key}, which is not trusted here"
            yield Finding("unknown", name, message, stranger=segment.public_key)


def _left(name: str) -> str:
    if name.startswith(TEMPORARY):
        return f"{name} was left by a writer that died"
    if piece_of(name) is not None:
        return f"{name} is a piece of a log whose segment is there"
    return f"{name} has no index: kubeshark store recover makes one"


def _kept(name: str) -> str:
    return f"{name} is what recover could not read of {owner_of(name)}, and kept"


def _check_segment(
    files: Backend, name: str, identities: Sequence[Identity], trusted: Collection[str]
) -> Iterator[Finding | _Link]:
    """Read both files of a segment to their ends, and find every chunk that is wrong.

    Its link comes as soon as its index is known to be whole: damaged packets do not break a chain.
    """
    index, data = f"{name}{INDEX_SUFFIX}", f"{name}{DATA_SUFFIX}"
    try:
        file = IndexFile(files, name, identities)
    except Damaged as error:
        yield from _damage(files, index, identities, error)
        yield from _damage(files, data, identities, None)
        return
    chain = file.index.meta.chain
    sha256 = file.sha256()
    yield _Link(name, chain, sha256, entry_of(file.index.meta, file.index.flows, sha256))
    signature = file.main[-SIGNATURE_BYTES:]
    if not is_signed(file.main[:-SIGNATURE_BYTES], signature, chain.public_key):
        yield Finding("forged", file.file, f"{file.file} is not signed by the node it names")
    elif trusted and chain.public_key not in trusted:
        message = f"{file.file} is signed by node key {chain.public_key}, which is not trusted here"
        yield Finding("unknown", file.file, message, stranger=chain.public_key)
    with SegmentReader(files, file, identities) as segment:
        try:
            _extras = segment.extras
        except Damaged as error:
            yield from _damage(files, index, identities, error)
        try:
            segment.check_data(load_core())
        except Expired:
            raise
        except Damaged as error:
            yield from _damage(files, data, identities, error)


def _damage(files: Backend, name: str, identities: Sequence[Identity], error: Damaged | None) -> Iterator[Finding]:
    """Name every stretch of a file that fails its authentication; if none does, what else was found wrong."""
    try:
        with AgeReader(files.open(name), identities, truncated=True) as age:
            stretches = age.damaged()
    except (FileNotFoundError, StoreError):
        stretches = []
    for offset, size in stretches[:_MAX_STRETCHES]:
        what = "a chunk fails its authentication" if size else "is cut"
        rest = f" ({size:,} bytes)" if size > SEALED_CHUNK else ""
        yield Finding("damaged", name, f"{Damaged(what, file=name, offset=offset)}{rest}", offset)
    if len(stretches) > _MAX_STRETCHES:
        more = f"{name}: damaged: {len(stretches) - _MAX_STRETCHES:,} more stretches"
        yield Finding("damaged", name, more, stretches[_MAX_STRETCHES][0])
    if not stretches and error is not None:
        yield Finding("damaged", error.file, str(error), error.offset)


def _check_chains(files: Backend, links: list[_Link], names: set[str], trusted: Collection[str]) -> Iterator[Finding]:
    try:
        state = load_state(files)
    except StoreError as error:
        state = StoreState()
        yield Finding("damaged", STATE, str(error))
    records = list[Removed]()
    for record in state.removed:
        if not is_genuine(record):
            yield Finding("forged", STATE, f"{STATE} calls {_span(record)} {record.why}, and nobody signed it")
            continue
        records.append(record)
        kind: Literal["note", "unknown"] = "unknown" if trusted and record.by not in trusted else "note"
        by = f" by node key {record.by}, which is not trusted here" if kind == "unknown" else ""
        what = "pruned" if record.why == "pruned" else "sealed anew by recover"
        stranger = record.by if kind == "unknown" else ""
        yield Finding(kind, STATE, f"{_span(record)}: {what}, last on {record.when}{by}", stranger=stranger)
    for key in sorted({link.chain.public_key for link in links} | set(state.heads)):
        chain = [link.part for link in links if link.chain.public_key == key]
        gone = [_Part(_span(r), r.first, r.last, r.previous, r.sha256) for r in records if r.key == key]
        unread = names - {link.name for link in links}
        yield from _check_chain(chain, gone, set(state.deleting), unread)
        head = state.heads.get(key)
        if head is None:
            continue
        newest = max(chain, key=lambda part: part.first, default=None)
        if any(part.last == head.sequence and part.sha256 == head.sha256 for part in gone):
            continue
        if head.name not in names and head.pending is not None:
            yield Finding(
                "note", head.name, f"{head.name} was sealed, but its upload did not end: nothing of it counts yet"
            )
        elif head.name not in names:
            yield Finding("missing", head.name, f"{head.name}, the newest segment of its node, is missing")
        elif newest and newest.name == head.name and newest.sha256 != head.sha256:
            yield Finding("swapped", head.name, f"{head.name} is not the segment that {STATE} names")


def _span(record: Removed) -> str:
    numbers = f"segment {record.first}" if record.first == record.last else f"segments {record.first} to {record.last}"
    return f"{numbers} of node key {record.key[:16]}"


def _check_chain(chain: list[_Part], gone: list[_Part], deleting: set[str], unread: set[str]) -> Iterator[Finding]:
    """Check the segments of one node; records of removed ones stand in for them.

    What of it has an index that cannot be read, or lost it, was said already, and is not missing.
    """
    known = set[str]()
    for part in chain:
        if any(record.first <= part.first <= record.last for record in gone):
            known.add(part.name)
            if part.name not in deleting:
                yield Finding("note", part.name, f"{part.name} was removed, and is here again")
    parts = sorted([*(part for part in chain if part.name not in known), *gone], key=lambda part: part.first)
    if parts and (missing := parts[0].first - _between("", parts[0].name, unread)) > 0:
        first = parts[0]
        yield Finding("missing", first.name, f"{missing} segments before {first.name} are missing")
    for before, part in pairwise(parts):
        step = part.first - before.last
        if step > 1:
            if (missing := step - 1 - _between(before.name, part.name, unread)) > 0:
                message = f"{missing} segments between {before.name} and {part.name} are missing"
                yield Finding("missing", part.name, message)
        elif step < 1:
            yield Finding("swapped", part.name, f"{part.name} and {before.name} claim the same place in the chain")
        elif part.previous != before.sha256:
            yield Finding("swapped", before.name, f"{before.name} is not what was before {part.name}")


def _between(before: str, after: str, names: set[str]) -> int:
    """Count the segments of one node among `names` that were written between two others."""
    first, last = number_of(before) or 0, number_of(after) or 0
    return sum(node_of(name) == node_of(after) and first < (number_of(name) or 0) < last for name in names)


def _catalogued(files: Backend, identities: Sequence[Identity]) -> Collection[str]:
    try:
        return set(load_catalogue(files, identities, listed=len(files.names())).names)
    except (FileNotFoundError, NotForUsError, Damaged):
        return ()


def _check_catalogue(files: Backend, identities: Sequence[Identity], links: list[_Link]) -> Iterator[Finding]:
    try:
        entries = {entry.info.name: entry for entry in load_catalogue(files, identities, listed=len(files.names()))}
    except FileNotFoundError:
        return
    except NotForUsError as error:
        yield Finding("note", CATALOGUE, error.message)
        return
    except Damaged as error:
        yield Finding("damaged", error.file, str(error), error.offset)
        return
    for link in links:
        # A segment that is not listed makes the catalogue stale, not wrong: a reader reads the index instead.
        if entries.get(link.name, link.entry) != link.entry:
            yield Finding("swapped", CATALOGUE, f"{CATALOGUE} contradicts the index of {link.name}")


def _check_signed(name: str, ask_key: Callable[[], str | None], trusted: Collection[str]) -> Iterator[Finding]:
    """Check a file that is signed as a whole; `ask_key` reads it, and returns who signed it."""
    try:
        key = ask_key()
    except NotForUsError as error:
        yield Finding("unknown", name, error.message)
    except Damaged as error:
        yield Finding("damaged", name, str(error), error.offset)
    else:
        if key is not None and trusted and key not in trusted:
            message = f"{name} is signed by node key {key}, which is not trusted here"
            yield Finding("unknown", name, message, stranger=key)
