"""Makes segments of what a dead writer, a torn disk or a careless hand left, and clears the rest away.

1. A segment that was sealed in full is published as it is: the head of a chain, or one that follows a head.
2. Data whose index is missing or damaged gets a new one: its packets are decoded again, and sealed by this node under
   the same name. Their capture order is that of their times; interfaces, options and TLS secrets lay in the index and
   are lost. Of an index that can be read, because only its data was cut, the secrets are kept.
3. Data is given up only when its packets are in a published segment.
4. What is replaced was written anew and synced before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import RawBlock, SourceMetadata
from kubeshark.core_capture.files import DECRYPTION_SECRETS
from kubeshark.core_capture.store.catalogue._catalogue import Entry, entry_of, load_catalogue, save_catalogue
from kubeshark.core_capture.store.catalogue._state import StoreState, new_head, save_state
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._age_writer import mend
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    TEMPORARY,
    index_names,
    node_of,
    number_of,
    piece_of,
)
from kubeshark.core_capture.store.segments._info import Chain, SourceRecord
from kubeshark.core_capture.store.segments._reader import IndexFile
from kubeshark.core_capture.store.segments._salvage import Salvaged, salvage
from kubeshark.core_capture.store.segments._segment import Draft, publish, write_segment
from kubeshark.core_capture.store.upkeep._data_check import check_data_file, tail_of
from kubeshark.core_capture.store.upkeep._leftovers import (
    copy_to,
    delete_segments,
    find_leftovers,
    finish_heads,
    give_up_pending,
    keep_aside,
    tag_of,
)
from kubeshark.core_capture.store.upkeep._removed import with_removed
from kubeshark.core_capture.store.upkeep._survey import Leftover, follows_a_head
from kubeshark.errors import Damaged, StoreError

__all__ = ["perform"]

_MENDED = f"{TEMPORARY}mended"


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
                elif leftover.action == "repair":
                    _repair(files, leftover.name, identities, recipients)
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


def _adopt(files: Backend, name: str, identities: Sequence[Identity], state: StoreState) -> None:
    """Publish a complete pair as its writer would have done."""
    if name in index_names(files.names()):
        return  # a head: it has its name by now
    complete = follows_a_head(files, name, identities, state)
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
    before, secrets, is_locked = known.pop(name, None), list[RawBlock](), False
    try:  # its own index knows best, if only the data was cut
        file = IndexFile(files, name, identities)
        before = entry_of(file.index.meta, file.index.flows, file.sha256())
        secrets = [block for block in file.extras.metadata.blocks if block.block_type == DECRYPTION_SECRETS]
    except NotForUsError:
        is_locked = True
    except (StoreError, FileNotFoundError):
        pass
    draft = _draft(name, salvage(files.open(data), identities, core), before, secrets)
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
    if is_locked:  # it may be whole, and somebody else's
        keep_aside(files, f"{name}{INDEX_SUFFIX}")
    publish(files, name, replacing=True)
    state.heads[key.public] = replace(made, pending=None)


def _repair(files: Backend, name: str, identities: Sequence[Identity], recipients: Sequence[Recipient]) -> None:
    """Give a data file the header and the end that its index knows."""
    data = f"{name}{DATA_SUFFIX}"
    meta = IndexFile(files, name, identities).index.meta
    found = check_data_file(files, data, meta.data, identities)
    with closing(files.open(data)) as file, files.create(_MENDED) as out:
        if found.kind == "header":
            mend(file, out, tail_of(meta.data), found.end, recipients)
        elif found.kind == "longer":
            copy_to(out, file, found.end)
        else:
            raise Damaged("cannot be repaired any more", file=data)
    files.publish(_MENDED, data, replacing=True)
    files.settle()


def _draft(name: str, found: Salvaged, before: Entry | None, secrets: list[RawBlock]) -> Draft:
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
        source = SourceRecord("", label, -1, first, last, len(secrets), complete=False, part_of=sha256)
    return Draft(
        name=name,
        node=node_of(name),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        link_type=link_type,
        data=memoryview(found.data),
        ordinals=np.arange(source.first_ordinal, source.first_ordinal + found.packets, dtype=np.uint64),
        extras={},
        metadata=SourceMetadata(blocks=[replace(block, section=0) for block in secrets]),
        first_block=source.blocks - len(secrets),
        source=source,
        scheduled=before.info.scheduled if before is not None else None,
    )


def _catalogued(files: Backend, identities: Sequence[Identity]) -> dict[str, Entry]:
    try:
        return {entry.info.name: entry for entry in load_catalogue(files, identities, listed=len(files.names()))}
    except (FileNotFoundError, NotForUsError, Damaged):
        return {}
