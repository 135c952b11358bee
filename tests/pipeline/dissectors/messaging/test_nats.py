"""NATS streams in, messages out."""

from __future__ import annotations

import pytest
from hypothesis import given

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.messaging import nats

from .._damage import assert_sound, damaged_streams, document, found_by, variables
from .._streams import FakeStream, tcp

PORT = 4222
INFO = b'INFO {"server_id":"NDT","server_name":"hub","max_payload":1048576,"nonce":"n"}\r\n'
QUIET = b'CONNECT {"verbose":false,"user":"ann","pass":"hunter2","auth_token":"hunter2"}\r\n'
VERBOSE = b'CONNECT {"verbose":true}\r\n'


def messages(client: bytes, server: bytes = b"") -> list[Message]:
    return found_by(nats, nats.NATS, tcp(client, server, port=PORT))


def is_mine(stream: FakeStream) -> bool:
    return nats.probe(nats.NATS, [stream]) == [Verdict.MINE]


def test_publish() -> None:
    wire = b'PUB stock.low INBOX.7 12\r\n{"item": 17}\r\n'
    (message,) = messages(wire)
    assert (message.kind, message.one_way, message.error) == (MessageKind.REQUEST, True, "")
    assert message.fields == {
        "nats_type": "PUB",
        "nats_subject": "stock.low",
        "nats_reply_to": "INBOX.7",
        "nats_request_size": len(wire),
    }
    assert document(message) == {
        "type": "PUB",
        "subject": "stock.low",
        "replyTo": "INBOX.7",
        "queueGroup": "",
        "sid": "",
        "size": 12,
        "headers": {},
        "payload": '{"item": 17}',
        "options": {},
    }
    assert variables(message)["request_body"] == '{"item": 17}'


def test_publish_with_headers() -> None:
    head = b"NATS/1.0\r\nTrace: t-88\r\nTag: a\r\ntag: b\r\n\r\n"
    wire = b"HPUB stock %d %d\r\n%shi\r\n" % (len(head), len(head) + 2, head)
    (message,) = messages(wire)
    shown = document(message)
    assert (shown["headers"], shown["payload"], shown["size"]) == ({"Trace": "t-88", "Tag": ["a", "b"]}, "hi", 2)
    assert variables(message)["request.headers"] == {"trace": "t-88", "tag": "a,b"}


def test_status_without_responders() -> None:
    head = b"NATS/1.0 503 No Responders\r\n\r\n"
    (message,) = messages(b"", b"HMSG INBOX.7 1 %d %d\r\n%s\r\n" % (len(head), len(head), head))
    assert message.kind == MessageKind.EVENT
    assert document(message)["options"] == {"status": "503", "description": "No Responders"}


def test_delivery() -> None:
    (message,) = messages(b"", b"MSG stock.low 9 INBOX.7 2\r\nhi\r\n")
    assert message.kind == MessageKind.EVENT
    assert (message.fields["nats_subject"], message.fields["nats_reply_to"]) == ("stock.low", "INBOX.7")
    shown = document(message)
    assert (shown["sid"], shown["payload"]) == ("9", "hi")
    assert variables(message)["response_body"] == "hi"


@pytest.mark.parametrize(
    ("line", "kind", "subject", "group"),
    [
        (b"SUB a.* 1", "SUB", "a.*", ""),
        (b"SUB a.> workers 1", "SUB", "a.>", "workers"),
        (b"sub\ta.> \t workers 1 ", "SUB", "a.>", "workers"),
        (b"UNSUB 1 5", "UNSUB", "", ""),
        (b"PUB a 0\r\n", "PUB", "a", ""),
        (b"RS+ $G a.b workers 1", "RS+", "a.b", "workers"),
        (b"RMSG $G a.b 2\r\nhi", "RMSG", "a.b", ""),
        (b"LS+ a.b", "LS+", "a.b", ""),
        (b"LMSG a.b 2\r\nhi", "LMSG", "a.b", ""),
    ],
    ids=lambda value: value.decode().split("\r")[0] if isinstance(value, bytes) else "",
)
def test_lines(line: bytes, kind: str, subject: str, group: str) -> None:
    first, second = messages(line + b"\r\nPING\r\n")
    assert (first.error, second.fields["nats_type"]) == ("", "PING")
    assert (first.fields["nats_type"], first.fields.get("nats_subject", "")) == (kind, subject)
    assert first.fields.get("nats_queue_group", "") == group
    document(first)


def test_login_is_redacted() -> None:
    connect, info = messages(QUIET, INFO)
    assert document(connect)["options"] == {
        "verbose": False,
        "user": "ann",
        "pass": "[redacted]",
        "auth_token": "[redacted]",
    }
    assert (connect.one_way, info.kind) == (True, MessageKind.EVENT)
    assert document(info)["options"]["server_name"] == "hub"


def test_logins_in_addresses_are_redacted() -> None:
    info = b'INFO {"server_id":"x","connect_urls":["10.0.0.1:4222","nats://route:s3cret@10.0.0.2:6222/a@b","tls://t0ken@h"]}\r\n'
    (found,) = messages(b"", info)
    assert document(found)["options"]["connect_urls"] == [
        "10.0.0.1:4222",
        "nats://[redacted]@10.0.0.2:6222/a@b",
        "tls://[redacted]@h",
    ]


def test_verbose_mode_acknowledges() -> None:
    client = VERBOSE + b"PUB a 0\r\n\r\nPING\r\nPUB !! 0\r\n\r\nSUB a 1\r\n"
    found = messages(client, INFO + b"+OK\r\n+OK\r\nPONG\r\n-ERR 'Invalid Subject'\r\n+OK\r\n")
    asked, told = found[:5], found[5:]
    assert [message.one_way for message in asked] == [False] * 5
    assert [message.kind.name for message in told] == ["EVENT"] + ["RESPONSE"] * 5
    assert [message.key for message in told[1:]] == ["", "", "PING of the client", "", ""]
    assert told[4].fields["nats_error_message"] == "Invalid Subject"
    assert document(told[4]) == {"type": "-ERR", "payload": "", "error": "Invalid Subject"}


def test_an_error_nobody_waits_for() -> None:
    *_, error = messages(QUIET + b"PUB a 0\r\n\r\n", INFO + b"-ERR 'Slow Consumer'\r\n")
    assert (error.kind, document(error)["error"]) == (MessageKind.EVENT, "Slow Consumer")


def test_pings_of_both_sides() -> None:
    keys = [message.key for message in messages(b"PING\r\nPONG\r\n", b"PONG\r\nPING\r\n")]
    assert keys == ["PING of the client", "PING of the server", "PING of the client", "PING of the server"]


def test_turn_to_tls() -> None:
    info = INFO.replace(b'"nonce"', b'"tls_required":true,"nonce"')
    stream = tcp(b"\x16\x03\x01\0\x05hello", info + b"\x16\x03\x03\0\x02hi", port=PORT)
    message, handover = nats.dissect(nats.NATS, [stream])[0]
    assert isinstance(message, Message)
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data[:3]) for side in handover.sides] == [b"\x16\x03\x01", b"\x16\x03\x03"]


@pytest.mark.parametrize("data", [b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 5000, b"[1]", b"\xff"], ids=range(5))
def test_json_that_is_none(data: bytes) -> None:
    (message,) = messages(b"CONNECT " + data + b"\r\n")
    assert document(message)["options"] == {}


WIRE = b"PUB a.b 5\r\nhello\r\n"


@pytest.mark.parametrize("cut", range(1, len(WIRE)))
def test_each_truncation(cut: int) -> None:
    (message,) = messages(WIRE[:cut])
    assert message.error.startswith("truncated:")


def test_malformed_spoils_one_message() -> None:
    found = messages(b"PUB a 1\r\nx\r\nPUB b 1\r\nxyz\r\nNONSENSE\r\nPUB c many\r\nPUB d 1\r\nx\r\n")
    assert [message.error.partition(":")[0] for message in found] == ["", "malformed", ""]


def test_gap_in_a_payload() -> None:
    head = b"PUB a 100\r\n" + b"x" * 20
    wire = head + bytes(10) + b"x" * 30 + b"\r\nPUB b 1\r\nx\r\n"
    stream = tcp(wire, port=PORT, gaps={0: [(len(head), len(head) + 10, 50)]})
    assert [message.error for message in found_by(nats, nats.NATS, stream)] == [
        f"gap: 50 bytes missing at {len(head)}",
        "",
    ]


def test_from_the_middle() -> None:
    stream = tcp(b"yload\r\nPUB b 1\r\nx\r\n", b"x\r\nMSG a 1 1\r\nx\r\n", port=PORT, midway=True)
    assert is_mine(stream)
    found = found_by(nats, nats.NATS, stream)
    assert [(message.direction, message.start, message.error) for message in found] == [(0, 7, ""), (1, 3, "")]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (b"", INFO, 9999, True),
        (VERBOSE, b"", 9999, True),
        (b"PING\r\n", b"", PORT, True),
        (b"PING\r\n", b"+PONG\r\n", 6379, False),
        (b"PUB a 1\r\nx\r\n", b"", 9999, False),
        (b"CONNECT host:443 HTTP/1.1\r\n\r\n", b"", PORT, False),
        (b"\x16\x03\x01", b"", PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=lambda value: value.decode("latin-1")[:8] if isinstance(value, bytes) else None,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


CLIENT = QUIET + b"SUB a q 1\r\nHPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\nUNSUB 1 2\r\n"
SERVER = INFO + b"PONG\r\nMSG a 1 r 2\r\nhi\r\nHMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n-ERR 'no'\r\n"


@given(damaged_streams(CLIENT, SERVER, PORT))
def test_damage(stream: FakeStream) -> None:
    nats.probe(nats.NATS, [stream])
    assert_sound(nats.dissect(nats.NATS, [stream])[0], stream)
