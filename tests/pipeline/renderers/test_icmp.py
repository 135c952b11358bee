"""What ICMP looks like."""

from __future__ import annotations

from kubeshark.extension_api import TableRow
from kubeshark.pipeline.renderers import icmp

from ._entries import FakeEntry


def test_echo(entries: dict[str, FakeEntry]) -> None:
    shown = icmp.render(entries["icmp"])
    assert shown
    assert [section.title for section in shown.request] == ["ICMP", "Echo"]
    assert [section.title for section in shown.response] == ["Echo"]
    assert shown.request[0].rows[1] == TableRow("Type", "8", "icmp_type")


def test_lonely_reply_has_the_summary(entries: dict[str, FakeEntry]) -> None:
    shown = icmp.render(entries["icmp reply"])
    assert shown
    assert [section.title for section in shown.response] == ["ICMP", "Echo"]


def test_error_shows_what_it_quotes(entries: dict[str, FakeEntry]) -> None:
    shown = icmp.render(entries["icmp error"])
    assert shown
    assert shown.event[1].rows[:2] == (TableRow("src", "192.0.2.1"), TableRow("dst", "198.51.100.2"))
