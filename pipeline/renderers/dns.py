"""Rows and representations of DNS exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Section, TableRow
from kubeshark.pipeline.renderers._halves import halves
from kubeshark.pipeline.renderers._sections import row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Code, Said, summary

__all__ = ["render", "summarize"]

RESPONSE = {"dns_rcode": "Code", "status_code": "Code number", "dns_response_length": "Bytes"}
DATA_KEYS = ("ip", "ns", "cname", "ptr", "txts", "soa", "srv", "mx", "opt", "uri", "data")

summarize = summary(
    "dns",
    "dns_question_types",
    Said("dns_questions", "dns_answer_names"),  # mDNS answers repeat no question
    Code("status_code", answered="dns_response"),
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


render = halves("dns", _request, _response)
