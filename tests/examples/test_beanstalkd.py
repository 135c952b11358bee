"""The beanstalkd example: its capture gives its expected entries, pieces never matter, no bytes break it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import TimelinePoint, Verdict
from kubeshark.extension_api._frame import (
    FILTER,
    PROBE,
    RENDER,
    FrameItem,
    ItemFlag,
    decode_filter,
    decode_probe,
    decode_render,
    encode_values,
)
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.extension_api._representation import parse_representation
from kubeshark.hosts.js._instance import open_instance, prepare

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "js" / "beanstalkd"
REQUESTS = (
    b"use a\r\nput 1 0 60 5\r\n\r\n\0\xffx\r\nput 1 0 60 0\r\n\r\nreserve\r\n\r\n"
    b"put 1 0 60 1\r\nlong\r\nfetch 1\r\nquit\r\n"
)
RESPONSES = (
    b"USING a\r\nINSERTED 1\r\nRESERVED 9 4\r\n\r\n\r\n\r\nOK 3\r\nabc\r\nBURIED\r\nwhat?\r\nKICKED 3\r\n"
    b"FOUND 99999999999999999 1\r\n"
)


@pytest.fixture(scope="module")
def plugin(feeder: Any) -> Iterator[Any]:
    manifest = read_manifest(EXAMPLE)
    instance = open_instance(prepare(EXAMPLE, manifest), manifest)
    yield feeder(instance, manifest)
    instance.close()


def test_the_capture_gives_the_expected_entries(entries: Any, expected: Any) -> None:
    found = entries(EXAMPLE, "beanstalkd")
    assert found == expected(EXAMPLE)
    assert entries(EXAMPLE, "dst.port == 11300 && !beanstalkd && !conn") == []


def test_its_filters_select(entries: Any, expected: Any) -> None:
    failures = {"NOT_FOUND", "NOT_IGNORED", "EXPECTED_CRLF", "JOB_TOO_BIG", "BAD_FORMAT", "UNKNOWN_COMMAND"}
    failed = entries(EXAMPLE, "beanstalkd_failed()")
    assert failed == [line for line in expected(EXAMPLE) if line.get("beanstalkd_status") in failures]
    assert len(entries(EXAMPLE, "beanstalkd_slow(0)")) > 0
    assert entries(EXAMPLE, "beanstalkd_slow(60000)") == []


def test_slow_leaves_out_who_waits_by_design(plugin: Any) -> None:
    rows = [("put", 2500), ("put", 2000), ("reserve", 9000), ("reserve-with-timeout", 9000), ("", 0)]
    items = [FrameItem(encode_values([2, *row]), argument=1) for row in rows]
    assert decode_filter(plugin.call(FILTER, items), len(items)) == [True, False, False, False, False]


def test_requests_are_what_the_server_answers(plugin: Any) -> None:
    messages = plugin.feed(REQUESTS)
    commands = ["use", "put", "put", "reserve", "", "put", "g", "fetch", "quit"]
    assert [fields["command"] for *_, fields, _error, _one_way in messages] == commands
    errors = [message[5] for message in messages]
    assert errors[5] == "malformed: the body does not end with CR LF"
    assert not any(errors[:5] + errors[6:])
    assert [message[6] for message in messages] == [False] * 8 + [True]


def test_a_stream_that_ends_inside_a_message(plugin: Any) -> None:
    ((kind, start, end, _, fields, error, _),) = plugin.feed(b"put 1 2 3 10\r\nabc")
    assert (kind, start, end, error) == ("REQUEST", 0, 17, "truncated: the stream ends inside this body")
    assert fields == {"command": "put", "priority": 1, "delay": 2, "time_to_run": 3, "body_size": 10}


def test_behind_a_gap_it_finds_the_next_message(plugin: Any) -> None:
    messages = plugin.feed(b"of a body\r\nstill\r\ndelete 7\r\n", gap=True)
    assert [(message[1:3], message[5]) for message in messages] == [
        ((0, 18), "gap: the beginning of this message is missing"),
        ((18, 28), ""),
    ]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), direction=st.sampled_from([0, 1]))
def test_cut_points_do_not_matter(plugin: Any, data: Any, direction: int) -> None:
    wire = (REQUESTS, RESPONSES)[direction]
    junk = data.draw(st.binary(max_size=40) | st.just(b"x" * 5000))
    wire = data.draw(st.sampled_from([wire, wire + junk + b"\r\n" + wire, junk + wire]))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    gap = data.draw(st.booleans())
    whole = plugin.feed(wire, direction=direction, gap=gap)
    assert plugin.feed(wire, cuts, direction=direction, gap=gap) == whole


def test_probe(plugin: Any) -> None:
    heads = [b"put 1 2 3 4\r\n", b"GET / HTTP/1.1\r\n", b"reser", b"INSERTED 1\r\n", b"x" * 512 + b"\r\n", b"\xff\0"]
    sides = [0, 0, 0, 1, 0, 0]
    items = [FrameItem(head, direction=side, flags=ItemFlag.FIRST) for head, side in zip(heads, sides, strict=True)]
    more, mine, no = Verdict.NEED_MORE, Verdict.MINE, Verdict.NOT_MINE
    assert decode_probe(plugin.call(PROBE, items), len(items)) == [mine, no, more, mine, no, more]


def test_it_renders_command_and_body(plugin: Any) -> None:
    halves = [FrameItem(b"put 1 0 60 3\r\nabc\r\n"), FrameItem(b"RESERVED 5 2\r\n\0\xff\r\n", direction=1)]
    (text,) = decode_render(plugin.call(RENDER, halves), 1)
    shown = json.loads(text)
    assert [row["name"] for row in shown["request"][0]["tableData"]][:2] == ["command", "priority"]
    assert shown["request"][1]["body"] == "abc"
    assert (shown["response"][1]["type"], shown["response"][1]["body"]) == ("hex", "AP8=")
    assert len(shown["response"]) == 2  # no time is known


def test_it_draws_how_long_a_worker_waited(plugin: Any) -> None:
    halves = [FrameItem(b"reserve\r\n", time_ns=10**18), FrameItem(b"RESERVED 5 0\r\n\r\n", 0, 10**18 + 2_500_999, 1)]
    (text,) = decode_render(plugin.call(RENDER, halves), 1)
    section = parse_representation(bytes(text), "x").response[-1]
    assert section.type == "timeline"
    assert section.points == (TimelinePoint(0, "asked", "client"), TimelinePoint(2500, "answered", "server"))
