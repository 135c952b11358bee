"""The ends of a layer, and what a walk keeps."""

from __future__ import annotations

from kubeshark.core_capture._columns import PacketBit, Tunnel
from kubeshark.core_capture.reference._fragments import Datagrams
from kubeshark.core_capture.reference._limits import MAX_OFFSET
from kubeshark.core_capture.reference._walk import Walk


def walk(captured: int = 10, wire: int = 20) -> Walk:
    return Walk(bytes(at & 255 for at in range(captured)), 0, captured, wire, 0, Datagrams())


def test_reads_in_network_order() -> None:
    one = walk()
    one.at = 2
    assert (one.u8(1), one.u16(1), one.u32(1)) == (3, 0x0304, 0x03040506)
    assert one.has(8)
    assert not one.has(9)


def test_clip_moves_both_ends_down_or_nothing() -> None:
    one = walk()
    assert one.clip(15)
    assert (one.end, one.wire_end) == (10, 15)
    assert one.clip(5)
    assert (one.end, one.wire_end) == (5, 5)
    assert not one.clip(6)
    assert (one.end, one.wire_end) == (5, 5)


def test_believe_marks_a_contradiction_unless_the_rest_is_known_to_be_missing() -> None:
    one = walk()
    one.believe(20)
    assert one.bits == 0
    one.believe(21)
    assert one.bits == PacketBit.BAD_LENGTH
    head = walk()
    head.is_head = True
    head.believe(21)
    assert head.bits == 0


def test_enter_keeps_the_outermost_tunnel() -> None:
    one = walk()
    one.enter(Tunnel.MPLS)
    one.enter(Tunnel.GRE)
    assert one.tunnel is Tunnel.MPLS


def test_find_takes_what_is_there() -> None:
    one = walk()
    one.at = 4
    assert one.find(4, ports=(1, 2))
    assert one.found is not None
    assert (one.found.transport_offset, one.found.payload_offset) == (4, 8)
    assert (one.found.payload_length, one.found.wire_length, one.found.bits) == (2, 12, PacketBit.CUT)
    assert one.found.datagram is None


def test_find_refuses_offsets_that_do_not_fit() -> None:
    one = walk(MAX_OFFSET + 10, MAX_OFFSET + 10)
    one.at = MAX_OFFSET - 3
    assert one.find(3)
    assert not one.find(4)
