"""Where MySQL packets begin, and which of them are one command or one reply (Client/Server Protocol, "Packets").

1. A packet is [length, 3 bytes, little-endian][sequence id][payload]; one of 2^24 - 1 bytes goes on in the next.
2. A command begins at sequence id 0, its reply at the id behind the command's last: 1, unless the command was longer
   than a packet. That alone tells replies apart; what a reply means depends on its command.
3. What is no packet spoils the command or reply it is in; reading goes on at the next chain of packets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import looks_like_sql

__all__ = [
    "CHANGE_USER",
    "COMMANDS",
    "EXECUTE",
    "FETCH",
    "FULL_PACKET",
    "HEADER_BYTES",
    "LONG_DATA",
    "PREPARE",
    "QUERY",
    "Exchange",
    "chain_at",
    "commands",
    "is_error",
    "is_greeting",
    "is_login",
    "payloads",
    "proxy_end",
    "replies",
    "resume",
]

HEADER_BYTES = 4
FULL_PACKET = 0xFFFFFF
QUERY, CHANGE_USER, PREPARE, EXECUTE, LONG_DATA, FETCH = 0x03, 0x11, 0x16, 0x17, 0x18, 0x1C
COMMANDS = {
    0x00: "COM_SLEEP",
    0x01: "COM_QUIT",
    0x02: "COM_INIT_DB",
    0x03: "COM_QUERY",
    0x04: "COM_FIELD_LIST",
    0x05: "COM_CREATE_DB",
    0x06: "COM_DROP_DB",
    0x07: "COM_REFRESH",
    0x08: "COM_SHUTDOWN",
    0x09: "COM_STATISTICS",
    0x0A: "COM_PROCESS_INFO",
    0x0B: "COM_CONNECT",
    0x0C: "COM_PROCESS_KILL",
    0x0D: "COM_DEBUG",
    0x0E: "COM_PING",
    0x0F: "COM_TIME",
    0x10: "COM_DELAYED_INSERT",
    0x11: "COM_CHANGE_USER",
    0x12: "COM_BINLOG_DUMP",
    0x13: "COM_TABLE_DUMP",
    0x14: "COM_CONNECT_OUT",
    0x15: "COM_REGISTER_SLAVE",
    0x16: "COM_STMT_PREPARE",
    0x17: "COM_STMT_EXECUTE",
    0x18: "COM_STMT_SEND_LONG_DATA",
    0x19: "COM_STMT_CLOSE",
    0x1A: "COM_STMT_RESET",
    0x1B: "COM_SET_OPTION",
    0x1C: "COM_STMT_FETCH",
    0x1D: "COM_DAEMON",
    0x1E: "COM_BINLOG_DUMP_GTID",
    0x1F: "COM_RESET_CONNECTION",
    0x20: "COM_CLONE",
    0x21: "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
    0xFA: "COM_STMT_BULK_EXECUTE",  # MariaDB
    0xFE: "COM_MULTI",  # MariaDB
}
"""Command byte → name (include/my_command.h; MariaDB's include/mysql_com.h)."""

RESYNC_CHAIN = 3
"""Packets that must follow each other for the first to be believed behind lost bytes."""
_VERSION = re.compile(rb"[0-9][!-~ ]{0,63}\0")
_PROXY = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)[ -~]{0,90}\r\n")
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


class Exchange(Struct):
    """The packets of one command, or of one reply: [start, end) of a side."""

    start: int
    end: int
    sequence: int  # of the first packet
    length: int  # of the first packet's payload
    last: int  # where the last packet begins
    next_sequence: int  # expected behind the last packet
    error: str = ""
    is_packet: bool = True  # False: bytes that are none


def proxy_end(data: bytes) -> int:
    """Return where the PROXY protocol's header before a client's first packet ends; 0 if there is none."""
    if data.startswith(_PROXY_V2) and len(data) >= 16:
        return 16 + int.from_bytes(data[14:16], "big")
    match = _PROXY.match(data)
    return match.end() if match else 0


def is_greeting(data: bytes, at: int = 0) -> bool:
    """Say whether the server's first packet is here: version 10 of the protocol, then the server's version."""
    length = int.from_bytes(data[at : at + 3], "little")
    return data[at + 3 : at + 5] == b"\0\x0a" and 16 <= length <= 1024 and _VERSION.match(data, at + 5) is not None


def is_login(data: bytes, at: int = 0) -> bool:
    """Say whether a client's answer to the greeting is here: protocol 4.1 with its authentication, 19 zero bytes."""
    length = int.from_bytes(data[at : at + 3], "little")
    if not 32 <= length <= 0xFFFF or len(data) < at + 36 or data[at + 3] not in (1, 2):
        return False
    return data[at + 5] & 0x82 == 0x82 and not any(data[at + 13 : at + 32])


def is_error(data: bytes, at: int) -> bool:
    """Say whether the packet at `at` is an ERR packet."""
    return data[at + 4 : at + 5] == b"\xff" and int.from_bytes(data[at : at + 3], "little") >= 3


def _is_command(data: bytes, at: int) -> bool:
    return data[at + 3] != 0 or at + 4 >= len(data) or data[at + 4] in COMMANDS


def chain_at(data: bytes, at: int, side: int, want: int = RESYNC_CHAIN) -> int:
    """Return how many packets of this side follow each other from `at`, up to `want`; 0 where one is impossible.

    A client's packets are commands or go on with one, a server's count on or begin a reply. The chain may end with the
    data, not in the middle of its only packet.
    """
    count, previous = 0, -1
    while at + HEADER_BYTES <= len(data) and count < want:
        length = int.from_bytes(data[at : at + 3], "little")
        sequence = data[at + 3]
        if side == 0:
            if not _is_command(data, at) or (length == 0 and sequence == 0) or (count and sequence > previous + 1):
                return 0
        elif (count and sequence not in ((previous + 1) & 0xFF, 1)) or (not count and not sequence) or length == 0:
            return 0
        previous = sequence
        at += HEADER_BYTES + length
        count += 1
    return count if count > 1 or at == len(data) else 0


def resume(data: bytes, at: int, side: int) -> int:
    """Return the offset of the next chain of packets worth believing; a client's begins with a command."""
    pattern = _STATEMENT if side == 0 else _REPLY
    for match in pattern.finditer(data, at):
        start = match.start()
        if side == 0 and (not looks_like_sql(data[start + 5 : start + 261].partition(b"\0")[0])):
            continue
        if chain_at(data, start, side) or side == 0:
            return start
    return len(data)


_STATEMENT = re.compile(rb"(?s)(?=..[\0-\x3f]\0[\x03\x16][A-Za-z/(\s-])")
_REPLY = re.compile(
    rb"(?s)(?=..\0\x01(?:\0|\xff.[\x03-\x13]#[0-9A-Z]{5})|[\x01-\x03]\0\0\x01[\x01-\xfc][^\0]{0,2}..\0\x02\x03def)"
)


def commands(wire: Wire, at: int) -> Iterator[Exchange]:
    """Return what the client sent: a login, then commands, each with the packets that go on with it."""
    return _grouped(wire, at, 0, lambda open_, sequence, _: sequence == 0 and open_.next_sequence != 0)


def replies(wire: Wire, begins: Callable[[int, int], bool]) -> Iterator[Exchange]:
    """Return what the server sent, reply by reply; `begins(offset, sequence)` knows replies to long commands."""

    def is_new(open_: Exchange, sequence: int, at: int) -> bool:
        if open_.sequence == 0:
            return True  # the greeting, or an error that nobody asked for: one packet
        data = wire.data
        if open_.length and data[open_.start + 4] == 0xFB and open_.last == open_.start:
            return False  # LOCAL INFILE: the reply ends with what the server says about the file
        if begins(at, sequence):
            return True
        if sequence == open_.next_sequence:
            return sequence == 1 and data[open_.last + 4 : open_.last + 5] in (b"\xfe", b"\xff")  # 256 packets later
        return sequence <= 1 or sequence < open_.next_sequence

    return _grouped(wire, 0, 1, is_new)


def _grouped(wire: Wire, at: int, side: int, is_new: Callable[[Exchange, int, int], bool]) -> Iterator[Exchange]:
    data, size = wire.data, len(wire.data)
    has_gaps = bool(wire.gaps)
    open_: Exchange | None = None
    lost = wire.starts_midway and at == 0 and not _is_start(data, side)
    while at < size:
        if has_gaps and (gap := wire.gap_in(at, at + HEADER_BYTES)):
            if open_:
                open_.error = open_.error or (f"gap: {gap[2]} bytes missing at {gap[0]}" if side else "")
                yield open_
                open_ = None
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = resume(data, at, side), False
            continue
        if at + HEADER_BYTES > size:
            if open_:
                open_.end = size
                open_.error = open_.error or f"truncated: {size - at} bytes of a packet's head"
            else:
                open_ = Exchange(at, size, 0, 0, at, 0, f"truncated: {size - at} bytes of a packet's head", False)
            break
        length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        sequence = data[at + 3]
        end = at + HEADER_BYTES + length
        if open_ and is_new(open_, sequence, at):
            yield open_
            open_ = None
        if open_ is None and not _begins_exchange(data, at, side, length):
            end = resume(data, at + 1, side)
            yield Exchange(at, end, sequence, 0, at, 0, f"malformed: {end - at} bytes at {at} begin no exchange", False)
            at = end
            continue
        if open_ is None:
            open_ = Exchange(at, end, sequence, length, at, 0)
        if has_gaps and (gap := wire.gap_in(at, end)):
            open_.error = open_.error or f"gap: {gap[2]} bytes missing at {gap[0]}"
            end = min(wire.after(at + HEADER_BYTES, length), size)
        elif end > size:
            open_.error = open_.error or f"truncated: {end - size} bytes of a packet were not captured"
            end = size
        open_.end, open_.last = end, at
        open_.next_sequence = (sequence + 1) & 0xFF
        at = end
    if open_:
        yield open_


def _begins_exchange(data: bytes, at: int, side: int, length: int) -> bool:
    if side == 0:
        return (length > 0 and _is_command(data, at)) or is_login(data, at)
    return length > 0


def _is_start(data: bytes, side: int) -> bool:
    if side == 0:
        return is_login(data) or chain_at(data, 0, 0) > 0 or looks_like_statement(data)
    return is_greeting(data) or chain_at(data, 0, 1) > 0 or (data[3:4] in (b"\1", b"\2") and data[2:3] == b"\0")


def looks_like_statement(data: bytes, at: int = 0) -> bool:
    """Say whether a COM_QUERY or COM_STMT_PREPARE with an SQL statement begins here, be it cut."""
    head = data[at : at + 261]
    if len(head) < 9 or head[3] or head[4] not in (QUERY, PREPARE):
        return False
    length = int.from_bytes(head[:3], "little")
    text = head[5 : 4 + length]
    if text[:2] == b"\0\x01":  # query attributes, none
        text = text[2:]
    return length > 4 and looks_like_sql(text.partition(b"\0")[0])


def payloads(wire: Wire, start: int, end: int) -> Iterator[bytes]:
    """Return the payloads of the packets in [start, end), long ones joined; the last may be cut."""
    at, parts = start, list[bytes]()
    while at + HEADER_BYTES <= end:
        length = int.from_bytes(wire.data[at : at + 3], "little")
        stop = min(wire.after(at + HEADER_BYTES, length), end)
        parts.append(wire.captured(at + HEADER_BYTES, stop))
        at = max(stop, at + HEADER_BYTES)
        if length < FULL_PACKET:
            yield b"".join(parts) if len(parts) > 1 else parts[0]
            parts = []
    if parts:
        yield b"".join(parts)
