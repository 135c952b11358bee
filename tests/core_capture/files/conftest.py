"""What the tests of this room share: files built by hand, and files read into plain rows."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from kubeshark.core_capture._records import PacketExtra, Problem, SourceMetadata
from kubeshark.core_capture.files import PcapngWriter, open_capture
from kubeshark.core_capture.files._options import padded

PLAIN = PacketExtra()


@dataclass(frozen=True)
class Packet:
    """One packet with everything that was read about it."""

    link_type: int
    time_ns: int
    data: bytes
    original: int
    extra: PacketExtra = PLAIN
    record: bytes = b""  # as the batch has it


@dataclass(frozen=True)
class Capture:
    """A file read to its end: packets in source order."""

    packets: list[Packet]
    metadata: SourceMetadata
    problems: list[Problem]

    @property
    def rows(self) -> list[tuple[int, int, bytes, int]]:
        return [(packet.link_type, packet.time_ns, packet.data, packet.original) for packet in self.packets]


def read_capture(data: bytes, batch_bytes: int = 1 << 20) -> Capture:
    """Read a file, checking on the way that its batches keep their promises."""
    found: dict[int, Packet] = {}
    with open_capture(io.BytesIO(data), name="test", batch_bytes=batch_bytes) as reader:
        for batch in reader:
            assert list(batch.ordinals) == sorted(batch.ordinals)
            position = 0
            for index, ordinal in enumerate(batch.ordinals):
                seconds, nanoseconds, captured, original = struct.unpack_from("<IIII", batch.data, position)
                assert nanoseconds < 1_000_000_000
                end = position + 16 + captured
                extra = batch.extras.get(index, PLAIN)
                time_ns = seconds * 1_000_000_000 + nanoseconds if extra.time_ns is None else extra.time_ns
                record = batch.data[position:end]
                found[ordinal] = Packet(batch.link_type, time_ns, record[16:], original, extra, record)
                position = end
            assert position == len(batch.data)
    assert sorted(found) == list(range(len(found)))
    return Capture([found[ordinal] for ordinal in sorted(found)], reader.metadata, reader.problems)


def rewrite_capture(capture: Capture) -> bytes:
    """Write what was read as pcapng, packet by packet in source order."""
    out = io.BytesIO()
    with PcapngWriter(out, capture.metadata) as writer:
        for ordinal, packet in enumerate(capture.packets):
            writer.write_packet(packet.record, packet.extra, ordinal=ordinal)
    return out.getvalue()


def make_pcap(
    packets: Iterable[tuple[int, int, bytes, int]],
    *,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    network: int = 1,
    trailer: bytes = b"",
) -> bytes:
    """Build a pcap file of (seconds, fraction, data, original length); `trailer` lengthens each record header."""
    pieces = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, network)]
    for seconds, fraction, data, original in packets:
        pieces.append(struct.pack(order + "IIII", seconds, fraction, len(data), original) + trailer + data)
    return b"".join(pieces)


class PcapngBuilder:
    """Builds pcapng files block by block, in either byte order."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.data = b""

    def pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.order + layout, *values)

    def options(self, *options: tuple[int, bytes]) -> bytes:
        return b"".join(self.pack("HH", code, len(value)) + pad(value) for code, value in options)

    def ended(self, *options: tuple[int, bytes]) -> bytes:
        return self.options(*options) + self.pack("HH", 0, 0)

    def block(self, block_type: int, body: bytes) -> PcapngBuilder:
        length = self.pack("I", len(body) + 12)
        self.data += self.pack("I", block_type) + length + body + length
        return self

    def section(self, *options: tuple[int, bytes], major: int = 1) -> PcapngBuilder:
        fixed = self.pack("IHHq", 0x1A2B3C4D, major, 0, -1)
        return self.block(0x0A0D0D0A, fixed + (self.ended(*options) if options else b""))

    def interface(self, link_type: int = 1, snaplen: int = 0, *options: tuple[int, bytes]) -> PcapngBuilder:
        return self.block(1, self.pack("HHI", link_type, 0, snaplen) + (self.ended(*options) if options else b""))

    def packet(
        self, units: int, data: bytes, *options: tuple[int, bytes], interface: int = 0, original: int | None = None
    ) -> PcapngBuilder:
        fixed = self.pack("IIIII", interface, units >> 32, units & 0xFFFF_FFFF, len(data), original or len(data))
        return self.block(6, fixed + pad(data) + (self.ended(*options) if options else b""))


def pad(data: bytes) -> bytes:
    return data.ljust(padded(len(data)), b"\0")


@pytest.fixture(scope="session")
def read() -> Callable[..., Capture]:
    return read_capture


@pytest.fixture(scope="session")
def rewrite() -> Callable[[Capture], bytes]:
    return rewrite_capture


@pytest.fixture(scope="session")
def pcap() -> Callable[..., bytes]:
    return make_pcap


@pytest.fixture(scope="session")
def pcapng() -> type[PcapngBuilder]:
    return PcapngBuilder
