"""ZMTP streams in, messages out."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.messaging import zmtp

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, tcp

PORT = 5555
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"


def greeting(mechanism: bytes = b"NULL", minor: int = 1, *, as_server: bool = False) -> bytes:
    return SIGNATURE + bytes((3, minor)) + mechanism.ljust(20, b"\0") + bytes((as_server,)) + bytes(31)


def frame(body: bytes, *, more: bool = False, long: bool = False) -> bytes:
    if long:
        return bytes((2 | more,)) + pack(">Q", len(body)) + body
    return bytes((more, len(body))) + body


def command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes((len(name),)) + name + data
    return bytes((4, len(body))) + body


def metadata(**properties: bytes) -> bytes:
    found = b""
    for name, value in properties.items():
        key = name.replace("_", "-").encode()
        found += bytes((len(key),)) + key + pack(">I", len(value)) + value
    return found


def ready(kind: bytes, identity: bytes = b"") -> bytes:
    return command(b"READY", metadata(Socket_Type=kind, Identity=identity))


def messages(client: bytes, server: bytes = b"") -> list[Message]:
    return found_by(zmtp, zmtp.ZMTP, tcp(client, server, port=PORT))


def is_mine(stream: FakeStream) -> bool:
    return zmtp.probe(zmtp.ZMTP, [stream]) == [Verdict.MINE]


def test_exchange() -> None:
    client = greeting() + ready(b"REQ", b"worker-7") + frame(b"", more=True) + frame(b"Hello")
    found = messages(client, greeting() + ready(b"REP") + frame(b"", more=True) + frame(b"\xff", long=True))
    assert [message.fields["zmtp_type"] for message in found] == ["GREETING", "READY", "MESSAGE"] * 2
    assert {message.kind for message in found} == {MessageKind.EVENT}
    assert found[2].fields == {
        "zmtp_type": "MESSAGE",
        "zmtp_socket_type": "REQ",
        "zmtp_mechanism": "NULL",
        "zmtp_identity": "worker-7",
        "zmtp_version": "3.1",
        "zmtp_frames": 2,
    }
    assert document(found[1])["properties"] == {"Socket-Type": "REQ", "Identity": "worker-7"}
    assert document(found[2])["frames"] == [{"size": 0, "payload": ""}, {"size": 5, "payload": "Hello"}]
    assert document(found[5])["frames"][1] == {"size": 1, "payload": "/w==", "encoding": "base64"}
    assert [message.error for message in found] == [""] * 6


@pytest.mark.parametrize("subscribe", [frame(b"\x01news."), command(b"SUBSCRIBE", b"news.")], ids=["3.0", "3.1"])
def test_subscriptions(subscribe: bytes) -> None:
    *_, first, second = messages(greeting() + ready(b"SUB") + subscribe + frame(b"\0news."))
    assert (first.fields["zmtp_type"], first.fields["zmtp_topic"]) == ("SUBSCRIBE", "news.")
    assert (second.fields["zmtp_type"], second.fields["zmtp_topic"]) == ("CANCEL", "news.")


def test_plain_hides_the_password() -> None:
    hello = command(b"HELLO", b"\x03ann\x07hunter2")
    initiate = command(b"INITIATE", metadata(Socket_Type=b"REQ"))
    found = messages(greeting(b"PLAIN") + hello + initiate, greeting(b"PLAIN") + command(b"WELCOME"))
    assert [message.fields["zmtp_type"] for message in found] == [
        "GREETING",
        "HELLO",
        "INITIATE",
        "GREETING",
        "WELCOME",
    ]
    assert document(found[1])["properties"] == {"username": "ann", "password": "[redacted]"}
    assert found[2].fields["zmtp_socket_type"] == "REQ"
    assert "hunter2" not in str([document(message) for message in found])


@pytest.mark.parametrize("body", [b"\x05ERROR\x03400", b"^ERROR\x03400"], ids=["as specified", "wrong length"])
def test_error(body: bytes) -> None:
    *_, message = messages(greeting(b"PLAIN") + bytes((4, len(body))) + body)
    assert (message.fields["zmtp_type"], message.fields["zmtp_error_message"], message.error) == ("ERROR", "400", "")


def test_ping() -> None:
    *_, message = messages(greeting() + ready(b"REQ") + command(b"PING", b"\0\x64ctx"))
    assert document(message)["properties"] == {"ttl": 100, "context": "ctx"}


def test_curve_stays_closed() -> None:
    client = greeting(b"CURVE") + command(b"HELLO", bytes(190)) + command(b"MESSAGE", bytes(40))
    found = messages(client)
    assert [message.fields["zmtp_type"] for message in found] == ["GREETING", "HELLO", "MESSAGE"]
    assert document(found[1])["properties"] == {"encrypted": 190}


def test_version_2() -> None:
    client = SIGNATURE + b"\x01\x03" + frame(b"worker-7") + frame(b"", more=True) + frame(b"Hello")
    server = SIGNATURE + b"\x03\x04" + frame(b"")
    hello, message, _ = messages(client, server)
    assert hello.fields["zmtp_version"] == "2.0"
    assert (hello.fields["zmtp_socket_type"], hello.fields["zmtp_identity"]) == ("REQ", "worker-7")
    assert (message.fields["zmtp_frames"], message.error) == (2, "")


WIRE = frame(b"one", more=True) + frame(b"two", long=True)


@pytest.mark.parametrize("cut", range(1, len(WIRE)))
def test_each_truncation(cut: int) -> None:
    *_, message = messages(greeting() + ready(b"REQ") + WIRE[:cut])
    assert message.error.startswith("truncated:")


def test_cut_greeting() -> None:
    (message,) = messages(greeting()[:30])
    assert message.error == "truncated: only 30 bytes were captured"


def test_what_is_no_frame_ends_the_reading() -> None:
    *_, last = messages(greeting() + frame(b"a") + b"\xf0junk" + frame(b"b"))
    assert (last.error, last.end) == ("malformed: no frame at 67", 64 + 3 + 5 + 3)


def test_gap_in_a_frame() -> None:
    start = greeting() + ready(b"PUSH")
    wire = start + b"\0\x64" + b"x" * 20 + bytes(10) + b"x" * 30 + frame(b"b")
    at = len(start) + 22
    found = found_by(zmtp, zmtp.ZMTP, tcp(wire, port=PORT, gaps={0: [(at, at + 10, 50)]}))
    assert [message.error for message in found] == ["", "", f"gap: 50 bytes missing at {at}", ""]


@pytest.mark.parametrize(
    ("client", "server", "mine"),
    [
        (greeting(), greeting(), True),
        (SIGNATURE, b"", True),
        (b"", greeting()[:12], True),
        (SIGNATURE, b"HTTP/1.1 400 Bad Request\r\n", False),
        (SIGNATURE + b"\x09", b"", False),
        (b"\xff" * 64, b"", False),
        (b"\xff\x01" + bytes(62), b"", False),
        (bytes(64), b"", False),
        (b"", b"", False),
    ],
    ids=range(9),
)
def test_probe(client: bytes, server: bytes, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=PORT)) is mine


CLIENT = greeting(b"PLAIN") + command(b"HELLO", b"\x03ann\x02pw") + ready(b"SUB", b"id") + frame(b"\x01t") + WIRE
OLD = SIGNATURE + b"\x01\x03" + frame(b"worker-7") + WIRE


@pytest.mark.parametrize("client", [CLIENT, OLD], ids=["3.1", "2.0"])
def test_damage(client: bytes) -> None:
    @given(damaged_streams(client, greeting() + command(b"ERROR", b"\x02no") + WIRE, PORT))
    def check(stream: FakeStream) -> None:
        zmtp.probe(zmtp.ZMTP, [stream])
        assert_sound(zmtp.dissect(zmtp.ZMTP, [stream])[0], stream)

    check()
