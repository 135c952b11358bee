"""What scanners of the C core find: messages and exchanges as columns, one row each.

A scanner reads streams that hold nothing but whole, well-formed messages of one protocol, many thousand a call. It is
an accelerator, not a second dissector: whatever it is not sure about it leaves alone. Invariant: for a stream that it
takes, messages, their order, their pairs and every column are those that the protocol's dissector gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Decoded, FlowStreams

__all__ = ["CHUNKED", "EXCHANGE", "MESSAGE", "NO_MESSAGE", "ROW", "SCANNERS", "Assembled", "Scanned"]

NO_MESSAGE = 0xFFFF_FFFF
"""Row number of a half that is missing."""

SCANNERS = ("http", "dns", "icmp", "redis", "mqtt", "memcached", "postgresql", "http2", "nats", "tlsx")
"""Flags of the protocols that have a scanner, by its number in the core (scan.c)."""


_TEXT = np.dtype([("at", "<u4"), ("length", "<u4")])  # in Scanned.text

MESSAGE = np.dtype(
    [
        ("key", "<u8"),  # pairs request and response where the protocol has ids
        ("stream", "<u4"),  # number in what was assembled
        ("start", "<u4"),  # in the side's data, or in the datagram
        ("end", "<u4"),
        ("packet", "<u4"),  # of Decoded.packets, that first carried the first byte
        ("last_packet", "<u4"),  # … the last byte
        ("place", "<u4"),  # in capture order: the packet for TCP, else the number of the datagram
        ("kind", "u1"),  # 0 request, 1 response, 2 event
        ("direction", "u1"),  # 0: the client sent it
        ("protocol", "u1"),  # which of the dissector's protocols, in the order in which it names them
        ("bits", "u1"),  # 1: has no answer by design; 2: an interim response, which does not end its request; CHUNKED
        ("number", "<i4", (3,)),  # what they are, each scanner says
        ("text", _TEXT, (4,)),
    ],
    align=True,
)
"""One row a message, by stream."""

CHUNKED = 4
"""A bit of an HTTP/1 message whose body is chunked."""
ROW = Struct("<Q6I4B3i8I")
"""A row of MESSAGE read at once: a field at a time costs ten times as much."""

EXCHANGE = np.dtype([("stream", "<u4"), ("request", "<u4"), ("response", "<u4"), ("event", "<u4")])
"""One row an exchange, by stream, then in the order of its first message; halves are rows of MESSAGE or NO_MESSAGE."""


class Scanned(msgspec.Struct):
    """What scanners found in the streams that they took; `text` holds the bytes that texts point to."""

    messages: NDArray[Any]  # MESSAGE
    exchanges: NDArray[Any]  # EXCHANGE
    text: bytes
    owner: NDArray[Any]  # by exchange: which of the scanners asked found it, ascending
    taken: NDArray[np.bool_]  # one a stream

    def texts(self, rows: NDArray[Any], column: int) -> list[bytes]:
        """Return one text of each of these messages."""
        places = self.messages["text"][rows, column]
        starts = places["at"].tolist()
        ends = (places["at"] + places["length"]).tolist()
        text = self.text
        return [text[start:end] for start, end in zip(starts, ends, strict=True)]


@dataclass(slots=True)
class Assembled(Sequence[FlowStreams]):
    """Reassembled flows, in the order asked for; each `FlowStreams` is made when it is looked at."""

    decoded: Decoded
    flows: NDArray[Any]  # i8, rows of decoded.flows
    _make: Callable[[int], FlowStreams]
    _scan: Callable[[Sequence[tuple[str, NDArray[Any]]]], Scanned]
    _heads: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]
    has_payload: NDArray[np.bool_]
    """Whether any byte was captured."""
    _made: dict[int, FlowStreams] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.flows)

    @overload
    def __getitem__(self, at: int) -> FlowStreams: ...
    @overload
    def __getitem__(self, at: slice) -> list[FlowStreams]: ...
    def __getitem__(self, at: int | slice) -> FlowStreams | list[FlowStreams]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if at not in self._made:
            if not -len(self) <= at < len(self):
                raise IndexError(at)
            self._made[at] = self._make(at % len(self))
        return self._made[at]

    def __iter__(self) -> Iterator[FlowStreams]:
        return (self[at] for at in range(len(self)))

    def heads(self, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the first bytes of each side, (streams, 2, width) u1, client's first, and how many (streams, 2) u1.

        Behind them are zeros. For datagrams: of the side's first one that holds any.
        """
        return self._heads(width)

    def scan(self, chosen: Sequence[tuple[str, NDArray[Any]]]) -> Scanned:
        """Run scanners, each (one of SCANNERS, numbers of streams), over those streams that none before it took."""
        return self._scan(chosen)
