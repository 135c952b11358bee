"""Rows and representations of DNS exchanges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Section, TableRow
from kubeshark.pipeline.renderers._halves import halves
from kubeshark.pipeline.renderers._sections import row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Code, Read, Said, summary

__all__ = ["render", "summarize"]

RESPONSE = {"dns_rcode": "Code", "status_code": "Code number", "dns_response_length": "Bytes"}
FLAGS = {
    "authoritative": "authoritative",
    "truncated": "truncated",
    "recursionDesired": "recursion desired",
    "recursionAvailable": "recursion available",
    "authenticData": "authentic data",
    "checkingDisabled": "checking disabled",
}
DATA_KEYS = ("ip", "ns", "cname", "ptr", "txts", "soa", "srv", "mx", "opt", "uri", "data")


class _Name:
    """The name in question; mDNS answers repeat no question. Without its mark a truncated answer looks like none."""

    def __init__(self) -> None:
        self._said = Said("dns_questions", "dns_answer_names")
        self.reads = (*self._said.reads, "dns_truncated")

    def tell(self, *values: Any) -> tuple[str, str]:
        name, query = self._said.tell(*values[:-1])
        return _marked(name, values[-1]), query

    def column(self, read: Read) -> list[str]:
        return list(map(_marked, self._said.column(read), read("dns_truncated")))


def _marked(name: str, is_truncated: bool) -> str:
    return f"{name} (truncated)" if is_truncated else name


summarize = summary("dns", "dns_question_types", _Name(), Code("status_code", answered="dns_response"))


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    questions = [
        row(f"{question['type']} {question['class']}", question["name"].lower(), f"dns_questions[{at}]")
        for at, question in enumerate(request["questions"])
    ]
    names = {"dns_opcode": "Operation", "dns_request_length": "Bytes"}
    return (*table("Request", variable_rows(entry, names)), *table("Questions", questions))


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    flags = [shown for name, shown in FLAGS.items() if response.get(name)]
    return (
        *table("Response", [*variable_rows(entry, RESPONSE), *([row("Flags", flags)] if flags else [])]),
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
