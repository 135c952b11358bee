"""Reads the write-ahead log: the packets of segments that are not sealed (docs/adr/0020-write-ahead-log.md).

While a segment is open its packets lie in pieces (`_piece.py`), numbered from 1. Put together in this order they are
what the segment will hold, under the name it will have: the same flows, the same ordinals, the same entry ids.

1. A piece that is forged, or not by the node that wrote those before it, is left out and reported; one that is missing
   is reported, and those behind it are kept.
2. The pieces of a segment that has its index are of no value any more: the segment is what counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import PacketExtra
from kubeshark.core_capture.store._limits import MAX_SEGMENT_BYTES
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import log_name, open_names
from kubeshark.core_capture.store.segments._info import Counters, SourceRecord
from kubeshark.core_capture.store.segments._segment import Draft
from kubeshark.core_capture.store.writing._piece import Forged, Piece, decode_piece
from kubeshark.errors import Damaged, StoreError

__all__ = ["LogProblem", "LogReader", "OpenSegment", "read_log"]

MAX_OPEN_BYTES = MAX_SEGMENT_BYTES + (1 << 20)
"""Records of one open segment; a writer closes it long before."""

MAX_LOG_BYTES = 1 << 30
"""Records a reader holds at once: some sixteen segments that no holder of the identity has sealed."""


class LogProblem(Struct, frozen=True):
    """Something wrong with a log.

    damaged  a file that contradicts itself, or lost its end; forged  one that its node did not write there; missing
    a number that is not there; locked  nobody here can read it; left out  the log is larger than a reader holds.
    """

    kind: Literal["damaged", "forged", "missing", "locked", "left out"]
    name: str  # of a file or a segment
    message: str

    def __str__(self) -> str:
        return self.message


class OpenSegment(Struct):
    """A segment that is not sealed, as its log has it."""

    name: str
    pieces: list[Piece] = field(default_factory=list)
    problems: list[LogProblem] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)  # files of which every packet is here
    _seen: int = 0  # the last number that was looked at
    _size: int = 0
    _draft: Draft | None = None

    @property
    def public_key(self) -> str:
        """Who signed all of it, hex."""
        return self.pieces[0].public_key

    @property
    def packets(self) -> int:
        return sum(len(piece.ordinals) for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return self._size

    @property
    def counters(self) -> tuple[Counters, ...]:
        """What the capture said last, by interface."""
        return self.pieces[-1].counters

    @property
    def draft(self) -> Draft:
        """All packets, as the segment would be sealed from them."""
        if self._draft is None:
            self._draft = _join(self.pieces)
        return self._draft

    def read(
        self,
        files: Backend,
        numbers: Sequence[int],
        identities: Sequence[Identity],
        lies_at: Mapping[int, int] | None = None,
    ) -> None:
        """Read the pieces that were not read yet; raise FileNotFoundError if one went meanwhile.

        `lies_at` are the numbers in the names of those that lie under another than their own.
        """
        for number in numbers:
            if number <= self._seen:
                continue
            if number > self._seen + 1:
                gap = f"{self._seen + 1}" if number == self._seen + 2 else f"{self._seen + 1} to {number - 1}"
                self._report("missing", self.name, f"{self.name}: piece {gap} of its log is missing")
            self._seen = number
            file = log_name(self.name, lies_at.get(number, number) if lies_at else number)
            try:
                piece = decode_piece(files.open(file), identities, load_core(), segment=self.name, number=number)
                self._check(piece, file)
            except FileNotFoundError:
                if files.is_remote or file not in files.names():
                    raise
                self._report("damaged", file, f"{file} is a name and no file")
            except NotForUsError as error:
                self._report("locked", file, error.message)
            except Forged as error:
                self._report("forged", file, str(error))
            except StoreError as error:
                self._report("damaged", file, str(error))
            else:
                self.pieces.append(piece)
                self._size += len(piece.data)
                self._draft = None
                self.whole |= set() if piece.lost else {file}
                if piece.surplus:
                    message = (
                        f"{file}: its packets are whole, the {piece.surplus:,} bytes behind them are none of its own"
                    )
                    self._report("damaged", file, message)
                if piece.lost:
                    self._report("damaged", file, f"{file}: its last {piece.lost:,} packets are lost")

    def _check(self, piece: Piece, file: str) -> None:
        """Raise Damaged or Forged unless a piece goes on where the last one ended."""
        if len(piece.data) > MAX_OPEN_BYTES - self._size:
            raise Damaged("the log of its segment is larger than any segment", file=file)
        if not self.pieces:
            return
        first, last = self.pieces[0], self.pieces[-1]
        if piece.public_key != first.public_key:
            raise Forged(f"is signed by node key {piece.public_key}, those before it are not", file=file)
        ends = next((int(each.ordinals[-1]) for each in reversed(self.pieces) if len(each.ordinals)), -1)
        if (
            (piece.link_type, piece.node, piece.origin) != (first.link_type, first.node, first.origin)
            or piece.scheduled != first.scheduled
            or (len(piece.ordinals) and int(piece.ordinals[0]) <= ends)
            or piece.first_block < last.first_block + len(last.metadata.blocks)
            or len(piece.metadata.interfaces) < len(last.metadata.interfaces)
        ):
            raise Damaged("contradicts the piece before it", file=file)

    def _report(self, kind: Literal["damaged", "forged", "missing", "locked"], name: str, message: str) -> None:
        self.problems.append(LogProblem(kind, name, message))


class LogReader:
    """Follows the log of a store: each `read` reads only the pieces that are new since the one before."""

    def __init__(self, files: Backend, identities: Sequence[Identity]) -> None:
        self._files, self._identities = files, identities
        self._open: dict[str, OpenSegment] = {}
        self.problems: list[LogProblem] = []  # of the last `read`

    def read(self, *, without: Collection[str] = ()) -> list[OpenSegment]:
        """Return every open segment of which a packet can be read, by name, except those named.

        Look at the log first and at the segments after that, and take a name that is in both from the segments: what is
        sealed in between is then not missed. The objects are the same each time; a `draft` taken of one stays as it is.
        """
        gone = set[str]()
        while True:
            listed = self._files.names()
            wanted = {name: numbers for name, numbers in open_names(listed).items() if name not in without}
            self._open = {name: self._open.get(name) or OpenSegment(name) for name in wanted}
            left_out = list[LogProblem]()
            gone_before = gone.copy()
            self._read(wanted, left_out, gone)
            if gone > gone_before:
                continue  # sealed since the folder was listed
            found = self._open.values()
            self.problems = [problem for segment in found for problem in segment.problems] + left_out
            return [segment for segment in found if segment.packets]

    def _read(self, wanted: Mapping[str, Sequence[int]], left_out: list[LogProblem], gone: set[str]) -> None:
        held = 0
        for name, numbers in wanted.items():
            if held >= MAX_LOG_BYTES:
                message = f"{name}: its log is left out, more than {MAX_LOG_BYTES:,} bytes are not sealed yet"
                left_out.append(LogProblem("left out", name, message))
                del self._open[name]
                continue
            try:
                self._open[name].read(self._files, numbers, self._identities)
            except FileNotFoundError:
                if name in gone:
                    left_out.append(LogProblem("missing", name, f"{name}: a piece of its log went while it was read"))
                gone.add(name)
                del self._open[name]
                continue
            held += self._open[name].size


def read_log(files: Backend, identities: Sequence[Identity]) -> tuple[list[OpenSegment], list[LogProblem]]:
    """Return the open segments of a store, by name, and what is wrong with its log."""
    reader = LogReader(files, identities)
    return reader.read(), reader.problems


def _join(pieces: Sequence[Piece]) -> Draft:
    """Put pieces together, in the order in which they were written."""
    first, last = pieces[0], pieces[-1]
    extras: dict[int, PacketExtra] = {}
    count = 0
    for piece in pieces:
        extras.update((count + at, extra) for at, extra in piece.extras.items())
        count += len(piece.ordinals)
    ordinals = np.concatenate([piece.ordinals for piece in pieces])
    blocks = [block for piece in pieces for block in piece.metadata.blocks]
    return Draft(
        name=first.segment,
        node=first.node,
        created=first.created,
        link_type=first.link_type,
        data=memoryview(b"".join(piece.data for piece in pieces)),
        ordinals=ordinals,
        extras=extras,
        metadata=replace(last.metadata, interfaces=list(last.metadata.interfaces), blocks=blocks),
        first_block=first.first_block,
        source=SourceRecord(
            sha256=first.origin.sha256,
            name=first.origin.name,
            size=first.origin.size,
            first_ordinal=int(ordinals[0]) if count else 0,
            last_ordinal=int(ordinals[-1]) if count else -1,
            blocks=last.first_block + len(last.metadata.blocks),
            complete=False,
            counters=sum(last.counters[1:], last.counters[0]) if last.counters else None,
        ),
        counters=last.counters,
        scheduled=first.scheduled,
    )
