"""Compression changes nothing but the bytes on disk, and cannot be used against us."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.files._stream import open_stream
from kubeshark.errors import InputError, Malformed, Truncated

CONTENTS = st.binary(max_size=3000)
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def read_all(data: bytes, size: int = 1000) -> bytes:
    stream = open_stream(io.BytesIO(data), "test")
    pieces = []
    while piece := stream.read(size):
        pieces.append(piece)
    assert stream.bytes_read == len(data)
    return b"".join(pieces)


@given(data=CONTENTS, more=CONTENTS, size=st.integers(1, 5000))
def test_compressed_equals_plain(data: bytes, more: bytes, size: int) -> None:
    assert read_all(b"plain" + data, size) == b"plain" + data
    assert read_all(gzip.compress(data) + gzip.compress(more), size) == data + more
    assert read_all(zstd(data) + SKIPPABLE + zstd(more), size) == data + more
    assert read_all(SKIPPABLE + zstd(data), size) == data


def test_zero_padding_after_gzip_is_not_data() -> None:
    assert read_all(gzip.compress(b"tape") + bytes(10_000)) == b"tape"


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@given(data=st.binary(min_size=1, max_size=500), cut=st.integers(5, 499))
def test_cut_compression_gives_a_prefix_then_says_so(compress, data: bytes, cut: int) -> None:
    packed = compress(data)
    part = packed[: min(cut, len(packed) - 1)]
    stream = open_stream(io.BytesIO(part), "cut.gz")
    found = b""
    with pytest.raises(Truncated, match=r"^cut\.gz: the (gzip|zstd) data ends early"):
        while piece := stream.read(100):
            found += piece
    assert data.startswith(found)


def test_damaged_gzip_gives_what_came_before(read, pcap) -> None:
    packets = [(number, 0, number.to_bytes(4, "big") * 10, 40) for number in range(5000)]
    packed = bytearray(gzip.compress(pcap(packets)))
    packed[len(packed) // 2] ^= 0xFF
    capture = read(bytes(packed))
    assert len(capture.packets) > 500
    assert len(capture.problems) == 1  # gzip notices late: what it unpacks meanwhile may contradict pcap first


def test_damaged_checksum_costs_nothing(read, pcap) -> None:
    packed = bytearray(gzip.compress(pcap([(1, 0, b"x", 1)])))
    packed[-6] ^= 0xFF
    capture = read(bytes(packed))
    assert len(capture.packets) == 1
    assert "incorrect data check" in str(capture.problems[0])


def test_damaged_zstd_gives_the_blocks_before(read, pcap) -> None:
    packed = bytearray(zstd(pcap([(number, 0, number.to_bytes(4, "big") * 300, 1200) for number in range(2000)])))
    packed[len(packed) // 2] ^= 0xFF
    capture = read(bytes(packed))
    assert len(capture.packets) > 500
    assert "the zstd data is damaged" in str(capture.problems[0])


def test_garbage_after_gzip_is_said(read, pcap) -> None:
    capture = read(gzip.compress(pcap([(1, 0, b"x", 1)])) + b"garbage")
    assert len(capture.packets) == 1
    assert "the gzip data is damaged" in str(capture.problems[0])


def test_window_beyond_the_limit_is_refused() -> None:
    packed = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=29, enable_ldm=True)
    ).compressobj()
    data = packed.compress(b"x" * 100) + packed.flush()
    with pytest.raises(Malformed, match="zstd data is damaged"):
        read_all(data)


PIECES = 160  # MiB
# VmHWM is this program's own peak; ru_maxrss begins with that of the process it was forked from.
BOMB_READER = """
import re, sys
from kubeshark.core_capture.files import open_capture
try:
    with open_capture(sys.argv[1]) as reader:
        print(sum(batch.count for batch in reader))
except Exception as error:
    print(type(error).__name__)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bomb_does_not_allocate(tmp_path, pcap, kind) -> None:
    """Hundreds of megabytes of empty packets in one, or less; with a limit below what they would take."""
    header, zeros = pcap([]), bytes(1 << 20)
    path = tmp_path / "bomb"
    if kind == "gzip":
        one = gzip.compress(zeros)
        path.write_bytes(gzip.compress(header) + one * PIECES)
    else:
        packed = zstandard.ZstdCompressor().compressobj()
        path.write_bytes(
            packed.compress(header) + b"".join(packed.compress(zeros) for _ in range(PIECES)) + packed.flush()
        )
    output = subprocess.run([sys.executable, "-c", BOMB_READER, str(path)], capture_output=True, text=True, check=True)
    packets, max_rss_kib = output.stdout.split()
    assert int(packets) == PIECES * (1 << 20) // 16
    assert int(max_rss_kib) < 150 << 10  # less than it unpacks to


def test_real_gzip_and_zstd_commands(tmp_path, pcap) -> None:
    plain = tmp_path / "a.pcap"
    plain.write_bytes(pcap([(1, 2, b"data" * 1000, 4000)] * 500))
    for program, ending in (("gzip", "gz"), ("zstd", "zst")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")
        subprocess.run([program, "-k", "-q", str(plain)], check=True)
        with open_capture(tmp_path / f"a.pcap.{ending}") as reader:
            assert sum(batch.count for batch in reader) == 500
            assert reader.bytes_read == reader.bytes_total


class Failing(io.RawIOBase):
    def read(self, _size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_failing_disk_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"^disk: cannot be read: Input/output error"):
        open_stream(Failing(), "disk")
