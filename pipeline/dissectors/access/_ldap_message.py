"""The LDAPMessage envelope (RFC 4511 §4.1.1): where messages are, and what they are about."""

from __future__ import annotations

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.access._ber import BadBer, Element, children, element, header, integer, payload
from kubeshark.pipeline.dissectors.access._ldap_filter import filter_text
from kubeshark.pipeline.dissectors.access._ldap_names import OIDS, REQUESTS, RESPONSES, RESULTS, SCOPES

__all__ = [
    "MAX_MESSAGE",
    "Pdu",
    "Result",
    "authentication",
    "find_message",
    "is_tls",
    "read_message",
    "request_fields",
    "result_name",
    "result_of",
    "scope_text",
    "search_parts",
]

MAX_MESSAGE = 64 << 20  # bytes; OpenLDAP refuses more than 4 MiB, Active Directory more than 10 MiB
MAX_TEXT = 1 << 10  # characters of a name in a summary
_SEQUENCE, _INTEGER, _CONTROLS = 0x30, 0x02, 0xA0


class Pdu(Struct):
    """One message. Offsets are those of the bytes it was read from; `end` lies beyond them if it is cut."""

    start: int
    end: int
    message_id: int
    operation: Element
    controls: Element | None = None


def is_tls(data: bytes, at: int) -> bool:
    """Say whether a TLS handshake begins here: no message begins with these octets."""
    return data[at : at + 2] == b"\x16\x03"


def read_message(data: bytes, at: int, end: int) -> Pdu | None:
    """Read the envelope at `at`; None if too little is there to say. Raise BadBer for what is no LDAP message."""
    outer = header(data, at, end)
    if data[at : at + 1] not in (b"", b"\x30"):
        raise BadBer(f"no message begins with {data[at]:#04x}")
    if outer is None:
        return None
    if not 5 <= outer.end - outer.body <= MAX_MESSAGE:
        raise BadBer(f"message of {outer.end - outer.body} bytes")
    identity = header(data, outer.body, end)
    if identity is None or identity.end >= end:
        return None
    if identity.tag != _INTEGER or not 1 <= identity.end - identity.body <= 5:
        raise BadBer("no message id")
    message_id = integer(data, identity)
    operation = header(data, identity.end, end)
    if data[identity.end] not in REQUESTS and data[identity.end] not in RESPONSES:
        raise BadBer(f"unknown operation {data[identity.end]:#04x}")
    if operation is None:
        return None
    if operation.end > outer.end or message_id < 0:
        raise BadBer("operation longer than its message")
    controls = None
    if operation.end < min(outer.end, end):
        controls = header(data, operation.end, end)
        if data[operation.end] != _CONTROLS or (controls and controls.end != outer.end):
            raise BadBer(f"{outer.end - operation.end} bytes behind the operation")
        if controls and controls.end > end:
            controls = None
    operation = operation._replace(end=min(operation.end, end))  # of a cut message: what is there
    return Pdu(at, outer.end, message_id, operation, controls)


def find_message(data: bytes, at: int) -> int:
    """Return the offset of the next whole message at or behind `at`, else the end."""
    while (at := data.find(b"\x30", at)) >= 0:
        try:
            found = read_message(data, at, min(len(data), at + 32))
        except BadBer:
            found = None
        if found and found.end <= len(data):
            return at
        at += 1
    return len(data)


class Result(Struct):
    """The LDAPResult of a response (RFC 4511 §4.1.9), and what comes behind it."""

    code: int
    matched_dn: str
    message: str
    referrals: list[str] = field(default_factory=list)
    rest: list[Element] = field(default_factory=list)


def result_of(data: bytes, operation: Element) -> Result:
    """Read the result inside a response. Raise BadBer."""
    code = element(data, operation.body, operation.end)
    matched = element(data, code.end, operation.end)
    message = element(data, matched.end, operation.end)
    result = Result(integer(data, code), text(payload(data, matched)), text(payload(data, message)))
    for other in children(data, Element(0, message.end, message.end, operation.end)):
        if other.tag == 0xA3:
            result.referrals = [text(payload(data, uri)) for uri in children(data, other)]
        else:
            result.rest.append(other)
    return result


def request_fields(data: bytes, operation: Element) -> dict[str, Value]:
    """Return what the summary of a request says. Raise BadBer."""
    kind = REQUESTS[operation.tag]
    fields: dict[str, Value] = {}
    dn = summary = ""
    if kind == "bind":
        version = element(data, operation.body, operation.end)
        name = element(data, version.end, operation.end)
        dn = _text(data, name)
        summary = f"{authentication(data, element(data, name.end, operation.end))[0]} {dn}".strip()
    elif kind == "search":
        base, scope, *_, wanted = search_parts(data, operation)[:7]
        dn = _text(data, base)
        shown = filter_text(data, wanted)
        scope_name = scope_text(integer(data, scope))
        fields = {"ldap_filter": shown, "ldap_scope": scope_name}
        summary = f"{dn or '<root>'} {scope_name} {shown}"
    elif kind == "delete":
        dn = summary = _text(data, operation)
    elif kind == "abandon":
        summary = str(integer(data, operation))
    elif kind == "extended":
        oid = _text(data, element(data, operation.body, operation.end))
        summary = OIDS.get(oid, oid)
    elif kind != "unbind":
        name = element(data, operation.body, operation.end)
        dn = summary = _text(data, name)
        if kind == "modifyDN":
            summary += f" to {_text(data, element(data, name.end, operation.end))}"
    if dn:
        fields["ldap_dn"] = dn
    return {**fields, "ldap_summary": summary}


def search_parts(data: bytes, operation: Element) -> list[Element]:
    """Return base, scope, aliases, size and time limit, types only, filter, attributes. Raise BadBer."""
    parts = list(children(data, operation))
    if len(parts) < 8:
        raise BadBer(f"a search of {len(parts)} parts")
    return parts


def scope_text(scope: int) -> str:
    return SCOPES[scope] if 0 <= scope < len(SCOPES) else str(scope)


def authentication(data: bytes, choice: Element) -> tuple[str, str]:
    """Return a bind's method, and SASL's mechanism. Never what is secret. Raise BadBer."""
    if choice.tag == 0x80:
        return ("simple" if choice.end > choice.body else "anonymous"), ""
    if choice.tag == 0xA3:
        mechanism = _text(data, element(data, choice.body, choice.end))
        return f"SASL {mechanism}".strip(), mechanism
    if choice.tag in (0x89, 0x8A, 0x8B):
        return "NTLM", ""  # "sicily", [MS-ADTS] §5.1.1.1.3
    raise BadBer(f"authentication choice {choice.tag:#04x}")


def result_name(code: int) -> str:
    return RESULTS.get(code, str(code))


def _text(data: bytes, at: Element) -> str:
    return text(data[at.body : min(at.end, at.body + MAX_TEXT)])
