"""Import and export of pcapng keep packets, clocks, interfaces, options and every other block."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._records import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.files import PcapngWriter, merge_sources
from kubeshark.core_capture.files._options import join_options

OPTIONS = st.lists(st.tuples(st.sampled_from([1, 2988, 77]), st.binary(min_size=4, max_size=12)), max_size=3)


@st.composite
def files(draw, builder) -> bytes:
    """Draw pcapng files: sections, interfaces, clocks, packets of all kinds, options, other blocks."""
    data = b""
    for order in draw(st.lists(st.sampled_from("<>"), min_size=1, max_size=3)):
        file = builder(order).section(*draw(OPTIONS))
        resolutions = draw(st.lists(st.sampled_from([3, 6, 9, 0x80 | 20]), min_size=1, max_size=3))
        for resolution in resolutions:
            offset = draw(st.sampled_from([0, -5, 1000]))
            clock = ((9, bytes([resolution])), (14, file.pack("q", offset)))
            file.interface(draw(st.sampled_from([1, 113])), draw(st.sampled_from([0, 100])), *clock, *draw(OPTIONS))
        for kind in draw(st.lists(st.sampled_from(["packet", "simple", "names", "custom", "statistics"]), max_size=8)):
            if kind == "packet":
                interface = draw(st.integers(0, len(resolutions) - 1))
                units, contents = draw(st.integers(0, 2**40)), draw(st.binary(max_size=50))
                file.packet(units, contents, *draw(OPTIONS), interface=interface, original=99)
            elif kind == "simple":
                file.block(3, file.pack("I", 5) + b"abcde\0\0\0")
            elif kind == "names":
                file.block(4, file.options((1, b"\x0a\0\0\1host\0")) + file.ended())
            elif kind == "custom":
                file.block(0xBAD, file.pack("I", 32473) + b"data")
            else:
                file.block(5, file.pack("III", 0, 1, 2))
        data += file.data
    return data


@given(data=st.data())
def test_what_is_read_is_written_back(rewrite, read, pcapng, data) -> None:
    first = read(data.draw(files(pcapng)))
    assert first.problems == []
    again = read(rewrite(first))
    assert again.problems == []
    assert again.packets == first.packets
    assert again.metadata.interfaces == first.metadata.interfaces
    assert again.metadata.blocks == first.metadata.blocks


def test_obsolete_packets_become_enhanced(rewrite, read, pcapng) -> None:
    file = pcapng().section().interface()
    file.block(2, file.pack("HHIIII", 0, 5, 0, 9, 2, 60) + b"ab\0\0")
    packets = read(rewrite(read(file.data))).packets
    assert packets[0].extra == PacketExtra(options=join_options([(4, b"\x05" + bytes(7))]))
    assert packets[0].time_ns == 9000


@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap_becomes_pcapng(rewrite, read, pcap, magic) -> None:
    source = read(pcap([(1, 2, b"abc", 3), (4, 5, b"", 60)], magic=magic, network=113))
    written = read(rewrite(source))
    assert written.rows == source.rows
    assert written.metadata.interfaces[0].units_per_second == source.metadata.interfaces[0].units_per_second
    assert written.metadata.blocks[0].body == join_options([(4, b"kubeshark")])


def test_live_interfaces_describe_themselves(read) -> None:
    metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 0, 10**9, name="eth0")])
    out = io.BytesIO()
    with PcapngWriter(out, metadata) as writer:
        writer.write_packet(struct.pack("<IIII", 1, 2, 1, 1) + b"x")
        metadata.interfaces.append(Interface(113, 0, 1 << 20, -7, name="any"))  # appeared meanwhile
        writer.write_packet(struct.pack("<IIII", 3, 0, 1, 1) + b"y", PacketExtra(interface=1))
    capture = read(out.getvalue())
    assert capture.rows == [(1, 1_000_000_002, b"x", 1), (113, 3 * 10**9, b"y", 1)]
    assert [interface.name for interface in capture.metadata.interfaces] == ["eth0", "any"]
    assert capture.metadata.interfaces[1].units_per_second == 1 << 20


def test_time_before_1970_is_written(read) -> None:
    metadata = SourceMetadata(interfaces=[Interface(1, 0, 10**9, -100)])
    out = io.BytesIO()
    with PcapngWriter(out, metadata) as writer:
        writer.write_packet(bytes(16), PacketExtra(time_ns=-(10**9)))
        writer.write_packet(bytes(16), PacketExtra(time_ns=-(10**15)))  # its clock cannot show it
    assert [packet.time_ns for packet in read(out.getvalue()).packets] == [-(10**9), -100 * 10**9]


def test_sections_do_not_mix(read, pcapng) -> None:
    capture = read(pcapng().section().interface().packet(1, b"a").data * 2)
    writer = PcapngWriter(io.BytesIO(), capture.metadata)
    writer.write_packet(capture.packets[1].record, capture.packets[1].extra, ordinal=1)
    with pytest.raises(ValueError, match="section 0 is over"):
        writer.write_packet(capture.packets[0].record, capture.packets[0].extra)


def test_merged_sources_are_one_section(read, pcapng, pcap) -> None:
    file = pcapng().section((4, b"other")).interface(1).packet(5_000_000, b"a")
    file.section().interface(113).interface(1).block(5, file.pack("III", 1, 0, 0)).packet(1, b"b", interface=1)
    file.block(10, file.pack("II", 0x544C534B, 4) + b"keys")
    first, second = read(pcap([(9, 0, b"c", 1)])), read(file.data)
    merged, shifts = merge_sources([first.metadata, second.metadata])
    assert shifts == [0, 1]
    out = io.BytesIO()
    with PcapngWriter(out, merged) as writer:
        writer.write_packet(second.packets[1].record, PacketExtra(interface=3))
        writer.write_packet(first.packets[0].record)
        writer.write_packet(second.packets[0].record, PacketExtra(interface=1))
    capture = read(out.getvalue())
    assert [packet.data for packet in capture.packets] == [b"b", b"c", b"a"]
    assert [packet.link_type for packet in capture.packets] == [1, 1, 1]
    secrets = struct.pack("<II", 0x544C534B, 4) + b"keys"
    kept = [block for block in capture.metadata.blocks if block.block_type != 0x0A0D0D0A]
    assert kept == [RawBlock(10, secrets, 0), RawBlock(5, struct.pack("<III", 3, 0, 0), 3)]


def test_tshark_reads_comments_names_and_clocks(rewrite, tmp_path, read, pcapng) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: apt-get install tshark")
    file = pcapng(">").section((4, b"recorder")).interface(1, 0, (2, b"eth7"), (9, b"\x09"))
    file.packet(1_700_000_000_123_456_789, bytes(60), (1, b"look here"))
    path = tmp_path / "out.pcapng"
    path.write_bytes(rewrite(read(file.data)))
    fields = ["frame.time_epoch", "frame.comment", "frame.interface_name", "frame.len"]
    command = ["tshark", "-r", str(path), "-T", "fields", *(word for name in fields for word in ("-e", name))]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.rstrip("\n").split("\t") == ["1700000000.123456789", "look here", "eth7", "60"]
