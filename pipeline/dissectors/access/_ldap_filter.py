"""Search filters as text (RFC 4515) from their encoding (RFC 4511 §4.5.1.7)."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.access._ber import BadBer, Element, children, element, payload
from kubeshark.pipeline.dissectors.access._ldap_names import SECRET_ATTRIBUTES

__all__ = ["escaped", "filter_text"]

MAX_DEPTH = 64  # deeper than any filter a person or a program writes
MAX_TEXT = 4 << 10  # characters of a summary's filter

_AND, _OR, _NOT, _SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA0, 0xA1, 0xA2, 0xA4, 0x87, 0xA9
_COMPARISONS = {0xA3: "=", 0xA5: ">=", 0xA6: "<=", 0xA8: "~="}


def filter_text(data: bytes, at: Element) -> str:
    """Return an encoded filter as text, cut at MAX_TEXT characters. Raise BadBer."""
    pieces: list[str] = []
    _write(data, at, pieces, MAX_DEPTH)
    text = "".join(pieces)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def escaped(value: bytes) -> str:
    """Escape an assertion value (RFC 4515 §3); octets that are not UTF-8 or not printable as \\xx."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\{octet:02x}" for octet in value)
    return "".join(c if c not in "*()\\" and c.isprintable() else _hex(c) for c in text)


def _hex(character: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in character.encode("utf-8"))


def _write(data: bytes, at: Element, pieces: list[str], depth: int) -> None:
    if not depth:
        raise BadBer("filter nested too deeply")
    pieces.append("(")
    if at.tag in (_AND, _OR, _NOT):
        pieces.append({_AND: "&", _OR: "|", _NOT: "!"}[at.tag])
        for child in children(data, at):
            _write(data, child, pieces, depth - 1)
    elif at.tag in _COMPARISONS:
        name = element(data, at.body, at.end)
        value = element(data, name.end, at.end)
        pieces += (_name(data, name), _COMPARISONS[at.tag], _value(data, name, value))
    elif at.tag == _SUBSTRINGS:
        _write_substrings(data, at, pieces)
    elif at.tag == _PRESENT:
        pieces += (_name(data, at), "=*")
    elif at.tag == _EXTENSIBLE:
        _write_extensible(data, at, pieces)
    else:
        raise BadBer(f"filter choice {at.tag:#04x}")
    pieces.append(")")


def _write_substrings(data: bytes, at: Element, pieces: list[str]) -> None:
    name = element(data, at.body, at.end)
    pieces += (_name(data, name), "=")
    is_open = True  # nothing written yet, or the last part was followed by a star
    for part in children(data, element(data, name.end, at.end)):
        if part.tag not in (0x80, 0x81, 0x82):  # initial, any, final
            raise BadBer(f"substring choice {part.tag:#04x}")
        if part.tag != 0x80 and (is_open or pieces[-1] != "*"):
            pieces.append("*")
        pieces.append(_value(data, name, part))
        is_open = False
        if part.tag != 0x82:
            pieces.append("*")


def _write_extensible(data: bytes, at: Element, pieces: list[str]) -> None:
    rule = name = value = is_dn = b""
    for part in children(data, at):
        content = payload(data, part)
        match part.tag:
            case 0x81:
                rule = content
            case 0x82:
                name = content
            case 0x83:
                value = content
            case 0x84:
                is_dn = content.strip(b"\0")
    pieces.append(escaped(name))
    if is_dn:
        pieces.append(":dn")
    if rule:
        pieces.append(f":{escaped(rule)}")
    pieces += (":=", escaped(value))


def _name(data: bytes, at: Element) -> str:
    return escaped(payload(data, at))


def _value(data: bytes, name: Element, value: Element) -> str:
    if payload(data, name).partition(b";")[0].lower().decode("latin-1") in SECRET_ATTRIBUTES:
        return "[redacted]"
    return escaped(payload(data, value))
