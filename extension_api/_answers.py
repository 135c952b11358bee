"""What plugins answer as JSON text, checked while it is decoded: enrichments, cells of a row, reports.

Every parser raises AnswerError and nothing else, whatever the text is; an empty text means "nothing to say".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._models import Enrichment, Redaction, Value, VariableType

__all__ = ["AnswerError", "Report", "parse_cells", "parse_enrichment", "parse_report"]

MAX_TAGS, MAX_TAG_CHARACTERS = 64, 64  # of one entry and one plugin
MAX_REDACTIONS = 1000
MAX_LOG_LINES, MAX_LOG_CHARACTERS = 1000, 2000  # of one call; of one line


class AnswerError(KubesharkError):
    """The text is not what the hook answers."""


class Report(Struct, frozen=True):
    """What a life-cycle hook says: why it refuses ("" if it does not), and lines for the log."""

    error: str = ""
    log: tuple[str, ...] = ()


class _Redaction(msgspec.Struct, forbid_unknown_fields=True):
    path: str = ""
    text: str = ""
    value: str = "[redacted]"


class _Enrichment(msgspec.Struct, forbid_unknown_fields=True):
    drop: bool = False
    tags: list[str] = []
    set: dict[str, Any] = {}
    redact: list[_Redaction] = []


class _Cells(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    method: str = ""
    method_query: str = ""
    summary: str = ""
    summary_query: str = ""
    status: int = 0
    status_query: str = ""


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    error: str = ""
    log: list[str] = []


_ENRICHMENT = msgspec.json.Decoder(_Enrichment)
_CELLS = msgspec.json.Decoder(_Cells)
_REPORT = msgspec.json.Decoder(_Report)
_TYPES: Mapping[VariableType, Any] = {
    "string": str,
    "int": int,
    "timestamp": int,
    "double": float,
    "bool": bool,
    "bytes": bytes,  # as base64
    "list": list[str],
    "map": dict[str, str],
}
_INT64 = 1 << 63


def _decode(decoder: msgspec.json.Decoder[Any], text: bytes, what: str) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"not {what}: {error}") from error


def parse_enrichment(text: bytes, variables: Mapping[str, VariableType]) -> Enrichment | None:
    """Return what `enrich` answered for one entry; `variables` are those it may set. None: nothing."""
    if not text:
        return None
    found: _Enrichment = _decode(_ENRICHMENT, text, "an enrichment")
    if len(found.tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARACTERS for tag in found.tags):
        raise AnswerError(f"more than {MAX_TAGS} tags, or one that has not 1 to {MAX_TAG_CHARACTERS} characters")
    if len(found.redact) > MAX_REDACTIONS:
        raise AnswerError(f"more than {MAX_REDACTIONS} redactions")
    redactions = tuple(Redaction(row.path, row.text, row.value) for row in found.redact)
    if any(bool(row.path) == bool(row.text) for row in redactions):
        raise AnswerError("a redaction has one of path and text")
    values = {name: _value(name, value, variables) for name, value in found.set.items()}
    return Enrichment(found.drop, tuple(found.tags), values, redactions)


def _value(name: str, value: Any, variables: Mapping[str, VariableType]) -> Value:
    kind = variables.get(name)
    if kind is None:
        raise AnswerError(f"variable {name[:80]!r} is not declared in [[enrich.variables]]")
    try:
        converted: Value = msgspec.convert(value, _TYPES[kind])
    except msgspec.ValidationError as error:
        raise AnswerError(f"variable {name} is declared {kind}: {error}") from error
    if isinstance(converted, int) and not -_INT64 <= converted < _INT64:
        raise AnswerError(f"variable {name} does not fit 64 bits")
    return converted


def parse_cells(text: bytes) -> dict[str, str | int] | None:
    """Return the cells of a row (entries.md §5); None: not mine."""
    if not text:
        return None
    cells: dict[str, str | int] = msgspec.to_builtins(_decode(_CELLS, text, "the cells of a row"))
    return cells


def parse_report(text: bytes) -> Report:
    """Return what a life-cycle hook, a job or `segment_sealed` says."""
    if not text:
        return Report()
    found: _Report = _decode(_REPORT, text, "a report")
    lines = tuple(_one_line(line, MAX_LOG_CHARACTERS) for line in found.log[:MAX_LOG_LINES])
    return Report(_one_line(found.error, 400), lines)


def _one_line(text: str, longest: int) -> str:
    """Text of a plugin's as a terminal may show it."""
    return "".join(char if char.isprintable() else " " for char in text[:longest])
