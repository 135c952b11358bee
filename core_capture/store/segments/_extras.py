"""What only an export needs of a segment: capture order, pcapng options, interfaces, other blocks.

One zstd frame behind the index's main frame: a container whose JSON holds the source's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._records import PacketExtra, SourceMetadata
from kubeshark.core_capture.store._limits import MAX_INDEX_BYTES
from kubeshark.core_capture.store.segments._container import Column, Contents, decoder, pack, unpack
from kubeshark.core_capture.store.segments._index import inflate
from kubeshark.core_capture.store.segments._info import Count, Counters
from kubeshark.errors import Damaged

__all__ = ["Extras", "decode_extras", "decode_packets", "encode_extras", "packet_columns"]

_MAGIC = b"KSHKEXT1"
_LOW = (1 << 64) - 1  # a pcapng clock of seconds reaches 2**94 nanoseconds


class _Meta(Struct, frozen=True):
    source: SourceMetadata
    first_block: Count
    counters: tuple[Counters, ...] = ()


decoder(_Meta)


class Ties:
    """Rank of each packet among those of equal time (u2), by place; decoded as far as it is asked for."""

    def __init__(self, contents: Contents[_Meta], packets: int) -> None:
        self._contents, self._packets = contents, packets
        self.of([])  # its type and length are checked now

    @property
    def whole(self) -> NDArray[Any]:
        """Those of all packets."""
        return self.of([(0, self._packets)])

    def of(self, places: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """Return those of some stretches of places, one behind the other."""
        return self._contents.part("ties", "<u2", self._packets, places)


class Extras(Struct, frozen=True):
    """`metadata.blocks` are those that came since the segment before: block `first_block` of the source and on."""

    metadata: SourceMetadata
    first_block: int
    ordinals: NDArray[Any] | None  # u8, by place in the pcap; None where times give the capture order
    ties: Ties | None  # None where the place gives the rank among packets of equal time
    packets: Mapping[int, PacketExtra]  # by place in the pcap
    counters: tuple[Counters, ...] = ()  # of a capture, by interface


def encode_extras(extras: Extras, ties: NDArray[Any] | None, first_ordinal: int) -> bytes:
    """Return the frame; the ties (u2, by place) are given, `extras` cannot hold any yet."""
    columns = []
    if extras.ordinals is not None:
        columns.append(Column("ordinals", extras.ordinals - np.uint64(first_ordinal), "delta planes"))
    if ties is not None:
        columns.append(Column("ties", ties, "planes"))
    if extras.packets:
        columns += packet_columns(extras.packets)
    meta = _Meta(extras.metadata, extras.first_block, extras.counters)
    return zstandard.ZstdCompressor(level=3).compress(pack(_MAGIC, meta, columns))


def decode_extras(frame: bytes | memoryview, name: str, *, packets: int, first_ordinal: int) -> Extras:
    """Decode the frame of a segment of so many packets; raise Damaged unless everything lies inside it."""
    contents = unpack(inflate(frame, MAX_INDEX_BYTES, name), _MAGIC, _Meta, name)
    ordinals = None
    if "ordinals" in contents:
        ordinals = contents.column("ordinals", "<u8", (packets,)) + np.uint64(first_ordinal)
    if "ties" in contents and ordinals is not None:
        raise Damaged("holds the capture order twice", file=name)
    return Extras(
        metadata=contents.meta.source,
        first_block=contents.meta.first_block,
        ordinals=ordinals,
        ties=Ties(contents, packets) if "ties" in contents else None,
        packets=decode_packets(contents, packets, len(contents.meta.source.interfaces)),
        counters=contents.meta.counters,
    )


def packet_columns(packets: Mapping[int, PacketExtra]) -> list[Column]:
    """Return the columns of what pcap records cannot hold."""
    places = sorted(packets)
    extras = [packets[place] for place in places]
    times = [extra.time_ns for extra in extras]
    return [
        Column("extra_place", np.array(places, dtype=np.uint32), "delta planes"),
        Column("extra_interface", np.array([e.interface for e in extras], dtype=np.uint32), "planes"),
        Column("extra_block_type", np.array([e.block_type for e in extras], dtype=np.uint32), "planes"),
        Column("extra_has_time", np.array([time is not None for time in times], dtype=np.uint8)),
        Column("extra_time_high", np.array([(time or 0) >> 64 for time in times], dtype=np.int64), "planes"),
        Column("extra_time_low", np.array([(time or 0) & _LOW for time in times], dtype=np.uint64), "planes"),
        Column("extra_options_bytes", np.array([len(e.options) for e in extras], dtype=np.uint32), "planes"),
        Column("extra_options", np.frombuffer(b"".join(e.options for e in extras), dtype=np.uint8)),
    ]


def decode_packets(contents: Contents[Any], packets: int, interfaces: int) -> dict[int, PacketExtra]:
    """Decode them, for so many packets and interfaces; raise Damaged unless they fit."""
    if "extra_place" not in contents:
        return {}
    places = contents.column("extra_place", "<u4")
    shape = places.shape
    ends = np.cumsum(contents.column("extra_options_bytes", "<u4", shape), dtype=np.uint64)
    options = contents.column("extra_options", "|u1", (int(ends[-1]) if len(ends) else 0,)).tobytes()
    on = contents.column("extra_interface", "<u4", shape)
    if len(places) and (int(places.max()) >= packets or int(on.max()) >= interfaces):
        raise Damaged("extras of a packet or an interface that is not there", file=contents.name)
    rows = zip(
        places.tolist(),
        on.tolist(),
        contents.column("extra_block_type", "<u4", shape).tolist(),
        contents.column("extra_has_time", "|u1", shape).tolist(),
        contents.column("extra_time_high", "<i8", shape).tolist(),
        contents.column("extra_time_low", "<u8", shape).tolist(),
        [0, *ends.tolist()],
        ends.tolist(),
        strict=False,  # the starts of the options have one more
    )
    return {
        place: PacketExtra(interface, options[start:end], high << 64 | low if has_time else None, block_type)
        for place, interface, block_type, has_time, high, low, start, end in rows
    }
