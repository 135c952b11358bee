"""Writes classic pcap files."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

from kubeshark.core_capture.files._pcap import MAGICS, PcapLayout, walk_records

__all__ = ["write_pcap"]

NANOSECONDS = PcapLayout("<", 1)
MICROSECONDS = PcapLayout("<", 1000)
MAGIC_OF = {layout: magic for magic, layout in MAGICS.items()}
VERSION = (2, 4)
FRACTION_AT = 4  # in a record header


Records = bytes | bytearray | memoryview


def write_pcap(
    out: BinaryIO, link_type: int, records: Iterable[Records], *, nanoseconds: bool = True, snaplen: int = 262144
) -> None:
    """Write a little-endian pcap file.

    Each item of `records` holds one or more whole records in the form of _records.py. Microsecond files, for tools that
    know nothing else, lose what is finer.
    """
    layout = NANOSECONDS if nanoseconds else MICROSECONDS
    out.write(MAGIC_OF[layout] + struct.pack("<HHiIII", *VERSION, 0, 0, snaplen, link_type))
    for piece in records:
        out.write(piece if nanoseconds else _with_microseconds(piece))
        del piece  # before the next is made: its memory is used again


def _with_microseconds(records: Records) -> bytearray:
    changed = bytearray(records)
    for offset in walk_records(changed, NANOSECONDS)[0]:
        (fraction,) = struct.unpack_from("<I", records, offset + FRACTION_AT)
        struct.pack_into("<I", changed, offset + FRACTION_AT, fraction // MICROSECONDS.ns_per_unit)
    return changed
