"""HTTP/2 streams in, messages out: by the frames and rules of RFC 9113."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Ending, Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.web import http2
from kubeshark.pipeline.dissectors.web._http2_frames import find_frames

from .._damage import damaged_streams, document, variables
from .._streams import FakeStream, tcp
from ._http2_bytes import PREFACE, SETTINGS, Talker, frame, grpc_message

END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 0x20


def client() -> Talker:
    return Talker(PREFACE + SETTINGS)


def server() -> Talker:
    return Talker(SETTINGS)


def messages(asked: Talker, answered: Talker | None = None, **options: Any) -> list[Message]:
    stream = tcp(asked.said, answered.said if answered else b"", **options)
    return [found for found in http2.dissect(http2.HTTP2, [stream])[0] if isinstance(found, Message)]


def pair(asked: Talker, answered: Talker) -> tuple[Message, Message]:
    request, response = messages(asked, answered)
    assert (request.kind, response.kind) == (MessageKind.REQUEST, MessageKind.RESPONSE)
    return request, response


def errors(found: list[Message]) -> list[str]:
    return [message.error for message in found]


# ------------------------------------------------------------------------------------------------------------- summary
def test_summary() -> None:
    asked = client().request(1, "POST", "/v1/items?dry=1", end=False).data(1, b"abc")
    request, response = pair(asked, server().response(1, 201, ("content-type", "Text/HTML; x=y")).data(1, b"made"))
    assert request.fields == {
        "method": "POST",
        "url": "/v1/items?dry=1",
        "path": "/v1/items",
        "http_version": "HTTP/2",
        "host": "shop:8080",
        "request_headers_size": request.fields["request_headers_size"],
        "request_body_size": 3,
        "path_segments": ["v1", "items"],
    }
    assert response.fields == {
        "status_code": 201,
        "http_version": "HTTP/2",
        "content_type": "text/html",
        "response_headers_size": response.fields["response_headers_size"],
        "response_body_size": 4,
    }
    assert (request.key, response.key, request.error, response.error) == ("1", "1", "", "")
    assert asked.said[request.start : request.start + 4][3] == 1  # its first byte is that of the HEADERS frame
    assert request.end == len(asked.said)


def test_streams_may_overlap() -> None:
    asked = client().request(1, "GET", "/a").request(3, "PUT", "/b", end=False).request(5, "GET", "/c").data(3, b"x")
    answered = server().response(5, 204, end=True).response(1, 200).response(3, 404, end=True).data(1, b"late")
    found = messages(asked, answered)
    assert [(message.key, message.fields.get("path")) for message in found[:3]] == [
        ("1", "/a"),
        ("3", "/b"),
        ("5", "/c"),
    ]
    assert [(message.key, message.fields["status_code"]) for message in found[3:]] == [
        ("5", 204),
        ("1", 200),
        ("3", 404),
    ]
    assert found[1].fields["request_body_size"] == 1
    assert errors(found) == [""] * 6
    sizes = [message.end - message.start - message.interleaved for message in found[3:]]
    assert sum(sizes) == len(answered.said) - len(SETTINGS)  # each frame is somebody's, once
    assert found[4].interleaved == sizes[2]


def test_document() -> None:
    asked = client().request(1, "GET", "/a%20b?q=1&q=2", ("cookie", "a=1"), ("cookie", "b=2"), ("accept", "x/y"))
    body = gzip.compress(b'{"a": 1}', mtime=0)
    answered = server().response(1, 200, ("content-type", "application/json"), ("content-encoding", "gzip"))
    answered.data(1, body[:9], end=False).data(1, body[9:], end=False).headers(1, ("x-sum", "7"), end=True)
    request, response = pair(asked, answered)
    shown = document(request)
    assert shown["targetUri"] == "http://shop:8080/a%20b?q=1&q=2"
    assert shown["pathSegments"] == ["a b"]
    assert shown["cookies"] == {"a": "1", "b": "2"}
    assert shown["queryString"] == {"q": ["1", "2"]}
    assert shown["headers"][":authority"] == "shop:8080"
    assert variables(request)["request.headers"]["cookie"] == "a=1; b=2"
    shown = document(response)
    assert (shown["httpVersion"], shown["status"], shown["content"]["text"]) == ("HTTP/2", 200, '{"a": 1}')
    assert shown["trailers"] == {"x-sum": "7"}
    assert variables(response)["response_body"] == '{"a": 1}'


def test_continuations_padding_and_priority() -> None:
    asked = client().headers(
        1, (":method", "GET"), (":scheme", "http"), (":path", "/long"), ("x-long", "y" * 200), end=True, pieces=4
    )
    block = asked.block([(":method", "PUT"), (":path", "/padded")])
    flags = END_HEADERS | PADDED | PRIORITY
    asked.add(frame(1, 3, b"\x02\x80\0\0\0\x10" + block + b"\0\0", flags))
    asked.add(frame(0, 3, b"\x03body\0\0\0", PADDED | END_STREAM)).add(frame(0xB, 3, b"extension"))
    long, padded = messages(asked)
    assert (long.fields["path"], padded.fields["path"], padded.fields["request_body_size"]) == ("/long", "/padded", 4)
    assert document(padded)["postData"]["text"] == "body"
    assert errors([long, padded]) == ["", ""]


def test_interim_responses_are_passed_over() -> None:
    answered = server().response(1, 103, ("link", "x")).response(1, 200).data(1, b"x")
    _, response = pair(client().request(1, "GET", "/"), answered)
    assert response.fields["status_code"] == 200
    assert "link" not in document(response)["headers"]


def test_connect_names_its_target() -> None:
    asked = client().headers(1, (":method", "CONNECT"), (":authority", "db:5432"))
    (request,) = messages(asked)
    assert (request.fields["url"], request.error) == ("db:5432", "")


def test_a_websocket_in_a_stream_is_handed_over() -> None:
    asked = client().headers(
        1, (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat")
    )
    asked.data(1, b"\x81\x85\0\0", end=False).request(3, "GET", "/other").data(1, b"\0\0hel", end=False)
    at = len(asked.said) + 9
    asked.data(1, b"lo", end=False)
    answered = (
        server().response(1, 200, ("sec-websocket-protocol", "chat")).data(1, b"\x81\x02", end=False).data(1, b"hi")
    )
    stream = tcp(asked.said, answered.said, gaps={0: [(at, at + 1, 1)]})
    found = http2.dissect(http2.HTTP2, [stream])[0]
    (handover,) = [one for one in found if isinstance(one, Handover)]
    there, back = handover.sides
    assert (handover.protocol, bytes(there.data), bytes(back.data)) == ("ws", b"\x81\x85\0\0\0\0hello", b"\x81\x02hi")
    assert there.gaps == [(9, 10, 1)]
    assert there.time_at(0) == stream.sides[0].time_at(0)
    (upgrade,) = [one.fields for one in found if isinstance(one, Message) and "http_upgrade" in one.fields]
    assert (upgrade["http_upgrade"], upgrade["ws_subprotocol"]) == ("websocket", "chat")


def test_a_tunnel_is_handed_over() -> None:
    asked = client().headers(1, (":method", "CONNECT"), (":authority", "db:1")).data(1, b"\x16\x03", end=False)
    found = http2.dissect(http2.HTTP2, [tcp(asked.said, server().response(1, 200).said)])[0]
    assert [(one.protocol, bytes(one.sides[0].data)) for one in found if isinstance(one, Handover)] == [
        ("", b"\x16\x03")
    ]


@pytest.mark.parametrize("huffman", [False, True])
def test_what_may_be_handed_over_bears_a_mark(huffman: bool) -> None:
    block = Encoder().encode([(":method", "CONNECT"), (":authority", "db:1")], huffman=huffman).lower()
    assert any(mark in block for mark in http2.HTTP2.handover_marks)


def test_a_promise_is_a_request() -> None:
    asked = client().request(1, "GET", "/")
    answered = server().response(1, 200)
    block = answered.block([(":method", "GET"), (":scheme", "http"), (":path", "/style.css")])
    answered.add(frame(5, 1, b"\0\0\0\2" + block, END_HEADERS)).data(1, b"x").response(2, 200).data(2, b"css")
    request, response, promise, pushed = messages(asked, answered)
    assert (request.key, response.key) == ("1", "1")
    assert (promise.kind, promise.key, promise.fields["path"]) == (MessageKind.REQUEST, "2", "/style.css")
    assert (pushed.kind, pushed.key, pushed.fields["response_body_size"]) == (MessageKind.RESPONSE, "2", 3)


def test_the_answer_to_an_upgrade_has_no_request_here() -> None:
    (answer,) = messages(client(), server().response(1, 200).data(1, b"x"))
    assert answer.one_way


def test_sides_may_be_the_other_way_round() -> None:
    response, request = messages(server().response(1, 200, end=True), client().request(1, "GET", "/"))
    assert (response.kind, response.direction) == (MessageKind.RESPONSE, 0)
    assert (request.kind, request.direction) == (MessageKind.REQUEST, 1)


# --------------------------------------------------------------------------------------------------------------- resets
def test_reset_by_the_server() -> None:
    (request,) = messages(client().request(1, "GET", "/"), server().add(frame(3, 1, b"\0\0\0\7")))
    assert request.error == "Reset: the server reset the stream: REFUSED_STREAM"


def test_reset_by_the_client() -> None:
    asked = client().request(1, "GET", "/").add(frame(3, 1, b"\0\0\0\x08"))
    assert errors(messages(asked, server().response(1, 200).data(1, b"part", end=False))) == [
        "Reset: the client reset the stream: CANCEL",
        "Reset: the client reset the stream: CANCEL",
    ]


def test_a_reset_behind_the_answer_is_none() -> None:
    asked = client().request(1, "POST", "/", end=False)
    answered = server().response(1, 403, end=True).add(frame(3, 1, bytes(4)))
    assert errors(messages(asked, answered)) == ["", ""]


def test_goaway() -> None:
    asked = client().request(1, "GET", "/").request(3, "GET", "/late")
    goaway = frame(7, 0, b"\0\0\0\1" + bytes(4))
    done, late, _ = messages(asked, server().response(1, 200, end=True).add(goaway))
    assert (done.error, late.error) == ("", "Reset: the server closed the connection before it saw stream 3")
    broken = server().add(frame(7, 0, b"\0\0\0\3\0\0\0\x0b" + b"too many"))
    assert errors(messages(asked, broken)) == ["Reset: the server closed the connection: ENHANCE_YOUR_CALM"] * 2


def cut_off(asked: Talker, answered: Talker, client: Ending = "closed", server: Ending = "closed") -> list[str]:
    return errors(messages(asked, answered, ended=(client, server)))


def test_a_response_that_the_end_of_the_connection_cuts_off() -> None:
    asked = client().request(1, "GET", "/a").request(3, "GET", "/b").request(5, "GET", "/c")
    answered = server().response(1, 200, ("content-length", "20000")).data(1, b"x" * 5000, end=False)
    answered.response(3, 200).data(3, b"whole").response(5, 200, end=True)
    cut = "CloseWait: the connection was closed after 5000 of 20000 bytes of the body"
    assert cut_off(asked, answered) == ["", "", "", cut, "", ""]
    reset = "Reset: the connection was reset after 5000 of 20000 bytes of the body"
    assert cut_off(asked, answered, server="reset")[3] == reset
    assert cut_off(asked, answered, server="refused")[3] == reset
    assert cut_off(asked, answered, server="") == [""] * 6


def test_a_stream_without_length_ends_by_its_flag_alone() -> None:
    asked = client().request(1, "GET", "/events")
    answered = server().response(1, 200, ("content-type", "text/event-stream")).data(1, b"data: a\n\n", end=False)
    cut = "CloseWait: the connection was closed before the response ended, after 9 bytes of its body"
    assert cut_off(asked, answered) == ["", cut]
    assert cut_off(asked, server().response(1, 200, ("content-length", "x")))[1].endswith("after 0 bytes of its body")
    assert cut_off(asked, server().response(1, 200, ("content-length", "2")).data(1, b"hi", end=False))[1] == (
        "CloseWait: the connection was closed before the response ended, after 2 bytes of its body"
    )
    assert cut_off(asked, server().response(1, 103))[1].startswith("CloseWait: the connection was closed before")


def test_a_call_without_trailers() -> None:
    asked = client().request(1, "POST", "/demo.Greeter/Say", ("content-type", "application/grpc"), end=False)
    asked.data(1, grpc_message(b"hi"), end=False)
    answered = server().response(1, 200, ("content-type", "application/grpc")).data(1, grpc_message(b"ho"), end=False)
    cut = "CloseWait: the connection was closed before the response ended, after 7 bytes of its body"
    assert cut_off(asked, answered) == ["", cut]
    assert cut_off(asked, answered.headers(1, ("grpc-status", "0"), end=True)) == ["", ""]


def test_a_frame_that_the_end_of_the_connection_cuts_off() -> None:
    asked = client().request(1, "GET", "/")
    answered = server().response(1, 200, ("content-length", "100")).data(1, b"x" * 100)
    answered.said = answered.said[:-40]
    assert cut_off(asked, answered) == ["", "CloseWait: the connection was closed after 60 of 100 bytes of the body"]
    assert cut_off(asked, answered, server="")[1] == "incomplete: the last DATA frame was not captured whole"


def test_a_request_that_the_end_of_the_connection_cuts_off() -> None:
    asked = client().request(1, "PUT", "/", ("content-length", "9"), end=False).data(1, b"abc", end=False)
    assert cut_off(asked, server()) == ["CloseWait: the connection was closed after 3 of 9 bytes of the body"]
    assert cut_off(asked, server().response(1, 403, end=True)) == ["", ""]
    assert cut_off(client().request(1, "GET", "/"), server()) == [""]


def test_what_a_reset_or_a_gap_explains_is_not_blamed_on_the_end() -> None:
    asked = client().request(1, "GET", "/").add(frame(3, 1, b"\0\0\0\x08"))
    answered = server().response(1, 200).data(1, b"part", end=False)
    assert cut_off(asked, answered) == ["Reset: the client reset the stream: CANCEL"] * 2
    start = len(answered.said)
    lost = answered.add(bytes(9)).response(3, 200, end=True)
    for more, error in ((b"", ""), (SETTINGS * 3, f"incomplete: gap: 9 bytes missing at {start}")):
        told = Talker(lost.said + more)
        found = messages(client().request(1, "GET", "/"), told, gaps={1: [(start, start + 9, 9)]}, ended=("", "closed"))
        assert errors(found)[1] == error


def test_a_tunnel_ends_with_its_connection() -> None:
    asked = client().headers(1, (":method", "CONNECT"), (":authority", "db:1")).data(1, b"\x16\x03", end=False)
    assert cut_off(asked, server().response(1, 200).data(1, b"\x16", end=False)) == ["", ""]
    assert cut_off(asked, server().response(1, 502).data(1, b"no", end=False))[1].startswith("CloseWait:")


# ------------------------------------------------------------------------------------------------ what was not captured
def test_in_the_middle_known_fields_are_read_and_others_marked() -> None:
    talker = Talker()
    talker.request(1, "GET", "/old", ("x-token", "secret"))
    before = len(talker.said)
    talker.request(3, "POST", "/new", ("x-token", "secret")).request(5, "GET", "/old").request(7, "POST", "/new")
    found = messages(Talker(talker.said[before:]), midway=True)
    assert [(message.fields["method"], message.fields["path"]) for message in found] == [
        ("POST", "/new"),
        ("GET", ""),
        ("POST", "/new"),
    ]
    assert errors(found) == ["", "unknown: :path: in a header table from before the capture, or from a gap", ""]
    assert document(found[0])["headers"]["<unknown>"]


def test_frames_are_found_in_the_middle_of_one() -> None:
    rest = b"the rest of a frame \x00\x00\x04\x08 " * 40
    asked = Talker(rest).request(3, "GET", "/found").request(5, "GET", "/next").add(frame(8, 0, b"\0\0\1\0"))
    assert find_frames(asked.said, 0) == len(rest)
    assert [message.fields["path"] for message in messages(asked, midway=True)] == ["/found", "/next"]


def test_data_of_a_stream_from_before_the_capture() -> None:
    asked = Talker().data(1, b"tick", end=False).data(1, b"tock", end=False).data(1, b"end")
    (message,) = messages(asked, midway=True)
    assert message.error == "unknown: the header section was sent before the capture began, or lost"
    assert message.fields["request_body_size"] == 11


def test_the_end_of_a_call_from_before_the_capture() -> None:
    answered = Talker().data(1, grpc_message(b"\x08\x01"), end=False)
    answered.headers(1, ("grpc-status", "14"), ("grpc-message", "gone"), end=True)
    (message,) = messages(Talker(), answered, midway=True)
    assert (message.protocol, message.fields["grpc_status"], message.fields["status_code"]) == ("grpc", 14, 0)
    assert message.error.startswith("unknown: the header section")
    assert document(message)["trailers"] == {"grpc-status": "14", "grpc-message": "gone"}


def test_a_gap_in_a_body() -> None:
    asked = client().request(1, "POST", "/", end=False)
    at = len(asked.said) + 9
    asked.data(1, b"abcdefgh").request(3, "GET", "/next")
    found = messages(asked, gaps={0: [(at + 2, at + 4, 2)]})
    assert errors(found) == [f"incomplete: gap: 2 bytes missing at {at + 2}, in the body", ""]
    assert document(found[0])["postData"]["text"] == "abefgh"
    assert found[1].fields["path"] == "/next"


def test_a_gap_in_a_header_block() -> None:
    asked = client().request(1, "POST", "/a", ("x-a", "1"))
    at = len(asked.said) + 9
    asked.request(3, "GET", "/b", ("x-b", "2")).request(5, "GET", "/c", ("x-b", "2"), ("x-a", "1"))
    found = messages(asked, gaps={0: [(at + 2, at + 5, 3)]})
    assert found[0].error == ""
    assert found[1].error.startswith("gap: 3 bytes missing")
    assert found[2].fields["path"] == "/c"
    assert "x-a" not in document(found[2])["headers"]  # it may be another one now


def test_a_gap_over_frame_headers() -> None:
    asked = client().request(1, "POST", "/a", end=False)
    at = len(asked.said)
    asked.data(1, b"lost").request(3, "GET", "/b").request(5, "GET", "/c").request(7, "GET", "/d")
    found = messages(asked, gaps={0: [(at, at + 9, 2000)]})
    assert [message.fields["path"] for message in found] == ["/a", "/b", "/c", "/d"]
    assert found[0].error == f"incomplete: gap: 2000 bytes missing at {at}"


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        pytest.param(frame(1, 3, b"\x82\xff\xff\xff\xff\xff\xff\xff", END_HEADERS), "35 bits", id="header block"),
        pytest.param(frame(1, 3, b"\x82", 0) + frame(6, 0, bytes(8)), "not continued", id="no continuation"),
        pytest.param(frame(1, 3, b"\x82", END_HEADERS), "no :path", id="no path"),
        pytest.param(frame(1, 3, b"\x82", 0), "truncated: the header block", id="end in a header block"),
        pytest.param(frame(1, 3, b"\x82\x84", END_HEADERS)[:-1], "truncated: the header block", id="end in a frame"),
        pytest.param(frame(0, 3, b"abc")[:-1], "the header section was sent before", id="data alone"),
    ],
)
def test_damage_spoils_one_message(damage: bytes, error: str) -> None:
    found = messages(client().request(1, "GET", "/a").add(damage))
    assert (found[0].fields["path"], found[0].error) == ("/a", "")
    assert error in found[1].error


def test_header_blocks_are_bounded() -> None:
    asked = client().add(frame(1, 1, bytes(16384)))
    for _ in range(40):
        asked.add(frame(9, 1, bytes(16384)))
    found = messages(asked.add(frame(9, 1, b"", END_HEADERS)))
    assert "longer than" in found[0].error


def test_bodies_are_bounded() -> None:
    asked = client().request(1, "PUT", "/", end=False)
    for _ in range(100):
        asked.data(1, bytes(16384), end=False)
    (request,) = messages(asked.data(1, b""))
    assert document(request)["postData"]["bodyTruncated"]
    assert request.fields["request_body_size"] == 100 * 16384


# --------------------------------------------------------------------------------------------------------------- probe
@pytest.mark.parametrize(
    ("stream", "verdict"),
    [
        pytest.param(tcp(PREFACE + SETTINGS), Verdict.MINE, id="preface"),
        pytest.param(tcp(PREFACE[:7]), Verdict.NEED_MORE, id="half a preface"),
        pytest.param(tcp(b"PRI * HTTP/1.1\r\n\r\n"), Verdict.NOT_MINE, id="another preface"),
        pytest.param(tcp(Talker().request(3, "GET", "/").said, midway=True), Verdict.MINE, id="middle"),
        pytest.param(tcp(Talker().request(3, "GET", "/").said), Verdict.NOT_MINE, id="beginning without preface"),
        pytest.param(tcp(b"", Talker().response(3, 200).data(3, b"x").said, midway=True), Verdict.MINE, id="answers"),
        pytest.param(tcp(SETTINGS * 5, midway=True), Verdict.NOT_MINE, id="frames without HTTP"),
        pytest.param(tcp(bytes(5000), bytes(5000), midway=True), Verdict.NOT_MINE, id="zeros"),
        pytest.param(tcp(b"GET / HTTP/1.1\r\n\r\n", midway=True), Verdict.NOT_MINE, id="HTTP/1"),
        pytest.param(FakeStream("udp"), Verdict.NOT_MINE, id="udp"),
    ],
)
def test_probe(stream: FakeStream, verdict: Verdict) -> None:
    assert http2.probe(http2.HTTP2, [stream]) == [verdict]


def test_its_other_protocols_claim_nothing() -> None:
    for protocol in http2.protocols()[1:]:
        assert http2.probe(protocol, [tcp(PREFACE)]) == [Verdict.NOT_MINE]


# ------------------------------------------------------------------------------------------------------ gRPC and others
GRPC = ("content-type", "application/grpc+proto")


def test_grpc() -> None:
    asked = client().request(1, "POST", "/demo.Greeter/SayHello", GRPC, ("te", "trailers"), end=False)
    asked.data(1, grpc_message(b"\x0a\x05world\x10\x96\x01"))
    answered = server().response(1, 200, GRPC).data(1, grpc_message(b"\x0a\x02hi"), end=False)
    answered.headers(1, ("grpc-status", "5"), ("grpc-message", "no%20such"), end=True)
    request, response = pair(asked, answered)
    assert (request.protocol, response.protocol) == ("grpc", "grpc")
    assert (request.fields["grpc_service"], request.fields["grpc_method"]) == ("demo.Greeter", "SayHello")
    assert (response.fields["grpc_status"], response.fields["grpc_message"]) == (5, "no such")
    assert document(request)["grpc"] == {
        "service": "demo.Greeter",
        "method": "SayHello",
        "messages": [
            {
                "compressed": False,
                "length": 10,
                "fields": [
                    {"number": 1, "type": "text", "value": "world"},
                    {"number": 2, "type": "varint", "value": 150},
                ],
            }
        ],
    }
    assert document(response)["grpc"]["message"] == "no such"


def test_grpc_status_of_trailers_alone() -> None:
    answered = server().response(1, 200, GRPC, ("grpc-status", "12"), end=True)
    _, response = pair(client().request(1, "POST", "/a/b", GRPC), answered)
    assert response.fields["grpc_status"] == 12


def test_grpc_is_known_by_either_half() -> None:
    answered = server().response(1, 200).data(1, b"", end=False).headers(1, ("grpc-status", "0"), end=True)
    request, response = pair(client().request(1, "POST", "/a/b"), answered)
    assert (request.protocol, response.protocol, response.fields["grpc_status"]) == ("grpc", "grpc", 0)


def test_graphql() -> None:
    body = json.dumps({"query": "mutation Buy($n: Int) { buy(n: $n) { id } }", "variables": {"n": 2}}).encode()
    asked = client().request(1, "POST", "/graphql", ("content-type", "application/json"), end=False).data(1, body)
    (request,) = messages(asked)
    assert (request.protocol, request.fields["gql_operation"], request.fields["gql_name"]) == ("gql", "mutation", "Buy")
    assert document(request)["graphql"]["variables"] == {"n": 2}


# ----------------------------------------------------------------------------------------------------------- any damage
ASKED = client().request(1, "POST", "/a.B/C", GRPC, ("x-a", "1"), end=False).data(
    1, grpc_message(b"\x0a\x05world")
).said + frame(8, 0, b"\0\0\1\0")
ANSWERED = (
    server()
    .response(1, 200, GRPC)
    .data(1, grpc_message(b"\x0a\x02hi"), end=False)
    .headers(1, ("grpc-status", "5"), end=True)
    .said
)


def assert_in_bounds(stream: FakeStream) -> None:
    for message in http2.dissect(http2.HTTP2, [stream])[0]:
        if isinstance(message, Handover):
            continue
        assert 0 <= message.interleaved < message.end - message.start
        assert 0 <= message.start < message.end <= len(stream.sides[message.direction].data)
        json.dumps(document(message))
    http2.probe(http2.HTTP2, [stream])


@given(damaged_streams(ASKED, ANSWERED, 80))
def test_any_damage(stream: FakeStream) -> None:
    assert_in_bounds(stream)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes(data: bytes, midway: bool) -> None:
    assert_in_bounds(tcp(PREFACE + data, data, midway=midway))


@pytest.mark.parametrize("length", range(0, len(ASKED), 3))
def test_every_cut(length: int) -> None:
    found = messages(Talker(ASKED[:length]), Talker(ANSWERED))
    assert_in_bounds(tcp(ASKED[:length], ANSWERED))
    assert [message.fields["grpc_status"] for message in found if message.kind == MessageKind.RESPONSE] == [5]
