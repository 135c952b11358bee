"""pcapng options, and the blocks made of them, turned little-endian (draft-ietf-opsawg-pcapng §3.5, §4).

Whatever a section's byte order was, everything behind the reader sees little-endian: the framing of options, and the
numbers inside those options that the draft defines. Contents nobody has defined for us stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from kubeshark.errors import Malformed

__all__ = [
    "CUSTOM_BLOCKS",
    "DECRYPTION_SECRETS",
    "ENHANCED_PACKET",
    "INTERFACE_DESCRIPTION",
    "INTERFACE_STATISTICS",
    "NAME_RESOLUTION",
    "OBSOLETE_PACKET",
    "OPT_DROP_COUNT",
    "OPT_NAME",
    "OPT_TIME_OFFSET",
    "OPT_TIME_RESOLUTION",
    "SECTION_HEADER",
    "SIMPLE_PACKET",
    "Option",
    "join_options",
    "little_endian_body",
    "little_endian_options",
    "padded",
    "split_options",
]

INTERFACE_DESCRIPTION = 1
OBSOLETE_PACKET = 2
SIMPLE_PACKET = 3
NAME_RESOLUTION = 4
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
DECRYPTION_SECRETS = 10
CUSTOM_BLOCKS = (0xBAD, 0x4000_0BAD)
SECTION_HEADER = 0x0A0D_0D0A

OPT_NAME = 2  # if_name
OPT_TIME_RESOLUTION = 9  # if_tsresol
OPT_TIME_OFFSET = 14  # if_tsoffset
OPT_DROP_COUNT = 4  # epb_dropcount

Option = tuple[int, bytes]
"""Code and value, without padding."""

NUMBER_BYTES = {
    INTERFACE_DESCRIPTION: {8: 8, 14: 8, 16: 8, 17: 8},  # if_speed, if_tsoffset, if_txspeed, if_rxspeed
    OBSOLETE_PACKET: {2: 4},  # pack_flags
    # isb_starttime and isb_endtime are two 32-bit halves, the counters 64 bits
    INTERFACE_STATISTICS: {2: 4, 3: 4, 4: 8, 5: 8, 6: 8, 7: 8, 8: 8},
    ENHANCED_PACKET: {2: 4, 4: 8, 5: 8, 6: 4, 8: 4},  # flags, dropcount, packetid, queue, processid_threadid
}
"""By block type and option code: the size of the numbers an option's value consists of."""

CUSTOM_OPTIONS = frozenset({2988, 2989, 19372, 19373})  # a 32-bit enterprise number, then anything


def padded(length: int) -> int:
    """Round up to the 32-bit boundary where every field of pcapng ends."""
    return (length + 3) & ~3


def split_options(data: bytes, order: str = "<") -> tuple[list[Option], int]:
    """Return the options up to the end marker or the end of `data`, and where they end; raise Malformed."""
    options: list[Option] = []
    position = 0
    while position + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, position)
        position += 4
        if code == 0:
            return options, position
        if position + length > len(data):
            raise Malformed(f"option {code} claims {length:,} bytes, {len(data) - position:,} are left")
        options.append((code, data[position : position + length]))
        position += padded(length)
    return options, min(position, len(data))


def join_options(options: Sequence[Option]) -> bytes:
    """Frame options little-endian, without the end marker."""
    return b"".join(
        struct.pack("<HH", code, len(value)) + value.ljust(padded(len(value)), b"\0") for code, value in options
    )


def little_endian_options(block_type: int, data: bytes, order: str) -> bytes:
    """Return the options of a block in little-endian framing, without the end marker; raise Malformed."""
    options, _ = split_options(data, order)
    if order == ">":
        numbers = NUMBER_BYTES.get(block_type, {})
        options = [(code, _swap_value(code, value, numbers)) for code, value in options]
    return join_options(options)


def little_endian_body(block_type: int, body: bytes, order: str) -> bytes:
    """Return the body of a block that is neither packet nor interface, little-endian; raise Malformed.

    Types the draft does not define, and what follows the enterprise number of a custom block, stay as they are.
    """
    if order == "<":
        return body
    if block_type == NAME_RESOLUTION:
        return _swap_name_resolution(body)
    if block_type == INTERFACE_STATISTICS:
        return _swap_numbers(body[:12], 4) + _ended(little_endian_options(block_type, body[12:], order))
    if block_type == DECRYPTION_SECRETS:
        return _swap_secrets(body)
    if block_type in CUSTOM_BLOCKS:
        return _swap_numbers(body[:4], 4) + body[4:]
    return body


def _swap_value(code: int, value: bytes, numbers: dict[int, int]) -> bytes:
    if code in CUSTOM_OPTIONS:
        return _swap_numbers(value[:4], 4) + value[4:]
    return _swap_numbers(value, numbers[code]) if code in numbers else value


def _swap_numbers(value: bytes, size: int) -> bytes:
    """Reverse each `size` bytes; a value that is no whole number of them is nothing we know, and stays."""
    if len(value) % size:
        return value
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))


def _swap_name_resolution(body: bytes) -> bytes:
    """§4.5: records framed like options and ended like them, their contents addresses and names; then options."""
    records, end = split_options(body, ">")
    return _ended(join_options(records), always=True) + _ended(little_endian_options(NAME_RESOLUTION, body[end:], ">"))


def _swap_secrets(body: bytes) -> bytes:
    """§4.7: type, length, the secrets as they are, options."""
    if len(body) < 8:
        raise Malformed("a decryption secrets block without its length")
    (length,) = struct.unpack_from(">I", body, 4)
    end = 8 + padded(length)
    if end > len(body):
        raise Malformed(f"secrets of {length:,} bytes, {len(body) - 8:,} are left")
    options = little_endian_options(DECRYPTION_SECRETS, body[end:], ">")
    return _swap_numbers(body[:8], 4) + body[8:end] + _ended(options)


def _ended(options: bytes, *, always: bool = False) -> bytes:
    """Add the end marker, where there is something to end."""
    return options + bytes(4) if options or always else b""
