"""What a DNS exchange looks like."""

from __future__ import annotations

from kubeshark.extension_api import TableRow
from kubeshark.pipeline.renderers import dns

from ._entries import FakeEntry


def test_sections(entries: dict[str, FakeEntry]) -> None:
    shown = dns.render(entries["dns"])
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Questions"]
    assert [section.title for section in shown.response] == ["Response", "Answers", "Additionals"]
    assert shown.request[1].rows[0].selector == "dns_questions[0]"
    assert shown.response[0].rows[0] == TableRow("Code", "NXDOMAIN", "dns_rcode")
    assert shown.response[1].rows[0].selector == "dns_answers[0]"
    assert shown.response[2].rows == (TableRow(". 0  OPT", "version=0 udp=1232"),)


def test_a_status_is_clickable_only_if_there_was_an_answer(entries: dict[str, FakeEntry]) -> None:
    for name, query in (("dns", "status_code == 3"), ("dns request", "")):
        row = dns.summarize(entries[name])
        assert row
        assert row["statusQuery"] == query


def test_a_truncated_answer_is_no_empty_one(entries: dict[str, FakeEntry]) -> None:
    row, cut = dns.summarize(entries["dns"]), dns.summarize(entries["dns truncated"])
    assert row and cut
    assert (cut["summary"], cut["summaryQuery"]) == (f"{row['summary']} (truncated)", row["summaryQuery"])
    shown = dns.render(entries["dns truncated"])
    assert shown
    assert shown.response[0].rows[-1] == TableRow("Flags", "truncated, recursion desired, recursion available")
