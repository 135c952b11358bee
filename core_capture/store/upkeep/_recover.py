"""Makes segments of what a dead writer, a torn disk or a careless hand left, and clears the rest away.

1. A segment that was sealed in full is published as it is: the head of a chain, or one that follows a head.
2. Data whose index is missing or damaged gets a new one: its packets are decoded again, and sealed by this node under
   the same name. Their capture order is that of their times; interfaces and options lay in the index and are lost.
3. Data is given up only when its packets are in a published segment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import SourceMetadata
from kubeshark.core_capture.store.catalogue._catalogue import Entry, entry_of, load_catalogue, save_catalogue
from kubeshark.core_capture.store.catalogue._state import ChainHead, StoreState, load_state, new_head, save_state
from kubeshark.core_capture.store.keys._age import AgeReader, NotForUsError
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES, NodeKey, is_signed
from kubeshark.core_capture.store.places._backend import Backend, RangeFile
from kubeshark.core_capture.store.places._names import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    STATE,
    TEMPORARY,
    index_names,
    log_pieces,
    number_of,
    piece_of,
)
from kubeshark.core_capture.store.segments._info import Chain, SourceRecord
from kubeshark.core_capture.store.segments._reader import IndexFile, SegmentReader
from kubeshark.core_capture.store.segments._salvage import Salvaged, salvage
from kubeshark.core_capture.store.segments._segment import Draft, publish, write_segment
from kubeshark.core_capture.store.upkeep._leftovers import (
    delete_segments,
    find_leftovers,
    finish_heads,
    give_up_pending,
    tag_of,
)
from kubeshark.core_capture.store.upkeep._removed import with_removed
from kubeshark.errors import Damaged, StoreError

__all__ = ["Leftover", "perform", "read_state", "survey"]

_NODE_OF_NAME = re.compile(r"\d{8}T\d{6}Z-(.+)-\d+")


class Leftover(Struct, frozen=True):
    """One thing that was left, and what becomes of it.

    restore  store.json is made again; publish  a segment that is complete; rebuild  packets that need a new index; seal
    packets that lie in a log; delete  a deletion that did not end; discard  a temporary file without packets; lost
    nothing can be done; locked  nobody here can read it.
    """

    action: Literal["restore", "publish", "rebuild", "seal", "delete", "discard", "lost", "locked"]
    name: str  # of a segment or a file
    message: str
    packets: int = 0
    is_whole: bool = True  # False: some of its packets are lost


def read_state(
    files: Backend, identities: Sequence[Identity], entries: Callable[[], Sequence[Entry]]
) -> tuple[StoreState, list[Leftover]]:
    """Return store.json; if it is damaged or gone, what the indexes say of it."""
    listed = files.names()
    names = index_names(listed)
    try:
        state, why = load_state(files), f"{STATE} is missing"
        if not names or STATE in listed:
            return state, []
    except Damaged as error:
        why = str(error)
    version = files.read(STATE, 0).version if STATE in listed else ""
    state = StoreState([str(identity.recipient) for identity in identities], _version=version)
    for entry in entries():
        chain = entry.chain
        head = state.heads.get(chain.public_key)
        if head is None or head.sequence < chain.sequence:
            state.heads[chain.public_key] = ChainHead(entry.info.name, chain.sequence, entry.sha256)
    state.next_number = max(number_of(name) or 0 for name in (*names, "")) + 1
    message = f"{why}: made again from the indexes; segments that were pruned count as missing from now on"
    return state, [Leftover("restore", STATE, message)]


def survey(files: Backend, identities: Sequence[Identity], state: StoreState) -> list[Leftover]:
    """Say what was left; changes nothing. The caller holds the lock: what is there, no writer is working on."""
    found = [
        Leftover("delete", name, f"{name}: its deletion did not end") for name in state.deleting if number_of(name)
    ]
    deleting = {leftover.name for leftover in found}
    listed = set(files.names())
    heads = {head.name for head in state.heads.values()} - {*state.rebuilding}
    known, logged = set[str](), log_pieces(listed)
    for name in sorted(_segment_names(listed) - deleting):
        leftover = _judge(files, name, listed, identities, state, is_head=name in heads)
        if leftover is not None and leftover.action in ("rebuild", "lost") and name in logged:
            leftover = None  # its log has more than half a file
        known |= {f"{TEMPORARY}{name}{suffix}" for suffix in (DATA_SUFFIX, INDEX_SUFFIX)}
        if leftover is not None:
            found.append(leftover)
    rest = (name for name in find_leftovers(listed) if name.startswith(TEMPORARY) and name not in known)
    found += [Leftover("discard", name, f"{name}: temporary, holds no packets") for name in rest]
    return found


def perform(
    files: Backend,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    state: StoreState,
    key: NodeKey,
    leftovers: Sequence[Leftover],
) -> list[StoreError]:
    """Do what `survey` found; return what failed. May die anywhere, and is then run again."""
    problems = list[StoreError]()
    known = _catalogued(files, identities)
    try:
        finish_heads(files, state)
        if give_up_pending(state):
            save_state(files, state)
        delete_segments(files, state)
        for leftover in leftovers:
            try:
                if leftover.action == "publish":
                    _adopt(files, leftover.name, identities, state)
                elif leftover.action == "rebuild":
                    _rebuild(files, leftover.name, identities, recipients, state, key, known)
            except StoreError as error:
                error.forget_frames()
                problems.append(error)
        kept = {leftover.name for leftover in leftovers if leftover.action == "locked"}
        for name in find_leftovers(files.names()):
            segment = name.removeprefix(TEMPORARY).removesuffix(DATA_SUFFIX).removesuffix(INDEX_SUFFIX)
            is_of_no_use = name.startswith(TEMPORARY) and segment not in kept and not problems
            if is_of_no_use or piece_of(name) is not None:  # a piece of a log whose segment is there
                files.delete(name)
        files.settle()
        if files.is_remote:
            save_state(files, state)  # heads that arrived
    except OSError as error:
        raise StoreError(f"cannot write to {files.location}: {error.strerror}") from error
    return problems


def _segment_names(listed: set[str]) -> set[str]:
    """Return the names of all segments of which any file is there, temporary ones included."""
    names = set[str]()
    for file in listed:
        for suffix in (DATA_SUFFIX, INDEX_SUFFIX):
            if file.endswith(suffix):
                names.add(file.removeprefix(TEMPORARY).removesuffix(suffix))
    return {name for name in names if number_of(name) is not None}


def _judge(
    files: Backend, name: str, listed: set[str], identities: Sequence[Identity], state: StoreState, *, is_head: bool
) -> Leftover | None:
    """Say what becomes of one segment; None if it is published and its index can be read."""
    data, index = f"{name}{DATA_SUFFIX}", f"{name}{INDEX_SUFFIX}"
    has_data, has_index = data in listed, index in listed
    if is_head and (f"{TEMPORARY}{data}" in listed or f"{TEMPORARY}{index}" in listed):
        return Leftover("publish", name, f"{name}: complete, only its name is missing")
    why = "its index is damaged" if has_index else "it has no index"
    try:
        if has_index:
            length = IndexFile(files, name, identities).index.meta.data.length
            if not has_data:
                return Leftover("lost", name, f"{name}: its data file is missing", is_whole=False)
            if not _is_cut(files.open(data), length, identities):
                return None
            why = "its data is cut"
        if not has_data and f"{TEMPORARY}{index}" in listed and f"{TEMPORARY}{data}" in listed:
            complete = _follows_a_head(files, name, identities, state)
            if complete is not None:
                return Leftover("publish", name, f"{name}: complete, was not published yet", complete[0])
    except NotForUsError as error:
        return Leftover("locked", name, error.message, is_whole=False)
    except Damaged:
        pass  # an index that cannot be read is as good as none
    return _judge_data(files, name, data if has_data else f"{TEMPORARY}{data}", identities, why)


def _judge_data(files: Backend, name: str, file: str, identities: Sequence[Identity], why: str) -> Leftover | None:
    """Say what can be made of a data file without index."""
    try:
        found = salvage(files.open(file), identities, load_core())
    except NotForUsError as error:
        return Leftover("locked", name, error.message, is_whole=False)
    except (Damaged, FileNotFoundError) as error:
        if file.startswith(TEMPORARY):
            return Leftover("discard", name, f"{name}: temporary, holds no packet that is whole")
        reason = error if isinstance(error, Damaged) else "its data file is missing"
        return Leftover("lost", name, f"{name}: {reason}", is_whole=False)
    if not found.packets:
        if file.startswith(TEMPORARY):
            return Leftover("discard", name, f"{name}: temporary, holds no packet that is whole")
        return Leftover("lost", name, f"{name}: {why}, and its data holds no block that is whole", is_whole=False)
    rest = "" if found.is_whole else "; blocks that are cut or damaged are lost"
    return Leftover("rebuild", name, f"{name}: {why}{rest}", found.packets, found.is_whole)


def _is_cut(file: RangeFile, length: int, identities: Sequence[Identity]) -> bool:
    """Say whether a data file lost its end; what is damaged inside, queries pass over."""
    with AgeReader(file, identities, truncated=True) as age:
        return age.size < length


def _follows_a_head(
    files: Backend, name: str, identities: Sequence[Identity], state: StoreState
) -> tuple[int, Chain, str] | None:
    """Return (packets, chain, SHA-256) of a temporary pair that is complete and next in its node's chain."""
    file = IndexFile(files, name, identities, prefix=TEMPORARY)
    chain = file.index.meta.chain
    head = state.heads.get(chain.public_key)
    follows = (chain.sequence, chain.previous) == ((head.sequence + 1, head.sha256) if head else (0, ""))
    if not follows or not is_signed(file.main[:-SIGNATURE_BYTES], file.main[-SIGNATURE_BYTES:], chain.public_key):
        return None
    with SegmentReader(files, file, identities) as segment:
        _extras = segment.extras
        segment.check_data(load_core())
    return segment.info.packets, chain, file.sha256()


def _adopt(files: Backend, name: str, identities: Sequence[Identity], state: StoreState) -> None:
    """Publish a complete pair as its writer would have done."""
    if name in index_names(files.names()):
        return  # a head: it has its name by now
    complete = _follows_a_head(files, name, identities, state)
    if complete is None:
        raise Damaged("is not what follows the head of its chain any more", file=name)
    _packets, chain, sha256 = complete
    for suffix in (DATA_SUFFIX, INDEX_SUFFIX):
        files.sync(f"{TEMPORARY}{name}{suffix}")
    before = state.heads.get(chain.public_key)
    made = state.heads[chain.public_key] = new_head(
        files, name, chain.sequence, sha256, tag_of(files, f"{TEMPORARY}{name}{INDEX_SUFFIX}"), before
    )
    state.next_number = max(state.next_number, (number_of(name) or 0) + 1)
    save_state(files, state)
    publish(files, name)
    state.heads[chain.public_key] = replace(made, pending=None)


def _rebuild(
    files: Backend,
    name: str,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    state: StoreState,
    key: NodeKey,
    known: dict[str, Entry],
) -> None:
    """Seal the packets of a data file anew, under the same name."""
    temporary, data = f"{TEMPORARY}{name}{DATA_SUFFIX}", f"{name}{DATA_SUFFIX}"
    if files.exists(temporary) and not files.exists(data):
        files.publish(temporary, data)  # the new file will need the temporary name; without an index nobody reads it
        files.settle()
    core = load_core()
    before = known.pop(name, None)
    with suppress(StoreError, FileNotFoundError):  # its own index knows best, if only the data was cut
        file = IndexFile(files, name, identities)
        before = entry_of(file.index.meta, file.index.flows, file.sha256())
    draft = _draft(name, salvage(files.open(data), identities, core), before)
    if any(head.name == name for head in state.heads.values()) and name not in state.rebuilding:
        state.rebuilding.append(name)  # else half a file would be taken for the head that waits for its name
        save_state(files, state)
    head = state.heads.get(key.public)
    chain = Chain(head.sequence + 1 if head else 0, head.sha256 if head else "", key.public)
    sealed = write_segment(files, draft, chain, core=core, recipients=recipients, key=key)
    if before is not None:
        state.removed = with_removed(state.removed, [(before.chain, before.sha256)], "recovered", key)
    made = state.heads[key.public] = new_head(files, name, chain.sequence, sealed.sha256, sealed.index_tag, head)
    state.next_number = max(state.next_number, (number_of(name) or 0) + 1)
    state.rebuilding = [other for other in state.rebuilding if other != name]
    save_state(files, state)
    if before is not None:
        save_catalogue(files, known.values(), recipients)  # readers would believe what it says of the old index
    publish(files, name, replacing=True)
    state.heads[key.public] = replace(made, pending=None)


def _draft(name: str, found: Salvaged, before: Entry | None) -> Draft:
    """Describe the segment; what the catalogue knew of it is kept as far as it is still true."""
    link_type = found.link_type if before is None else before.info.link_type
    if link_type is None:
        raise Damaged("its first block is lost, and with it the link type", file=f"{name}{DATA_SUFFIX}")
    was = before.info.source if before is not None else None
    if was is not None and before is not None and found.packets == before.info.packets:
        source = was
    else:
        # Not as its hash: its import must not take this for a part that is complete.
        sha256, first = found.part or ("", 0)
        label = f"recovered: {was.name if was else name}"
        last = first + found.packets - 1
        source = SourceRecord("", label, -1, first, last, 0, complete=False, part_of=sha256)
    node = _NODE_OF_NAME.fullmatch(name)
    return Draft(
        name=name,
        node=node[1] if node else "",
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        link_type=link_type,
        data=memoryview(found.data),
        ordinals=np.arange(source.first_ordinal, source.first_ordinal + found.packets, dtype=np.uint64),
        extras={},
        metadata=SourceMetadata(),
        first_block=source.blocks,
        source=source,
        scheduled=before.info.scheduled if before is not None else None,
    )


def _catalogued(files: Backend, identities: Sequence[Identity]) -> dict[str, Entry]:
    try:
        return {entry.info.name: entry for entry in load_catalogue(files, identities, listed=len(files.names()))}
    except (FileNotFoundError, NotForUsError, Damaged):
        return {}
