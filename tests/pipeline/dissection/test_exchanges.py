"""Numbers, what is wrong with half a connection, messages that are in doubt, and entries made of a scanner's rows."""

from __future__ import annotations

import pytest

from kubeshark.core_capture import load_core
from kubeshark.extension_api import CLIENT, SERVER, MessageKind
from kubeshark.pipeline import Entry
from kubeshark.pipeline.dissection._exchanges import reader_of
from kubeshark.pipeline.dissectors.network import dns as dns_dissector
from kubeshark.pipeline.dissectors.web import http1
from kubeshark.pipeline.entries._entry import EntryError
from tests.core_capture.reference._packets import ip
from tests.pipeline._traffic import Capture, Connection, dns, find
from tests.pipeline.tls._hellos import alert, client_hello, handshake, record

# numbers and connections


def test_entries_are_numbered_by_their_first_byte_in_each_segment() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    for _ in range(3):
        connection.ask().answer()
    assert [e.id for e in find(capture, "http")] == ["s0-0-0", "s0-0-1", "s0-0-2"]
    cut = find(capture, "http", cuts=[5])  # behind the second request
    assert [(e.id, e.error) for e in cut] == [("s0-0-0", None), ("s0-0-1", None), ("s1-0-0", None)]


def test_ids_do_not_depend_on_the_query() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask(b"GET /b HTTP/1.1\r\n\r\n").answer()
    (alone,) = find(capture, 'path == "/b"')
    assert alone.id in {entry.id for entry in find(capture, "")}
    assert alone.id == "s0-0-1"


def test_the_connection_knows_what_was_in_it() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().end(CLIENT).end(SERVER)
    capture.add(dns(1))
    capture.add(ip(b"\x08\0\0\0\0\1\0\1", 1))  # an echo request has no connection
    found = {entry.entry_id.flow: entry for entry in find(capture, "conn")}
    assert [entry.get("conn_l7_detected") for entry in found.values()] == [["HTTP"], ["DNS"]]
    assert [entry.get("conn_state") for entry in found.values()] == ["closed", "open"]
    assert [entry.get("tcp_conn") for entry in found.values()] == [True, False]
    assert (found[0].start_ns, found[0].entry_id.number) == (capture.segments()[0].flows["first_ns"][0], "conn")


# halves


def half(capture: Capture) -> tuple[str, str]:
    (entry,) = find(capture, "http")
    assert entry.error is not None
    return entry.error.type, entry.error.message.partition(":")[0]


def test_a_reset_ends_a_request() -> None:
    capture = Capture()
    Connection(capture).open().ask().end(SERVER, "R")
    assert half(capture) == ("connection", "Reset")


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ("R", "Reset: the asking side reset the connection before a response came"),
        ("FA", "LastAck: the asking side closed the connection before a response came"),
    ],
)
@pytest.mark.parametrize("after", ["", "R", "FA"])
def test_who_did_not_wait_is_not_the_answers_fault(flags: str, error: str, after: str) -> None:
    """However the answering side ends the connection then."""
    capture = Capture()
    connection = Connection(capture).open().ask().end(CLIENT, flags)
    if after:
        connection.end(SERVER, after)
    (entry,) = find(capture, "http")
    assert (entry.error, entry.get("error_type")) == (EntryError("connection", error), "connection")


def test_who_waited_ten_seconds_before_it_left_ran_into_a_timeout() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask()
    capture.wait(10)
    connection.end(CLIENT).end(SERVER)
    assert half(capture) == ("timeout", "no response within 10 s")


def test_a_connection_that_went_on_did_not_end_for_the_request() -> None:
    """Its response was lost; what was answered after it says that the asking side had waited."""
    capture = Capture()
    lost = Connection(capture).open().ask().lose(SERVER, 40)
    lost.ask(b"GET /b HTTP/1.1\r\n\r\n").answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end(CLIENT).end(SERVER)
    errors = [entry.error for entry in find(capture, "http") if entry.error]
    assert [(error.type, error.message.partition(":")[0]) for error in errors] == [("connection", "CloseWait")]


def test_a_capture_of_one_side_blames_nobody() -> None:
    """Whoever asks without being answered closes the connection in the end: that is not why there is no answer."""
    asking, answering = Capture(), Capture()
    Connection(asking).ask().end(CLIENT)
    Connection(answering).answer().end(SERVER)
    for capture, half in ((asking, "response"), (answering, "request")):
        (entry,) = find(capture, "http")
        message = f"the {half} was never seen: no packet of the other side was captured"
        assert entry.error == EntryError("pair-not-found", message)


def test_a_reset_of_one_stream_of_many() -> None:
    capture = Capture()
    request = b"\0\0\3\1\5\0\0\0\1\x82\x86\x84"  # HEADERS: GET /
    reset = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\4\3\0\0\0\0\1\0\0\0\7"  # SETTINGS, RST_STREAM
    Connection(capture).open().ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + request).answer(reset)
    assert half(capture) == ("connection", "Reset")
    (entry,) = find(capture, "http2")
    assert (entry.get("protocol"), entry.get("http"), entry.get("method")) == ("HTTP", True, "GET")


def test_a_close_without_an_answer() -> None:
    capture = Capture()
    Connection(capture).open().ask().end(SERVER)
    assert half(capture) == ("connection", "CloseWait")


def test_ten_seconds_without_an_answer_are_a_timeout() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask()
    capture.wait(10)
    connection.end(SERVER)
    assert half(capture) == ("timeout", "no response within 10 s")


def test_the_capture_may_end_or_begin_between_the_halves() -> None:
    ended, begun = Capture(), Capture()
    Connection(ended).open().ask()
    assert half(ended) == ("pair-not-found", "the response was never seen")
    Connection(begun).answer()
    assert half(begun) == ("pair-not-found", "the request was never seen")


HELLO = record(22, handshake(1, client_hello()))
MQTT_CONNECT = b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a"
HTTP2_GET = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\3\1\5\0\0\0\1\x82\x86\x84"
REFUSED = b"HTTP/1.0 400 Bad Request\r\n\r\nno"


@pytest.mark.parametrize(
    ("asked", "answer", "flag", "error"),
    [
        (HELLO, REFUSED, "tlsx", "HTTP (HTTP/1.0 400 Bad Request), and not TLS"),
        (MQTT_CONNECT, REFUSED, "mqtt", "HTTP (HTTP/1.0 400 Bad Request), and not MQTT"),
        (HTTP2_GET, alert(2, 70), "http2", "TLS, and not HTTP/2"),
    ],
)
def test_an_answer_in_another_protocol_is_the_reason(asked: bytes, answer: bytes, flag: str, error: str) -> None:
    capture = Capture()
    Connection(capture, port=1883).open().ask(asked).answer(answer).end(SERVER)
    (entry,) = [entry for entry in find(capture, flag) if entry.message(MessageKind.REQUEST)]
    assert entry.error == EntryError("pair-not-found", f"the answering side speaks {error}")


def test_a_request_in_clear_to_a_port_of_tls_is_shown() -> None:
    capture = Capture()
    request = b"GET /here HTTP/1.1\r\nHost: h\r\n\r\n"
    Connection(capture, port=443).open().ask(request).answer(alert(2, 70)).end(SERVER)
    (entry,) = find(capture, "!conn")
    assert (entry.protocol.name, entry.to_dict()["request"]["path"]) == ("http", "/here")
    assert entry.error == EntryError("dissection", "http: malformed: 7 bytes at 0 start no message: they are TLS")


def test_a_whole_exchange_has_no_error() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    (entry,) = find(capture, "http")
    assert (entry.error, entry.get("error"), entry.get("error_type")) == (None, False, "")


# messages in doubt


def check_doubt(capture: Capture, reason: str) -> Entry:
    """The entry is there, says why it is in doubt, shows what was read, and answers no filter about it."""
    (entry,) = [e for e in find(capture, "http") if e.error and e.error.type == "dissection"]
    assert entry.error
    assert entry.error.message.startswith(f"http: {reason}")
    document = entry.to_dict()
    half = document["request"] or document["response"]
    assert half
    number = entry.id
    for kfl in ('path == "/a"', "status_code == 200", 'request.headers["host"] == "h"', 'response_body.contains("h")'):
        assert number not in [e.id for e in find(capture, kfl)], kfl
    assert number in [e.id for e in find(capture, 'error_type == "dissection"')]
    return entry


def test_a_message_with_a_gap_inside() -> None:
    capture = Capture()
    body = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n" + b"x" * 10
    Connection(capture).open().ask(body).lose(CLIENT, 20).ask(b"y" * 10)
    entry = check_doubt(capture, "gap: ")
    assert entry.to_dict()["request"]["path"] == "/a"
    assert "method POST" in entry.error.message  # type: ignore[union-attr]


def test_a_message_whose_end_was_never_captured() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nx")
    check_doubt(capture, "truncated: ")
    connection.lose(CLIENT, 30).end(CLIENT)
    check_doubt(capture, "truncated: ")


def test_a_message_whose_end_was_never_sent() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nx").end(CLIENT)
    (entry,) = find(capture, 'http && path == "/a" && error_type == "connection"')
    assert entry.get("error_message") == "CloseWait: the connection was closed after 1 of 40 bytes of the body"


def test_what_stands_alone_behind_a_gap_is_a_guess() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"GET /first HTTP/1.1\r\n\r\n").lose(CLIENT, 50).ask()
    check_doubt(capture, "gap: bytes before this message were not captured")


def published(subject: str) -> bytes:
    return f"PUB {subject} 2\r\nhi\r\n".encode()


def test_what_nobody_answers_confirms_itself_behind_a_gap() -> None:
    """One after the other, just where the one before ends: only the first is a guess."""
    capture = Capture()
    connection = Connection(capture, port=4222).open().ask(b'CONNECT {"verbose":false}\r\n' + published("a"))
    connection.lose(CLIENT, 12).ask(published("b")).ask(published("c")).ask(published("d"))
    connection.lose(CLIENT, 12).ask(published("e"))
    found = find(capture, 'nats_type == "PUB"')
    assert [entry.get("nats_subject") for entry in found] == ["a", "c", "d"]
    doubted = [entry.error.message for entry in find(capture, "nats && error") if entry.error]
    assert [text.partition(" (")[0] for text in doubted] == [f"nats: gap: 12 bytes missing at {at}" for at in (40, 91)]


def test_halves_that_found_each_other_behind_a_gap_are_believed() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"GET /first HTTP/1.1\r\n\r\n").answer()
    connection.lose(CLIENT, 50).lose(SERVER, 60).ask().answer()
    (entry,) = find(capture, 'path == "/a" && status_code == 200')
    assert entry.error is None


def test_a_cut_datagram_keeps_its_fields() -> None:
    capture = Capture()
    whole = dns(7)
    capture.add(whole[:-2], original=len(whole))
    (entry,) = find(capture, "dns")
    assert entry.error is not None


# rows of scanners


def test_who_reads_rows() -> None:
    assert reader_of(http1.__name__) is http1.read_rows
    assert reader_of(dns_dissector.__name__) is None


@pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core: apt-get install gcc")
def test_an_interim_response_in_rows_is_no_exchange_and_ends_none() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    connection.answer(b"HTTP/1.1 100 Continue\r\n\r\n").ask(b"hi").answer().ask()
    found = find(capture, "http")
    assert [(entry.get("method"), entry.get("status_code"), entry.get("error_type")) for entry in found] == [
        ("PUT", 200, ""),
        ("GET", 0, "pair-not-found"),
    ]
    assert [entry.to_dict()["id"] for entry in found] == ["s0-0-0", "s0-0-1"]
    assert found[0].elapsed_ns > 0
