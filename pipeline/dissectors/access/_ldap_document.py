"""LDAP messages in full, as entries show them (entries.md §6). Passwords are never shown."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.access._ber import BadBer, Element, children, element, header, integer, payload
from kubeshark.pipeline.dissectors.access._ldap_filter import filter_text
from kubeshark.pipeline.dissectors.access._ldap_message import (
    Pdu,
    authentication,
    read_message,
    result_name,
    result_of,
    scope_text,
    search_parts,
)
from kubeshark.pipeline.dissectors.access._ldap_names import (
    OIDS,
    PASSWORD_MODIFY,
    REQUESTS,
    RESPONSES,
    SECRET_ATTRIBUTES,
)

__all__ = ["REDACTED", "request_detail", "response_detail", "wrapped_detail"]

REDACTED = "[redacted]"
MAX_ENTRIES = 1_000  # of a search that are shown; all are counted
MAX_VALUE = 64 << 10  # bytes of a value

_CHANGES = ("add", "delete", "replace", "increment")
_ALIASES = ("never", "searching", "finding", "always")
_PAGED_RESULTS = "1.2.840.113556.1.4.319"

Detail = tuple[Mapping[str, Value], Mapping[str, Any]]


def request_detail(data: bytes) -> Detail:
    """Return the request object of one message, with what could be read of it."""
    document: dict[str, Any] = {
        "messageId": 0,
        "type": "",
        "dn": "",
        "scope": "",
        "filter": "",
        "attributes": [],
        "authentication": "",
        "controls": [],
    }
    try:
        pdu = read_message(data, 0, len(data))
        if pdu:
            document |= {"messageId": pdu.message_id, "type": REQUESTS[pdu.operation.tag]}
            document |= _request(data, pdu.operation)
            document["controls"] = _controls(data, pdu)
    except BadBer as error:
        document["malformed"] = str(error)
    return {}, document


def _request(data: bytes, operation: Element) -> dict[str, Any]:
    kind = REQUESTS[operation.tag]
    if kind == "bind":
        version = element(data, operation.body, operation.end)
        name = element(data, version.end, operation.end)
        choice = element(data, name.end, operation.end)
        method, mechanism = authentication(data, choice)
        secret = {"credentials": REDACTED} if method != "anonymous" else {}
        return {
            "dn": _text(data, name),
            "version": integer(data, version),
            "authentication": "sasl" if mechanism else method,
            "mechanism": mechanism,
            **secret,
        }
    if kind == "search":
        return _search(data, operation)
    if kind == "delete":
        return {"dn": _text(data, operation)}
    if kind == "abandon":
        return {"abandoned": integer(data, operation)}
    if kind == "extended":
        return _extended(data, children(data, operation), 0x80, 0x81)
    if kind == "unbind":
        return {}
    name = element(data, operation.body, operation.end)
    rest = list(children(data, Element(0, name.end, name.end, operation.end)))
    if not rest:
        raise BadBer("nothing behind the name")
    return {"dn": _text(data, name), **_CHANGE[kind](data, rest)}


def _search(data: bytes, operation: Element) -> dict[str, Any]:
    base, scope, aliases, size_limit, time_limit, types_only, wanted, attributes = search_parts(data, operation)[:8]
    deref = integer(data, aliases)
    return {
        "dn": _text(data, base),
        "scope": scope_text(integer(data, scope)),
        "derefAliases": _ALIASES[deref] if 0 <= deref < len(_ALIASES) else str(deref),
        "sizeLimit": integer(data, size_limit),
        "timeLimit": integer(data, time_limit),
        "typesOnly": payload(data, types_only) not in (b"", b"\0"),
        "filter": filter_text(data, wanted),
        "attributes": [_text(data, name) for name in children(data, attributes)],
    }


def _modify(data: bytes, rest: Sequence[Element]) -> dict[str, Any]:
    changes: list[dict[str, Any]] = []
    for change in children(data, rest[0]):
        operation = element(data, change.body, change.end)
        number = integer(data, operation)
        attribute = _attribute(data, element(data, operation.end, change.end))
        name = _CHANGES[number] if 0 <= number < len(_CHANGES) else str(number)
        changes.append({"operation": name, **attribute})
    return {"changes": changes, "attributes": [change["type"] for change in changes]}


def _add(data: bytes, rest: Sequence[Element]) -> dict[str, Any]:
    values = [_attribute(data, attribute) for attribute in children(data, rest[0])]
    return {"values": values, "attributes": [value["type"] for value in values]}


def _modify_dn(data: bytes, rest: Sequence[Element]) -> dict[str, Any]:
    return {
        "newRdn": _text(data, rest[0]),
        "deleteOldRdn": len(rest) > 1 and payload(data, rest[1]) not in (b"", b"\0"),
        "newSuperior": _text(data, rest[2]) if len(rest) > 2 else "",
    }


def _compare(data: bytes, rest: Sequence[Element]) -> dict[str, Any]:
    name = element(data, rest[0].body, rest[0].end)
    value = element(data, name.end, rest[0].end)
    kind = _text(data, name)
    return {"attributes": [kind], "assertion": {"type": kind, "value": _values(data, kind, [value])[0]}}


_CHANGE = {"modify": _modify, "add": _add, "modifyDN": _modify_dn, "compare": _compare}


def response_detail(parts: Sequence[bytes], count: int) -> Detail:
    """Return the response object of a result and the entries that came before it (`count` of them in all)."""
    document: dict[str, Any] = {
        "messageId": 0,
        "type": "",
        "resultCode": None,
        "resultName": "",
        "matchedDn": "",
        "message": "",
        "referrals": [],
        "entries": [],
        "entryCount": count,
        "controls": [],
    }
    for data in parts:
        try:
            pdu = read_message(data, 0, len(data))
            if pdu:
                _add_part(document, data, pdu)
        except BadBer as error:
            document["malformed"] = str(error)
    return {}, document


def _add_part(document: dict[str, Any], data: bytes, pdu: Pdu) -> None:
    operation = pdu.operation
    kind = RESPONSES[operation.tag]
    document |= {"messageId": pdu.message_id, "type": kind}
    if kind == "searchResEntry":
        if len(document["entries"]) < MAX_ENTRIES:
            document["entries"].append(_entry(data, pdu))
    elif kind == "searchResRef":
        document["referrals"] += [_text(data, uri) for uri in children(data, operation)][:MAX_ENTRIES]
    elif kind == "intermediateResponse":
        document["intermediate"] = _extended(data, children(data, operation), 0x80, 0x81)
    else:
        result = result_of(data, operation)
        document |= {
            "resultCode": result.code,
            "resultName": result_name(result.code),
            "matchedDn": result.matched_dn,
            "message": result.message,
        }
        document["referrals"] += result.referrals
        if kind == "extendedResponse":
            document |= _extended(data, iter(result.rest), 0x8A, 0x8B)
        if kind == "bindResponse" and result.rest:
            document["serverCredentials"] = REDACTED
        document["controls"] = _controls(data, pdu)


def wrapped_detail(mechanism: str, size: int) -> Detail:
    """Return the event object of a buffer whose content is sealed."""
    return {}, {"type": "sasl", "mechanism": mechanism, "size": size, "isEncrypted": True}


def _entry(data: bytes, pdu: Pdu) -> dict[str, Any]:
    name = element(data, pdu.operation.body, pdu.operation.end)
    values = [_attribute(data, attribute) for attribute in children(data, element(data, name.end, pdu.operation.end))]
    return {"dn": _text(data, name), "attributes": {value["type"]: value["values"] for value in values}}


def _attribute(data: bytes, at: Element) -> dict[str, Any]:
    kind = element(data, at.body, at.end)
    name = _text(data, kind)
    return {"type": name, "values": _values(data, name, children(data, element(data, kind.end, at.end)))}


def _values(data: bytes, name: str, values: Iterator[Element] | Sequence[Element]) -> list[str]:
    if name.partition(";")[0].lower() in SECRET_ATTRIBUTES:
        return [REDACTED for _ in values]
    return [_shown(data[value.body : min(value.end, value.body + MAX_VALUE)]) for value in values]


def _shown(value: bytes) -> str:
    """Return a value as text; octets that are none in base64, as LDIF does (RFC 2849)."""
    try:
        shown = value.decode("utf-8")
    except UnicodeDecodeError:
        shown = ""
    if value and (not shown or any(c < " " and c not in "\t\r\n" for c in shown)):
        return "base64:" + base64.b64encode(value).decode("ascii")
    return shown


def _extended(data: bytes, parts: Iterator[Element], name_tag: int, value_tag: int) -> dict[str, Any]:
    """Return name and value of an extended operation; values are shown where they are known to be no secret."""
    oid = value = ""
    for part in parts:
        if part.tag == name_tag:
            oid = _text(data, part)
        elif part.tag == value_tag:
            secret = oid == PASSWORD_MODIFY or (not oid and data[part.body : part.body + 1] == b"\x30")
            value = REDACTED if secret else _shown(data[part.body : min(part.end, part.body + MAX_VALUE)])
    return {"oid": oid, "name": OIDS.get(oid, oid), "value": value}


def _controls(data: bytes, pdu: Pdu) -> list[dict[str, Any]]:
    if pdu.controls is None:
        return []
    return [_control(data, control) for control in children(data, pdu.controls)]


def _control(data: bytes, control: Element) -> dict[str, Any]:
    oid, is_critical, value = "", False, b""
    for part in children(data, control):
        if part.tag == 0x01:
            is_critical = payload(data, part) not in (b"", b"\0")
        elif not oid:
            oid = _text(data, part)
        else:
            value = data[part.body : min(part.end, part.body + MAX_VALUE)]
    document: dict[str, Any] = {"oid": oid, "name": OIDS.get(oid, oid), "critical": is_critical}
    if oid == _PAGED_RESULTS and (paged := header(value, 0, len(value))) and paged.end == len(value):
        size = element(value, paged.body, paged.end)
        cookie = element(value, size.end, paged.end)
        return document | {"size": integer(value, size), "hasCookie": cookie.end > cookie.body}
    return document | ({"value": _shown(value)} if value else {})


def _text(data: bytes, at: Element) -> str:
    return text(data[at.body : min(at.end, at.body + MAX_VALUE)])
