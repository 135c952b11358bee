"""Progress is for people: on a terminal, and gone at the end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TextIO

import pytest

from kubeshark.cli.terminal import _progress
from kubeshark.cli.terminal._progress import Progress, scaled


class Terminal:
    """A pseudo terminal: what is written to `stream` is there to be read."""

    def __init__(self) -> None:
        self._reading, writing = os.openpty()
        self.stream: TextIO = os.fdopen(writing, "w")

    def text(self) -> str:
        self.stream.flush()
        os.write(self.stream.fileno(), b"\0")  # it comes in pieces: the last one ends so
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self._reading, 65_536)
        return data.decode().removesuffix("\0")

    def close(self) -> None:
        self.stream.close()
        os.close(self._reading)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    opened = Terminal()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=opened.stream))  # pytest puts its own back between
    monkeypatch.setattr(_progress, "INTERVAL_S", 0)
    yield opened
    opened.close()


def test_a_bar_on_a_terminal(terminal: Terminal) -> None:
    progress = Progress("importing a.pcap")
    progress.show(500, 1_000)
    text = terminal.text()
    assert text.startswith("\rimporting a.pcap [###############...............]  50 %")
    assert " s left" in text
    assert "B/s" in text
    assert "\n" not in text


def test_a_stream_has_no_end_to_show(terminal: Terminal) -> None:
    Progress("importing -").show(12_345_678, None)
    assert "12.3 MB" in terminal.text()


@pytest.mark.parametrize(("done", "total"), [(0, 0), (0, 10), (20, 10), (10, 10)])
def test_odd_numbers(terminal: Terminal, done: int, total: int) -> None:
    Progress("x").show(done, total)
    assert terminal.text().count("#") <= 30


def test_the_line_is_cleared_at_the_end(terminal: Terminal) -> None:
    with Progress("x") as progress:
        progress.show(1, 2)
    assert terminal.text().endswith("\r\x1b[K")


def test_nothing_shown_nothing_cleared(terminal: Terminal) -> None:
    with Progress("x"):
        pass
    assert terminal.text() == ""


def test_at_most_ten_times_a_second_and_at_the_end(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "INTERVAL_S", 60)
    progress = Progress("x")
    for done in range(101):
        progress.show(done, 100)
    assert terminal.text().count("\r") == 2


def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    with Progress("x") as progress:
        progress.show(1, 2)
        progress.show(2, 2)
    assert err.getvalue() == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 "), (999, "999 "), (1_000, "1.0 k"), (12_345_678, "12.3 M"), (5e9, "5.0 G"), (7e13, "70.0 T")],
)
def test_decimal_prefixes(number: float, text: str) -> None:
    assert scaled(number) == text
