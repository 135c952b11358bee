"""Builds packets byte by byte for tests, with nothing of the code under test, and checks what a core made of them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import numpy as np

from kubeshark.core_capture._columns import NO_FLOW, PACKET, Core, Decoded, FlowBit, FlowStreams, PacketBit

ETHERNET, RAW = 1, 101
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}


def record(packet: bytes, time_ns: int = 0, original: int | None = None) -> bytes:
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return struct.pack("<4I", seconds, nanoseconds, len(packet), len(packet) if original is None else original) + packet


def records(*packets: bytes) -> bytes:
    """Records a millisecond apart."""
    return b"".join(record(packet, index * 10**6) for index, packet in enumerate(packets))


def ethernet(kind: int, payload: bytes) -> bytes:
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2" + struct.pack(">H", kind) + payload


def vlan(number: int, kind: int, payload: bytes) -> bytes:
    return struct.pack(">HH", number, kind) + payload


def ip(
    payload: bytes,
    protocol: int,
    source: str = A,
    destination: str = B,
    *,
    length: int | None = None,
    options: bytes = b"",
    identification: int = 0,
    fragment: int = 0,
) -> bytes:
    """An IPv4 or IPv6 packet; `fragment` is IPv4's flags and offset as one field."""
    if isinstance(ip_address(source), IPv6Address):
        head = struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, protocol, 64)
        return head + IPv6Address(source).packed + IPv6Address(destination).packed + payload
    header = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH",
        0x40 | header // 4,
        0,
        header + len(payload) if length is None else length,
        identification,
        fragment,
        64,
        protocol,
        0,
    )
    return head + IPv4Address(source).packed + IPv4Address(destination).packed + options + payload


def udp_header(payload: bytes, source: int, destination: int, length: int | None = None) -> bytes:
    return struct.pack(">HHHH", source, destination, 8 + len(payload) if length is None else length, 0) + payload


def tcp_header(
    payload: bytes, source: int, destination: int, sequence: int = 0, flags: str = "A", words: int = 5
) -> bytes:
    bits = sum(FLAGS[flag] for flag in flags)
    return (
        struct.pack(">HHIIBBHHH", source, destination, sequence & 0xFFFF_FFFF, 0, words << 4, bits, 1024, 0, 0)
        + bytes(max(words - 5, 0) * 4)
        + payload
    )


def udp(payload: bytes = b"hello", ports: tuple[int, int] = (40000, 40001), ends: tuple[str, str] = (A, B)) -> bytes:
    """An IP packet."""
    return ip(udp_header(payload, *ports), 17, *ends)


def tcp(
    payload: bytes = b"",
    sequence: int = 0,
    flags: str = "A",
    ports: tuple[int, int] = (40000, 80),
    ends: tuple[str, str] = (A, B),
) -> bytes:
    """An IP packet."""
    return ip(tcp_header(payload, *ports, sequence, flags), 6, *ends)


def fragments(packet: bytes, *sizes: int, identification: int = 7) -> list[bytes]:
    """Cut an IPv4 packet without options into fragments: payload bytes of each but the last."""
    payload, protocol = packet[20:], packet[9]
    source, destination = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    pieces, at = [], 0
    for size in [*sizes, len(payload) - sum(sizes)]:
        more = 0x2000 if at + size < len(payload) else 0
        piece = payload[at : at + size]
        pieces.append(ip(piece, protocol, source, destination, identification=identification, fragment=more | at // 8))
        at += size
    return pieces


def ends(flow: Any) -> tuple[str, int, str, int]:
    """(address a, port a, address b, port b) of a row of the flow table."""
    size = 4 if flow["ip_version"] == 4 else 16
    a, b = (str(ip_address(bytes(flow[end][:size]))) for end in "ab")
    return a, int(flow["port_a"]), b, int(flow["port_b"])


def check_decoded(decoded: Decoded) -> None:
    """Assert what holds for every Decoded, whatever the bytes were."""
    packets, flows = decoded.packets, decoded.flows
    assert decoded.end <= len(decoded.data)
    ends_at = np.append(packets["offset"], decoded.end)[1:].astype(np.int64)
    has_flow = packets["flow"] != NO_FLOW
    for name in set(PACKET.names or ()) - {"time_ns", "offset", "flow"}:
        assert not packets[name][~has_flow].any()
    rows = packets[has_flow]
    assert (rows["flow"] < len(flows)).all()
    own = flows[rows["flow"]]
    assert not (own["bits"] & FlowBit.CARRIER).any()
    assert (own["transport"] == rows["transport"]).all()
    assert (own["first_packet"] <= np.flatnonzero(has_flow)).all()
    assert ((own["first_ns"] <= rows["time_ns"]) & (rows["time_ns"] <= own["last_ns"])).all()
    room = ends_at - packets["offset"]
    in_arena = np.flatnonzero(packets["bits"] & PacketBit.ARENA)
    assert decoded.arena_index["packet"].tolist() == in_arena.tolist()
    room[in_arena] = decoded.arena_index["length"]
    assert (packets["transport_offset"] <= packets["payload_offset"]).all()
    assert (packets["payload_offset"].astype(np.int64) + packets["payload_length"] <= room).all()
    arena_ends = decoded.arena_index["length"].cumsum()
    assert decoded.arena_index["offset"].tolist() == [0, *arena_ends.tolist()][: len(arena_ends)]
    assert len(decoded.arena) == (arena_ends[-1] if len(arena_ends) else 0)
    counted = np.bincount(rows["flow"].astype(np.int64), minlength=len(flows))
    ordinary = (flows["bits"] & FlowBit.CARRIER) == 0
    assert counted[ordinary].tolist() == flows["packets"][ordinary].sum(axis=1).tolist()
    assert (np.diff(flows["first_packet"].astype(int)) >= 0).all()
    for row, flow in enumerate(flows):
        carrier = int(flow["carrier"])
        assert carrier == NO_FLOW or flows[carrier]["bits"] & FlowBit.CARRIER
        assert carrier == NO_FLOW or carrier != row
        assert (bytes(flow["a"]), flow["port_a"]) <= (bytes(flow["b"]), flow["port_b"])


def check_streams(decoded: Decoded, streams: list[FlowStreams]) -> None:
    """Assert what holds for every FlowStreams, whatever the bytes were."""
    for stream in streams:
        assert (decoded.packets["flow"][stream.packets] == stream.flow).all()
        assert (np.diff(decoded.packets["time_ns"][stream.packets].astype(object)) >= 0).all()
        for number, side in enumerate(stream.directions or ()):
            starts = side.chunk_starts.tolist()
            assert len(starts) == len(side.chunk_packets)
            assert starts == sorted(starts)
            assert bool(starts) == (len(side.data) > 0)
            assert not starts or (starts[0] == 0 and starts[-1] < len(side.data))
            assert (decoded.packets["direction"][side.chunk_packets] == number).all()
            filled = 0
            for gap in side.gaps:
                assert 0 <= gap.start <= gap.end <= len(side.data)
                assert gap.end - gap.start <= gap.missing
                assert not any(side.data[gap.start : gap.end])
                filled += gap.end - gap.start
            captured = int(decoded.packets["payload_length"][stream.packets].sum())
            assert len(side.data) - filled <= captured


def run(core: Core, data: bytes, link_type: int) -> tuple[Decoded, list[FlowStreams]]:
    """Decode and assemble everything, and check what must hold."""
    decoded = core.decode(data, link_type)
    check_decoded(decoded)
    streams = core.assemble(decoded, range(len(decoded.flows)))
    check_streams(decoded, streams)
    return decoded, streams
