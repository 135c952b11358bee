"""pcapng: sections of either byte order, clocks of every kind, metadata kept, damage said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._records import PacketExtra
from kubeshark.core_capture.files._options import join_options

COMMENT = (1, b"a comment")
RESOLUTION, OFFSET, NAME = 9, 14, 2
PACKETS = st.lists(st.tuples(st.integers(0, 2**52), st.binary(max_size=60)), max_size=15)
orders = pytest.mark.parametrize("order", "<>")


@given(packets=PACKETS)
def test_both_byte_orders_give_the_same(read, pcapng, packets) -> None:
    captures = []
    for order in "<>":
        file = pcapng(order).section(COMMENT).interface(1, 0, (NAME, b"eth0"))
        flags = (2, file.pack("I", 1))
        for units, data in packets:
            file.packet(units, data).packet(units, data, flags, COMMENT)
        captures.append(read(file.data))
    little, big = captures
    assert little.rows == big.rows == [(1, units * 1000, data, len(data)) for units, data in packets for _ in range(2)]
    assert [packet.extra for packet in little.packets] == [packet.extra for packet in big.packets]
    assert little.metadata.interfaces == big.metadata.interfaces
    assert little.metadata.blocks == big.metadata.blocks
    assert (little.metadata.byte_order, big.metadata.byte_order) == ("little", "big")


@given(packets=PACKETS, cut=st.integers(12, 2000))
def test_any_prefix_keeps_a_prefix_of_the_packets(read, pcapng, packets, cut) -> None:
    file = pcapng().section().interface()
    ends = {len(file.data)}
    for units, data in packets:
        file.packet(units, data)
        ends.add(len(file.data))
    whole, kept = read(file.data), read(file.data[:cut])
    assert kept.rows == whole.rows[: len(kept.rows)]
    assert len(kept.problems) == (0 if cut >= len(file.data) or cut in ends | {28} else 1)


@pytest.mark.parametrize("batch_bytes", [1, 5000])
def test_batches_do_not_matter(read, pcapng, batch_bytes) -> None:
    file = pcapng().section().interface(1).interface(101)
    for number in range(500):
        file.packet(number, b"x" * number, interface=number % 3 // 2)
    assert read(file.data, batch_bytes).packets == read(file.data).packets


@pytest.mark.parametrize(
    ("resolution", "units", "time_ns"),
    [
        (0, 7, 7 * 10**9),
        (3, 1_234, 1_234_000_000),
        (9, 1_600_000_000_123_456_789, 1_600_000_000_123_456_789),
        (12, 1_600_000_000_999_999, 1_600_000_000_999),
        (0x80 | 10, 1024 + 512, 1_500_000_000),
        (0x80 | 32, (5 << 32) + 1, 5_000_000_000),
        (0x80 | 63, (1 << 63) + 1, 1_000_000_000),
        (127, 2**64 - 1, 0),
    ],
)
@orders
def test_clock_resolutions(read, pcapng, order, resolution, units, time_ns) -> None:
    file = pcapng(order).section().interface(1, 0, (RESOLUTION, bytes([resolution]))).packet(units, b"x")
    assert read(file.data).packets[0].time_ns == time_ns


@pytest.mark.parametrize("offset", [3, -(10**6)])
@orders
def test_clock_offset(read, pcapng, order, offset) -> None:
    file = pcapng(order).section()
    file.interface(1, 0, (OFFSET, file.pack("q", offset))).packet(2_000_000, b"x").packet(2**52, b"y")
    packets = read(file.data).packets
    assert packets[0].time_ns == (offset + 2) * 10**9
    assert packets[1].time_ns == offset * 10**9 + 2**52 * 1000
    assert packets[1].extra.time_ns is not None


@pytest.mark.parametrize(("offset", "time_ns"), [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63))])
def test_times_beyond_64_bits_of_nanoseconds_end_there(read, pcapng, offset, time_ns) -> None:
    file = pcapng().section()
    assert (
        read(file.interface(1, 0, (OFFSET, file.pack("q", offset))).packet(1, b"x").data).packets[0].time_ns == time_ns
    )


def test_interleaved_link_types_keep_their_order(read, pcapng) -> None:
    file = pcapng().section().interface(1).interface(113)
    for number in range(6):
        file.packet(number, bytes([number]), interface=number % 2)
    capture = read(file.data)
    assert [packet.link_type for packet in capture.packets] == [1, 113] * 3
    assert [packet.data for packet in capture.packets] == [bytes([number]) for number in range(6)]
    assert capture.packets[1].extra == PacketExtra(interface=1)


def test_interfaces_count_through_sections(read, pcapng) -> None:
    first = pcapng("<").section().interface(1).packet(1, b"a")
    second = pcapng(">").section().interface(101).interface(1).packet(2, b"b", interface=1)
    capture = read(first.data + second.data)
    assert [packet.extra.interface for packet in capture.packets] == [0, 2]
    assert [interface.section for interface in capture.metadata.interfaces] == [0, 1, 1]
    assert [block.before_ordinal for block in capture.metadata.blocks] == [0, 1]


@orders
def test_simple_packets_are_cut_at_the_snaplen_and_have_no_time(read, pcapng, order) -> None:
    file = pcapng(order).section().interface(1, 4)
    file.block(3, file.pack("I", 3) + b"abc\0").block(3, file.pack("I", 1000) + b"abcd")
    capture = read(file.data)
    assert capture.rows == [(1, 0, b"abc", 3), (1, 0, b"abcd", 1000)]
    assert capture.packets[0].extra == PacketExtra(block_type=3)


@orders
def test_obsolete_packets_keep_their_drop_count(read, pcapng, order) -> None:
    file = pcapng(order).section().interface()
    file.block(2, file.pack("HHIIII", 0, 5, 0, 9, 2, 60) + b"ab\0\0" + file.ended(COMMENT))
    file.block(2, file.pack("HHIIII", 0, 0xFFFF, 0, 9, 2, 60) + b"ab\0\0")
    packets = read(file.data).packets
    assert packets[0].extra.options == join_options([(4, b"\x05" + bytes(7)), COMMENT])
    assert packets[0].extra.block_type == packets[1].extra.block_type == 2
    assert packets[1].extra.options == b""
    assert packets[1].time_ns == 9000


def test_other_blocks_are_kept_where_they_stood(read, pcapng) -> None:
    file = pcapng().section().interface().block(0xBAD, b"\1\2\3\4vendor56").packet(1, b"x").block(0x7777, b"what")
    kept = [(block.block_type, block.body, block.before_ordinal) for block in read(file.data).metadata.blocks]
    assert kept == [(0x0A0D0D0A, b"", 0), (0xBAD, b"\1\2\3\4vendor56", 0), (0x7777, b"what", 1)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.packet(2, b"x", interface=7), "a packet on interface 7, which is not described"),
        (lambda file: file.block(6, bytes(12)), "a packet block cut short"),
        (lambda file: file.block(2, bytes(12)), "a packet block cut short"),
        (lambda file: file.block(3, b""), "a packet block cut short"),
        (lambda file: file.block(1, b"\1\0\0\0"), "an interface description cut short"),
        (lambda file: file.block(6, file.pack("IIIII", 0, 0, 0, 99, 99) + b"abcd"), "a packet claims 99 bytes"),
        (lambda file: file.block(3, file.pack("I", 99) + b"abcd"), "a packet claims 99 bytes"),
        (lambda file: file.block(6, bytes(20) + file.pack("HH", 1, 99)), "option 1 claims 99 bytes, 0 are left"),
        (lambda file: file.section(major=2), "pcapng version 2.0"),
    ],
)
def test_damaged_block_ends_its_section_only(read, pcapng, damage, message) -> None:
    file = pcapng().section().interface().packet(1, b"before")
    where = len(file.data)
    damage(file)
    file.packet(3, b"lost").section().interface().packet(4, b"after")
    capture = read(file.data)
    assert [packet.data for packet in capture.packets] == [b"before", b"after"]
    assert capture.problems[0].offset == where
    assert capture.problems[0].message.startswith(message)
    assert capture.problems[0].message.endswith("the rest of this section cannot be read")


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"\x06\0\0\0\x0b\0\0\0" + bytes(20), "a block claims 11 bytes"),
        (b"\x06\0\0\0\x22\0\0\0" + bytes(50), "a block claims 34 bytes"),
        (b"\x06\0\0\0\0\0\0\x7f" + bytes(50), "a block claims 2,130,706,432 bytes"),
        (b"\x06\0\0\0\x10\0\0\0" + bytes(4) + b"\x14\0\0\0", "the two lengths of a block differ"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0" + bytes(20), "a section has no byte-order mark"),
        (b"\x06\0\0\0\x40\0\0\0" + bytes(30), "the file ends inside a block"),
    ],
)
def test_broken_chain_ends_the_file(read, pcapng, tail, message) -> None:
    file = pcapng().section().interface().packet(1, b"before")
    capture = read(file.data + tail)
    assert [packet.data for packet in capture.packets] == [b"before"]
    assert len(capture.problems) == 1
    assert capture.problems[0].message.startswith(message)
    assert capture.problems[0].offset == len(file.data)


def test_nothing_but_damaged_sections_ends_early(read, pcapng) -> None:
    file = pcapng()
    for _ in range(500):
        file.section(major=9)
    assert len(read(file.data).problems) == 100


def test_metadata_is_bounded(read, pcapng, monkeypatch) -> None:
    monkeypatch.setattr("kubeshark.core_capture.files._pcapng.KEPT_BYTES", 1000)
    file = pcapng().section().interface()
    for _ in range(20):
        file.block(0x7777, bytes(100))
    capture = read(file.packet(1, b"lost").data)
    assert len(capture.metadata.blocks) < 10
    assert "more than 1,000 bytes of blocks that are not packets" in str(capture.problems[0])
