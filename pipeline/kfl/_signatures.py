"""What KFL adds to CEL's own functions: names and types, for the checker, the hints and the reserved names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl._ast import BOOL, BYTES, DOUBLE, DYN, INT, STRING, TIMESTAMP, Type
from kubeshark.pipeline.kfl._variables import RESERVED_WORDS, VARIABLES

if TYPE_CHECKING:
    from kubeshark.extension_api._models import FilterSpec, VariableType

__all__ = ["CALLS", "FUNCTIONS", "STANDARD_FUNCTIONS", "TYPES", "Signature", "check_filter_name", "plugin_signature"]

LIST_OF_STRINGS = Type("list", (STRING,))
MAP_OF_STRINGS = Type("map", (STRING, STRING))

TYPES: Mapping[VariableType, Type] = {
    "string": STRING,
    "int": INT,
    "double": DOUBLE,
    "bool": BOOL,
    "bytes": BYTES,
    "timestamp": TIMESTAMP,
    "list": LIST_OF_STRINGS,
    "map": MAP_OF_STRINGS,
}
"""CEL types of KFL variables."""


class Signature(Struct, frozen=True):
    """One overload; a method's first parameter is its receiver."""

    name: str
    parameters: tuple[Type, ...]
    result: Type
    is_method: bool = False


FUNCTIONS: tuple[Signature, ...] = (
    Signature("map_get", (MAP_OF_STRINGS, STRING, STRING), STRING),
    Signature("now", (), TIMESTAMP),
    Signature("field", (STRING,), DYN),
    Signature("inCidr", (STRING, STRING), BOOL, is_method=True),
    Signature("isPrivate", (STRING,), BOOL, is_method=True),
    Signature("lower", (STRING,), STRING, is_method=True),
    Signature("json", (STRING, STRING), DYN, is_method=True),
    Signature("json", (BYTES, STRING), DYN, is_method=True),
    Signature("xml", (STRING, STRING), DYN, is_method=True),
    Signature("xml", (BYTES, STRING), DYN, is_method=True),
)

_STANDARD_FUNCTIONS = (
    "contains startsWith endsWith matches size has exists all exists_one filter map timestamp duration int uint double"
    " string bytes bool type dyn getHours getMinutes getSeconds getMilliseconds getDate getDayOfMonth getDayOfWeek"
    " getDayOfYear getMonth getFullYear"
)
STANDARD_FUNCTIONS = frozenset(_STANDARD_FUNCTIONS.split())

CALLS: Mapping[str, str] = {
    "map_get": 'map_get(request.headers, "host", "")',
    "now": "now()",
    "field": 'field("request.headers.host")',
    "inCidr": 'src.ip.inCidr("10.0.0.0/8")',
    "isPrivate": "src.ip.isPrivate()",
    "lower": "url.lower()",
    "json": 'response_body.json("a.b")',
    "xml": 'response_body.xml("a.b")',
    "contains": 'url.contains("text")',
    "startsWith": 'url.startsWith("text")',
    "endsWith": 'url.endsWith("text")',
    "matches": 'url.matches("a|b")',
    "size": "size(url)",
    "has": "has(src.pod)",
    **{name: f"list.{name}(x, condition on x)" for name in ("exists", "all", "exists_one", "filter")},
    "map": "list.map(x, value of x)",
    "timestamp": 'timestamp("2026-01-01T00:00:00Z")',
    "duration": 'duration("1h30m")',
    **{name: f"{name}(value)" for name in ("int", "uint", "double", "string", "bytes", "bool", "type", "dyn")},
    **{name: f"timestamp.{name}()" for name in sorted(STANDARD_FUNCTIONS) if name.startswith("get")},
}
"""How each function is called, for whoever gave it something else."""

_PLUGIN_NAME = re.compile(r"(?:[a-z][a-z0-9_-]*\.)?[a-z][a-z0-9_]{0,31}", re.ASCII)


def check_filter_name(name: str) -> None:
    """Raise UsageError for a plugin filter's name that cannot be written in KFL or means something else there.

    `name` is what users write: `name`, or `plugin-id.name`. A loader asks before it takes a filter.
    """
    if not _PLUGIN_NAME.fullmatch(name):
        raise UsageError(f"plugin filter {name[:80]!r} is not a name: lower-case letters, digits and _")
    own = {signature.name for signature in FUNCTIONS}
    if name in VARIABLES.roots or name in VARIABLES or name in own | STANDARD_FUNCTIONS | RESERVED_WORDS:
        raise UsageError(f"plugin filter {name} has the name of something in KFL")


def plugin_signature(name: str, spec: FilterSpec) -> Signature:
    """Return how CEL sees a plugin's filter. CEL has no dashes in names; `_check` writes them as underscores."""
    check_filter_name(name)
    return Signature(name.replace("-", "_"), tuple(TYPES[parameter] for parameter in spec.parameters), BOOL)
