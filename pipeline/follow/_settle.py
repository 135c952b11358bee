"""Which entries of a connection that still goes on can be told now: what packets come later must not change their ids.

An id counts the entries of a connection (`Numbering`), and what comes later adds entries behind those that are there:
over prefixes of 596 captures none of 68,000 entries that these rules let go had another id in the end.

1. An exchange is told when both halves are there and whole; what has no answer by design at once.
2. A request without a response waits for it until the connection ended, `ANSWER_TIMEOUT_NS` of packet time passed, or
   nothing came for `Wait.OVER`.
3. What is damaged or cut may be under way: it waits for `Wait.DOUBT`.
4. What may go on growing (GROWING, and foreign plugins'), or find its protocol yet (raw TCP), waits for `Wait.GROWTH`.
5. A connection's own entry is told when it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import NO_MESSAGE
from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.dissection._exchanges import ANSWER_TIMEOUT_NS
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.tables._kinds import CONNECTION, MADE
from kubeshark.pipeline.tables._table import EntryTable

__all__ = ["QUIET_S", "Wait", "settle"]


class Wait(IntEnum):
    """What an entry waits for: this much silence of its connection at most."""

    NOTHING = 0
    GROWTH = 1
    DOUBT = 2
    OVER = 3


QUIET_S: Mapping[Wait, float] = {Wait.NOTHING: 0.0, Wait.GROWTH: 0.25, Wait.DOUBT: 2.0, Wait.OVER: 12.0}
"""Seconds by the clock, not of packets. The last is a little longer than a request waits for its response."""

GROWING = frozenset({"tlsx", "quic", "postgresql", "mysql", "http2", "http3", "grpc", "gqlv2"})
"""Flags of protocols whose messages are whole long before they end: a handshake, a result, a stream."""

RAW = "tcp"
ONE_WAY = 1  # Scanned.messages["bits"]


class Settled(Struct):
    """One element a row of the table: what it waits for, and the time of its last packet (ns)."""

    waits: NDArray[Any]  # Wait
    end_ns: NDArray[Any]


def settle(table: EntryTable) -> Settled:
    """Say of each entry what it waits for, whatever is known of its connection's silence or end."""
    found, codes = table.found, table.found.code[table.rows]
    waits = np.full(len(codes), Wait.OVER, dtype=np.uint8)
    ends = table.start_ns.copy()
    for at in np.flatnonzero(codes <= MADE).tolist():
        entry = table[at]
        waits[at] = _wait(entry)
        ends[at] = max(timed.end_ns for timed in entry.messages())
    mine = np.flatnonzero(codes >= 0)
    if found.scanned is not None and len(mine):
        waits[mine], ends[mine] = _of_scanned(table, mine)
    for at in np.flatnonzero(codes == CONNECTION).tolist():
        ends[at] = int(found.flows["last_ns"][found.stream[table.rows[at]]])
    return Settled(waits, ends)


def _wait(entry: Entry) -> Wait:
    exchange, messages = entry.exchange, entry.messages()
    if any(not timed.is_whole or timed.message.error for timed in messages):
        return Wait.DOUBT
    request = exchange.request
    if request and not exchange.response and not request.message.one_way and entry.protocol.matcher != "none":
        last_ns = int(entry.facts.row["last_ns"])
        return Wait.GROWTH if last_ns - request.end_ns >= ANSWER_TIMEOUT_NS else Wait.OVER
    if exchange.event and entry.facts.stream_data is None:
        return Wait.OVER  # a connection that only the index knows
    return Wait.GROWTH if entry.plugin or _grows(entry.protocol) else Wait.NOTHING


def _grows(protocol: ProtocolSpec) -> bool:
    return protocol.name == RAW or not GROWING.isdisjoint(protocol.flags)


def _of_scanned(table: EntryTable, places: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (waits, end_ns) of rows, of scanners and plugins: those are whole, or none would take their stream."""
    found = table.found
    scanned = found.scanned
    assert scanned is not None
    rows = table.rows[places]
    codes = found.code[rows]
    exchanges, messages = scanned.found.exchanges[codes], scanned.found.messages
    nobody = len(messages)
    lasts = np.append(found.times[messages["last_packet"]].astype(np.int64), 0)  # never u8 with 0: that makes floats
    ends = np.zeros(len(rows), dtype=np.int64)
    for half in ("request", "response", "event"):
        ends = np.maximum(ends, lasts[np.minimum(exchanges[half], nobody)])
    bits = np.append(messages["bits"], 0)[np.minimum(exchanges["request"], nobody)]
    asks = (exchanges["request"] != NO_MESSAGE) & (exchanges["response"] == NO_MESSAGE) & ((bits & ONE_WAY) == 0)
    waits = np.full(len(rows), Wait.NOTHING, dtype=np.uint8)
    for protocol, its in scanned.by_protocol():
        if _grows(protocol):
            waits[np.isin(codes, its)] = Wait.GROWTH
        elif protocol.matcher == "none":
            asks &= ~np.isin(codes, its)
    for binding, start, stop in zip(scanned.bindings, scanned.bounds, scanned.bounds[1:], strict=False):
        if not binding.is_builtin:
            waits[(codes >= start) & (codes < stop)] = Wait.GROWTH
    flow_ends = found.flows["last_ns"][found.stream[rows]].astype(np.int64)
    waits[asks] = np.where(flow_ends[asks] - ends[asks] >= ANSWER_TIMEOUT_NS, Wait.GROWTH, Wait.OVER)
    return waits, ends
