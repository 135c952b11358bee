"""What representations of databases share: the statement, its parameters, the rows of a result as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section
from kubeshark.pipeline.renderers._kfl_text import is_selectable
from kubeshark.pipeline.renderers._sections import BUILTIN, mapping, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Failed, Said, summary

__all__ = ["SHOWN_STATEMENT", "numbered", "one_line", "result_table", "sql_representation", "sql_summary", "statement"]

SHOWN_STATEMENT = 128
"""Characters of a statement in a list (entries.md §5)."""
SHOWN_CELL = 60
"""Characters of a value in a result that is drawn as text; the JSON has it whole."""

RESPONSE = {"success": "Success", "error_code": "Error code", "error_message": "Error"}
_SHOWN_ELSEWHERE = frozenset(
    (
        "command",
        "type",
        "procedure",
        "query",
        "database",
        "parameters",
        "ok",
        "columns",
        "rows",
        "errorCode",
        "errorMessage",
        "document",
    )
)


def one_line(statement: str) -> str:
    """Return the beginning of a statement as a list shows it."""
    return " ".join(statement[:SHOWN_STATEMENT].split())


def sql_summary(protocol: str, verb: str = "command", *others: str) -> Any:
    """Return the `summarize` hook of an SQL protocol: command (the variable `verb`), statement, 1 if it failed.

    `others` say what an entry is about that has neither statement nor database.
    """
    return summary(
        protocol,
        f"{protocol}_{verb}",
        Said(f"{protocol}_query", f"{protocol}_database", *(f"{protocol}_{name}" for name in others), shown=one_line),
        Failed(f"{protocol}_success", answered=f"{protocol}_response_size"),
    )


def sql_representation(entry: EntryView, protocol: str, variables: Mapping[str, str]) -> Representation:
    """Return the sections of an SQL exchange; `variables` are those of the request (without prefix → title)."""
    document = entry.document()
    request, response = document["request"], document["response"]
    event = (document["event"] or {}).get("data")
    return Representation(
        BUILTIN,
        request=_request(entry, protocol, variables, request) if request else (),
        response=_response(entry, protocol, response) if response else (),
        event=mapping("Event", _plain(event, frozenset())) if event else (),
    )


def _request(
    entry: EntryView, protocol: str, variables: Mapping[str, str], request: Mapping[str, Any]
) -> tuple[Section, ...]:
    named = {f"{protocol}_{name}": title for name, title in variables.items() if name != "query"}
    return (
        *table("Request", variable_rows(entry, named)),
        *statement(str(request["query"]), f"{protocol}_query"),
        *mapping("Parameters", numbered(request["parameters"])),
        *mapping("Details", _plain(request, _SHOWN_ELSEWHERE | {"user"})),
    )


def _response(entry: EntryView, protocol: str, response: Mapping[str, Any]) -> tuple[Section, ...]:
    named = {f"{protocol}_{name}": title for name, title in RESPONSE.items()}
    return (
        *table("Response", variable_rows(entry, named)),
        *mapping("Details", _plain(response, _SHOWN_ELSEWHERE)),
        *result_table("Rows", response["columns"], response["rows"], int(response.get("rowCount") or 0)),
    )


def statement(query: str, variable: str, mime_type: str = "application/sql") -> tuple[Section, ...]:
    """Return a statement as a code section, none for no statement."""
    if not query:
        return ()
    return (
        Section(
            "code", "Statement", body=query, mime_type=mime_type, selector=variable if is_selectable(query) else ""
        ),
    )


def numbered(values: Sequence[Any]) -> dict[str, Any]:
    """Return parameters by their number, as KFL-less table values."""
    return {str(at): value if isinstance(value, (int, str)) else _text(value) for at, value in enumerate(values, 1)}


def result_table(
    title: str, columns: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[Any]], count: int = 0
) -> tuple[Section, ...]:
    """Return a result as text, a line a row, none for no columns and no rows."""
    if not columns and not rows:
        return ()
    names = [str(column["name"]) for column in columns]
    lines = (
        [names, *([_cell(value) for value in row] for row in rows)]
        if names
        else [[_cell(value) for value in row] for row in rows]
    )
    widths = [max((len(line[at]) for line in lines if at < len(line)), default=0) for at in range(max(map(len, lines)))]
    drawn = [" | ".join(cell.ljust(widths[at]) for at, cell in enumerate(line)).rstrip() for line in lines]
    if names:
        drawn.insert(1, "-+-".join("-" * width for width in widths))
    shown = f"{title} ({len(rows)} of {count})" if count > len(rows) else title
    return (Section("code", shown, body="\n".join(drawn), mime_type="text/plain"),)


def _cell(value: Any) -> str:
    text = " ".join(_text(value).split())
    return text if len(text) <= SHOWN_CELL else text[: SHOWN_CELL - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _plain(document: Mapping[str, Any], left_out: frozenset[str]) -> dict[str, Any]:
    """Return what a document says besides the sections of its own: nothing empty, nested values as JSON."""
    return {
        name: value if isinstance(value, (int, str)) else _text(value)
        for name, value in document.items()
        if name not in left_out and value not in ("", None, [], {}) and (value is not False) and value != 0
    }
