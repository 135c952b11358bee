"""Hellos as the JSON objects and KFL variables of entries (entries.md §6, tls)."""

from __future__ import annotations

from typing import Any, Literal

from kubeshark.extension_api import Value
from kubeshark.pipeline.tls._fingerprint import ja3, ja3s, ja4
from kubeshark.pipeline.tls._hello import ClientHello, ServerHello
from kubeshark.pipeline.tls._names import (
    alert_name,
    extension_name,
    group_name,
    is_weak_suite,
    signature_name,
    suite_name,
    version_name,
)
from kubeshark.pipeline.tls._records import Alert

__all__ = [
    "alert_document",
    "client_document",
    "client_fields",
    "is_weak",
    "server_document",
    "server_fields",
    "weaknesses",
]

Transport = Literal["t", "q", "d"]
LEVELS = {1: "warning", 2: "fatal"}
OLD_VERSIONS = frozenset({0x0002, 0x0300, 0x0301, 0x0302, 0x0100, 0xFEFF})
"""Below TLS 1.2 and DTLS 1.2 (RFC 8996)."""


def client_fields(hello: ClientHello, transport: Transport) -> dict[str, Value]:
    """Return the summary's KFL variables of a ClientHello; the ALPN is the first offered."""
    fields: dict[str, Value] = {
        "tlsx_info": "ClientHello",
        "tlsx_summary": hello.sni,
        "tlsx_sni": hello.sni,
        "tlsx_cipher_suites": [suite_name(suite) for suite in hello.suites],
        "tlsx_ja3": ja3(hello),
        "tlsx_ja4": ja4(hello, transport),
    }
    if alpn := hello.alpn:
        fields["tlsx_alpn"] = alpn[0]
    return fields


def server_fields(hello: ServerHello) -> dict[str, Value]:
    """Return the summary's KFL variables of a ServerHello."""
    fields: dict[str, Value] = {
        "tlsx_info": "ServerHello",
        "tlsx_version": hello.version,
        "tlsx_cipher_suite": hello.suite,
        "tlsx_ja3s": ja3s(hello),
        "tlsx_weak": is_weak(hello),
    }
    if hello.alpn:
        fields["tlsx_alpn"] = hello.alpn
    return fields


def is_weak(hello: ServerHello) -> bool:
    return hello.version in OLD_VERSIONS or is_weak_suite(hello.suite)


def weaknesses(hello: ServerHello) -> list[str]:
    """Say in words what `is_weak` says."""
    found = []
    if hello.version in OLD_VERSIONS:
        found.append(f"{version_name(hello.version)} is obsolete (RFC 8996)")
    if is_weak_suite(hello.suite):
        found.append(f"{suite_name(hello.suite)} is weak")
    return found


def client_document(hello: ClientHello, transport: Transport) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": version_name(hello.version),
        "versions": [version_name(version) for version in hello.versions],
        "sni": hello.sni,
        "alpn": hello.alpn,
        "cipherSuites": [{"id": suite, "name": suite_name(suite)} for suite in hello.suites],
        "extensions": [extension_name(number) for number, _ in hello.extensions],
        "groups": [group_name(group) for group in hello.groups],
        "keyShares": [group_name(group) for group in hello.key_shares],
        "signatureAlgorithms": [signature_name(scheme) for scheme in hello.signature_algorithms],
        "random": hello.random.hex(),
        "sessionId": hello.session_id.hex(),
        "resumes": hello.resumes,
        "earlyData": hello.has_early_data,
        "ja3": ja3(hello),
        "ja4": ja4(hello, transport),
    }
    if hello.hidden_name:
        document["hiddenName"] = hello.hidden_name
    return document


def server_document(hello: ServerHello) -> dict[str, Any]:
    return {
        "version": version_name(hello.version),
        "cipherSuite": {"id": hello.suite, "name": suite_name(hello.suite)},
        "alpn": hello.alpn,
        "extensions": [extension_name(number) for number, _ in hello.extensions],
        "group": group_name(hello.group) if hello.group else "",
        "random": hello.random.hex(),
        "sessionId": hello.session_id.hex(),
        "ja3s": ja3s(hello),
        "security": weaknesses(hello),
    }


def alert_document(alert: Alert) -> dict[str, Any]:
    return {
        "level": LEVELS.get(alert.level, str(alert.level)),
        "description": alert_name(alert.description),
        "code": alert.description,
    }
