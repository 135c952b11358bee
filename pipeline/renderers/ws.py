"""Rows and representations of WebSocket messages."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, body, cells, row, table
from kubeshark.pipeline.renderers._summaries import summaries

__all__ = ["render", "summarize"]

SUMMARY_CHARACTERS = 64
ROWS = {
    "opcode": ("Opcode", "ws_opcode"),
    "payloadLength": ("Payload bytes", ""),
    "closeCode": ("Close code", "status_code"),
    "closeReason": ("Close reason", ""),
    "masked": ("Masked", ""),
    "fin": ("Final", ""),
    "fragments": ("Frames", ""),
    "compressed": ("Compressed", ""),
    "comment": ("Note", ""),
}


def _cells(entry: EntryView) -> dict[str, Any]:
    opcode, code = str(entry.get("ws_opcode")), int(str(entry.get("status_code")))
    shown = str(entry.get("request_body")) or str(entry.get("response_body")) if opcode in ("text", "close") else ""
    code_query = equals("status_code", code) if code else ""
    return cells(opcode, equals("ws_opcode", opcode), shown[:SUMMARY_CHARACTERS], "", code, code_query)


summarize = summaries({"ws": _cells})  # only of some the body is read


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "ws":
        return None
    document = entry.document()
    return Representation(
        BUILTIN,
        request=_half(document["request"], "Request", "request"),
        response=_half(document["response"], "Response", "response"),
    )


def _half(half: dict[str, Any] | None, title: str, name: str) -> tuple[Section, ...]:
    if half is None:
        return ()
    rows = [row(label, half[key], selector) for key, (label, selector) in ROWS.items() if key in half]
    payload = "Payload (cut)" if half.get("bodyTruncated") else "Payload"
    selector = "" if half.get("bodyTruncated") else f"{name}_body"
    return (*table(title, rows), *body(payload, half["payload"], half.get("encoding", ""), "", selector))
