"""Ids, KFL variables on demand, and the JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import CLIENT, SERVER, Classifier, Message, MessageKind, Stream
from kubeshark.pipeline import Entry, EntryId
from tests.core_capture.reference._packets import A, B
from tests.pipeline._plugins import Lines, with_plugins
from tests.pipeline._traffic import GET, MS, OK, START_NS, Capture, Connection, dns, find


def exchange(question: bytes = GET, answer: bytes = OK) -> Entry:
    capture = Capture()
    Connection(capture).open().ask(question).answer(answer)
    (entry,) = find(capture, "http")
    return entry


# ids


@given(
    segment=st.text(st.sampled_from("aZ0-_.T"), min_size=1),
    flow=st.integers(0, 10**10 - 1),
    number=st.one_of(st.integers(0, 10**10 - 1).map(str), st.sampled_from(["conn", "flow"])),
)
def test_ids_read_back(segment: str, flow: int, number: str) -> None:
    identity = EntryId(segment, flow, number)
    assert EntryId.parse(str(identity)) == identity


@pytest.mark.parametrize("text", ["", "a", "a-1", "-1-1", "a-1-x", "a-b-1", "a-1-", "a-1-conn2", "a-٣-1", "a-1-1\n"])
def test_what_cannot_be_an_id(text: str) -> None:
    assert EntryId.parse(text) is None


# variables


def test_variables_of_every_entry() -> None:
    entry = exchange()
    expected = {
        "http": True,
        "protocol": "HTTP",
        "transport": "tcp",
        "src.ip": "10.0.0.1",
        "src.port": 40_000,
        "dst.ip": "10.0.0.2",
        "dst.port": 80,
        "timestamp": START_NS + 2_000_000,
        "elapsed_time": 1_000,
        "id": entry.id,
        "index": 0,
        "has_pcap": True,
        "capture_source": "file",
        "capture_backend": "file",
        "capture_source_code": 100,
        "error": False,
        "error_message": "",
        "vlan_id": 0,
        "tunnel": "",
        "file": "",
    }
    assert {name: entry.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("variable", "default"),
    [
        ("dns", False),
        ("redis_type", ""),
        ("kafka_size", 0),
        ("dns_questions", []),
        ("dst.pod.name", ""),
        ("node_ip", ""),
    ],
)
def test_what_an_entry_lacks_is_its_types_default(variable: str, default: object) -> None:
    assert exchange().get(variable) == default


def test_an_unknown_variable_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="nope"):
        exchange().get("nope")


def test_only_the_protocols_own_total_size_is_its_size() -> None:
    capture = Capture()
    capture.add(dns(5))
    capture.add(dns(5, answer=True))
    (entry,) = find(capture, f"dns_total_size == {2 * len(dns(5)[28:])}")
    assert (entry.get("redis_total_size"), exchange().get("dns_total_size")) == (0, 0)


def test_index_is_the_number_and_connections_have_none() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask().answer()
    assert [entry.get("index") for entry in find(capture, "")] == [0, 0, 1]  # the connection comes first in time


def test_a_requests_value_wins_over_its_responses() -> None:
    class Both(Lines):
        def _messages(self, stream: Stream) -> list[Message]:
            def late(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
                return {"lines_late": text}, {"late": text}

            return [
                Message(kind, way, 0, 1, fields={"lines_text": text}, detail=lambda text=text: late(text))
                for kind, way, text in ((MessageKind.REQUEST, 0, "asked"), (MessageKind.RESPONSE, 1, "said"))
            ]

    variables = {"lines_text": "string", "lines_late": "string"}
    capture = Capture()
    Connection(capture, 7000).open().ask(b"?").answer(b"!")
    with with_plugins(lines=Both(Classifier("tcp", (7000,)), variables=variables)) as plugins:  # type: ignore[arg-type]
        (entry,) = find(capture, "lines", plugins)
    document = entry.to_dict()
    assert (entry.get("lines_text"), entry.get("lines_late")) == ("asked", "asked")
    assert (document["request"], document["response"]) == ({"late": "asked"}, {"late": "said"})


# late materialisation


def test_a_summary_builds_no_document() -> None:
    entry = exchange()
    entry.row()
    for variable in ("method", "status_code", "elapsed_time", "dns_total_size", "tcp_retransmissions"):
        entry.get(variable)
    assert not entry.is_built


@pytest.mark.parametrize("variable", ["request.headers", "response_body"])
def test_a_heavy_variable_builds_it(variable: str) -> None:
    entry = exchange()
    assert entry.get(variable)
    assert entry.is_built


def test_details_are_built_once() -> None:
    calls = []

    class Counted(Lines):
        def _messages(self, stream: Stream) -> list[Message]:
            def detail() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
                calls.append(1)
                return {}, {"n": len(calls)}

            return [Message(MessageKind.EVENT, 0, 0, 3, detail=detail)]

    capture = Capture()
    Connection(capture, 7000).open().ask(b"abc")
    with with_plugins(lines=Counted(Classifier("tcp", (7000,)))) as plugins:
        (entry,) = find(capture, "lines", plugins)
    first, second = entry.to_dict(), entry.document()
    assert first == second
    assert first["event"] == {"source": "packets", "type": "lines", "data": {"n": 1}}
    assert calls == [1]


def test_what_is_let_go_is_built_again_and_what_enrich_set_stays() -> None:
    entry = exchange()
    headers, variables = entry.variables["request.headers"], entry.variables
    entry.annotations, entry.tags = ("customer",), ("seen",)
    variables["customer"], variables["tags"] = "acme", ["seen"]
    document = entry.to_dict()
    entry.unbuild()
    assert not entry.is_built
    assert entry.variables is variables
    assert "request.headers" not in variables
    assert (variables["customer"], variables["tags"]) == ("acme", ["seen"])
    assert variables["request.headers"] == headers
    assert entry.to_dict() == document


def test_a_message_without_detail_shows_its_fields() -> None:
    capture = Capture()
    Connection(capture, 7000).open().ask(b"abc\n")
    with with_plugins(lines=Lines(Classifier("tcp", (7000,)))) as plugins:
        (entry,) = find(capture, "lines", plugins)
    assert entry.to_dict()["request"] == {"lines_text": "abc"}


# bytes and JSON


def test_raw_is_what_was_on_the_wire() -> None:
    entry = exchange()
    assert (entry.raw(MessageKind.REQUEST), entry.raw(MessageKind.RESPONSE)) == (GET, OK)
    assert (entry.raw(MessageKind.EVENT), entry.detail(MessageKind.EVENT), entry.size(MessageKind.EVENT)) == (
        b"",
        None,
        0,
    )


def test_raw_of_a_datagram() -> None:
    capture = Capture()
    capture.add(dns(5))
    capture.add(dns(5, answer=True))
    (entry,) = find(capture, "dns")
    assert entry.raw(MessageKind.RESPONSE) == dns(5, answer=True)[28:]


def test_the_connection_has_no_bytes() -> None:
    capture = Capture()
    Connection(capture).open()
    (entry,) = find(capture, "tcp_conn")
    assert (entry.raw(MessageKind.EVENT), entry.total_size, entry.elapsed_ns) == (b"", 0, 0)


def test_elapsed_is_from_the_first_byte_asked_to_the_last_answered() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(GET[:5])
    capture.wait(1)
    connection.ask(GET[5:]).answer(OK[:9])
    capture.wait(0.25)
    connection.answer(OK[9:])
    (entry,) = find(capture, "http")
    assert entry.elapsed_ns == 1_250_000_000 + 3_000_000
    assert entry.to_dict()["elapsedTime"] == 1_253


def test_the_json_form() -> None:
    document = exchange().to_dict()
    assert document["protocol"] | {"backgroundColor": "", "foregroundColor": ""} == {
        "name": "http",
        "version": "1.1",
        "abbr": "HTTP",
        "longName": "Hypertext Transfer Protocol",
        "macro": "http",
        "backgroundColor": "",
        "foregroundColor": "",
        "fontSize": 12,
        "referenceLink": "https://www.rfc-editor.org/rfc/rfc9112",
        "ports": ["80", "443", "8080"],
        "layer4": "tcp",
        "layer3": "ip",
        "priority": 0,
    }
    assert document["startTime"] == "2023-11-14T22:13:20.002000000Z"
    assert (document["requestSize"], document["responseSize"], document["size"]) == (28, 40, 68)
    assert (document["captureSource"], document["error"], document["event"], document["data"]) == (
        100,
        None,
        None,
        None,
    )
    assert document["entryFile"] == f"{document['stream']}-0_entry.json"
    assert "file" not in document
    json.dumps(document)


def test_raw_payload_is_data_not_an_event() -> None:
    capture = Capture()
    Connection(capture, 7000).open().ask(b"\xff")
    (entry,) = find(capture, "tcp")
    document = entry.to_dict()
    assert (document["event"], document["data"]["size"]) == (None, 1)


def test_a_half_says_why_it_is_alone() -> None:
    capture = Capture()
    Connection(capture).open().ask()
    (entry,) = find(capture, "http")
    document = entry.to_dict()
    assert document["error"]["type"] == "pair-not-found" == entry.get("error_type")
    assert document["response"] is None


def labels(entry: Entry) -> list[tuple[float, int, str]]:
    """Milliseconds from the first moment, who, what."""
    found = entry.moments()
    return [((each.time_ns - found[0].time_ns) / MS, each.direction, each.label) for each in found]


def test_the_moments_of_an_exchange() -> None:
    capture = Capture()
    Connection(capture).open().ask(GET[:9]).ask(GET[9:]).answer()
    (entry,) = find(capture, "http")
    assert labels(entry) == [(0, 0, "request begins"), (1, 0, "request ends"), (2, 1, "response")]


def test_the_moments_of_a_stream_of_events() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask()
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    capture.wait(1)
    connection.answer(b"data: a\n\n").answer(b"data: bb\n").answer(b"\n").end(SERVER)
    (entry,) = find(capture, "http")
    assert labels(entry)[1:] == [
        (1, 1, "response begins"),
        (1002, 1, "event 1, 9 bytes"),
        (1004, 1, "event 2, 10 bytes"),
        (1004, 1, "response ends"),
    ]


def test_the_moments_of_a_connection() -> None:
    capture = Capture()
    Connection(capture, ends=(B, A)).open().ask().answer().end(CLIENT).end(SERVER, "R")
    (entry,) = find(capture, "tcp_conn")
    assert labels(entry) == [
        (0, 0, "SYN"),
        (1, 1, "SYN ACK"),
        (2, 0, "first data"),
        (3, 1, "first data"),
        (4, 0, "FIN"),
        (5, 1, "RST"),
    ]
