"""HTTP/1 streams in, messages out."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Ending, Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.web import http1

from .._streams import FakeStream, Side, tcp

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def messages(stream: FakeStream) -> list[Message]:
    return [found for found in http1.dissect(http1.HTTP1, [stream])[0] if isinstance(found, Message)]


def handed_over(stream: FakeStream) -> list[tuple[str, bytes, bytes]]:
    """(protocol, client's rest, server's rest) of what was handed over."""
    found = [found for found in http1.dissect(http1.HTTP1, [stream])[0] if isinstance(found, Handover)]
    return [(one.protocol, bytes(one.sides[0].data), bytes(one.sides[1].data)) for one in found]


def requests(data: bytes, server: bytes = b"", **options: Any) -> list[Message]:
    return [message for message in messages(tcp(data, server, **options)) if message.kind == MessageKind.REQUEST]


def responses(data: bytes, client: bytes = b"", **options: Any) -> list[Message]:
    return [message for message in messages(tcp(client, data, **options)) if message.kind == MessageKind.RESPONSE]


def spans(found: list[Message]) -> list[tuple[int, int]]:
    return [(message.start, message.end) for message in found]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def variables(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[0])


# ------------------------------------------------------------------------------------------------------------- summary
def test_summary_of_a_request() -> None:
    wire = b"POST /v1/items?dry=1 HTTP/1.0\r\nhost:  shop:80 \r\nContent-Length: 3\r\n\r\nabc"
    (message,) = requests(wire)
    assert message.fields == {
        "method": "POST",
        "url": "/v1/items?dry=1",
        "path": "/v1/items",
        "http_version": "HTTP/1.0",
        "host": "shop:80",
        "request_headers_size": len(wire) - 3,
        "request_body_size": 3,
        "path_segments": ["v1", "items"],
    }
    assert (message.start, message.end, message.error) == (0, len(wire), "")


def test_summary_of_a_response() -> None:
    (message,) = responses(b"HTTP/1.1 404 Not Found\r\nContent-Type: Text/HTML; charset=utf-8\r\n\r\ngone")
    assert message.fields == {
        "status_code": 404,
        "http_version": "HTTP/1.1",
        "content_type": "text/html",
        "response_headers_size": 66,
        "response_body_size": 4,
    }


@pytest.mark.parametrize(
    ("target", "url", "path"),
    [
        ("/a?b=c?d", "/a?b=c?d", "/a"),
        ("*", "*", "*"),
        ("h:443", "h:443", "h:443"),
        ("http://h/a?b", "/a?b", "/a"),
        ("http://h", "/", "/"),
        ("http://h?x=/", "/?x=/", "/"),
        ("/go?to=http://h/", "/go?to=http://h/", "/go"),
        ("/a b", "/a b", "/a b"),
        ("/\xe4", "/\xe4", "/\xe4"),
    ],
)
def test_target_forms(target: str, url: str, path: str) -> None:
    (message,) = requests(b"GET %s HTTP/1.1\r\n\r\n" % target.encode("latin-1"))
    assert (message.fields["url"], message.fields["path"]) == (url, path)
    assert document(message)["targetUri"] == target


# ------------------------------------------------------------------------------------------------------------- framing
@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"Content-Length: 3\r\n\r\nabc",
        b"content-length : 0\r\n\r\n",
        b"CONTENT-LENGTH:\t3 \r\n\r\nabc",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 1\r\n\r\n3;name=value\r\nabc\r\n0;x\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n003\r\nabc\r\nA \r\n0123456789\r\n00\r\nT: 1\r\nU: 2\r\n\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n\r\n3\nabc\n0\n\n",
        b"Bare: LF\nContent-Length: 3\n\nabc",
        b"Folded: a\r\n Content-Length: 9\r\n\r\n",
    ],
)
def test_next_message_begins_where_this_one_ends(body: bytes) -> None:
    first = b"PUT /1 HTTP/1.1\r\n" + body
    assert spans(requests(first + GET + GET)) == [
        (0, len(first)),
        (len(first), len(first + GET)),
        (len(first + GET), len(first + GET + GET)),
    ]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"205 X\r\nContent-Length: 0"])
def test_responses_without_body(status: bytes) -> None:
    first = b"HTTP/1.1 %s\r\n\r\n" % status
    assert spans(responses(first + OK)) == [(0, len(first)), (len(first), len(first + OK))]


def test_response_to_head_has_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    asked = b"HEAD /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"
    assert spans(responses(head + OK, asked)) == [(0, len(head)), (len(head), len(head + OK))]


def test_response_to_an_unseen_head_has_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    assert spans(responses(head + OK)) == [(0, len(head)), (len(head), len(head + OK))]


def test_answer_from_before_the_capture_takes_no_request() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    asked = Side(memoryview(b"HEAD /1 HTTP/1.1\r\n\r\n"), (), True, ((0, 50),))
    answered = Side(memoryview(OK + head), (), True, ((0, 0), (len(OK), 100)))
    found = messages(FakeStream(sides=(asked, answered)))
    assert [message.error for message in found] == ["", "", ""]


def test_interim_responses_are_not_final_and_switching_is() -> None:
    wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    assert [message.final for message in responses(wire)] == [False, False, True]
    (switch,) = responses(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n\x81\x05hello")
    assert switch.final
    assert switch.fields["http_upgrade"] == "websocket"
    assert switch.end == 56


def test_tunnel_ends_http_on_both_sides() -> None:
    asked = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"
    agreed = b"HTTP/1.1 200 Connection established\r\n\r\n"
    found = messages(tcp(asked + b"\x16\x03\x01 tls", agreed + b"\x16\x03\x03 tls"))
    assert spans(found) == [(0, len(asked)), (0, len(agreed))]
    assert found[1].fields["http_upgrade"] == "connect"
    assert [message.error for message in found] == ["", ""]


CONNECT = b"CONNECT h:80 HTTP/1.1\r\n\r\n"
AGREED = b"HTTP/1.1 200 OK\r\n\r\n"
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n\r\n"


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        pytest.param(CONNECT + GET, AGREED + OK, ("", GET, OK), id="tunnel with HTTP"),
        pytest.param(GET + CONNECT + b"\x16\x03", OK + AGREED + b"", ("", b"\x16\x03", b""), id="tunnel later"),
        pytest.param(
            UPGRADE % b"websocket" + b"\x81", SWITCHED % b"WebSocket" + b"\x88", ("ws", b"\x81", b"\x88"), id="ws"
        ),
        pytest.param(UPGRADE % b"h2c" + b"PRI", SWITCHED % b"h2c" + b"\0", ("http2", b"PRI", b"\0"), id="h2c"),
        pytest.param(UPGRADE % b"TLS/1.0" + b"\x16", SWITCHED % b"TLS/1.0" + b"\x16", ("", b"\x16", b"\x16"), id="tls"),
        pytest.param(UPGRADE % b"websocket" + b"\x81\x80", b"", ("ws", b"\x81\x80", b""), id="only the client"),
        pytest.param(b"", SWITCHED % b"websocket" + b"\x81\0", ("ws", b"", b"\x81\0"), id="only the server"),
    ],
)
def test_the_rest_is_handed_over(client: bytes, server: bytes, expected: tuple[str, bytes, bytes]) -> None:
    assert handed_over(tcp(client, server)) == [expected]
    assert all(not message.error for message in messages(tcp(client, server)))


def test_what_is_handed_over_keeps_its_side() -> None:
    assert handed_over(tcp(SWITCHED % b"websocket" + b"\x81\0", UPGRADE % b"websocket" + b"\x82\x80")) == [
        ("ws", b"\x81\0", b"\x82\x80")
    ]


@pytest.mark.parametrize(
    ("client", "server"),
    [
        pytest.param(UPGRADE % b"h2c" + GET, OK + OK, id="upgrade not wanted"),
        pytest.param(CONNECT, b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", id="tunnel refused"),
        pytest.param(UPGRADE % b"websocket", SWITCHED % b"websocket", id="nothing behind it"),
    ],
)
def test_nothing_is_handed_over(client: bytes, server: bytes) -> None:
    assert handed_over(tcp(client, server)) == []


def test_an_answer_from_before_the_capture_does_not_hide_the_upgrade() -> None:
    client = UPGRADE % b"websocket" + b"\x81\x80"
    for asked, answered in ((client, OK + SWITCHED % b"websocket"), (GET + client, SWITCHED % b"websocket")):
        assert handed_over(tcp(asked, answered, midway=True)) == [("ws", b"\x81\x80", b"")]


def test_subprotocol_of_a_websocket() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    (message,) = responses(switched, UPGRADE % b"websocket")
    assert message.fields["ws_subprotocol"] == "mqtt"


def test_refused_tunnel_has_a_body() -> None:
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"
    assert spans(responses(refused + OK, b"CONNECT h:443 HTTP/1.1\r\n\r\n" + GET))[0] == (0, len(refused))


def test_body_until_close() -> None:
    wire = b"HTTP/1.0 200 OK\r\n\r\nall of it HTTP/1.1 200 OK\r\n\r\n"
    assert spans(responses(wire, GET)) == [(0, len(wire))]


def test_empty_lines_before_a_start_line_belong_to_nobody() -> None:
    assert spans(requests(b"\r\n\r\n" + GET + b"\r\n" + GET)) == [(4, 4 + len(GET)), (6 + len(GET), 6 + 2 * len(GET))]


def test_sides_may_be_the_other_way_round() -> None:
    found = messages(tcp(OK, GET))
    assert {message.kind: message.direction for message in found} == {MessageKind.REQUEST: 1, MessageKind.RESPONSE: 0}


# ---------------------------------------------------------------------------------------------------- on top of HTTP/1
def post(media: str, body: bytes, target: str = "/", *more: str) -> bytes:
    headers = "".join(f"{header}\r\n" for header in (f"Content-Type: {media}", *more))
    return f"POST {target} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_graphql_is_a_protocol_of_its_own() -> None:
    body = b'{"query": "query Hero { hero }", "variables": {"a": 1}}'
    for wire in (
        post("application/json; charset=utf-8", body),
        post("application/json", gzip.compress(body, mtime=0), "/", "Content-Encoding: gzip"),
    ):
        (message,) = requests(wire)
        assert (message.protocol, message.fields["gql_operation"], message.fields["gql_name"]) == (
            "gql",
            "query",
            "Hero",
        )
        assert document(message)["graphql"] == {
            "operation": "query",
            "name": "Hero",
            "query": "query Hero { hero }",
            "variables": {"a": 1},
        }


def test_other_json_is_not_graphql() -> None:
    (message,) = requests(post("application/json", b'{"query": {"match_all": {}}}', "/logs/_search"))
    assert (message.protocol, message.fields["es_operation"], message.fields["es_index"]) == ("", "search", "logs")
    assert "graphql" not in document(message)


def test_graphql_in_the_url() -> None:
    (message,) = requests(b"GET /graphql?query=%7Bhero%7Bname%7D%7D HTTP/1.1\r\n\r\n")
    assert (message.protocol, message.fields["gql_operation"]) == ("gql", "query")


def test_grpc_web() -> None:
    body = b"\0\0\0\0\2\x08\x01"
    trailers = b"\x80\0\0\0\x21grpc-status:3\r\ngrpc-message:bad\r\n"
    (asked,) = requests(post("application/grpc-web+proto", body, "/demo.Greeter/Hi"))
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: %d\r\n\r\n"
    (answered,) = responses(answer % len(body + trailers) + body + trailers)
    assert (asked.protocol, asked.fields["grpc_service"], asked.fields["grpc_method"]) == ("grpc", "demo.Greeter", "Hi")
    assert (answered.protocol, answered.fields["grpc_status"], answered.fields["grpc_message"]) == ("grpc", 3, "bad")
    assert [message["length"] for message in document(answered)["grpc"]["messages"]] == [2]
    assert document(answered)["grpc"]["message"] == "bad"


def test_server_sent_events() -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    (message,) = responses(wire + b"8\r\ndata: a\n\r\n13\r\n\nevent: b\ndata: c\n\n\r\n0\r\n\r\n")
    assert variables(message)["sse_events"] == ["a", "c"]
    assert [event["event"] for event in document(message)["sseEvents"]] == ["message", "b"]


def test_its_other_protocols_claim_nothing() -> None:
    for protocol in http1.protocols()[1:]:
        assert http1.probe(protocol, [tcp(GET)]) == [Verdict.NOT_MINE]


# ---------------------------------------------------------------------------------------------------- damage and limits
CHUNKED = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [b"Content-Length: 3\r\nContent-Length: 3", b"Content-Length: 3\r\nContent-Length:"])
def test_a_head_that_is_cut_inside_of_a_second_length(head: bytes) -> None:
    (message,) = messages(tcp(b"POST /x HTTP/1.1\r\nHost: a\r\n" + head))
    assert message.error.startswith("truncated:")


TWO_LENGTHS = "malformed: Content-Length values contradict each other"


@pytest.mark.parametrize(
    ("damaged", "error"),
    [
        (b"what is this?\r\n\r\n", "malformed: 17 bytes at 0 start no message"),
        (b"GET /1\r\nHost: h\r\n\r\n", "malformed: 19 bytes at 0 start no message"),
        (b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "malformed: Content-Length is not a number"),
        (b"PUT / HTTP/1.1\r\nContent-Length: -3\r\n\r\n", "malformed: Content-Length is not a number"),
        (
            b"PUT / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\nabc",
            TWO_LENGTHS,
        ),
        (
            b"PUT / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            TWO_LENGTHS,
        ),
        (
            CHUNKED + b"xyz, no chunk at all\r\n",
            "malformed: no chunk size at 46",
        ),
        (
            CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
            "malformed: no chunk size at 52",
        ),
        (
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            "malformed: a request's transfer coding does not end with chunked",
        ),
        (
            b"PUT / HTTP/1.1\r\nX: " + b"y" * http1.MAX_HEAD + b"\r\n\r\n",
            "malformed: header section longer than 65536 bytes",
        ),
    ],
)
def test_damage_spoils_one_message(damaged: bytes, error: str) -> None:
    first, second = requests(damaged + GET)
    assert first.error == error
    assert (second.fields["path"], second.error) == ("/a", "")
    assert (second.start, second.end) == (len(damaged), len(damaged + GET))


def test_damaged_answer_keeps_its_place() -> None:
    found = responses(OK + b"HTTQ/1.1 200 OK\r\n\r\n" + OK, GET * 3)
    assert [message.error for message in found] == ["", "malformed: 19 bytes at 40 start no message", ""]
    assert document(found[1])["content"]["text"] == "HTTQ/1.1 200 OK\r\n\r\n"


def test_what_follows_a_body_is_blamed_on_it() -> None:
    first, second = responses(OK + b"!!" + OK, GET + GET)
    assert first.error == f"malformed: 2 bytes at {len(OK)} behind the end start no message"
    assert (first.end, second.start, second.error) == (len(OK) + 2, len(OK) + 2, "")


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"PUT / HTTP/1.1\r\nHost: h", "truncated: the header section ends early"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", "truncated: 2 bytes of the body were not captured"),
        (CHUNKED + b"5\r\nabc", "truncated: the chunked body ends early"),
        (CHUNKED + b"3\r\nabc\r\n", "truncated: the chunked body ends early"),
        (CHUNKED + b"0\r\nT: v", "truncated: the trailer section ends early"),
    ],
)
def test_early_end(wire: bytes, error: str) -> None:
    (message,) = requests(wire)
    assert (message.error, message.end) == (error, len(wire))


PUT = b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"
EXPECTS = b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n"
REFUSED = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "ended", "error"),
    [
        (PUT, "closed", "CloseWait: the connection was closed after 3 of 9 bytes of the body"),
        (PUT, "reset", "Reset: the connection was reset after 3 of 9 bytes of the body"),
        (PUT, "refused", "Reset: the connection was reset after 3 of 9 bytes of the body"),
        (PUT[:-3], "closed", "CloseWait: the connection was closed after 0 of 9 bytes of the body"),
        (CHUNKED + b"5\r\nabc", "closed", "CloseWait: the connection was closed before the chunked body ended"),
        (CHUNKED + b"0\r\nT: v", "reset", "Reset: the connection was reset before the chunked body ended"),
        (b"PUT / HTTP/1.1\r\nHost: h", "closed", "truncated: the header section ends early"),
        (PUT + b"defghi", "closed", ""),
        (GET, "closed", ""),
    ],
)
def test_a_body_inside_which_the_connection_ended(wire: bytes, ended: Ending, error: str) -> None:
    (message,) = requests(GET + wire, ended=(ended, ""))[1:]
    assert (message.error, message.end) == (error, len(GET + wire))


def test_the_end_of_a_connection_hides_no_gap() -> None:
    lost = PUT[:-2] + b"\0\0"
    (message,) = requests(lost, gaps={0: [(len(lost) - 2, len(lost), 2)]}, ended=("closed", ""))
    assert message.error == "truncated: 6 bytes of the body were not captured"


def test_an_answer_is_cut_by_the_end_of_its_own_side() -> None:
    cut = OK[:-1]
    assert [message.error for message in responses(cut, GET, ended=("closed", ""))] == [
        "truncated: 1 bytes of the body were not captured"
    ]
    (message,) = responses(cut, GET, ended=("", "closed"))
    assert message.error == "CloseWait: the connection was closed after 1 of 2 bytes of the body"


@pytest.mark.parametrize(
    ("client", "server", "ended", "error"),
    [
        (EXPECTS, REFUSED, "", ""),
        (EXPECTS, REFUSED, "closed", ""),
        (EXPECTS, HINTS + REFUSED, "", ""),
        (EXPECTS, b"", "", "truncated: 5 bytes of the body were not captured"),
        (EXPECTS, CONTINUE, "", "truncated: 5 bytes of the body were not captured"),
        (EXPECTS, CONTINUE + OK, "", "truncated: 5 bytes of the body were not captured"),
        (
            EXPECTS,
            CONTINUE + b"HTTP/1.1 103 Early\r\n\r\n" + OK,
            "",
            "truncated: 5 bytes of the body were not captured",
        ),
        (EXPECTS + b"ab", REFUSED, "", "truncated: 3 bytes of the body were not captured"),
        (EXPECTS + b"abcde", CONTINUE + OK, "", ""),
        (EXPECTS.replace(b"Expect", b"Except"), REFUSED, "", "truncated: 5 bytes of the body were not captured"),
    ],
)
def test_a_body_that_nobody_asked_for(client: bytes, server: bytes, ended: Ending, error: str) -> None:
    (message,) = requests(client, server, ended=(ended, ""))
    assert message.error == error


def test_the_next_request_is_no_body_that_nobody_asked_for() -> None:
    chunked = EXPECTS.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    for refused in (EXPECTS, chunked):
        found = requests(refused + GET + refused + b"GET me", REFUSED + OK + REFUSED)
        assert [(message.fields["method"], message.start) for message in found] == [
            ("PUT", 0),
            ("GET", len(refused)),
            ("PUT", len(refused + GET)),
        ]
        assert [message.error for message in found[:2]] == ["", ""]


def test_chunk_size_beyond_every_number_hides_no_request() -> None:
    wire = CHUNKED + b"10000000000000000\r\n" + GET
    (message,) = requests(wire)
    assert message.error == "truncated: the chunked body ends early"


def test_capture_that_begins_inside_a_body() -> None:
    found = messages(tcp(b"end of a body" + GET, b"...HTTP/1.1 x HTTP/1.1 200 OK\r\nA: b\r\n\r\n", midway=True))
    assert spans(found) == [(13, 13 + len(GET)), (14, 39)]
    assert [message.error for message in found] == ["", ""]


def test_capture_that_begins_with_a_message() -> None:
    found = requests(b"GET /a b HTTP/1.1\r\n\r\n" + GET, midway=True)
    assert [message.fields["url"] for message in found] == ["/a b", "/a"]


def test_text_about_http_starts_no_message() -> None:
    assert messages(tcp(b"", b"HTTP/1.1 200 OK is what a server says, GET / HTTP/1.1 what you say", midway=True)) == []


# ---------------------------------------------------------------------------------------------------------------- gaps
def test_gap_in_a_body_keeps_framing() -> None:
    wire = b"PUT / HTTP/1.1\r\nContent-Length: 6\r\n\r\nab\0\0ef"
    first, second = requests(wire + GET, gaps={0: [(39, 41, 2)]})
    assert first.error == "gap: 2 bytes missing at 39, in the body"
    assert document(first)["postData"]["text"] == "abef"
    assert (second.start, second.error) == (len(wire), "")


def test_capped_gap_in_a_body_keeps_framing() -> None:
    wire = b"PUT / HTTP/1.1\r\nContent-Length: 1004\r\n\r\nab\0\0ef"
    first, second = requests(wire + GET, gaps={0: [(42, 44, 1000)]})
    assert first.error == "gap: 1000 bytes missing at 42, in the body"
    assert second.start == len(wire)


def test_gap_in_a_head_spoils_that_message() -> None:
    wire = b"PUT /1 HTTP/1.1\r\nA: b\0\0\0\0\0\r\nC: d\r\n\r\nbody?"
    first, second = requests(wire + GET, gaps={0: [(21, 26, 5)]})
    assert first.error == "gap: 5 bytes missing at 21, in the header section"
    assert (first.fields["path"], second.start) == ("/1", len(wire))


def test_gap_over_a_chunk_size() -> None:
    wire = b"PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\0\0\0\0\0def\r\n0\r\n\r\n"
    first, second = requests(wire + GET, gaps={0: [(53, 58, 5)]})
    assert first.error.startswith("gap: 5 bytes missing at 53")
    assert second.start == len(wire)


def test_gap_between_messages_loses_only_what_it_hides() -> None:
    wire = GET + bytes(50) + b"tail of a lost one\r\n\r\n"
    first, second = requests(wire + GET, gaps={0: [(len(GET), len(GET) + 50, 50)]})
    assert (first.error, second.error, second.start) == ("", "", len(wire))


# -------------------------------------------------------------------------------------------------------------- detail
def test_document_of_a_request() -> None:
    wire = (
        b"PUT /v1/items/17?dry=1&a=%20b&dry=2 HTTP/1.1\r\nHost: stock.shop:8080\r\nContent-Type: application/json\r\n"
        b"Accept: application/json\r\nContent-Length: 12\r\naccept: text/plain\r\nCookie: sid=b7; x=y=z\r\n\r\n"
        b'{"count": 1}'
    )
    (message,) = requests(wire)
    assert document(message) == {
        "method": "PUT",
        "url": "/v1/items/17?dry=1&a=%20b&dry=2",
        "targetUri": "/v1/items/17?dry=1&a=%20b&dry=2",
        "path": "/v1/items/17",
        "pathSegments": ["v1", "items", "17"],
        "httpVersion": "HTTP/1.1",
        "headers": {
            "Host": "stock.shop:8080",
            "Content-Type": "application/json",
            "Accept": ["application/json", "text/plain"],
            "Content-Length": "12",
            "Cookie": "sid=b7; x=y=z",
        },
        "cookies": {"sid": "b7", "x": "y=z"},
        "queryString": {"dry": ["1", "2"], "a": " b"},
        "headersSize": len(wire) - 12,
        "bodySize": 12,
        "postData": {"mimeType": "application/json", "text": '{"count": 1}', "params": []},
    }
    assert variables(message) == {
        "request.headers": {
            "host": "stock.shop:8080",
            "content-type": "application/json",
            "accept": "application/json,text/plain",
            "content-length": "12",
            "cookie": "sid=b7; x=y=z",
        },
        "request.cookies": {"sid": "b7", "x": "y=z"},
        "query_string": {"dry": "1,2", "a": " b"},
        "request_body": '{"count": 1}',
        "request_body_truncated": False,
    }


def test_document_of_a_response() -> None:
    wire = (
        b"HTTP/1.1 302 Found here\r\nLocation: /b\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nFolded: x\r\n\ty\r\n"
        b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n4\r\n you\r\n0\r\nSum: 8\r\n\r\n"
    )
    (message,) = responses(wire)
    assert document(message) == {
        "status": 302,
        "statusText": "Found here",
        "httpVersion": "HTTP/1.1",
        "headers": {
            "Location": "/b",
            "Set-Cookie": ["a=1; Path=/", "b=2"],
            "Folded": "x y",
            "Content-Type": "text/plain",
            "Transfer-Encoding": "chunked",
        },
        "cookies": {"a": "1", "b": "2"},
        "content": {"size": 9, "mimeType": "text/plain", "encoding": "", "text": "hello you"},
        "redirectURL": "/b",
        "headersSize": 152,
        "bodySize": len(wire) - 152,
        "trailers": {"Sum": "8"},
    }


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_coded_body_is_shown_decoded(coding: str, encode: Any) -> None:
    coded = encode(b"clear text")
    wire = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(coded))
    (message,) = responses(wire + coded)
    assert document(message)["content"]["text"] == "clear text"
    assert document(message)["bodySize"] == len(coded)
    assert variables(message)["response_body"] == "clear text"


# --------------------------------------------------------------------------------------------------------------- probe
@pytest.mark.parametrize(
    ("client", "server", "midway", "verdict"),
    [
        (GET, b"", False, Verdict.MINE),
        (b"", OK, False, Verdict.MINE),
        (b"\r\n" + GET, b"", False, Verdict.MINE),
        (b"BREW /pot HTTP/1.1\r\n\r\n", b"", False, Verdict.MINE),
        (b"GET /" + b"x" * 300, b"", False, Verdict.NEED_MORE),
        (b"GET", b"", False, Verdict.NEED_MORE),
        (b"GET key\r\n", b"", False, Verdict.NOT_MINE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", False, Verdict.NOT_MINE),
        (b"tail " + GET, b"", False, Verdict.NOT_MINE),
        (b"tail " + GET, b"", True, Verdict.MINE),
        (b"", b"", False, Verdict.NOT_MINE),
        (b"\x16\x03\x01\x02\x00\x01", b"", False, Verdict.NOT_MINE),
        (b"OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n", b"", False, Verdict.NOT_MINE),
    ],
)
def test_probe(client: bytes, server: bytes, midway: bool, verdict: Verdict) -> None:
    assert http1.probe(http1.HTTP1, [tcp(client, server, midway=midway)]) == [verdict]


# ---------------------------------------------------------------------------------------------------------- properties
HEADS = st.sampled_from(
    [
        GET,
        OK,
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        CHUNKED + b"",
    ]
)
PIECES = st.one_of(
    HEADS, st.binary(max_size=20), st.sampled_from([b"3\r\nabc\r\n", b"0\r\n\r\n", b"\r\n", b"Content-Length: 9"])
)
WIRES = st.lists(PIECES, max_size=8).map(b"".join)


@given(WIRES, WIRES, st.booleans(), st.tuples(st.integers(0, 99), st.integers(1, 9), st.integers(0, 99)))
def test_nothing_crashes_and_messages_never_overlap(
    client: bytes, server: bytes, midway: bool, gap: tuple[int, int, int]
) -> None:
    start, length, surplus = gap
    gaps = {0: [(start, start + length, length + surplus)]} if start + length <= len(client) else {}
    stream = tcp(client, server, midway=midway, gaps=gaps)
    assert http1.probe(http1.HTTP1, [stream])
    found = messages(stream)
    for direction in (0, 1):
        at = 0
        for message in (message for message in found if message.direction == direction):
            assert at <= message.start <= message.end <= len(stream.sides[direction].data)
            at = message.end
            document(message)


@given(st.lists(st.tuples(st.sampled_from(["GET", "PUT", "HEAD"]), st.binary(max_size=50), st.booleans()), max_size=5))
def test_what_h11_writes_is_read_back(exchanges: list[tuple[str, bytes, bool]]) -> None:
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    sent, answered = bytearray(), bytearray()
    for method, body, chunked in exchanges:
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
        end = h11.EndOfMessage()
        asked = h11.Request(method=method, target="/x", headers=[("Host", "h"), framing])
        wire = b"".join(filter(None, map(client.send, (asked, h11.Data(data=body), end))))
        sent += wire
        server.receive_data(wire)
        while type(server.next_event()) is not h11.EndOfMessage:
            pass
        response = h11.Response(status_code=200, headers=[framing])
        data = [] if method == "HEAD" else [h11.Data(data=body)]
        wire = b"".join(filter(None, map(server.send, (response, *data, end))))
        answered += wire
        client.receive_data(wire)
        while type(client.next_event()) is not h11.EndOfMessage:
            pass
        client.start_next_cycle()
        server.start_next_cycle()
    found = messages(tcp(bytes(sent), bytes(answered)))
    assert [message.error for message in found] == [""] * 2 * len(exchanges)
    for (method, body, _), asked, response in zip(exchanges, found, found[len(exchanges) :], strict=False):
        assert asked.fields["method"] == method
        assert variables(asked)["request_body"] == body.decode("utf-8", "replace")
        answer = b"" if method == "HEAD" else body
        assert variables(response)["response_body"] == answer.decode("utf-8", "replace")


@given(st.integers(0, 4 * len(GET) - 1), st.binary(min_size=1, max_size=1))
def test_a_hostile_byte_spoils_at_most_one_of_four(at: int, byte: bytes) -> None:
    wire = bytearray(GET * 4)
    wire[at : at + 1] = byte
    hit = at // len(GET)
    good = {message.start for message in requests(bytes(wire)) if message.end - message.start == len(GET)}
    # a byte that makes the head longer swallows the message behind it, never more
    assert len({n * len(GET) for n in range(4) if n not in (hit, hit + 1)} - good) == 0
