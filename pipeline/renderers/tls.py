"""Rows and representations of TLS handshakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, row, table, variable_rows

__all__ = ["render", "summarize"]

CLIENT = {
    "tlsx_sni": "Server name",
    "tlsx_alpn": "ALPN",
    "tlsx_ja3": "JA3",
    "tlsx_ja4": "JA4",
}
SERVER = {
    "tlsx_version": "Version number",
    "tlsx_cipher_suite": "Cipher suite number",
    "tlsx_ja3s": "JA3S",
    "tlsx_weak": "Weak",
}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.flag != "tlsx":
        return None
    info, name = str(entry.get("tlsx_info")), str(entry.get("tlsx_sni"))
    alert = int(str(entry.get("tlsx_alert")))
    status_query = equals("tlsx_alert", alert) if alert else ""
    return cells(info, equals("tlsx_info", info), name, equals("tlsx_sni", name), alert, status_query)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.flag != "tlsx":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    event = (document["event"] or {}).get("data")
    return Representation(
        BUILTIN,
        request=_request(entry, request) if request else (),
        response=_response(entry, response) if response else (),
        event=(*_alert(event), *_encrypted(event)) if event else (),
    )


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    if "cipherSuites" not in request:
        return _alert(request)
    texts = [
        row("Version", request["version"]),
        row("Offered versions", request["versions"]),
        row("Offered protocols", request["alpn"]),
        row("Groups", request["groups"]),
        row("Key shares", request["keyShares"]),
        row("Signature algorithms", request["signatureAlgorithms"]),
        row("Extensions", request["extensions"]),
        row("Hidden server name", request.get("hiddenName", "")),
        row("Offers to resume", request["resumes"]),
    ]
    suites = [
        row(f"0x{suite['id']:04x}", suite["name"], f"tlsx_cipher_suites[{at}]")
        for at, suite in enumerate(request["cipherSuites"])
    ]
    return (
        *table("ClientHello", [*variable_rows(entry, CLIENT), *(text for text in texts if text.value != "")]),
        *table("Cipher suites", suites),
        *_alert(request),
    )


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    if "cipherSuite" not in response:
        return _alert(response)
    texts = [
        row("Version", response["version"]),
        row("Cipher suite", response["cipherSuite"]["name"]),
        row("ALPN", response["alpn"]),
        row("Group", response["group"]),
        row("Extensions", response["extensions"]),
        row("Resumed", response["resumed"]),
    ]
    sections = table("ServerHello", [*variable_rows(entry, SERVER), *(text for text in texts if text.value != "")])
    sections += table("Security", [row("Warning", text) for text in response["security"]])
    for certificate in response["certificates"]:
        sections += table("Certificate", [row(name, value) for name, value in certificate.items() if value != ""])
    return (*sections, *_alert(response))


def _encrypted(document: Mapping[str, Any]) -> tuple[Section, ...]:
    data = document.get("applicationData")
    return table("Encrypted", [row("Records", data["records"]), row("Bytes", data["bytes"])]) if data else ()


def _alert(document: Mapping[str, Any]) -> tuple[Section, ...]:
    alert = document.get("alert")
    if not alert:
        return ()
    rows = [
        row("Level", alert["level"]),
        row("Description", alert["description"]),
        row("Code", alert["code"], "tlsx_alert"),
    ]
    return table("Alert", rows)
