"""store.json: what a writer without any identity must know, and what a reader without the right one is told.

It is public: recipients (for the message of a reader that cannot open the store), the number of the next segment,
per node the head of its chain, which segments were removed on purpose, and what an interrupted deletion or rotation
has still to do. A head is written when both files of its segment are synced and before they get their names; segments
stand in `deleting` before the first of their files goes. After a crash in between the next writer ends what was begun
(`_leftovers.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from kubeshark.core_capture.store._limits import MAX_STATE_BYTES
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import STATE
from kubeshark.core_capture.store.segments._info import Count
from kubeshark.errors import Damaged, StoreError

__all__ = [
    "ChainHead",
    "Pending",
    "Removed",
    "Rotation",
    "StoreState",
    "load_state",
    "new_head",
    "save_state",
    "sign_in",
    "take_over",
]

Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$", max_length=128)]


class Pending(msgspec.Struct, frozen=True):
    """What is known of a head while its files are on their way to object storage."""

    tag: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]  # the last bytes of its index file, hex
    before: ChainHead | None  # the head if they never arrive


class ChainHead(msgspec.Struct, frozen=True):
    """The newest segment that a node sealed."""

    name: str
    sequence: Count
    sha256: str  # of its index's main part, hex
    pending: Pending | None = None  # None: its files are where they belong; always so in a folder


class Removed(msgspec.Struct, frozen=True):
    """Segments of one node that follow each other in its chain and are not here any more; `_removed.py` signs it.

    pruned: retention deleted them; recovered: their packets stand in another segment now.
    """

    why: Literal["pruned", "recovered"]
    key: Hex  # the chain: public key of the node that sealed them
    first: Count  # sequences, both inclusive
    last: Count
    previous: Hex  # what the first names as the one before it
    sha256: Hex  # of the last one's index
    when: Annotated[str, msgspec.Meta(max_length=40)]  # RFC 3339
    by: Hex  # public key of the node that removed them
    signature: Hex = ""


class Rotation(msgspec.Struct, frozen=True):
    """A rotation that has not ended: every file before `file`, in the order of `_rotate.py`, is done."""

    recipients: list[str]
    file: str = ""  # the one that is being replaced
    header: Hex = ""  # SHA-256 of its new header
    failed: list[str] = []  # files before it that could not be opened


@dataclass(slots=True)
class StoreState:
    recipients: list[str] = field(default_factory=list)  # of the last writer
    next_number: Annotated[int, msgspec.Meta(ge=1, lt=10**17)] = 1
    heads: dict[str, ChainHead] = field(default_factory=dict)  # by public key
    removed: list[Removed] = field(default_factory=list)
    deleting: list[str] = field(default_factory=list)  # segments whose files go
    rebuilding: list[str] = field(default_factory=list)  # heads that are being sealed anew
    rotation: Rotation | None = None
    writer: Hex = ""  # drawn by each writer on object storage: no two of them ever save the same contents
    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    _version: str | None = field(default=None, compare=False, repr=False)  # of the file it was read from; never written


def load_state(files: Backend) -> StoreState:
    """Read store.json, a new state if there is none; raise Damaged if it is not one."""
    try:
        content, version = files.read(STATE, MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return StoreState(_version="")
    if len(content) > MAX_STATE_BYTES:
        raise Damaged(f"is larger than {MAX_STATE_BYTES:,} bytes", file=STATE)
    try:
        state = msgspec.json.decode(content, type=StoreState)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(str(error), file=STATE) from error
    state._version = version
    return state


def save_state(files: Backend, state: StoreState) -> None:
    """Replace store.json; it lasts when this returns. Raise StoreError for one that nobody would read.

    On object storage also, if it is not the one any more that `state` was read from: another writer took over.
    """
    content = msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"
    if len(content) > MAX_STATE_BYTES:
        raise StoreError(f"{STATE} would be larger than {MAX_STATE_BYTES:,} bytes", hint="split the store")
    state._version = files.replace(STATE, content, version=state._version)


def new_head(
    files: Backend, name: str, sequence: int, sha256: str, index_tag: str, before: ChainHead | None
) -> ChainHead:
    """Return the head that a sealed segment becomes; on object storage it is still to be published."""
    if not files.is_remote:
        return ChainHead(name, sequence, sha256)
    return ChainHead(name, sequence, sha256, Pending(index_tag, replace(before, pending=None) if before else None))


def sign_in(state: StoreState) -> StoreState:
    """Mark it as a new writer's."""
    state.writer = os.urandom(8).hex()
    return state


def take_over(files: Backend) -> StoreState:
    """Return store.json for who holds the lock. On object storage, who held it before cannot save any more."""
    state = load_state(files)
    if files.is_remote:
        save_state(files, sign_in(state))
    return state
