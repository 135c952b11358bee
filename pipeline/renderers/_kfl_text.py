"""KFL made from traffic: what a click on a cell or a table row adds to the filter.

Every value is hostile: it is written as a KFL literal, never pasted.
"""

from __future__ import annotations

__all__ = ["at_key", "equals", "is_selectable", "literal", "member"]

MAX_LITERAL = 2_000
"""Characters of a value worth a click: a filter may be 16 KiB long, and nobody reads such a cell."""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def literal(value: str | int | float | bool) -> str:
    """Return the KFL literal of a value."""
    if isinstance(value, str):
        if value.isprintable():  # most are, and are not looked at letter by letter
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f'"{"".join(_escaped(character) for character in value)}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _escaped(character: str) -> str:
    if character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def is_selectable(value: object) -> bool:
    """Say whether `selector == value` can be written for this value."""
    if isinstance(value, str):
        return len(value) <= MAX_LITERAL
    return isinstance(value, int)  # bool too; doubles do not survive being written


def equals(variable: str, value: str | int) -> str:
    """Return `variable == value`, "" (not clickable) where the value is missing or too long."""
    return f"{variable} == {literal(value)}" if is_selectable(value) and value != "" else ""


def member(value: str, variable: str) -> str:
    """Return `value in variable` for a list variable, "" where the value is missing or too long."""
    return f"{literal(value)} in {variable}" if is_selectable(value) and value != "" else ""


def at_key(variable: str, key: str) -> str:
    """Return the selector of a map's value, "" for a key that is too long."""
    return f"{variable}[{literal(key)}]" if is_selectable(key) else ""
