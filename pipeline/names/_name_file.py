"""Names in a file: what an /etc/hosts says, with kinds and times. A list in YAML or JSON, one name an item."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec

from kubeshark._document import Listing, Mapping, Node, Scalar, read_documents
from kubeshark.core_capture.store import NameRecord
from kubeshark.errors import UsageError
from kubeshark.pipeline.entries._time import parse_time

__all__ = ["merge_names", "parse_names"]

TEXTS = ("kind", "name", "namespace", "node", "owner")
TIMES = {"since": "since_ns", "until": "until_ns"}
MAPS = ("labels", "annotations")
KEYS = (*TEXTS, "addresses", *TIMES, *MAPS)


def parse_names(data: bytes, file: str, now_ns: int) -> list[NameRecord]:
    """Return the names of a file; raise UsageError with line and column."""
    found = []
    for document in read_documents(data, file):
        if not isinstance(document, Listing):
            raise document.place.error("expected a list of names", hint='begin each with "- name: …"')
        found += [_record(item, now_ns) for item in document.items]
    return found


def merge_names(known: list[NameRecord], added: list[NameRecord]) -> list[NameRecord]:
    """Return both; a record that is there already with the same begin is replaced."""
    by_key = {(r.kind, r.namespace, r.name, r.addresses, r.since_ns): r for r in (*known, *added)}
    return list(by_key.values())


def _record(item: Node, now_ns: int) -> NameRecord:
    if not isinstance(item, Mapping):
        raise item.place.error("expected name, addresses, …")
    fields: dict[str, Any] = {"kind": "host", "since_ns": 0}
    for key, value in item.fields:
        if key.text not in KEYS:
            raise key.place.error(f"unknown key {key.text!r}", hint=f"one of {', '.join(KEYS)}")
        if key.text == "addresses":
            items = value.items if isinstance(value, Listing) else (value,)
            fields["addresses"] = tuple(_address(each) for each in items)
        elif key.text in MAPS:
            if not isinstance(value, Mapping):
                raise value.place.error(f"expected {key.text} as NAME: VALUE")
            fields[key.text] = {name.text: _text(inner) for name, inner in value.fields}
        elif key.text in TIMES:
            try:
                fields[TIMES[key.text]] = parse_time(_text(value), now_ns)
            except UsageError as error:
                raise value.place.error(error.message, hint=error.hint) from None
        else:
            fields[key.text] = _text(value)
    for key_text in ("name", "addresses"):
        if not fields.get(key_text):
            raise item.place.error(f"{key_text} is missing")
    try:
        record = msgspec.convert(fields, NameRecord)
    except msgspec.ValidationError as error:
        raise item.place.error(str(error)) from None
    if record.until_ns is not None and record.until_ns <= record.since_ns:
        raise item.place.error("ends before it begins")
    return record


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise node.place.error("expected a text")
    return node.text


def _address(node: Node) -> str:
    try:
        return str(ip_address(_text(node)))
    except ValueError:
        raise node.place.error(f"{_text(node)!r} is no address") from None
