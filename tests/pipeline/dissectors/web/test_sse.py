"""Event streams, by the examples of the HTML standard (§9.2.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._sse import MAX_EVENTS, read_events


def event(data: str, kind: str = "message", last_id: str = "", retry: str = "") -> dict[str, str]:
    return {"id": last_id, "event": kind, "data": data, "retry": retry}


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param("data: YHOO\ndata: +2\ndata: 10\n\n", [event("YHOO\n+2\n10")], id="lines"),
        pytest.param("data:test\n\ndata: test\n\n", [event("test"), event("test")], id="one space"),
        pytest.param("data\n\ndata\ndata\n\ndata:", [event(""), event("\n")], id="empty data"),
        pytest.param(": ping\n\nid: 1\nevent: add\ndata: x\n\n", [event("x", "add", "1")], id="comment"),
        pytest.param(
            "id: 7\ndata: a\r\n\r\ndata: b\r\r", [event("a", last_id="7"), event("b", last_id="7")], id="ends"
        ),
        pytest.param("\ufeffretry: 10\nretry: x\nodd: y\ndata: z\n\n", [event("z", retry="10")], id="retry"),
        pytest.param("event: nothing\n\n", [], id="no data"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_events(stream: str, expected: list[dict[str, str]]) -> None:
    assert read_events(stream) == expected


def test_events_are_bounded() -> None:
    assert len(read_events("data: x\n\n" * 5000)) == MAX_EVENTS


@given(st.text(alphabet="data: \n\rx", max_size=60))
def test_anything(stream: str) -> None:
    read_events(stream)
