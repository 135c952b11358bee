"""Where to go on reading."""

from __future__ import annotations

import re

import pytest

from kubeshark.pipeline.dissectors._lines import next_line

WANTED = re.compile(rb"OK\r\n")


@pytest.mark.parametrize(
    ("data", "at", "found"),
    [
        (b"OK\r\n", 0, 0),
        (b"xOK\r\nOK\r\n", 1, 5),
        (b"tail\nOK\r\n", 0, 5),
        (b"tail\nOK\r\n", 5, 5),
        (b"tail\nOKAY", 0, 9),
        (b"", 0, 0),
    ],
    ids=["here", "not inside a line", "next", "behind a line end", "none", "empty"],
)
def test_next_line(data: bytes, at: int, found: int) -> None:
    assert next_line(data, at, WANTED, 100) == found


def test_the_limit_holds() -> None:
    assert next_line(b"\nOK\r\n", 0, WANTED, 2) == 5
