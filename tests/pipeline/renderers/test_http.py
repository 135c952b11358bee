"""What an HTTP exchange looks like."""

from __future__ import annotations

from kubeshark.extension_api import Section, TableRow
from kubeshark.pipeline.dissectors.web import http1, http2
from kubeshark.pipeline.renderers import http

from ..dissectors._streams import tcp
from ..dissectors.web._http2_bytes import PREFACE, Talker, grpc_message
from ._entries import FakeEntry

REQUEST = b"PUT /a?b=c HTTP/1.1\r\nHost: h\r\nX: 1\r\nx: 2\r\nCookie: s=1\r\nContent-Length: 2\r\n\r\nhi"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 2\r\n\r\n\xff\xd8"


def entry(request: bytes, response: bytes = b"") -> FakeEntry:
    return FakeEntry(http1.HTTP1, tuple(http1.dissect(http1.HTTP1, [tcp(request, response)])[0]))


def test_request_sections() -> None:
    shown = http.render(entry(REQUEST))
    assert shown
    assert shown.response == ()
    summary, headers, cookies, query, body = shown.request
    assert summary.rows[:3] == (
        TableRow("Method", "PUT", "method"),
        TableRow("URL", "/a?b=c", "url"),
        TableRow("Path", "/a", "path"),
    )
    assert headers.rows[1] == TableRow("X", "1,2", 'request.headers["x"]')
    assert cookies.rows == (TableRow("s", "1", 'request.cookies["s"]'),)
    assert query.rows == (TableRow("b", "c", 'query_string["b"]'),)
    assert body == Section("body", "Body", body="hi", selector="request_body")


def test_bytes_have_no_selector() -> None:
    shown = http.render(entry(REQUEST, RESPONSE))
    assert shown
    assert shown.response[-1] == Section("body", "Body", body="/9g=", encoding="base64", mime_type="image/png")


def test_row() -> None:
    assert http.summarize(entry(REQUEST, RESPONSE)) == {
        "method": "PUT",
        "methodQuery": 'method == "PUT"',
        "summary": "/a",
        "summaryQuery": 'path == "/a"',
        "status": 200,
        "statusQuery": "status_code == 200",
    }


def test_what_was_cut_or_not_undone_is_said() -> None:
    coded = b"HTTP/1.1 200 OK\r\nContent-Encoding: dcb\r\nContent-Length: 2\r\n\r\nxx"
    shown = http.render(entry(b"", coded))
    assert shown
    assert shown.response[-1].title == "Body: content coding 'dcb' is not undone"
    large = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20)
    shown = http.render(entry(b"", large))
    assert shown
    assert shown.response[-1].title == "Body (cut)"


GRPC = ("content-type", "application/grpc")


def call(status: str = "") -> FakeEntry:
    asked = Talker(PREFACE).request(1, "POST", "/demo.Greeter/Hi", GRPC, end=False).data(1, grpc_message(b"\x08\x01"))
    answered = Talker()
    if status:
        answered.response(1, 200, GRPC, ("grpc-status", status), ("grpc-message", "gone"), end=True)
    spec = http2.protocols()[1]
    return FakeEntry(spec, tuple(http2.dissect(spec, [tcp(asked.said, answered.said)])[0]))


def test_row_of_a_call() -> None:
    assert http.summarize(call("5")) == {
        "method": "Hi",
        "methodQuery": 'grpc_method == "Hi"',
        "summary": "/demo.Greeter/Hi",
        "summaryQuery": 'path == "/demo.Greeter/Hi"',
        "status": 5,
        "statusQuery": "grpc_status == 5",
    }
    half = http.summarize(call())
    assert half
    assert (half["status"], half["statusQuery"]) == (0, "")


def test_a_call_shows_its_messages() -> None:
    shown = http.render(call("5"))
    assert shown
    assert shown.request[-2].rows == (
        TableRow("Service", "demo.Greeter", "grpc_service"),
        TableRow("Method", "Hi", "grpc_method"),
    )
    assert '"varint"' in shown.request[-1].body
    assert TableRow("Message", "gone", "grpc_message") in shown.response[-1].rows


def test_graphql_shows_its_document() -> None:
    body = b'{"query": "query A { a }", "variables": {"n": 1}}'
    wire = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    shown = http.render(entry(wire))
    assert shown
    assert [section.title for section in shown.request[-3:]] == ["GraphQL", "Document", "Variables"]
    assert shown.request[-2].body == "query A { a }"


def test_events_are_listed() -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: add\ndata: 1\n\ndata: 2\n\n"
    shown = http.render(entry(b"", wire))
    assert shown
    assert shown.response[-1].rows == (TableRow("add", "1"), TableRow("message", "2"))
