"""The Core protocol, answered in plain Python."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import (
    ARENA,
    FLOW,
    NO_FLOW,
    PACKET,
    Buffer,
    Decoded,
    Direction,
    FlowStreams,
)
from kubeshark.core_capture._records import RECORD_HEADER_BYTES
from kubeshark.core_capture.reference._decode import DecodedPacket, decode_packets, record_offsets
from kubeshark.core_capture.reference._flows import Flow, FlowTable, direction_of
from kubeshark.core_capture.reference._streams import RST, SYN, Segment, assemble_direction

__all__ = ["ReferenceCore"]

TCP = 6


class ReferenceCore:
    """The readable core. Stateless; limits are in `_limits`."""

    name = "reference"

    def offsets(self, data: Buffer) -> tuple[NDArray[Any], int]:
        """Return the offsets (u8) of all whole records and where they end."""
        offsets, end = _offsets(bytes(data))
        return np.array(offsets, dtype=np.uint64), end

    def decode(self, data: Buffer, link_type: int) -> Decoded:
        """Decode whole records of one link type. Raises ValueError for 4 GiB or more: PACKET counts offsets in u4."""
        if len(data) > 0xFFFF_FFFF:
            raise ValueError("records of 4 GiB or more at once")
        content = bytes(data)
        offsets, end = _offsets(content)
        packets = decode_packets(content, offsets, link_type)
        table = FlowTable()
        rows = [
            NO_FLOW if packet.found is None else table.add(index, packet.time_ns, packet.found)
            for index, packet in enumerate(packets)
        ]
        arena, arena_index = _arena(packets)
        return Decoded(
            data=data,
            packets=np.array([_packet_row(p, row) for p, row in zip(packets, rows, strict=True)], dtype=PACKET),
            flows=np.array([_flow_row(flow) for flow in table.flows], dtype=FLOW),
            arena=arena,
            arena_index=arena_index,
            end=end,
        )

    def assemble(self, decoded: Decoded, flows: Sequence[int] | NDArray[Any]) -> list[FlowStreams]:
        """Reassemble these flows, in the given order; sorts all packets once a call, so ask for many flows at once.

        Holds the streams and a copy of their payload. A stream is at most its captured bytes and 64 zeros for each of
        them beyond the first 64 KiB of zeros (`_limits`).
        """
        packets = decoded.packets
        by_flow = np.lexsort((packets["time_ns"], packets["flow"]))  # stable: then by index
        sorted_flows = packets["flow"][by_flow]
        streams = []
        for flow in map(int, flows):
            low, high = np.searchsorted(sorted_flows, [flow, flow + 1])
            own = by_flow[low:high].astype(np.uint32)
            is_tcp = int(decoded.flows[flow]["transport"]) == TCP
            sides = (_side(decoded, flow, own, 0), _side(decoded, flow, own, 1)) if is_tcp else None
            streams.append(FlowStreams(flow, sides, own))
        return streams

    def gather(self, data: Buffer, offsets: NDArray[Any], order: NDArray[Any], size: int | None = None) -> bytearray:
        """Return the records at offsets[order[0]], offsets[order[1]], … one behind the other.

        Raises IndexError or ValueError where `order` or `offsets` point outside.
        """
        view = memoryview(data)
        gathered = bytearray()
        for index in order.tolist():
            if index < 0:
                raise IndexError("order holds a negative index")
            start = int(offsets[index])
            end = start + RECORD_HEADER_BYTES
            end += int.from_bytes(view[start + 8 : start + 12], "little")
            if start + RECORD_HEADER_BYTES > len(view) or end > len(view):
                raise ValueError(f"no whole record at {start}")
            gathered += view[start:end]
        if size not in (None, len(gathered)):
            raise IndexError(f"{len(gathered)} bytes of records, not {size}")
        return gathered

    def by_time(
        self, pieces: Sequence[Buffer], ties: NDArray[Any] | None
    ) -> tuple[bytearray, NDArray[Any], NDArray[Any]]:
        """Return the records of all pieces sorted by time, then tie, then place: (records, their offsets, times); u8.

        Raises IndexError unless the pieces are whole records only, one for each of `ties` (u2, by place).
        """
        data = b"".join(pieces)
        offsets, end = _offsets(data)
        if end != len(data) or (ties is not None and len(ties) != len(offsets)):
            raise IndexError("not whole records, one for each tie")
        heads = [struct.unpack_from("<II", data, offset) for offset in offsets]
        times = np.array([seconds * 1_000_000_000 + nanoseconds for seconds, nanoseconds in heads], dtype=np.uint64)
        order = np.lexsort((times,)) if ties is None else np.lexsort((ties, times))
        starts = np.array(offsets, dtype=np.uint64)
        sizes = np.diff(starts, append=np.uint64(end))[order]
        return self.gather(data, starts, order), np.cumsum(sizes) - sizes, times[order]

    def runs(self, chosen: NDArray[np.bool_], lengths: NDArray[Any], start: int) -> list[tuple[int, int]]:
        """Lay `lengths` (u8) one behind the other from `start` on; return the stretches of those chosen, merged."""
        runs: list[tuple[int, int]] = []
        for is_chosen, length in zip(chosen.tolist(), lengths.tolist(), strict=True):
            if is_chosen and length:
                first = runs.pop()[0] if runs and runs[-1][1] == start else start
                runs.append((first, start + length))
            start += length
        return runs

    def may_hold(self, filters: Buffer, ends: NDArray[Any], key: int, probes: int) -> NDArray[np.bool_]:
        """Look up a key (u64) in Bloom filters that lie one behind the other up to `ends` (u8), powers of two bytes.

        Probe n is bit key + n * (key >> 32 | 1), modulo the filter's bits, the highest bit of a byte first.
        Raises IndexError for a filter of another size, or one that is not there.
        """
        answers, start = [], 0
        for end in ends.tolist():
            bits = bytes(memoryview(filters)[start:end])
            if not bits or len(bits) != end - start or len(bits) & (len(bits) - 1):
                raise IndexError(f"no filter of {end - start} bytes at {start}")
            probed = [(key + number * (key >> 32 | 1)) % (8 * len(bits)) for number in range(probes)]
            answers.append(all(bits[at >> 3] & 0x80 >> (at & 7) for at in probed))
            start = end
        return np.array(answers, dtype=np.bool_)

    def unplane(self, planes: Buffer, dtype: str, shape: tuple[int, ...], *, delta: bool) -> NDArray[Any]:
        """Return the numbers whose first bytes, second bytes, … `planes` holds; `delta`: as sums along the first axis.

        Raises IndexError unless `planes` has the bytes of `shape`.
        """
        kind, (rows, *columns) = np.dtype(dtype), shape
        width = columns[0] if columns else 1
        if len(planes) != rows * width * kind.itemsize:
            raise IndexError(f"{len(planes)} bytes are not {shape} {dtype}")
        out = np.zeros((rows, width), dtype=kind)
        parts = np.frombuffer(planes, dtype=np.uint8).reshape(width, kind.itemsize, rows)
        for byte in range(kind.itemsize):
            out |= parts[:, byte].T.astype(kind) << kind.type(8 * byte)
        return (np.cumsum(out, axis=0, dtype=kind) if delta else out).reshape(shape)


def _offsets(content: bytes) -> tuple[list[int], int]:
    *offsets, end = record_offsets(content)
    return offsets, end


def _arena(packets: list[DecodedPacket]) -> tuple[bytes, NDArray[Any]]:
    """Lay the reassembled datagrams one behind the other, by packet."""
    rows: list[tuple[int, int, int]] = []
    arena = bytearray()
    for index, packet in enumerate(packets):
        if packet.found is not None and packet.found.datagram is not None:
            rows.append((index, len(arena), len(packet.found.datagram)))
            arena += packet.found.datagram
    return bytes(arena), np.array(rows, dtype=ARENA)


def _packet_row(packet: DecodedPacket, flow: int) -> tuple[int, ...]:
    found = packet.found
    if found is None:
        return (packet.time_ns, packet.offset, flow, 0, 0, 0, 0, 0, 0, 0, 0)
    return (
        packet.time_ns,
        packet.offset,
        flow,
        found.sequence,
        found.payload_length,
        found.payload_offset,
        found.transport_offset,
        found.flags,
        direction_of(found),
        found.transport,
        int(found.bits),
    )


def _flow_row(flow: Flow) -> tuple[Any, ...]:
    version, transport, a, port_a, b, port_b, _ = flow.key
    return (
        _address(a),
        _address(b),
        port_a,
        port_b,
        transport,
        version,
        flow.client,
        int(flow.tunnel),
        flow.vlan,
        int(flow.bits),
        flow.carrier,
        flow.first_packet,
        0,
        flow.first_ns,
        flow.last_ns,
        tuple(flow.packets),
        tuple(flow.bytes),
        tuple(isn or 0 for isn in flow.isn),
    )


def _address(address: bytes) -> tuple[int, ...]:
    return tuple(address.ljust(16, b"\0"))


def _side(decoded: Decoded, flow: int, own: NDArray[Any], direction: int) -> Direction:
    """Reassemble the packets of one direction; `own` are the flow's, in time order."""
    rows = decoded.packets[own]
    is_ours = rows["direction"] == direction
    has_syn = bool(np.any(rows[is_ours]["flags"] & (SYN | RST) == SYN))
    segments = (
        Segment(packet, sequence, flags, bytes(decoded.payload(packet)))
        for packet, sequence, flags in zip(
            own[is_ours].tolist(), rows[is_ours]["seq"].tolist(), rows[is_ours]["flags"].tolist(), strict=True
        )
    )
    return assemble_direction(segments, int(decoded.flows[flow]["isn"][direction]) if has_syn else None)
