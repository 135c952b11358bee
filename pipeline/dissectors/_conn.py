"""The entry of a connection itself, made from its row of the flow table: no stream is read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kubeshark.core_capture import FlowBit
from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Value
from kubeshark.pipeline._time import rfc3339

__all__ = ["CONN", "conn_message"]

CONN = {
    transport: ProtocolSpec(
        name="conn",
        abbr=f"{transport.upper()}_CONN",
        long_name=f"{transport.upper()} connection",
        macro=f"{transport}_conn",
        layer4=transport,
        priority=256,
        matcher="none",
        variables={
            "conn": "bool",
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

_STARTED = FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN
_RESET = FlowBit.RST_A | FlowBit.RST_B
_FINISHED = FlowBit.FIN_A | FlowBit.FIN_B
_TCP = 6


def conn_message(row: Any, l7_detected: Sequence[str], network: Mapping[str, Any], group_id: int) -> Message:
    """Return the event of one connection.

    `row` is a FLOW row, `network` the entry's networkProps. Local is the client: who captured is not known in a file.
    """
    local = int(row["client"])
    fields: dict[str, Value] = {
        "conn": True,
        "conn_state": _state(row),
        "conn_local_pkts": int(row["packets"][local]),
        "conn_local_bytes": int(row["bytes"][local]),
        "conn_remote_pkts": int(row["packets"][1 - local]),
        "conn_remote_bytes": int(row["bytes"][1 - local]),
        "conn_group_id": group_id,
        "conn_l7_detected": list(l7_detected),
    }
    return Message(
        MessageKind.EVENT,
        direction=0,
        start=0,
        end=0,
        fields=fields,
        detail=partial(_document, row, fields, network),
    )


def _state(row: Any) -> str:
    """Return closed (both FIN, or a reset), open (its start was captured), else in_progress."""
    if _close_reason(row):
        return "closed"
    return "open" if row["transport"] != _TCP or row["bits"] & _STARTED else "in_progress"


def _close_reason(row: Any) -> str:
    bits = int(row["bits"])
    if bits & _RESET:
        return "reset"
    return "fin" if bits & _FINISHED == _FINISHED else ""


def _completeness(row: Any, gaps: int) -> str:
    """Say what of the connection was captured."""
    missing = []
    if row["transport"] == _TCP:
        if not row["bits"] & _STARTED:
            missing.append("start")
        if not _close_reason(row):
            missing.append("end")
    if gaps:
        missing.append("middle")
    return f"no {', no '.join(missing)}" if missing else "complete"


def _document(
    row: Any, fields: Mapping[str, Value], network: Mapping[str, Any]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    rtt_us = network["rttUs"]  # measured once, in the handshake
    document = {
        "state": fields["conn_state"],
        "transport": network["transport"],
        "localPackets": fields["conn_local_pkts"],
        "localBytes": fields["conn_local_bytes"],
        "remotePackets": fields["conn_remote_pkts"],
        "remoteBytes": fields["conn_remote_bytes"],
        "start": rfc3339(int(row["first_ns"])),
        "end": rfc3339(int(row["last_ns"])),
        "l7Detected": fields["conn_l7_detected"],
        "groupId": fields["conn_group_id"],
        "closeReason": _close_reason(row),
        "retransmissions": network["retransmissions"],
        "outOfOrder": network["outOfOrder"],
        "gaps": network["gaps"],
        "rttUsMin": rtt_us,
        "rttUsAvg": rtt_us,
        "rttUsMax": rtt_us,
        "completeness": _completeness(row, int(network["gaps"])),
    }
    return {}, document
