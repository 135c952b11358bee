"""What is asked of a live source, what it counts, and what every one of them can do."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, Protocol

from msgspec import Struct, field

from kubeshark.core_capture._records import RecordBatch, Room, SourceMetadata

__all__ = ["SNAPLEN", "Again", "Counters", "LiveOptions", "PacketChoice", "PacketSource", "Reader", "Room"]

SNAPLEN = 262_144
"""Bytes of a packet that are kept: what tcpdump and dumpcap take by default."""

Again = Callable[[], bool]
"""Waits a moment; whether to look once more then, for what goes into the same room."""

Reader = Literal["auto", "ring", "socket"]


class PacketChoice(Struct, frozen=True):
    """Which packets are kept now; a source that runs takes another choice at once, and loses nothing of both."""

    addresses: frozenset[IPv4Address | IPv6Address] | None = None  # of either end; None: any
    filters: tuple[str, ...] = ("",)  # BPF, one of which holds, beside the filter of the options; none: nothing is kept
    pods: frozenset[str] = frozenset()  # uids: whose processes probes may read, where pods are what they were told


class LiveOptions(Struct, frozen=True):
    """How to listen on interfaces."""

    filter: str = ""  # BPF, as tcpdump takes it
    snaplen: int = SNAPLEN
    promiscuous: bool = True  # never on "any"
    direction: Literal["in", "out", "both"] = "both"
    fanout: int | None = None  # 0 to 65535: processes with the same number share the packets, by flow
    ring_bytes: int = 64 << 20  # of each interface, in the kernel
    clock: Literal["host", "adapter", "best"] = "host"  # whose time stamps; best: the adapter's, if it has them
    choice: PacketChoice = PacketChoice()  # to begin with
    is_immediate: bool = False  # hands packets on within a millisecond, and wakes up for each few of them


class Counters(Struct):
    """What became of packets; of one interface, or added up.

    Once a source has ended, received = delivered + dropped + damaged.
    """

    received: int = 0  # passed the filter in the kernel
    dropped: int = 0  # of them: the kernel had no room
    delivered: int = 0  # of them: given out
    damaged: int = 0  # of them: the ring contradicted itself
    truncated: int = 0  # of those delivered: longer than the snap length
    excluded: int = 0  # beside them: the filter or the choice left out; a few more or less, by another socket's count
    stamped: int = 0  # of those delivered: with a time of the adapter; else it is the host's


class Notices(Struct):
    """What happened to a source and is to be said once; bounded, since interfaces may come and go for days."""

    _texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if len(self._texts) < 1000:
            self._texts.append(text)

    def take(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts


class PacketSource(Protocol):
    """Packets as they come. One thread reads; `stop` may be called from any thread and from a signal handler."""

    name: str
    metadata: SourceMetadata  # grows: an interface is there before its first packet
    waits: bool  # whether a reader that is slow makes the sender wait; else packets are lost
    capabilities: frozenset[int]  # that reading it takes, once it is open

    @property
    def problems(self) -> list[str]: ...  # what could not be read of it
    @property
    def is_finished(self) -> bool: ...  # nothing will come any more
    def read(self, timeout_s: float) -> RecordBatch | None: ...  # None: nothing came in that time, or it is finished
    def stop(self) -> None: ...  # give out what is there already, then be finished
    def close(self) -> None: ...  # twice is fine
    def counters(self) -> list[Counters]: ...  # by interface of the metadata
    def take_notices(self) -> list[str]: ...  # since it was asked last
