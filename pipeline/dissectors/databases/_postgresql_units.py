"""Which PostgreSQL messages are one question, and which one answer (protocol 3.0–3.2, chapter 55).

A client's cycle ends with Query, Sync or FunctionCall, a server's with ReadyForQuery: the n-th of the one side belongs
to the n-th of the other. Inside a cycle of the extended protocol every Execute is a unit of its own, with the Parse,
Bind and Describe before it, and so is a Query behind them (Flush gets their answers without a Sync); the server's units
are cut by the same rule, so that they pair by position. What is no message spoils the unit it is in.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import SHOWN_ITEMS
from kubeshark.pipeline.dissectors.databases._postgresql_framing import (
    CANCEL,
    GSS_ENCRYPTION,
    LOST,
    STARTUP,
    TLS_REQUEST,
    UNKNOWN,
    UNTYPED,
    Packet,
    error_fields,
    startup_code,
)

__all__ = ["Unit", "client_units", "server_units"]

MAX_NAMES = 512
"""Bytes of a Bind in which its portal's and statement's names (63 bytes each in the server) are looked for."""
NO_CYCLE = -1


class Unit(Struct):
    """What becomes one request, response or event: messages [start, end) of a side."""

    start: int
    end: int
    cycle: int
    anchor: int = 0  # first byte that is no asynchronous message: when the answer began
    code: int = 0  # of the client's untyped messages
    types: set[int] = field(default_factory=set)
    statement: str = ""  # name, of Parse or Bind
    portal: str = ""
    query: str = ""
    is_parsed: bool = False
    is_described: bool = False  # a statement, not a portal
    bind_at: int = -1  # the last Bind
    columns_at: int = -1  # the first RowDescription
    parameters_at: int = -1  # the first ParameterDescription
    tags: list[str] = field(default_factory=list)
    failure: dict[str, str] = field(default_factory=dict)  # fields of the ErrorResponse, by code
    closes_cycle: bool = False
    error: str = ""


def client_units(wire: Wire, packets: Iterator[Packet]) -> Iterator[Unit]:
    """Group the client's messages: a unit for each question (module docstring)."""
    unit: Unit | None = None
    cycle, previous = 0, LOST
    has_executed = False
    for packet in packets:
        kind = packet.type
        if unit and (
            (unit.closes_cycle and not _belongs(unit, kind, previous))
            or (kind < 0 and not _is_tail(packet))
            or _begins_unit(wire, unit, packet, has_executed=has_executed)
        ):
            ends_cycle = unit.closes_cycle or kind < 0
            if kind == LOST and not unit.closes_cycle:
                unit.error = unit.error or packet.error
            yield unit
            unit, cycle = None, cycle + ends_cycle
        previous = kind
        if kind == LOST:
            continue
        if unit is None:
            unit, has_executed = Unit(packet.start, packet.end, cycle), False
        unit.end = packet.end
        unit.error = unit.error or packet.error
        unit.types.add(kind)
        if kind == STARTUP:
            unit.code = startup_code(wire.data, packet.start)
        has_executed = has_executed or kind == 0x45
        unit.closes_cycle = unit.closes_cycle or kind in _CLOSING
        _note(wire, unit, packet)
    if unit:
        yield unit


_CLOSING = frozenset(
    (STARTUP, UNKNOWN, *b"QSFXpdcf")
)  # a password or COPY data of its own: its question was not captured


def _belongs(unit: Unit, kind: int, previous: int) -> bool:
    """Say whether a message goes on with a cycle that seemed complete: passwords, COPY data, the Sync behind those."""
    if unit.code in (TLS_REQUEST, GSS_ENCRYPTION, CANCEL):
        return False
    if kind == 0x70:
        return bool(unit.types & {STARTUP, 0x70})
    if kind in (0x64, 0x63, 0x66):
        return bool(unit.types & {0x51, 0x45, 0x64})
    return kind == 0x53 and previous in (0x63, 0x66) and 0x45 in unit.types


def _is_tail(packet: Packet) -> bool:
    return packet.type == UNKNOWN and packet.error.startswith("truncated")


def _begins_unit(wire: Wire, unit: Unit, packet: Packet, *, has_executed: bool) -> bool:
    kind = packet.type
    if kind in _ALONE:
        return unit.types != {0x48}  # a Flush before them says nothing
    if kind == 0x50:  # Parse
        return unit.is_parsed or unit.bind_at >= 0 or has_executed
    if kind == 0x42:  # Bind
        return unit.bind_at >= 0 or has_executed
    if kind == 0x44:  # Describe: of a statement, or of the portal that was bound
        return has_executed and wire.data[packet.body : packet.body + 1] == b"S"
    if kind == 0x45:  # Execute: of the portal that was bound, or of one from an earlier unit
        is_other = unit.is_parsed or unit.is_described or 0x43 in unit.types
        return has_executed or (is_other and unit.bind_at < 0)
    return False


_ALONE = frozenset(b"QFX")  # Query, FunctionCall, Terminate


def _note(wire: Wire, unit: Unit, packet: Packet) -> None:
    """Keep of a client's message what summaries need."""
    kind = packet.type
    if kind == 0x51:  # Query
        unit.query = _first_text(wire, packet)
    elif kind == 0x50:
        name, _, rest = wire.captured(packet.body, packet.end).partition(b"\0")
        unit.statement, unit.query = text(name), text(rest.partition(b"\0")[0])
        unit.is_parsed = True
    elif kind == 0x42:
        portal, _, rest = wire.captured(packet.body, min(packet.end, packet.body + MAX_NAMES)).partition(b"\0")
        unit.portal, unit.statement = text(portal), text(rest.partition(b"\0")[0])
        unit.bind_at = packet.start
    elif kind == 0x45:
        unit.portal = _first_text(wire, packet)
    elif kind == 0x44 and unit.bind_at < 0 and not unit.is_parsed:
        described = text(wire.captured(packet.body + 1, packet.end).partition(b"\0")[0])
        if wire.data[packet.body : packet.body + 1] == b"S":
            unit.statement, unit.is_described = described, True
        else:
            unit.portal = described


def _first_text(wire: Wire, packet: Packet) -> str:
    return text(wire.captured(packet.body, packet.end).partition(b"\0")[0])


_ASYNCHRONOUS = frozenset(b"SN")  # ParameterStatus, NoticeResponse: may come at any time
_TERMINATORS = frozenset(b"CIEs")
_MAY_END = frozenset((UNTYPED, UNKNOWN, LOST, *b"12tTnDCIsEGHWV"))  # the unit before them
_PREPARED = frozenset(b"13t")  # ParseComplete, CloseComplete, ParameterDescription
_EXTENDED = frozenset(b"12tns")  # no Query is answered so


def server_units(wire: Wire, packets: Iterator[Packet]) -> Iterator[Unit]:
    """Group the server's messages: a unit for each answer; a notification is a unit with that type alone."""
    unit: Unit | None = None
    cycle = 0
    is_done = False  # this unit's Execute was answered
    previous = LOST
    for packet in packets:
        kind = packet.type
        if kind == 0x44 == previous and unit is not None and not packet.error:
            unit.end = packet.end  # DataRow: nearly all messages of a large result
            continue
        if kind == 0x41 and not packet.error:  # NotificationResponse
            yield Unit(packet.start, packet.end, NO_CYCLE, packet.start, types={kind})
            continue
        if unit and kind in _MAY_END and _begins_answer(unit, packet, previous, is_done=is_done):
            if kind == LOST:
                unit.error = unit.error or packet.error
            yield unit
            unit, cycle = None, cycle + (kind < 0)
        if kind == LOST:
            continue
        if unit is None:
            unit, is_done = Unit(packet.start, packet.end, cycle, -1), False
        if kind not in _ASYNCHRONOUS:
            previous = kind
            if unit.anchor < 0:
                unit.anchor = packet.start
        unit.end = packet.end
        unit.error = unit.error or packet.error
        unit.types.add(kind)
        is_done = is_done or kind in _TERMINATORS
        if kind == 0x54 and unit.columns_at < 0:  # RowDescription
            unit.columns_at = packet.start
        elif kind == 0x74 and unit.parameters_at < 0:  # ParameterDescription
            unit.parameters_at = packet.start
        elif kind == 0x43 and len(unit.tags) < SHOWN_ITEMS:  # CommandComplete
            unit.tags.append(_first_text(wire, packet))
        elif kind == 0x45 and not unit.failure:  # ErrorResponse
            unit.failure = error_fields(wire.captured(packet.body, packet.end))
        if kind in (0x5A, UNTYPED, UNKNOWN):  # ReadyForQuery
            unit.closes_cycle = True
            yield unit
            unit, cycle = None, cycle + 1
    if unit:
        yield unit


def _begins_answer(unit: Unit, packet: Packet, previous: int, *, is_done: bool) -> bool:
    """Say whether a server's message answers another unit than those before it; where both may be, pairing decides."""
    kind, types = packet.type, unit.types
    if kind < 0:
        return not _is_tail(packet)
    if kind == UNTYPED:
        return True
    if kind == 0x31:  # ParseComplete
        return is_done or bool(types & {0x31, 0x32})
    if kind == 0x32:  # BindComplete
        return is_done or 0x32 in types
    if kind == 0x74:  # ParameterDescription
        return is_done
    if kind == 0x56:  # FunctionCallResponse
        return unit.anchor >= 0
    if kind in (0x54, 0x6E) and previous == 0x74:  # RowDescription, NoData: they go together
        return False
    if is_done:  # rows without a description are no Query's either
        return bool(types & _EXTENDED) or (0x44 in types and 0x54 not in types) or (kind == 0x44 and previous == 0x43)
    return bool(types & _PREPARED) and 0x32 not in types  # a Query, or a portal that was bound before
