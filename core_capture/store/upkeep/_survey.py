"""Says what is wrong with a store, and what `recover` would do about it. Changes nothing.

1. An index that can be read is never replaced, but where its data file lost its end. A file that is another segment's,
   by the age key that each index names, is said to be so and left alone.
2. What a query can read is no loss: a damaged header, or bytes behind the end, are put right.
3. Of data only both ends are looked at: a chunk that is damaged inside is `verify`'s to find, and queries pass over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Literal

from msgspec import Struct

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store.catalogue._catalogue import Entry, load_catalogue
from kubeshark.core_capture.store.catalogue._name_history import load_names
from kubeshark.core_capture.store.catalogue._state import ChainHead, StoreState, load_state
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES, is_signed
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import (
    ASIDE,
    CATALOGUE,
    DATA_SUFFIX,
    INDEX_SUFFIX,
    NAMES,
    SNAPSHOTS,
    STATE,
    TEMPORARY,
    index_names,
    log_pieces,
    number_of,
    orphans,
)
from kubeshark.core_capture.store.segments._index import DataFile, Misplaced
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._reader import IndexFile, SegmentReader
from kubeshark.core_capture.store.segments._salvage import salvage
from kubeshark.core_capture.store.upkeep._data_check import DataCheck, check_data_file
from kubeshark.core_capture.store.upkeep._leftovers import find_leftovers
from kubeshark.core_capture.store.upkeep._snapshots import load_snapshots
from kubeshark.errors import Damaged, StoreError

__all__ = ["Leftover", "follows_a_head", "read_state", "survey"]

_WITHOUT_PACKETS = ("cut", "damaged", "other")  # data files of which some packets, or all, are not where they belong
_ONLY_IN_THE_INDEX = "interfaces, options, the order of packets of one time"


class Leftover(Struct, frozen=True):
    """One thing that was left or is wrong, and what becomes of it.

    restore  store.json or the catalogue is made again; publish  a segment that is complete; rebuild  packets that need
    a new index; repair  a data file gets its header or its end again; seal  packets that lie in a log; delete  a
    deletion that did not end; discard  a temporary file without packets; swapped  files lie under each other's names;
    copy  a segment's files lie there twice; lost  nothing can be done; locked  nobody here can read it.
    """

    action: Literal[
        "restore", "publish", "rebuild", "repair", "seal", "delete", "discard", "swapped", "copy", "lost", "locked"
    ]
    name: str  # of a segment or a file
    message: str
    packets: int = 0
    is_whole: bool = True  # False: some of its packets are lost, or somebody has to look


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
    known, logged = set[str](), log_pieces(listed)
    judge = _Judge(files, identities, listed, state)
    for name in sorted(_segment_names(listed) - deleting):
        leftover = judge.judge(name)
        if leftover is not None and leftover.action in ("rebuild", "lost") and name in logged:
            leftover = None  # its log has more than half a file
        known |= {f"{TEMPORARY}{name}{suffix}" for suffix in (DATA_SUFFIX, INDEX_SUFFIX)}
        if leftover is not None:
            found.append(leftover)
    rest = (name for name in find_leftovers(listed) if name.startswith(TEMPORARY) and name not in known)
    found += [Leftover("discard", name, f"{name}: temporary, holds no packets") for name in rest]
    return [*found, *_survey_small_files(files, identities, len(listed))]


def _survey_small_files(files: Backend, identities: Sequence[Identity], listed: int) -> list[Leftover]:
    """Say which of the files that are replaced as a whole cannot be read."""
    found = list[Leftover]()
    try:
        load_catalogue(files, identities, listed=listed)
    except (FileNotFoundError, NotForUsError):
        pass  # readers do without it
    except Damaged as error:
        found.append(Leftover("restore", CATALOGUE, f"{error}: made again from the indexes"))
    for name, load in ((SNAPSHOTS, load_snapshots), (NAMES, load_names)):
        try:
            load(files, identities)
        except NotForUsError as error:
            found.append(Leftover("locked", name, error.message, is_whole=False))
        except Damaged as error:
            rest = f": delete {NAMES} for those that come from now on" if name == NAMES else ""
            found.append(Leftover("lost", name, f"{error}{rest}", is_whole=False))
    return found


def _segment_names(listed: set[str]) -> set[str]:
    """Return the names of all segments of which any file is there, temporary ones included."""
    names = set[str]()
    for file in listed:
        for suffix in (DATA_SUFFIX, INDEX_SUFFIX):
            if file.endswith(suffix):
                names.add(file.removeprefix(TEMPORARY).removesuffix(suffix))
    return {name for name in names if number_of(name) is not None}


class _Indexes:
    """What the published indexes say, and where those lie that have another segment's name."""

    def __init__(self, files: Backend, identities: Sequence[Identity], listed: Sequence[str]) -> None:
        self.data: dict[str, DataFile] = {}
        self.errors: dict[str, StoreError] = {}
        self.lies_under: dict[str, str] = {}  # by the name it should have
        for name in index_names(listed):
            try:
                self.data[name] = IndexFile(files, name, identities).index.meta.data
            except (Damaged, NotForUsError) as error:
                error.forget_frames()
                self.errors[name] = error
                if isinstance(error, Misplaced):
                    self.lies_under[error.belongs_to] = name
        self._owners = {data.file_key: name for name, data in self.data.items() if data.file_key}

    def owner(self, file_key: bytes) -> str:
        """Return the segment whose data file has this key, "" if no index names it."""
        return self._owners.get(file_key.hex(), "")


class _Judge:
    """Says what becomes of one segment."""

    def __init__(self, files: Backend, identities: Sequence[Identity], listed: set[str], state: StoreState) -> None:
        self._files, self._identities, self._listed, self._state = files, identities, listed, state
        self._odd = listed - files.sizes().keys()  # folders, links that lead nowhere
        self._indexes = _Indexes(files, identities, sorted(listed - self._odd))
        self._heads = {head.name for head in state.heads.values()} - {*state.rebuilding}

    def judge(self, name: str) -> Leftover | None:
        """Say what becomes of a segment; None if nothing is wrong with it."""
        data, index = f"{name}{DATA_SUFFIX}", f"{name}{INDEX_SUFFIX}"
        is_half = f"{TEMPORARY}{data}" in self._listed or f"{TEMPORARY}{index}" in self._listed
        if name in self._heads and is_half:
            return Leftover("publish", name, f"{name}: complete, only its name is missing")
        odd = next((file for file in (index, data) if file in self._odd), None)
        if odd is not None:
            return Leftover("lost", name, f"{name}: {odd} is no file: take it away", is_whole=False)
        try:
            if name in self._indexes.data:
                return self._judge_published(name)
            misplaced = self._judge_misplaced(name)
            if misplaced is not None:
                return misplaced
            if data not in self._listed and {f"{TEMPORARY}{index}", f"{TEMPORARY}{data}"} <= self._listed:
                complete = follows_a_head(self._files, name, self._identities, self._state)
                if complete is not None:
                    return Leftover("publish", name, f"{name}: complete, was not published yet", complete[0])
        except NotForUsError as error:
            return Leftover("locked", name, error.message, is_whole=False)
        except Damaged:
            pass  # an index that cannot be read is as good as none
        return self._judge_data(name, self._why(name))

    def _why(self, name: str) -> str:
        """Say why a segment has no index that can be read."""
        error = self._indexes.errors.get(name)
        if isinstance(error, NotForUsError):
            return f"nobody here can open its index, though its data (the index is kept as {name}{INDEX_SUFFIX}{ASIDE})"
        if isinstance(error, Misplaced):
            return f"its index is a copy of that of {error.belongs_to}"
        return "its index is damaged" if error is not None else "it has no index"

    def _judge_published(self, name: str) -> Leftover | None:
        """Compare the data file of a segment with its index."""
        found = self._check(name) if f"{name}{DATA_SUFFIX}" in self._listed else None
        if found is not None and found.kind == "fits":
            return None
        under = self._strays.get(self._indexes.data[name].file_key)
        if under is not None and (found is None or found.kind in _WITHOUT_PACKETS):
            message = f"{name}: its data file lies under the name of {under}: give it back its own"
            return Leftover("swapped", name, message, is_whole=False)
        if found is None:
            return Leftover("lost", name, f"{name}: its data file is missing", is_whole=False)
        if found.kind == "cut":
            return self._judge_data(name, "its data is cut")
        if found.kind == "longer":
            message = f"{name}: behind the end of its data file lie {found.message} that are none of its own"
            return Leftover("repair", name, message)
        if found.kind == "header":
            message = f"{name}: the header of its data file is damaged; all its packets can be read"
            return Leftover("repair", name, message)
        if found.kind == "damaged":
            return Leftover("lost", name, f"{name}: {found.message}; nothing before it is touched", is_whole=False)
        owner = self._indexes.owner(found.file_key)
        if owner:
            return self._foreign(name, owner)
        message = f"{name}: its data file is not the one its index was written for: it is left as it is"
        return Leftover("swapped", name, message, is_whole=False)

    def _judge_misplaced(self, name: str) -> Leftover | None:
        """Say what an index under another name means for a segment."""
        under, error = self._indexes.lies_under.get(name), self._indexes.errors.get(name)
        if under is not None:
            message = f"{name}: its index lies under the name of {under}: give it back its own"
            return Leftover("swapped", name, message, is_whole=False)
        if not isinstance(error, Misplaced):
            return None
        if error.belongs_to not in self._indexes.data:
            message = f"{name}: its index is that of {error.belongs_to[:100]}: give each its own name"
            return Leftover("swapped", name, message, is_whole=False)
        if f"{name}{DATA_SUFFIX}" in self._listed:
            return None  # its own index is gone: what replaced it is there twice
        message = f"{name}: its index is a copy of that of {error.belongs_to}, and it has no data: delete it"
        return Leftover("copy", name, message, is_whole=False)

    def _judge_data(self, name: str, why: str) -> Leftover | None:
        """Say what can be made of a data file without index."""
        file = f"{name}{DATA_SUFFIX}"
        if file not in self._listed:
            if f"{TEMPORARY}{file}" not in self._listed and f"{name}{INDEX_SUFFIX}" in self._listed:
                if isinstance(error := self._indexes.errors.get(name), NotForUsError):
                    return Leftover("locked", name, error.message, is_whole=False)
                return Leftover("lost", name, f"{name}: {why}, and its data file is missing", is_whole=False)
            file = f"{TEMPORARY}{file}"
        is_temporary = file.startswith(TEMPORARY)
        try:
            found = salvage(self._files.open(file), self._identities, load_core())
        except NotForUsError as error:
            return Leftover("locked", name, error.message, is_whole=False)
        except (Damaged, FileNotFoundError) as error:
            if is_temporary:
                return Leftover("discard", name, f"{name}: temporary, holds no packet that is whole")
            reason = error if isinstance(error, Damaged) else "its data file is missing"
            return Leftover("lost", name, f"{name}: {reason}", is_whole=False)
        owner = self._indexes.owner(found.file_key)
        if owner not in ("", name):
            return self._foreign(name, owner)
        if isinstance(self._indexes.errors.get(name), NotForUsError) and self._state.rotation is not None:
            message = f"{name}: its index has other recipients than its data: a rotation of keys did not end"
            return Leftover("locked", name, message, is_whole=False)
        if not found.packets:
            if is_temporary:
                return Leftover("discard", name, f"{name}: temporary, holds no packet that is whole")
            return Leftover("lost", name, f"{name}: {why}, and its data holds no block that is whole", is_whole=False)
        rest = "" if found.is_whole else "; blocks that are cut or damaged are lost"
        secrets = "" if name in self._indexes.data else ", TLS secrets"
        message = f"{name}: loses what only its index knew ({_ONLY_IN_THE_INDEX}{secrets}), because {why}{rest}"
        return Leftover("rebuild", name, message, found.packets, found.is_whole)

    def _foreign(self, name: str, owner: str) -> Leftover:
        """Say whose data file lies under a segment's name."""
        is_there = f"{owner}{DATA_SUFFIX}" in self._listed - self._odd
        if not is_there or self._check(owner).kind in _WITHOUT_PACKETS:
            message = f"{name}: its data file is that of {owner}: give each its own name"
            return Leftover("swapped", name, message, is_whole=False)
        message = f"{name}: its data file is a copy of that of {owner}"
        if name in self._indexes.data:
            return Leftover("lost", name, f"{message}, its own is not here", is_whole=False)
        return Leftover("copy", name, f"{message}: delete it", is_whole=False)

    @cached_property
    def _strays(self) -> dict[str, str]:
        """Data files without an index of their own, by their age key, hex."""
        found = dict[str, str]()
        for name in orphans(self._listed - self._odd):
            with suppress(Damaged, NotForUsError, FileNotFoundError):
                file = self._files.open(f"{name}{DATA_SUFFIX}")
                with AgeReader(file, self._identities, truncated=True) as age:
                    found[age.file_key.hex()] = name
        return found

    def _check(self, name: str) -> DataCheck:
        return check_data_file(self._files, f"{name}{DATA_SUFFIX}", self._indexes.data[name], self._identities)


def follows_a_head(
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
