"""The entry of a connection itself, made from its row of the flow table: no stream is read for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import FlowBit
from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Value
from kubeshark.pipeline.entries._time import rfc3339

__all__ = ["COLUMNS", "CONN", "FLOW", "conn_message", "flow_message"]

CONN = {
    transport: ProtocolSpec(
        name="conn",
        abbr=f"{transport.upper()}_CONN",
        long_name=f"{transport.upper()} connection",
        macro=f"{transport}_conn",
        also=("conn",),
        layer4=transport,
        priority=256,
        matcher="none",
        variables={
            "conn_state": "string",
            "conn_local_pkts": "int",
            "conn_local_bytes": "int",
            "conn_remote_pkts": "int",
            "conn_remote_bytes": "int",
            "conn_group_id": "int",
            "conn_l7_detected": "list",
        },
    )
    for transport in ("tcp", "udp")
}
"""Transport → protocol of its connections."""

FLOW = {
    transport: ProtocolSpec(
        name="flow",
        abbr=f"{transport.upper()}_FLOW",
        long_name=f"{transport.upper()} flow",
        macro=f"{transport}_flow",
        layer4=transport,
        priority=257,
        matcher="none",
    )
    for transport in ("tcp", "udp")
}
"""Transport → protocol of its flows: the connections of two hosts to one server port."""

_STARTED = int(FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN)  # as numbers, because enums are slow
_RESET = int(FlowBit.RST_A | FlowBit.RST_B)
_FINISHED = int(FlowBit.FIN_A | FlowBit.FIN_B)
_TCP = 6
EVENT = MessageKind.EVENT
_ROW = Struct("<36xBxBx2xH12xQQ2I2Q8x")  # of a FLOW row, ends left out: transport, client, bits, times, counts


def conn_message(row: Any, l7_detected: Sequence[str], network: Mapping[str, Any], group_id: int) -> Message:
    """Return the event of one connection.

    `row` is a FLOW row, `network` the entry's networkProps. Local is the client: who captured is not known in a file.
    """
    transport, local, bits, first_ns, last_ns, *counts = _ROW.unpack(row)
    remote = 1 - local
    fields: dict[str, Value] = {
        "conn": True,
        "conn_state": _state(transport, bits),
        "conn_local_pkts": counts[local],
        "conn_local_bytes": counts[2 + local],
        "conn_remote_pkts": counts[remote],
        "conn_remote_bytes": counts[2 + remote],
        "conn_group_id": group_id,
        "conn_l7_detected": list(l7_detected),
    }
    return Message(
        EVENT,
        direction=0,
        start=0,
        end=0,
        fields=fields,
        detail=partial(_document, transport, bits, (first_ns, last_ns), fields, network),
    )


def _states(flows: NDArray[Any]) -> list[str]:
    known: dict[tuple[int, int], str] = {}
    states = []
    for key in zip(flows["transport"].tolist(), flows["bits"].tolist(), strict=True):
        if (state := known.get(key)) is None:
            state = known[key] = _state(*key)
        states.append(state)
    return states


def _counted(name: str, *, by_server: bool) -> Callable[[NDArray[Any]], list[int]]:
    """Read packets or bytes of one end of each connection."""

    def read(flows: NDArray[Any]) -> list[int]:
        is_b = (flows["client"] == 1) != by_server
        counts: list[int] = np.where(is_b, flows[name][:, 1], flows[name][:, 0]).tolist()
        return counts

    return read


COLUMNS: Mapping[str, Callable[[NDArray[Any]], list[Any]]] = {
    "conn_state": _states,
    "conn_local_pkts": _counted("packets", by_server=False),
    "conn_local_bytes": _counted("bytes", by_server=False),
    "conn_remote_pkts": _counted("packets", by_server=True),
    "conn_remote_bytes": _counted("bytes", by_server=True),
}
"""KFL variables of many connections, FLOW rows: what `conn_message` says of each."""


def flow_message(rows: NDArray[Any], group_id: int) -> Message:
    """Return the event of one flow; `rows` are the FLOW rows of its connections, at least one."""
    client = rows["client"].astype(np.intp)
    each = np.arange(len(rows))
    states = set(map(_state, rows["transport"].tolist(), rows["bits"].tolist()))
    state = next(name for name in ("open", "in_progress", "closed") if name in states)
    counts = {
        f"flow_{end}_{unit}": int(rows[column][each, side].sum())
        for end, side in (("local", client), ("remote", 1 - client))
        for unit, column in (("pkts", "packets"), ("bytes", "bytes"))
    }
    first, last = int(rows["first_ns"].min()), int(rows["last_ns"].max())
    seconds = max((last - first) / 1e9, 1.0)  # a rate over less than a second says nothing
    rates = {
        f"flow_{end}_{rate}": round(counts[f"flow_{end}_{unit}"] / seconds)
        for end in ("local", "remote")
        for rate, unit in (("pps", "pkts"), ("bps", "bytes"))
    }
    fields: dict[str, Value] = {"flow": True, "flow_state": state, "flow_group_id": group_id, **counts, **rates}
    document = {
        "state": state,
        "localPackets": counts["flow_local_pkts"],
        "localBytes": counts["flow_local_bytes"],
        "remotePackets": counts["flow_remote_pkts"],
        "remoteBytes": counts["flow_remote_bytes"],
        "start": rfc3339(first),
        "end": rfc3339(last),
        "groupId": group_id,
        "localPps": rates["flow_local_pps"],
        "localBps": rates["flow_local_bps"],
        "remotePps": rates["flow_remote_pps"],
        "remoteBps": rates["flow_remote_bps"],
        "connections": len(rows),
    }
    return Message(MessageKind.EVENT, direction=0, start=0, end=0, fields=fields, detail=lambda: ({}, document))


def _state(transport: int, bits: int) -> str:
    """Return closed (both FIN, or a reset), open (its start was captured), else in_progress."""
    if _close_reason(bits):
        return "closed"
    return "open" if transport != _TCP or bits & _STARTED else "in_progress"


def _close_reason(bits: int) -> str:
    if bits & _RESET:
        return "reset"
    return "fin" if bits & _FINISHED == _FINISHED else ""


def _completeness(transport: int, bits: int, gaps: int) -> str:
    """Say what of the connection was captured."""
    missing = []
    if transport == _TCP:
        if not bits & _STARTED:
            missing.append("start")
        if not _close_reason(bits):
            missing.append("end")
    if gaps:
        missing.append("middle")
    return f"no {', no '.join(missing)}" if missing else "complete"


def _document(
    transport: int, bits: int, times_ns: tuple[int, int], fields: Mapping[str, Value], network: Mapping[str, Any]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    rtt_us = network["rttUs"]  # measured once, in the handshake
    document = {
        "state": fields["conn_state"],
        "transport": network["transport"],
        "localPackets": fields["conn_local_pkts"],
        "localBytes": fields["conn_local_bytes"],
        "remotePackets": fields["conn_remote_pkts"],
        "remoteBytes": fields["conn_remote_bytes"],
        "start": rfc3339(times_ns[0]),
        "end": rfc3339(times_ns[1]),
        "l7Detected": fields["conn_l7_detected"],
        "groupId": fields["conn_group_id"],
        "closeReason": _close_reason(bits),
        "retransmissions": network["retransmissions"],
        "outOfOrder": network["outOfOrder"],
        "gaps": network["gaps"],
        "rttUsMin": rtt_us,
        "rttUsAvg": rtt_us,
        "rttUsMax": rtt_us,
        "completeness": _completeness(transport, bits, network["gaps"]),
    }
    return {}, document
