"""Makes the capture that everything is measured on: the shop's, replayed with other addresses and times.

Replica k moves each IPv4 address by XOR with k in its first two octets and the clock by the length of the recording, so
that flows stay distinct. Payloads, IPv6 and non-IP packets are untouched. Checksums are left as they were:
no peer verifies them here.
"""

from __future__ import annotations

import struct
from pathlib import Path

from kubeshark.core_capture.files import open_capture

__all__ = ["make_capture", "read_packets"]

ETHERNET = 1
IPV4 = b"\x08\x00"
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, ETHERNET)  # microseconds: every peer reads it
RECORD = struct.Struct("<IIII")
MAX_REPLICAS = 4096


def make_capture(sample: Path, out: Path, target_bytes: int) -> int:
    """Write at least `target_bytes` of Ethernet packets made from `sample` to `out` (pcap); return the packets."""
    packets = read_packets(sample)
    start, end = packets[0][0], max(time_us for time_us, _, _ in packets)
    span_us = end - start + 1_000_000
    written = count = 0
    with out.open("wb") as file:
        file.write(HEADER)
        for replica in range(MAX_REPLICAS):
            if written >= target_bytes:
                break
            chunk = bytearray()
            for time_us, data, length in packets:
                moved = _readdress(data, replica) if replica else data
                seconds, micros = divmod(time_us + replica * span_us, 1_000_000)
                chunk += RECORD.pack(seconds, micros, len(moved), length) + moved
            file.write(chunk)
            written += len(chunk)
            count += len(packets)
    return count


def read_packets(sample: Path) -> list[tuple[int, bytes, int]]:
    """The recording's Ethernet packets as (microseconds, bytes, original length), by time."""
    packets = []
    with open_capture(sample) as reader:
        for batch in reader:
            if batch.link_type != ETHERNET:
                continue
            at = 0
            while at < len(batch.data):
                seconds, nanos, captured, length = RECORD.unpack_from(batch.data, at)
                at += RECORD.size
                packets.append((seconds * 1_000_000 + nanos // 1000, bytes(batch.data[at : at + captured]), length))
                at += captured
    return sorted(packets, key=lambda packet: packet[0])


def _readdress(frame: bytes, replica: int) -> bytes:
    if frame[12:14] != IPV4 or len(frame) < 34:
        return frame
    moved = bytearray(frame)
    for at in (26, 30):
        address = int.from_bytes(moved[at : at + 2], "big") ^ replica
        moved[at : at + 2] = address.to_bytes(2, "big")
    return bytes(moved)
