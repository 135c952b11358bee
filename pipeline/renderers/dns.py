"""Rows and representations of DNS exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, TableRow, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals, member
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, row, table, variable_rows

__all__ = ["render", "summarize"]

RESPONSE = {"dns_rcode": "Code", "status_code": "Code number", "dns_response_length": "Bytes"}
DATA_KEYS = ("ip", "ns", "cname", "ptr", "txts", "soa", "srv", "mx", "opt", "uri", "data")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "dns":
        return None
    name, kind = _first(entry.get("dns_questions")), _first(entry.get("dns_question_types"))
    if not name:  # mDNS answers repeat no question
        name = _first(entry.get("dns_answer_names"))
        name_query = member(name, "dns_answer_names")
    else:
        name_query = member(name, "dns_questions")
    status = int(str(entry.get("status_code")))
    status_query = equals("status_code", status) if entry.get("dns_response") else ""
    return cells(kind, member(kind, "dns_question_types"), name, name_query, status, status_query)


def _first(values: object) -> str:
    return str(values[0]) if isinstance(values, list) and values else ""


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "dns":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    return Representation(
        BUILTIN,
        request=_request(entry, request) if request else (),
        response=_response(entry, response) if response else (),
    )


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    questions = [
        row(f"{question['type']} {question['class']}", question["name"].lower(), f"dns_questions[{at}]")
        for at, question in enumerate(request["questions"])
    ]
    names = {"dns_opcode": "Operation", "dns_request_length": "Bytes"}
    return (*table("Request", variable_rows(entry, names)), *table("Questions", questions))


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    return (
        *table("Response", variable_rows(entry, RESPONSE)),
        *table("Answers", _records(response["answers"], "dns_answers")),
        *table("Authorities", _records(response["authorities"])),
        *table("Additionals", _records(response["additionals"])),
    )


def _records(records: Sequence[Mapping[str, Any]], variable: str = "") -> list[TableRow]:
    return [
        row(
            f"{record['name']} {record['ttl']} {record['class']} {record['type']}",
            next((record[key] for key in DATA_KEYS if record.get(key)), ""),
            f"{variable}[{at}]" if variable else "",
        )
        for at, record in enumerate(records)
    ]
