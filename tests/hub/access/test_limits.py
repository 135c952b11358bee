"""Buckets, and what the audit log keeps of a filter."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from kubeshark.hub.access._audit import Audit, filter_form
from kubeshark.hub.access._limits import MAX_CLIENTS, Buckets
from kubeshark.hub.access._rights import LOCAL


def test_a_bucket_empties_and_fills_again() -> None:
    now = 100.0
    buckets = Buckets(burst=3, per_second=0.5, clock=lambda: now)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]
    assert buckets.take("b") == 0
    now += 2
    assert [buckets.take("a"), buckets.take("a")] == [0, 2]
    now += 1_000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_many_clients_take_no_more_memory() -> None:
    buckets = Buckets(burst=1, per_second=1, clock=lambda: 0.0)
    for number in range(MAX_CLIENTS + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == MAX_CLIENTS


@pytest.mark.parametrize(
    ("kfl", "form"),
    [
        ("http", "http"),
        ('http && path == "/secret" && secret', "http && path == …"),
        ("status_code >= 500 || request_body.contains('it\\'s')", "status_code >= … || request_body.contains(…"),
        (r'r"a\"' + ' && "b c"', "r…"),
        ('"""long "text" here""" == url', "…"),
        ('url == "not closed', "url == …"),
    ],
)
def test_a_filters_form_has_no_texts(kfl: str, form: str) -> None:
    assert filter_form(kfl) == form


def test_lines_of_many_threads_are_whole(folder: Path) -> None:
    audit = Audit(folder / "audit.jsonl")
    threads = [
        threading.Thread(target=lambda n=n: [audit.note(LOCAL, "x", n=n, long="y" * 2_000) for _ in range(20)])  # type: ignore[misc]
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = [json.loads(line) for line in audit.path.read_text().splitlines()]
    assert len(lines) == 100
    assert {len(line["long"]) for line in lines} == {500}
