"""Names that DNS answers in the captures of a store told: which host had an address, and from when on.

A name holds from the first answer that told it until another answer gave the address another one: how long it may be
cached (TTL) says nothing of how long it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from kubeshark.core_capture.store import NameRecord

__all__ = ["FIELDS", "HEARD", "MAX_HEARD", "heard_names"]

HEARD = "dns && dns_response"
FIELDS = ("timestamp", "dns_questions", "dns_question_types", "dns_answers", "dns_answer_names")
"""What is asked of a query of HEARD, in columns."""

MAX_HEARD = 50_000
"""Names, in all; of more the latest: those of a cluster must find room beside them."""

MAX_NAME = 253
OF_ADDRESSES = {"A", "AAAA"}


def heard_names(
    batches: Iterable[dict[str, list[Any]]], known: Iterable[NameRecord] = ()
) -> tuple[list[NameRecord], int]:
    """Return the names of DNS answers, and how many there would be without MAX_HEARD; `batches` hold FIELDS.

    An address for which `known` has a host that always was and still is keeps that name: somebody wrote it down.
    """
    fixed = {
        address
        for record in known
        if record.kind == "host" and record.since_ns == 0 and record.until_ns is None
        for address in record.addresses
    }
    heard: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for batch in batches:
        for row in zip(*(batch[name] for name in FIELDS), strict=True):
            for address, name in _addresses(*row[1:]):
                if address not in fixed:
                    heard[address].append((row[0], name))
    records = [record for address, told in heard.items() for record in _of_address(address, sorted(told))]
    records.sort(key=lambda record: record.since_ns)
    return records[-MAX_HEARD:], len(records)


def _addresses(
    questions: list[str], types: list[str], answers: list[str], names: list[str]
) -> Iterator[tuple[str, str]]:
    """Return (address, name) of one response: the name is the one asked for, whatever aliases lie between."""
    if not OF_ADDRESSES.issuperset(types):
        return  # the text of another record may look like an address
    for text, own in zip(answers, names, strict=False):
        name = (questions[0] if questions else own).rstrip(".")
        if not 0 < len(name) <= MAX_NAME:
            continue
        try:
            yield str(ip_address(text)), name
        except ValueError:
            continue  # an alias


def _of_address(address: str, told: list[tuple[int, str]]) -> Iterator[NameRecord]:
    begins = [each for at, each in enumerate(told) if not at or told[at - 1][1] != each[1]]
    ends = [*(since for since, _ in begins[1:]), None]
    for (since, name), until in zip(begins, ends, strict=True):
        if until is None or until > since:
            yield NameRecord(kind="host", name=name, addresses=(address,), since_ns=since, until_ns=until)
