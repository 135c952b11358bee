"""What a data file holds besides its pcap: exact bytes, and what is no frame of ours."""

import pytest
import zstandard

from kubeshark.core_capture.store.segments._frames import Part, frame_length, make_part, make_seek_table, read_part

PART = Part("ab" * 32, 70_000)


def test_which_part_of_which_source() -> None:
    frame = make_part(PART)
    assert frame == b"\x51\x2a\x4d\x18" + b"\x30\0\0\0" + b"KSHKPART" + b"\xab" * 32 + b"\x70\x11\x01" + bytes(5)
    assert read_part(b"xx" + frame + b"more", 2) == (PART, 2 + len(frame))
    assert make_part(Part("", 0)) == b""


@pytest.mark.parametrize("at", range(56))
def test_nothing_is_read_from_what_is_cut(at: int) -> None:
    assert read_part(make_part(PART)[:at], 0) == (None, 0)


@pytest.mark.parametrize("at", [0, 3, 4, 7, 8, 15, 55])
def test_nothing_is_read_from_another_frame(at: int) -> None:
    frame = bytearray(make_part(PART))
    frame[at] ^= 0xFF
    assert read_part(bytes(frame), 0) == (None, 0)


@pytest.mark.parametrize("first", [(1 << 61) + 1, (1 << 62) - 1, (1 << 64) - 1])
def test_nothing_is_read_from_ordinals_no_index_can_hold(first: int) -> None:
    assert read_part(make_part(Part("ab" * 32, 1 << 61)), 0)[0] == Part("ab" * 32, 1 << 61)
    assert read_part(make_part(Part("ab" * 32, first)), 0) == (None, 0)


def test_other_tools_pass_over_it() -> None:
    compress = zstandard.ZstdCompressor().compress
    stored = compress(b"header") + make_part(PART) + compress(b"records") + make_seek_table([(1, 6), (1, 7)])
    assert zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True).read() == b"headerrecords"
    assert frame_length(stored, 0) == len(compress(b"header"))
    assert frame_length(stored, len(compress(b"header"))) is None


def test_the_seek_table() -> None:
    assert make_seek_table([(33, 24), (5, 0x01020304)]) == (
        b"\x5e\x2a\x4d\x18\x19\0\0\0"
        + b"\x21\0\0\0\x18\0\0\0"
        + b"\x05\0\0\0\x04\x03\x02\x01"
        + b"\x02\0\0\0\0\xb1\xea\x92\x8f"
    )
