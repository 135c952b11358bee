"""Settings as YAML: keys in the order of the model, one way to write a value: equal settings give equal bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from kubeshark.settings._keys import describe, is_part
from kubeshark.settings._model import Part, Settings
from kubeshark.settings._values import Duration, Size

__all__ = ["MASK", "flow_text", "to_yaml"]

MASK = "***"
SECRET_KEYS = ("scripting.env",)
"""Mappings whose values are shown as MASK: scripts get tokens this way."""

PLAIN = re.compile(r"[A-Za-z_/~][A-Za-z0-9_./~@+-]*(:[A-Za-z0-9_./~@+-]+)*")
OTHERWISE = re.compile(r"(?i)~|null|true|false|yes|no|on|off|y|n|\.inf|\.nan")
"""What some YAML reader takes for no text."""

LONGEST = 100  # characters of a list that is written in one line


def to_yaml(
    settings: Settings,
    *,
    commented: bool = True,
    sources: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    masked: bool = False,
) -> str:
    """Return the settings as a file that `load` reads back.

    `commented`: what each key means stands above it. `sources`: where its value came from stands behind it.
    `only`: leave out all other key paths. `masked`: values that may be secrets are shown as ***.
    """
    lines: list[str] = []
    _write_part(settings, "", 0, lines, _Style(commented, sources, only, masked))
    return "".join(f"{line}\n" for line in lines) or "{}\n"


class _Style(msgspec.Struct, frozen=True):
    commented: bool
    sources: Mapping[str, str] | None
    only: Collection[str] | None
    masked: bool

    def wants(self, path: str) -> bool:
        return self.only is None or path in self.only

    def wants_inside(self, path: str) -> bool:
        return self.only is None or any(each.startswith(f"{path}.") for each in self.only)


def _write_part(part: Part, prefix: str, depth: int, lines: list[str], style: _Style) -> None:
    indent = "  " * depth
    for field in msgspec.structs.fields(part):
        path = f"{prefix}{field.encode_name}"
        value = getattr(part, field.name)
        if is_part(field.type):
            if style.wants_inside(path):
                lines.append(f"{indent}{field.encode_name}:")
                _write_part(value, f"{path}.", depth + 1, lines, style)
            continue
        if not style.wants(path):
            continue
        if style.masked and path in SECRET_KEYS:
            value = dict.fromkeys(value, MASK)
        if style.commented and (comment := describe(type(part)).get(field.name)):
            lines.append(f"{indent}# {comment}")
        source = f"  # {style.sources[path]}" if style.sources is not None else ""
        _write_value(f"{indent}{field.encode_name}:", value, indent, source, lines)


def _write_value(head: str, value: Any, indent: str, source: str, lines: list[str]) -> None:
    flow = flow_text(value)
    is_list = isinstance(value, tuple | list) and value
    if is_list and (len(flow) > LONGEST or not all(isinstance(item, str | int) for item in value)):
        lines.append(f"{head}{source}")
        lines.extend(f"{indent}  - {flow_text(item)}" for item in value)
    elif isinstance(value, Mapping) and value:
        lines.append(f"{head}{source}")
        lines.extend(f"{indent}  {_text(name)}: {flow_text(item)}" for name, item in value.items())
    else:
        lines.append(f"{head} {flow}{source}")


def flow_text(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, Part):  # an item of a list: what is as by default is left out
        fields = [(field.encode_name, getattr(value, field.name), field) for field in msgspec.structs.fields(value)]
        value = {name: each for name, each, field in fields if field.required or each != field.default}
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)}: {flow_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Size | Duration) and re.fullmatch(r"[0-9A-Za-z.]+", value):
        return str(value)
    return _text(str(value))


def _text(text: str) -> str:
    if PLAIN.fullmatch(text) and not OTHERWISE.fullmatch(text):
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(each: str) -> str:
    """As YAML 1.2 §5.7 escapes it in double quotes; JSON's pairs of surrogates are no YAML."""
    if each in '"\\':
        return f"\\{each}"
    code = ord(each)
    if each.isprintable():
        return each
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
