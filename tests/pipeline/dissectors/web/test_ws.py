"""WebSocket streams in, messages out: by the frames of RFC 6455 §5 and the examples of RFC 7692 §7.2.3."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.web import ws
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT

from .._damage import assert_sound, damaged_streams, document, variables
from .._streams import FakeStream, tcp

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, mask: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    head = bytes((0x80 * fin | rsv << 4 | opcode,))
    bit, size = 0x80 * bool(mask), len(payload)
    if size < 126:
        head += bytes((bit | size,))
    elif size < 1 << 16:
        head += bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((bit | 127,)) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def sent(*frames: bytes, **options: Any) -> list[Message]:
    """What a client's frames give."""
    return messages(tcp(b"".join(frames), **options))


def received(*frames: bytes, **options: Any) -> list[Message]:
    """What a server's frames give."""
    return messages(tcp(b"", b"".join(frames), **options))


def messages(stream: FakeStream) -> list[Message]:
    return [found for found in ws.dissect(ws.WS, [stream])[0] if isinstance(found, Message)]


def payloads(found: list[Message]) -> list[str]:
    return [document(message)["payload"] for message in found]


def errors(found: list[Message]) -> list[str]:
    return [message.error for message in found]


# ------------------------------------------------------------------------------------------------------------- messages
def test_a_masked_text() -> None:
    (message,) = sent(bytes.fromhex("818537fa213d7f9f4d5158"))  # RFC 6455 §5.7
    assert message.fields == {"ws_opcode": "text", "ws_request": True, "ws_request_payload_length": 5}
    assert (message.kind, message.one_way, message.start, message.end) == (MessageKind.REQUEST, True, 0, 11)
    assert document(message) == {
        "opcode": "text",
        "payload": "Hello",
        "payloadLength": 5,
        "masked": True,
        "fin": True,
        "fragments": 1,
        "compressed": False,
    }
    late = variables(message)
    assert (late["request_body"], late["ws_request_payload_data"]) == ("Hello", "Hello")


def test_an_answer() -> None:
    (message,) = received(frame(BINARY, b"\0\1"))
    assert message.fields == {"ws_opcode": "binary", "ws_response": True, "ws_response_payload_length": 2}
    assert message.kind == MessageKind.RESPONSE
    assert (document(message)["payload"], document(message)["encoding"]) == ("AAE=", "base64")
    assert "ws_request_payload_data" not in variables(message)


def test_fragments_are_joined_around_control_frames() -> None:
    found = received(frame(TEXT, b"Hel", fin=False), frame(PING, b"?"), frame(0, b"lo"), frame(TEXT, b"next"))
    assert [(message.fields["ws_opcode"], document(message)["payload"]) for message in found] == [
        ("ping", "?"),
        ("text", "Hello"),
        ("text", "next"),
    ]
    assert document(found[1])["fragments"] == 2
    assert (found[1].start, found[1].end) == (0, 12)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths(size: int) -> None:
    (message,) = sent(frame(BINARY, bytes(size), mask=MASK))
    assert message.fields["ws_request_payload_length"] == size
    assert message.error == ""


def test_close() -> None:
    code, empty = sent(frame(CLOSE, b"\x03\xf1too big", mask=MASK), frame(CLOSE, mask=MASK))
    assert (code.fields["ws_opcode"], code.fields["status_code"]) == ("close", 1009)
    shown = document(code)
    assert (shown["closeCode"], shown["closeReason"], shown["payload"]) == (1009, "too big", "too big")
    assert "status_code" not in empty.fields


def test_text_is_cut_between_characters() -> None:
    (message,) = sent(frame(TEXT, "ä".encode() * BODY_LIMIT, mask=MASK))
    assert document(message)["bodyTruncated"]
    assert set(variables(message)["ws_request_payload_data"]) == {"ä"}


MQTT = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a"


def test_what_it_carries_is_handed_over() -> None:
    asked = [frame(BINARY, MQTT[:9], mask=MASK, fin=False), frame(PING, b"x", mask=MASK), frame(0, MQTT[9:], mask=MASK)]
    client, server = b"".join(asked), frame(BINARY, b"\x20\2\0\0")
    stream = tcp(client, server, gaps={1: [(3, 4, 1)]})
    (handover,) = [found for found in ws.dissect(ws.WS, [stream])[0] if isinstance(found, Handover)]
    assert (handover.protocol, bytes(handover.sides[0].data)) == ("mqtt", MQTT)
    assert (bytes(handover.sides[1].data), handover.sides[1].gaps) == (b"\x20\2\0\0", [(1, 2, 1)])
    assert len(messages(stream)) == 3


@pytest.mark.parametrize(
    ("client", "server", "protocol"),
    [
        pytest.param(b"AMQP\0\0\x09\x01", b"", "amqp", id="amqp"),
        pytest.param(b"CONNECT {}\r\n", b'INFO {"server_id":"a"}\r\n', "nats", id="nats"),
        pytest.param(b"hello", b"hello", None, id="nothing"),
    ],
)
def test_carried_protocols(client: bytes, server: bytes, protocol: str | None) -> None:
    found = ws.dissect(ws.WS, [tcp(frame(BINARY, client, mask=MASK), frame(BINARY, server))])[0]
    assert [one.protocol for one in found if isinstance(one, Handover)] == ([protocol] if protocol else [])


# ---------------------------------------------------------------------------------------------------------- compression
def compressed(texts: list[bytes], *, takeover: bool, opcode: int = TEXT) -> list[bytes]:
    encoder, frames = zlib.compressobj(wbits=-15), []
    for text in texts:
        if not takeover:
            encoder = zlib.compressobj(wbits=-15)
        data = encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH)
        frames.append(frame(opcode, data[:-4], rsv=4))
    return frames


@pytest.mark.parametrize("takeover", [True, False])
def test_permessage_deflate(takeover: bool) -> None:
    texts = [b"the same text, " * 9, b"the same text, " * 9, b"", b"another"]
    found = received(*compressed(texts, takeover=takeover))
    for at in (3, 0, 2, 1, 1):  # in any order
        assert document(found[at])["payload"] == texts[at].decode()
    assert document(found[0])["compressed"]
    assert found[0].fields["ws_response_payload_length"] < len(texts[0])


def test_many_messages_in_any_order() -> None:
    texts = [b"message %d of many" % number for number in range(300)]
    found = received(*compressed(texts, takeover=True))
    for at in (299, 0, 150, 63, 64, 65, *range(299, -1, -1)):
        assert document(found[at])["payload"] == texts[at].decode()


def test_large_messages_in_any_order() -> None:
    texts = [b"%d" % number + b" " * 900_000 for number in range(8)]
    found = received(*compressed(texts, takeover=True))
    for at in (7, 0, 6, 5, 7):
        assert document(found[at])["payload"] == texts[at].decode()


@pytest.mark.parametrize(
    "frames",
    [
        ["c107f248cdc9c90700"],  # one frame
        ["4103f248cd", "8004c9c90700"],  # two fragments
        ["c10b000500faff48656c6c6f00"],  # no compression
        ["c108f348cdc9c9070000"],  # with BFINAL
    ],
    ids=["fixed Huffman", "fragments", "stored", "final block"],
)
def test_examples_of_the_rfc(frames: list[str]) -> None:
    assert payloads(received(*map(bytes.fromhex, frames))) == ["Hello"]


def test_a_message_may_be_sent_uncompressed() -> None:
    first, last = compressed([b"abc" * 50, b"abc" * 50], takeover=True)
    assert payloads(received(first, frame(TEXT, b"plain"), last)) == ["abc" * 50, "plain", "abc" * 50]


def test_damage_is_said() -> None:
    frames = compressed([b"the same text, " * 9] * 2, takeover=True)
    (alone,) = received(frames[1])
    assert "permessage-deflate" in document(alone)["comment"]
    (bad,) = received(frame(TEXT, b"\xff\xff\xff", rsv=4))
    assert "permessage-deflate" in document(bad)["comment"]


def test_bombs_are_cut() -> None:
    (frame_,) = compressed([bytes(17 << 20)], takeover=False, opcode=BINARY)
    bomb, after = received(frame_, *compressed([b"after"], takeover=False))
    assert document(bomb)["bodyTruncated"]
    assert "longer than" in document(after)["comment"]


# ----------------------------------------------------------------------------------------------------- what was damaged
@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([frame(TEXT, b"abc")[:-1]], ["truncated: 1 bytes of the payload were not captured"], id="cut"),
        pytest.param([frame(TEXT, b"abc"), b"\x81"], [""], id="half a header"),
        pytest.param([frame(0, b"abc")], ["malformed: the continuation of nothing"], id="no beginning"),
        pytest.param(
            [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
            ["truncated: the last fragment is missing", ""],
            id="no end",
        ),
        pytest.param([frame(TEXT, b"a", fin=False)], ["truncated: the last fragment was not captured"], id="last"),
        pytest.param([frame(3, b"junk"), frame(TEXT, b"a"), frame(TEXT, b"b")], ["", ""], id="unknown opcode"),
        pytest.param([frame(PING, bytes(126)), frame(TEXT, b"a"), frame(TEXT, b"b")], ["", ""], id="long ping"),
    ],
)
def test_damage_spoils_one_message(frames: list[bytes], expected: list[str]) -> None:
    assert errors(received(*frames)) == expected


def test_a_gap_in_a_payload() -> None:
    found = received(frame(TEXT, b"abcdef"), frame(TEXT, b"next"), gaps={1: [(3, 5, 2)]})
    assert errors(found) == ["gap: 2 bytes missing at 3, in the payload", ""]
    assert payloads(found)[1] == "next"


def test_a_gap_over_a_header() -> None:
    frames = [frame(TEXT, f"message {number}".encode(), mask=MASK) for number in range(6)]
    at = len(frames[0])
    found = sent(*frames, gaps={0: [(at, at + 4, 5000)]})
    assert payloads(found) == ["message 0", *(f"message {number}" for number in range(2, 6))]


def test_the_middle_of_a_connection() -> None:
    frames = [frame(TEXT, f"message {number}".encode()) for number in range(5)]
    assert payloads(received(b"rest of one", *frames, midway=True)) == [f"message {number}" for number in range(5)]


ASKS = frame(TEXT, b"hello", mask=MASK) * 2
ANSWERS = frame(TEXT, b"hello") * 2


@pytest.mark.parametrize(
    ("stream", "verdict"),
    [
        pytest.param(tcp(ASKS, ANSWERS, midway=True), Verdict.MINE, id="middle"),
        pytest.param(tcp(ASKS, midway=True), Verdict.MINE, id="middle of one side"),
        pytest.param(tcp(ASKS, ANSWERS), Verdict.NOT_MINE, id="beginning without upgrade"),
        pytest.param(tcp(ANSWERS, ASKS, midway=True), Verdict.NOT_MINE, id="masks on the wrong side"),
        pytest.param(tcp(b"", ANSWERS, midway=True), Verdict.NOT_MINE, id="no masks"),
        pytest.param(tcp(frame(PING, mask=MASK) * 4, frame(PONG) * 4, midway=True), Verdict.NOT_MINE, id="pings"),
        pytest.param(tcp(frame(TEXT, b"\xff", mask=MASK) * 4, midway=True), Verdict.NOT_MINE, id="no text"),
        pytest.param(tcp(ASKS[:11], midway=True), Verdict.NOT_MINE, id="one frame"),
        pytest.param(tcp(ASKS, b"HTTP/1.1 200 OK", midway=True), Verdict.NOT_MINE, id="another answer"),
        pytest.param(tcp(bytes(500), bytes(500), midway=True), Verdict.NOT_MINE, id="zeros"),
        pytest.param(FakeStream("udp"), Verdict.NOT_MINE, id="udp"),
    ],
)
def test_probe(stream: FakeStream, verdict: Verdict) -> None:
    assert ws.probe(ws.WS, [stream]) == [verdict]


SENT = b"".join(frame(TEXT, b"hello", mask=MASK) for _ in range(3)) + frame(CLOSE, b"\x03\xe8", mask=MASK)
RECEIVED = b"".join([*compressed([b"hello"] * 3, takeover=True), frame(PONG), frame(BINARY, bytes(200), fin=False)])


def assert_all_sound(stream: FakeStream) -> None:
    for way in (0, 1):
        found = [message for message in messages(stream) if message.direction == way]
        data = [message for message in found if message.fields["ws_opcode"] in ("text", "binary", "continuation")]
        control = [message for message in found if message not in data]  # they may lie inside a message in fragments
        assert_sound(data, stream)
        assert_sound(control, stream)


@given(damaged_streams(SENT, RECEIVED, 80))
def test_any_damage(stream: FakeStream) -> None:
    assert_all_sound(stream)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(data: bytes, midway: bool) -> None:
    assert_all_sound(tcp(data, data, midway=midway))


@pytest.mark.parametrize("length", range(0, len(RECEIVED), 3))
def test_every_cut(length: int) -> None:
    json.dumps([document(message) for message in received(RECEIVED[:length])])
