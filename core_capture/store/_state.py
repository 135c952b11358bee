"""store.json: what a writer without any identity must know, and what a reader without the right one is told.

It is public: recipients (for the message of a reader that cannot open the store), the number of the next segment,
per node the head of its chain, which segments were removed on purpose, and what an interrupted deletion or rotation
has still to do. A head is written when both files of its segment are synced and before they get their names; segments
stand in `deleting` before the first of their files goes. After a crash in between the next writer ends what was begun
(`_leftovers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from kubeshark.core_capture.store._durable import replace_synced
from kubeshark.core_capture.store._info import Count
from kubeshark.core_capture.store._limits import MAX_STATE_BYTES
from kubeshark.core_capture.store._names import STATE, TEMPORARY
from kubeshark.errors import Damaged, StoreError

__all__ = ["ChainHead", "Removed", "Rotation", "StoreState", "load_state", "save_state"]

Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$", max_length=128)]


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest segment that a node sealed."""

    name: str
    sequence: Count
    sha256: str  # of its index's main part, hex


@dataclass(frozen=True, slots=True)
class Removed:
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


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that has not ended: every file before `file`, in the order of `_rotate.py`, is done."""

    recipients: list[str]
    file: str = ""  # the one that is being replaced
    header: Hex = ""  # SHA-256 of its new header
    failed: list[str] = field(default_factory=list)  # files before it that could not be opened


@dataclass(slots=True)
class StoreState:
    recipients: list[str] = field(default_factory=list)  # of the last writer
    next_number: Annotated[int, msgspec.Meta(ge=1, lt=10**17)] = 1
    heads: dict[str, ChainHead] = field(default_factory=dict)  # by public key
    removed: list[Removed] = field(default_factory=list)
    deleting: list[str] = field(default_factory=list)  # segments whose files go
    rebuilding: list[str] = field(default_factory=list)  # heads that are being sealed anew
    rotation: Rotation | None = None
    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


def load_state(folder: Path) -> StoreState:
    """Read store.json, a new state if there is none; raise Damaged if it is not one."""
    try:
        with (folder / STATE).open("rb") as file:
            content = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return StoreState()
    if len(content) > MAX_STATE_BYTES:
        raise Damaged(f"is larger than {MAX_STATE_BYTES:,} bytes", file=STATE)
    try:
        return msgspec.json.decode(content, type=StoreState)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(str(error), file=STATE) from error


def save_state(folder: Path, state: StoreState) -> None:
    """Replace store.json; it is on the disk when this returns. Raise StoreError for one that nobody would read."""
    content = msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"
    if len(content) > MAX_STATE_BYTES:
        raise StoreError(f"{STATE} would be larger than {MAX_STATE_BYTES:,} bytes", hint="split the store")
    with replace_synced(folder / STATE, folder / f"{TEMPORARY}{STATE}") as file:
        file.write(content)
