"""AMQP 0-9-1 on one side of a stream: frames, and what belongs together on a channel (specification §4.2).

1. A frame says its size and ends with 0xCE; behind bytes that are none, reading goes on at the next that is whole.
2. A method with content is followed on its channel by a header and as many body frames as the header says; frames of
   other channels may lie between them, so units can overlap.
3. How long content is whose header was not captured nobody knows: one unit goes on to the channel's next method or
   header.
4. Only places are kept of bodies, at most MAX_PIECES for a unit, and one open unit for each channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any

import msgspec

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._amqp_methods import METHODS, Method
from kubeshark.pipeline.dissectors.messaging._amqp_values import Cursor, Short, read_arguments, read_properties

__all__ = ["MAX_PIECES", "Unit", "is_frame", "read_units"]

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
MAX_FRAME = 1 << 27
"""RabbitMQ negotiates 128 KiB; "no limit" is allowed."""
MAX_PIECES = 10_000
WITH_CONTENT = frozenset(("basic.publish", "basic.return", "basic.deliver", "basic.get-ok"))
MAX_OPEN = 2_048
"""Channels of one connection with unfinished content; RabbitMQ's default for channels."""

_HEAD = Struct(">BHI")
_CONTENT_HEAD = Struct(">HHQ")


class Unit(msgspec.Struct):
    """A method with its content, or what was found of one."""

    start: int
    end: int
    channel: int
    method: Method | None = None  # None: content whose method was not captured
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    size: int = 0  # bytes of its own frames
    body_size: int = -1  # as the header says
    body_seen: int = 0
    pieces: list[tuple[int, int]] = msgspec.field(default_factory=list)  # places of the body
    error: str = ""

    @property
    def name(self) -> str:
        return self.method.name if self.method else ""


def is_frame(data: bytes, at: int, *, whole: bool = True) -> bool:
    """Say whether a frame begins at `at`: type, size, end mark and, of methods, known ids. `whole`: to its end."""
    if len(data) - at < _HEAD.size + 1:
        return False
    kind, channel, size = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + size
    if kind not in (METHOD, HEADER, BODY, HEARTBEAT) or size > MAX_FRAME:
        return False
    if end < len(data):
        if data[end] != FRAME_END:
            return False
    elif whole:
        return False
    ids = data[at + 7 : at + 11]
    if kind == METHOD:
        known = (int.from_bytes(ids[:2], "big"), int.from_bytes(ids[2:], "big")) in METHODS
        return known and bool(size >= 4)
    if kind == HEARTBEAT:
        return bool(size == 0 == channel)
    return bool(channel) and (kind == BODY or (size >= 14 and ids == b"\x00\x3c\x00\x00"))


def read_units(wire: Wire, at: int) -> Iterator[Unit]:
    """Yield what one side sent from `at` on, in the order of completion; heartbeats say nothing and are left out."""
    data, size = wire.data, len(wire.data)
    if wire.starts_midway and at == 0 and not is_frame(data, 0):
        at = _next_frame(data, 0)
    waiting: dict[int, Unit] = {}
    while at < size:
        if wire.gaps and (gap := wire.gap_in(at, at + _HEAD.size)):
            at = _next_frame(data, max(at + 1, gap[1]))
            for unit in waiting.values():
                unit.error = unit.error or f"gap: {gap[2]} bytes missing at {gap[0]}"
            continue
        if size - at < _HEAD.size or data[at] not in (METHOD, HEADER, BODY, HEARTBEAT):
            end = _next_frame(data, at + 1)
            error = f"malformed: no frame at {at}" if size - at >= _HEAD.size else f"truncated: only {size - at} bytes"
            yield Unit(at, end, 0, size=end - at, error=error)
            at = end
            continue
        kind, channel, length = _HEAD.unpack_from(data, at)
        end, error = _frame_end(wire, at, length)
        if kind != HEARTBEAT or error:
            yield from _frame(waiting, wire, (kind, channel, at, length, end, error))
        at = end
    for unit in sorted(waiting.values(), key=lambda unit: unit.start):
        unit.error = (
            unit.error or f"truncated: {unit.body_seen} of {max(0, unit.body_size)} bytes of its body were captured"
        )
        yield unit


def _frame_end(wire: Wire, at: int, length: int) -> tuple[int, str]:
    """Return (where a frame ends, what is wrong with it)."""
    data, size = wire.data, len(wire.data)
    if length > MAX_FRAME:
        return _next_frame(data, at + 1), f"malformed: a frame of {length} bytes at {at}"
    end = wire.after(at + _HEAD.size, length) + 1
    if wire.gaps and (gap := wire.gap_in(at, min(end, size))):
        return min(end, size), f"gap: {gap[2]} bytes missing at {gap[0]}"
    if end > size:
        return size, f"truncated: only {size - at} bytes were captured"
    if data[end - 1] != FRAME_END:
        return end if is_frame(data, end) else _next_frame(data, at + 1), f"malformed: no end of a frame at {end - 1}"
    return end, ""


def _next_frame(data: bytes, at: int) -> int:
    """Return where the next whole frame begins: at `at`, or behind a frame's end; else the end."""
    if is_frame(data, at):
        return at
    mark = bytes((FRAME_END,))
    while (at := data.find(mark, at) + 1) > 0:
        if is_frame(data, at):
            return at
    return len(data)


def _frame(waiting: dict[int, Unit], wire: Wire, frame: tuple[int, int, int, int, int, str]) -> Iterator[Unit]:
    kind, channel, start, length, end, error = frame
    is_cut = error.startswith(("truncated:", "malformed:"))
    payload = min(start + _HEAD.size, end)
    payload_end = end if is_cut else end - 1  # without the mark
    if kind == METHOD:
        if unfinished := waiting.pop(channel, None):
            unfinished.error = unfinished.error or "malformed: its content ends early"
            yield unfinished
        unit = Unit(start, end, channel, size=end - start, error=error)
        _read_method(unit, wire.data, payload, payload_end)
        if unit.name not in WITH_CONTENT or len(waiting) >= MAX_OPEN:
            yield unit
            return
        waiting[channel] = unit
        return
    unit = waiting.get(channel) or Unit(start, end, channel)
    if kind == HEADER and unit.method is None and unit.pieces:
        yield waiting.pop(channel)
        unit = Unit(start, end, channel)
    if unit.method is None and not unit.error:
        unit.error = "gap: the method of this content was not captured"
    unit.end, unit.size = end, unit.size + end - start
    unit.error = unit.error or error
    if kind == HEADER:
        _read_header(unit, wire.data, payload, payload_end)
    else:
        unit.body_seen += payload_end - payload if is_cut else length
        if len(unit.pieces) < MAX_PIECES:
            unit.pieces.append((payload, payload_end))
    is_rest = unit.method is None and unit.body_size < 0
    if is_cut or (unit.body_seen >= unit.body_size and not is_rest):
        waiting.pop(channel, None)
        yield unit
    elif channel in waiting or len(waiting) < MAX_OPEN:
        waiting[channel] = unit
    else:
        yield unit


def _read_method(unit: Unit, data: bytes, payload: int, end: int) -> None:
    ids = int.from_bytes(data[payload : payload + 2], "big"), int.from_bytes(data[payload + 2 : payload + 4], "big")
    unit.method = METHODS.get(ids) if end - payload >= 4 else None
    if unit.method is None:
        unit.error = unit.error or f"malformed: no method {ids[0]}.{ids[1]}"
        return
    try:
        unit.arguments = read_arguments(unit.method, Cursor(data, payload + 4, end))
    except Short:
        unit.error = unit.error or f"malformed: arguments of {unit.name}"


def _read_header(unit: Unit, data: bytes, payload: int, end: int) -> None:
    if end - payload < _CONTENT_HEAD.size:
        unit.error = unit.error or "malformed: a content header"
        return
    _, _, unit.body_size = _CONTENT_HEAD.unpack_from(data, payload)
    try:
        unit.properties = read_properties(Cursor(data, payload + _CONTENT_HEAD.size, end))
    except Short:
        unit.error = unit.error or "malformed: properties"
