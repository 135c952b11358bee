"""The parser of ring blocks, on blocks made by hand: what the kernel would write, and what it never should."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture._core_native import ffi, lib

BLOCK = 4096
HEADER, MAC = 48, 80
USER = 1


def packet(
    data: bytes,
    *,
    next_offset: int | None = None,
    original: int | None = None,
    captured: int | None = None,
    mac: int = MAC,
    status: int = USER,
    tci: int = 0,
    tpid: int = 0,
) -> bytes:
    size = (MAC + len(data) + 15) // 16 * 16
    length = len(data) if original is None else original
    claims = len(data) if captured is None else captured
    head = struct.pack(
        "=IIIIIIHHIIHH8x",
        size if next_offset is None else next_offset,
        7,
        8,
        claims,
        length,
        status,
        mac,
        mac,
        0,
        tci,
        tpid,
        0,
    )
    address = struct.pack("=H2sIHBB8s", 17, b"\x08\x00", 3, 1, 4, 6, b"\x02\0\0\0\0\x09")
    return (head + address).ljust(MAC, b"\0") + data.ljust(size - MAC, b"\0")


def block(packets: list[bytes], *, count: int | None = None, first: int = HEADER, length: int | None = None) -> bytes:
    body = b"".join(packets)
    claims = HEADER + len(body) if length is None else length
    head = struct.pack("=IIIIII24x", 3, HEADER, USER, len(packets) if count is None else count, first, claims)
    return (head + body).ljust(BLOCK, b"\0")


class Ring:
    def __init__(self, *blocks: bytes, snaplen: int = 65535, cooked: bool = False) -> None:
        self.memory = np.frombuffer(b"".join(blocks), np.uint8).copy()
        self.count = len(blocks)
        self.state: Any = ffi.new("kc_ring *", {"snaplen": snaplen, "cooked": cooked})

    def read(self, capacity: int = 1 << 16) -> list[tuple[int, bytes]]:
        out = ffi.new("uint8_t[]", capacity)
        view = ffi.from_buffer("uint8_t[]", self.memory)
        size = lib.kc_ring_read(self.state, view, BLOCK, self.count, out, capacity)
        assert size <= capacity
        data, at, found = bytes(ffi.buffer(out, size)), 0, []
        while at < size:
            _seconds, _nanoseconds, captured, original = struct.unpack_from("<IIII", data, at)
            assert captured <= original
            found.append((original, data[at + 16 : at + 16 + captured]))
            at += 16 + captured
        assert at == size
        return found


def test_packets_in_order_and_the_block_is_given_back() -> None:
    ring = Ring(block([packet(b"one"), packet(b"two" * 9, original=99)]), block([]), bytes(BLOCK))
    assert ring.read() == [(3, b"one"), (99, b"two" * 9)]
    assert ring.state.truncated == 1
    assert ring.memory.view(np.uint32)[2] == 0, "the kernel's again"
    assert ring.state.block == 2
    assert ring.read() == []


def test_whose_time_a_packet_has_is_counted() -> None:
    ring = Ring(block([packet(b"host"), packet(b"adapter", status=USER | 1 << 31), packet(b"host")]))
    assert len(ring.read()) == 3
    assert (ring.state.delivered, ring.state.stamped) == (3, 1)


def test_it_goes_on_where_the_output_was_full() -> None:
    datas = [bytes([n]) * 100 for n in range(20)]
    ring = Ring(block([packet(data) for data in datas]))
    found = []
    for _ in range(30):
        found += ring.read(capacity=300)
    assert [data for _, data in found] == datas
    assert ring.state.delivered == 20


def test_tags_and_cooked_headers() -> None:
    tagged = packet(b"D" * 12 + b"rest", status=USER | 1 << 4 | 1 << 6, tci=5, tpid=0x88A8)
    assert Ring(block([tagged])).read() == [(20, b"D" * 12 + b"\x88\xa8\x00\x05rest")]
    untold = packet(b"D" * 12, status=USER | 1 << 4, tci=5, tpid=0x88A8)
    assert Ring(block([untold])).read() == [(16, b"D" * 12 + b"\x81\x00\x00\x05")]
    short = packet(b"D" * 11, status=USER | 1 << 4, tci=5)
    assert Ring(block([short])).read() == [(11, b"D" * 11)]
    header = b"\x08\x00\0\0\0\0\0\x03\0\x01\x04\x06\x02\0\0\0\0\x09\0\0"
    assert Ring(block([packet(b"ip")]), cooked=True).read() == [(22, header + b"ip")]
    assert Ring(block([tagged]), cooked=True).read() == [
        (40, b"\x88\xa8" + header[2:] + b"\x00\x05\x08\x00" + b"D" * 12 + b"rest")
    ]
    assert Ring(block([tagged]), cooked=True, snaplen=10).read() == [(40, (b"\x88\xa8" + header[2:])[:10])]


@pytest.mark.parametrize(
    ("made", "delivered", "damaged"),
    [
        (block([packet(b"x", mac=10)]), 0, 1),
        (block([packet(b"x", mac=0xFFFF)]), 0, 1),
        (block([packet(b"x", captured=0xFFFF_FFFF)]), 0, 1),
        (block([packet(b"x", captured=BLOCK)]), 0, 1),
        (block([packet(b"x", next_offset=0), packet(b"y")]), 1, 1),
        (block([packet(b"x", next_offset=0xFFFF_FFF0), packet(b"y")]), 1, 1),
        (block([packet(b"x")], count=3), 1, 2),
        (block([packet(b"x")], count=0xFFFF_FFFF), 1, 0xFFFF_FFFE),
        (block([packet(b"x")], first=0), 0, 1),
        (block([packet(b"x")], first=0xFFFF_FFFF), 0, 1),
        (block([packet(b"x")], length=0xFFFF_FFFF), 1, 0),
        (block([packet(b"x")], length=10), 0, 1),
    ],
)
def test_a_block_that_contradicts_itself_is_counted_and_passed(made: bytes, delivered: int, damaged: int) -> None:
    ring = Ring(made, block([packet(b"next")]))
    assert ring.read()[-1] == (4, b"next")
    assert (ring.state.delivered, ring.state.damaged) == (delivered + 1, damaged)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, BLOCK - 1), st.integers(0, 255)), max_size=20), st.integers(16, 400))
def test_any_bytes_stay_in_bounds(changes: list[tuple[int, int]], capacity: int) -> None:
    data = bytearray(block([packet(bytes(40)), packet(bytes(100), status=USER | 1 << 4), packet(bytes(7))]))
    for at, value in changes:
        data[at] = value
    ring = Ring(bytes(data), cooked=bool(changes and changes[0][1] & 1))
    for _ in range(4):
        ring.read(capacity=capacity + 64)
