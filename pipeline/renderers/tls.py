"""Rows and representations of TLS handshakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Section
from kubeshark.pipeline.renderers._halves import halves
from kubeshark.pipeline.renderers._sections import row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import summary

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

summarize = summary("tlsx", "tlsx_info", "tlsx_sni", "tlsx_alert")


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


render = halves("tlsx", _request, _response, lambda _, event: (*_alert(event), *_encrypted(event)))
