"""The file as JSON Schema, for editors: made of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from kubeshark.settings._keys import describe, is_part, plain_type
from kubeshark.settings._model import Part, Settings
from kubeshark.settings._values import Duration, Size

__all__ = ["json_schema"]

SIZE = r"^\d+(\.\d+)? ?[kKmMgGtT]?i?[bB]?$"
DURATION = r"^(\d+(\.\d+)?(ms|[smhdw])?)+$"


def json_schema() -> dict[str, Any]:
    """Return the schema. Unknown names are allowed, as they are in the file, where they are a warning."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kubeshark.yaml",
        **_part(Settings),
    }


def _part(part: type[Part], *, is_item: bool = False) -> dict[str, Any]:
    texts = describe(part)
    properties: dict[str, Any] = {}
    fields = msgspec.structs.fields(part)
    for field in fields:
        schema = _part(field.type) if is_part(field.type) else _type(field.type)
        if text := texts.get(field.name):
            schema["description"] = text
        if field.default is not msgspec.NODEFAULT:
            schema["default"] = msgspec.to_builtins(field.default, enc_hook=str)
        properties[field.encode_name] = schema
    required = [field.encode_name for field in fields if field.required]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if is_item else {}),
    }


def _type(kind: Any) -> dict[str, Any]:
    kind, limits = plain_type(kind)
    origin = get_origin(kind)
    if is_part(kind):
        return _part(kind, is_item=True)
    if origin is tuple:
        return {"type": "array", "items": _type(get_args(kind)[0])}
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type(get_args(kind)[1])}
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        ends = {"minimum": limits.ge, "maximum": limits.le}
        return {"type": "integer", **{name: end for name, end in ends.items() if end is not None}}
    if kind in (Size, Duration):
        pattern = SIZE if kind is Size else DURATION
        return {"type": ["string", "number"], "pattern": pattern, "minimum": 0}
    return {} if kind is Any else {"type": ["string", "number", "boolean"]}
