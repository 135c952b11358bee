"""Rows and representations of what lies below applications: raw payload, and connections themselves."""

from __future__ import annotations

import base64
from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import (
    BUILTIN,
    cells,
    hex_dump,
    mapping,
    row,
    table,
    timeline,
    variable_rows,
)
from kubeshark.pipeline.renderers._summaries import Said, Summary, Told, summaries

__all__ = ["render", "summarize"]

RAW = ("tcp", "udp", "sctp")
CONN = {
    "conn_state": "State",
    "conn_local_pkts": "Packets from the client",
    "conn_local_bytes": "Bytes from the client",
    "conn_remote_pkts": "Packets from the server",
    "conn_remote_bytes": "Bytes from the server",
    "conn_l7_detected": "Protocols",
}
FLOW = {
    "flow_state": "State",
    "flow_local_pkts": "Packets from the client",
    "flow_local_bytes": "Bytes from the client",
    "flow_remote_pkts": "Packets from the server",
    "flow_remote_bytes": "Bytes from the server",
    "flow_local_bps": "Bytes per second from the client",
    "flow_remote_bps": "Bytes per second from the server",
}
FLOW_DETAILS = ("connections", "start", "end")
CONN_DETAILS = ("closeReason", "start", "end", "retransmissions", "outOfOrder", "gaps", "rttUsAvg", "completeness")


def _ends(src_ip: Any, dst_ip: Any, dst_port: Any, local_bytes: Any, remote_bytes: Any) -> tuple[str, str]:
    return f"{src_ip} → {dst_ip}:{dst_port}, {local_bytes} B out, {remote_bytes} B in", ""


def _connection(name: str) -> Summary:
    ends = Told("src.ip", "dst.ip", "dst.port", f"{name}_local_bytes", f"{name}_remote_bytes", by=_ends)
    return Summary(Said(f"{name}_state"), ends)


def _payload(entry: EntryView) -> dict[str, Any]:
    name = entry.protocol.name
    chunks = str(entry.get("sctp_chunk_type")) if name == "sctp" else ""
    return cells(chunks, equals("sctp_chunk_type", chunks), str(entry.get(f"{name}_length")) + " bytes")


summarize = summaries({"conn": _connection("conn"), "flow": _connection("flow"), **dict.fromkeys(RAW, _payload)})


@hookimpl
def render(entry: EntryView) -> Representation | None:
    name = entry.protocol.name
    if name == "conn":
        data = entry.document()["event"]["data"]
        details = {key: data[key] for key in CONN_DETAILS}
        summary = table("Connection", variable_rows(entry, CONN))
        return Representation(BUILTIN, event=(*summary, *mapping("Details", details), *timeline("Over time", entry)))
    if name == "flow":
        data = entry.document()["event"]["data"]
        details = {key: data[key] for key in FLOW_DETAILS}
        return Representation(BUILTIN, event=(*table("Flow", variable_rows(entry, FLOW)), *mapping("Details", details)))
    if name in RAW:
        data = entry.document()["data"]
        payload = base64.b64decode(data["payloadBase64"])
        lengths = variable_rows(entry, {f"{name}_length": "Bytes", "sctp_chunk_type": "Chunks"})
        summary = table(name.upper(), (row("Sent by", data["direction"]), *lengths))
        return Representation(BUILTIN, data=(*summary, *hex_dump("Payload", payload)))
    return None
