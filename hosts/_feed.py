"""How streams become items of frames: which bytes a plugin sees next, and what it made of them.

A *lane* is a sequence of bytes that must be given in order: one side of a TCP stream, both sides in turns where the
protocol wants it (manifest: `order = "turns"`), or all datagrams of a flow. Lanes do not depend on each other, so a
round takes the next items of every lane, and frames are filled across lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from kubeshark.extension_api._frame import (
    MAX_FRAME_ITEMS,
    MAX_FRAME_PAYLOAD,
    MAX_ITEM_BYTES,
    FrameItem,
    FrameMessage,
    ItemFlag,
)
from kubeshark.extension_api._models import Stream, StreamSide

__all__ = [
    "TRANSPORTS",
    "DatagramLane",
    "Found",
    "ItemResult",
    "Lane",
    "Result",
    "StreamLane",
    "Taken",
    "frames",
    "lanes_of",
]

CHUNK_BYTES = 256 << 10
"""Of a long stream, given at a time: more only while the plugin needs more for one message. The thousands of small
messages that fit so much fit a result, too; those that fit the 4 MiB of the largest item do not."""

TRANSPORTS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1}
# As plain integers: or-ing flags costs more than packing the item.
_WHOLE = int(ItemFlag.FIRST | ItemFlag.LAST)
_WHOLE_BUT_CUT = int(ItemFlag.FIRST | ItemFlag.LAST | ItemFlag.CUT)


class Result(Protocol):
    """What a plugin said about one item; its messages may be made when they are asked for."""

    @property
    def consumed(self) -> int: ...
    @property
    def messages(self) -> Sequence[FrameMessage]: ...


class ItemResult(Struct, frozen=True):
    """A `Result` whose messages are there."""

    consumed: int
    messages: Sequence[FrameMessage]


class Taken(NamedTuple):
    """An item that the plugin answered, and where it lay in its stream."""

    direction: int
    datagram: int
    start: int
    result: Result

    def found(self) -> Iterator[Found]:
        """Yield its messages in the terms of the stream."""
        direction, datagram, start, result = self
        for message in result.messages:
            yield Found(direction, datagram, start + message.start, start + message.end, message)


class Found(Struct, frozen=True):
    """A message in the terms of its stream; `message` is None for bytes that only have an error."""

    direction: int
    datagram: int
    start: int
    end: int
    message: FrameMessage | None
    error: str = ""


class Lane:
    """What became of its bytes, in order: items that were answered, and bytes that only have an error."""

    def __init__(self, stream: int) -> None:
        self.stream = stream  # index of the stream it belongs to
        self.parts: list[Taken | Found] = []

    @property
    def found(self) -> list[Found]:
        """All messages and errors, in order."""
        return [one for part in self.parts for one in (part.found() if isinstance(part, Taken) else (part,))]

    def items(self) -> list[FrameItem]:
        """Return the next items, [] when there is nothing left."""
        raise NotImplementedError

    def take(self, index: int, result: Result | str) -> None:
        """Note what became of item `index` of the last `items()`; a text is the reason why the plugin failed on it."""
        raise NotImplementedError


def frames(
    items: Sequence[FrameItem], bounds: Callable[[], tuple[int, int]] = lambda: (MAX_FRAME_ITEMS, MAX_FRAME_PAYLOAD)
) -> Iterator[slice]:
    """Cut items into frames: by count and payload, as `bounds` says for each; one that is larger travels alone."""
    start = size = 0
    most, payload = bounds()
    for index, item in enumerate(items):
        length = len(item.payload)
        if index > start and (index - start == most or size + length > payload):
            yield slice(start, index)
            start, size = index, 0
            most, payload = bounds()
        size += length
    if items:
        yield slice(start, len(items))


def lanes_of(stream: Stream, index: int, *, turns: bool) -> list[Lane]:
    """Return the lanes of one stream, the client's first."""
    if stream.transport != "tcp":
        return [DatagramLane(stream, index)]
    if turns:
        return [StreamLane(stream, index, stream.turns())]
    return [StreamLane(stream, index, [(side, 0, len(stream.sides[side].data))]) for side in (0, 1)]


class DatagramLane(Lane):
    """All datagrams of a flow at once: each stands for itself."""

    def __init__(self, stream: Stream, index: int) -> None:
        super().__init__(index)
        self._source: Stream | None = stream
        self._datagrams = stream.datagrams

    def items(self) -> list[FrameItem]:
        """See Lane."""
        source, self._source = self._source, None
        if source is None:
            return []
        stream, transport = self.stream, TRANSPORTS.get(source.transport, 255)
        client, server = source.client.port, source.server.port
        return [
            FrameItem(
                datagram.data[:MAX_ITEM_BYTES],
                stream,
                datagram.time_ns,
                datagram.direction,
                transport,
                _WHOLE_BUT_CUT if datagram.cut else _WHOLE,
                client,
                server,
            )
            for datagram in self._datagrams
        ]

    def take(self, index: int, result: Result | str) -> None:
        """See Lane."""
        datagram = self._datagrams[index]
        if isinstance(result, str):
            self.parts.append(Found(datagram.direction, index, 0, len(datagram.data), None, result))
        else:
            self.parts.append(Taken(datagram.direction, index, 0, result))


class _Run(Struct, frozen=True):
    """Bytes of one side without a gap inside."""

    direction: int
    start: int
    end: int
    after_gap: bool
    missing: int  # bytes missing behind it; what is not consumed before them never will be
    is_last: bool  # of its side


class StreamLane(Lane):
    """One side, or both in turns: unconsumed bytes come again with more behind them.

    All the state of a stream is how far it was consumed: the plugin keeps none, and its memory does not grow with the
    stream. A chunk of which nothing was consumed is given again, twice as long.
    """

    def __init__(self, stream: Stream, index: int, pieces: Sequence[tuple[int, int, int]]) -> None:
        super().__init__(index)
        self._source = stream
        self._runs = list(_runs(stream.sides, pieces))
        self._at = 0
        self._position = [0, 0]
        self._window = (0, 0)
        self._size = CHUNK_BYTES

    def items(self) -> list[FrameItem]:
        """See Lane."""
        if self._at == len(self._runs):
            return []
        run = self._runs[self._at]
        if run.after_gap:
            self._position[run.direction] = max(self._position[run.direction], run.start)
        start = self._position[run.direction]
        end = min(run.end, start + self._size)
        self._window = start, end
        side = self._source.sides[run.direction]
        flags = ItemFlag(0)
        if start == 0:
            flags |= ItemFlag.FIRST | (ItemFlag.GAP if side.starts_midway else 0)
        if run.after_gap and start == run.start:
            flags |= ItemFlag.GAP
        if run.is_last and end == run.end:
            flags |= ItemFlag.LAST
        return [
            FrameItem(
                side.data[start:end],
                self.stream,
                side.time_at(start),
                run.direction,
                TRANSPORTS["tcp"],
                flags,
                self._source.client.port,
                self._source.server.port,
                0,
                start,
            )
        ]

    def take(self, index: int, result: Result | str) -> None:  # noqa: ARG002 (there is one item)
        """See Lane."""
        run = self._runs[self._at]
        start, end = self._window
        if isinstance(result, str):
            self._lose(start, run.end, result)
            self._at = len(self._runs)  # what follows would begin in the middle of something
            return
        self.parts.append(Taken(run.direction, 0, start, result))
        position = self._position[run.direction] = start + result.consumed
        if end < run.end and result.consumed:
            self._size = CHUNK_BYTES
            return  # a window inside the run: more of it comes next
        if end < run.end and self._size < MAX_ITEM_BYTES:
            self._size *= 2
            return
        self._size = CHUNK_BYTES
        if end < run.end:
            self._lose(start, run.end, f"a message of more than {MAX_ITEM_BYTES:,} bytes")
            self._position[run.direction] = run.end
        elif run.missing and position < run.end:
            self._lose(position, run.end, f"gap: {run.missing:,} bytes were not captured")
        self._at += 1

    def _lose(self, start: int, end: int, error: str) -> None:
        self.parts.append(Found(self._runs[self._at].direction, 0, start, end, None, error))


def _runs(sides: Sequence[StreamSide], pieces: Sequence[tuple[int, int, int]]) -> Iterator[_Run]:
    """Cut the pieces at gaps; empty ones are left out."""
    last = {direction: at for at, (direction, _, _) in enumerate(pieces)}
    for at, (direction, start, end) in enumerate(pieces):
        after_gap = False
        for gap_start, gap_end, missing in sides[direction].gaps:
            if gap_end <= start or gap_start >= end:
                continue
            if gap_start > start:
                yield _Run(direction, start, gap_start, after_gap, missing, is_last=False)
            start, after_gap = max(start, gap_end), True
        if start < end:
            yield _Run(direction, start, end, after_gap, 0, is_last=last[direction] == at)
