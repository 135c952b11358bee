"""Captures that ask for more than they bring."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import zstandard

from kubeshark.core_capture.store.segments._segment import pcap_header
from tests.core_capture.store._bench import ipv4, tcp, udp

__all__ = ["CAPTURES", "tiny_flows"]

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
SOURCE_AT, PORT_AT, SEQ_AT = 26, 34, 38  # in an Ethernet frame
FRAGMENT_AT, IDENTIFICATION_AT = 20, 18

Edit = tuple[int, int, Any]
"""Offset in the frame, width, and a value for each packet (big-endian)."""


def many(frame: bytes, count: int, edits: Sequence[Edit] = (), start_s: int = 1_700_000_000) -> bytes:
    """Return `count` records of one frame, a microsecond apart, each edited."""
    rows = np.zeros((count, 16 + len(frame)), dtype=np.uint8)
    rows[:, 16:] = np.frombuffer(frame, dtype=np.uint8)
    numbers = np.arange(count, dtype=np.uint64)
    head = [
        start_s + numbers // 1_000_000,
        numbers % 1_000_000 * 1000,
        len(frame) + 0 * numbers,
        len(frame) + 0 * numbers,
    ]
    rows[:, :16] = np.stack(head, axis=1).astype("<u4").view(np.uint8)
    for offset, width, values in edits:
        values = np.broadcast_to(np.asarray(values, dtype=np.uint64), count)
        for byte in range(width):
            rows[:, 16 + offset + byte] = (values >> np.uint64(8 * (width - 1 - byte))) & np.uint64(255)
    return rows.tobytes()


def pcap(*records: bytes) -> bytes:
    return pcap_header(1) + b"".join(records)


def segment(payload: bytes) -> bytes:
    return tcp(CLIENT, 1000, SERVER, 80, 1, 0x18, payload)


def tiny_flows(count: int) -> bytes:
    numbers = np.arange(count)
    edits = [(SOURCE_AT, 4, 0x0A00_0000 + numbers // 60_000), (PORT_AT, 2, numbers % 60_000 + 1)]
    return pcap(many(udp(CLIENT, 1, SERVER, 9999, b"x"), count, edits))


def one_flow(count: int) -> bytes:
    request = b"GET / HTTP/1.1\r\n\r\n"
    return pcap(many(segment(request), count, [(SEQ_AT, 4, 1 + np.arange(count) * len(request))]))


def gaps(count: int) -> bytes:
    """Each byte a megabyte behind the one before: some 200 GB of a stream, if anybody filled the gaps."""
    return pcap(many(segment(b"x"), count, [(SEQ_AT, 4, (1 + np.arange(count) * 1_000_003) % 2**32)]))


def random_order(count: int) -> bytes:
    values = np.random.default_rng(1).integers(0, 2**32, count)
    return pcap(many(segment(b"x" * 20), count, [(SEQ_AT, 4, values)]))


def overlapping_segments(count: int) -> bytes:
    """First every other byte, then segments over all of them, again and again."""
    holes = many(segment(b"x"), 30_000, [(SEQ_AT, 4, 1 + 2 * np.arange(30_000))])
    return pcap(holes, many(segment(b"y" * 60_000), count, start_s=1_700_000_100))


def backwards(count: int) -> bytes:
    """A kilobyte at a time, each a byte before the last."""
    return pcap(many(segment(b"y" * 1000), count, [(SEQ_AT, 4, 1 + count - np.arange(count))]))


def fragment(payload: bytes) -> bytes:
    frame = bytearray(ipv4(CLIENT, SERVER, 17, payload))
    frame[FRAGMENT_AT] = 0x20  # more follow
    return bytes(frame)


def open_fragments(count: int) -> bytes:
    numbers = np.arange(count)
    edits = [(IDENTIFICATION_AT, 2, numbers % 65_536), (SOURCE_AT, 4, 0x0A00_0000 + numbers // 65_536)]
    return pcap(many(fragment(b"z" * 16), count, edits))


def overlapping_fragments(count: int) -> bytes:
    return pcap(many(fragment(b"z" * 1400), count, [(FRAGMENT_AT, 2, 0x2000 | np.arange(count) % 8000)]))


def nested(packet: bytes, times: int) -> bytes:
    """Put an IPv4 packet into others, IP in IP, up to what its length field holds."""
    for _ in range(times):
        packet = ipv4(CLIENT, SERVER, 4, packet)[14:]
    return ipv4(CLIENT, SERVER, 4, packet)


def tunnels(count: int) -> bytes:
    """Eight deep, every packet with eight flows of its own."""
    frame = nested(udp(CLIENT, 1, SERVER, 2, b"q")[14:], 6)
    numbers = np.arange(count)
    return pcap(many(frame, count, [(SOURCE_AT + 20 * depth, 4, numbers * 8 + depth) for depth in range(8)]))


def deep_tunnels(count: int) -> bytes:
    return pcap(many(nested(udp(CLIENT, 1, SERVER, 2, b"q")[14:], 3000), count))


def vlan_tags(count: int) -> bytes:
    return pcap(many(bytes(12) + b"\x81\x00" + b"\x00\x05\x81\x00" * 15_000, count))


def lying_record(_count: int) -> bytes:
    return pcap(many(segment(b"x"), 1), struct.pack("<IIII", 0, 0, 0xFFFF_FFFF, 0xFFFF_FFFF) + bytes(1000))


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def interface(link_type: int = 1) -> bytes:
    return block(1, struct.pack("<HHI", link_type, 0, 0))


def packet(number: int = 0, options: bytes = b"") -> bytes:
    frame = udp(CLIENT, 1, SERVER, 2, b"x")
    padding = bytes(-len(frame) % 4)
    return block(6, struct.pack("<IIIII", number, 0, 0, len(frame), len(frame)) + frame + padding + options)


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
NAME = struct.pack("<HH", 1, 9) + b"\1\2\3\4host\0" + bytes(3)
NAMES = block(4, NAME + bytes(4))
EMPTY = struct.pack("<HH", 1, 0)

CAPTURES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "a hundred thousand tiny flows": (tiny_flows, 100_000),
    "a million packets of one flow": (one_flow, 1_000_000),
    "gaps of gigabytes": (gaps, 200_000),
    "segments in random order": (random_order, 200_000),
    "overlapping segments": (overlapping_segments, 500),
    "segments sent backwards": (backwards, 30_000),
    "fragments that never complete": (open_fragments, 500_000),
    "overlapping fragments": (overlapping_fragments, 30_000),
    "tunnels eight deep": (tunnels, 100_000),
    "tunnels three thousand deep": (deep_tunnels, 100),
    "fifteen thousand VLAN tags": (vlan_tags, 100),
    "a record of four gigabytes": (lying_record, 1),
    "gzip of zeros": (lambda count: gzip.compress(pcap(bytes(count)), 1), 64 << 20),
    "zstd of zeros": (lambda count: zstandard.compress(pcap(bytes(count))), 64 << 20),
    "a block of four gigabytes": (lambda _: SECTION + interface() + struct.pack("<II", 6, 0xFFFF_FFFC), 1),
    "a million interfaces": (lambda count: SECTION + interface() * count + packet(), 1_000_000),
    "a million sections": (lambda count: (SECTION + interface() + packet()) * count, 1_000_000),
    "a million name blocks": (lambda count: SECTION + interface() + NAMES * count + packet(), 1_000_000),
    "a million names": (lambda count: SECTION + interface() + block(4, NAME * count + bytes(4)) + packet(), 1_000_000),
    "a million empty options": (
        lambda count: SECTION + interface() + packet(0, EMPTY * 16_000) * (count // 16_000), 1_000_000,
    ),
    "a packet on each of 60,000 interfaces": (
        lambda count: SECTION + interface() * count + b"".join(map(packet, range(count))), 60_000,
    ),
    "60,000 link types": (
        lambda count: SECTION + b"".join(map(interface, range(count))) + b"".join(map(packet, range(count))), 60_000,
    ),
}  # fmt: skip
"""Name → (what makes it from a number, the number)."""
