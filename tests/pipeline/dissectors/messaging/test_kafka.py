"""Kafka streams in, messages out."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Endpoint, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.messaging import _kafka_framing, kafka

from .._streams import CLIENT, FakeStream, tcp

PORT = 9092
BATCH = (
    pack(">qiibIhiqqqhii", 0, 49 + 16, 0, 2, 0, 0, 0, 1_700_000_000_000, 1_700_000_000_000, -1, -1, -1, 1)
    + bytes([30, 0, 0, 0])  # length 15, attributes, time and offset deltas
    + b"\x04k1\x04v1\x02\x02h\x02x"
    + b"\0\0\0"
)
TOPIC_ID = bytes(range(16))
TOPIC_ID_TEXT = "AAECAwQFBgcICQoLDA0ODw"


def string(value: str | None) -> bytes:
    return pack(">h", -1) if value is None else pack(">h", len(value)) + value.encode()


def compact(value: str | None) -> bytes:
    return b"\0" if value is None else bytes([len(value) + 1]) + value.encode()


def framed(*frames: bytes) -> bytes:
    return b"".join(pack(">i", len(frame)) + frame for frame in frames)


def request(
    key: int, version: int, correlation: int, body: bytes, *, client: str | None = "app", tags: bytes = b""
) -> bytes:
    return framed(pack(">hhi", key, version, correlation) + string(client) + tags + body)


def response(correlation: int, body: bytes) -> bytes:
    return framed(pack(">i", correlation) + body)


def produce(correlation: int, *, acks: int = 1, records: bytes = BATCH) -> bytes:
    body = string(None) + pack(">hii", acks, 30_000, 1) + string("orders") + pack(">iii", 1, 0, len(records)) + records
    return request(0, 7, correlation, body)


def produced(correlation: int, error: int = 0) -> bytes:
    return response(correlation, pack(">i", 1) + string("orders") + pack(">iihqqqi", 1, 0, error, 7, -1, 0, 0))


METADATA = request(3, 1, 5, pack(">i", 1) + string("orders"))
METADATA_ANSWER = response(
    5,
    pack(">ii", 1, 1)
    + string("b1")
    + pack(">i", 9092)
    + string(None)
    + pack(">ii", 1, 1)
    + pack(">h", 0)
    + string("orders")
    + b"\0"
    + pack(">i", 0),
)
API_VERSIONS = request(18, 3, 1, compact("lib") + compact("1.0") + b"\0", tags=b"\0")
API_VERSIONS_ANSWER = response(1, pack(">h", 0) + b"\x02" + pack(">hhh", 3, 0, 12) + b"\0" + pack(">i", 0) + b"\0")


def messages(stream: FakeStream) -> list[Message]:
    return list(kafka.dissect(kafka.KAFKA, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return kafka.probe(kafka.KAFKA, [stream]) == [Verdict.MINE]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def variables(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[0])


def errors(found: Sequence[Message]) -> list[str]:
    return [message.error for message in found]


def test_produce() -> None:
    asked, answered = messages(tcp(produce(9), produced(9), port=PORT))
    assert asked.fields == {
        "kafka_request": True,
        "kafka_api_key": 0,
        "kafka_api_key_name": "PRODUCE",
        "kafka_api_version": 7,
        "kafka_client_id": "app",
        "kafka_size": len(produce(9)) - 4,
        "kafka_request_size": len(produce(9)),
        "kafka_topics": ["orders"],
        "kafka_request_summary": "orders",
    }
    assert (asked.kind, asked.key, asked.one_way, asked.error) == (MessageKind.REQUEST, "9", False, "")
    assert variables(asked) == {"request_body": "k1\tv1"}
    shown = document(asked)
    assert (shown["apiKeyName"], shown["apiVersion"], shown["correlationID"], shown["clientID"]) == (
        "Produce",
        7,
        9,
        "app",
    )
    assert shown["payload"]["requiredAcks"] == 1
    (topic,) = shown["payload"]["topicData"]
    (batch,) = topic["partitions"][0]["partitionData"]["records"]["recordBatch"]
    assert batch["record"] == [
        {
            "offset": 0,
            "timestamp": 1_700_000_000_000,
            "key": "k1",
            "value": "v1",
            "headers": [{"key": "h", "value": "x"}],
        }
    ]
    assert answered.fields == {
        "kafka_response": True,
        "kafka_api_key": 0,
        "kafka_api_key_name": "PRODUCE",
        "kafka_api_version": 7,
        "kafka_size": len(produced(9)) - 4,
        "kafka_response_size": len(produced(9)),
        "kafka_topics": ["orders"],
        "kafka_error_code": 0,
    }
    assert document(answered)["payload"]["responses"][0]["partitionResponses"][0]["baseOffset"] == 7


def test_produce_that_wants_no_acknowledgement() -> None:
    (message,) = messages(tcp(produce(9, acks=0), port=PORT))
    assert message.one_way


def test_error_code_of_a_partition() -> None:
    _, answered = messages(tcp(produce(9), produced(9, error=6), port=PORT))
    assert (answered.fields["kafka_error_code"], answered.fields["kafka_error"]) == (6, "NOT_LEADER_OR_FOLLOWER")


def test_answers_are_read_as_their_requests_were_asked() -> None:
    found = messages(tcp(API_VERSIONS + METADATA, METADATA_ANSWER + API_VERSIONS_ANSWER, port=PORT))
    assert [(message.fields["kafka_api_key_name"], message.key) for message in found] == [
        ("API_VERSIONS", "1"),
        ("METADATA", "5"),
        ("METADATA", "5"),
        ("API_VERSIONS", "1"),
    ]
    assert errors(found) == [""] * 4
    assert document(found[2])["payload"]["brokers"] == [{"nodeId": 1, "host": "b1", "port": 9092, "rack": None}]
    assert document(found[3])["payload"]["apiKeys"] == [{"apiKey": 3, "minVersion": 0, "maxVersion": 12}]


def test_api_versions_that_the_broker_does_not_know_are_answered_in_version_0() -> None:
    answer = response(1, pack(">hihhh", 35, 1, 18, 0, 3))
    _, found = messages(tcp(API_VERSIONS, answer, port=PORT))
    assert (found.error, found.fields["kafka_error_code"]) == ("", 35)
    assert document(found)["payload"]["apiKeys"] == [{"apiKey": 18, "minVersion": 0, "maxVersion": 3}]


def test_refused_api_versions_with_a_list_of_another_form() -> None:
    answer = response(1, pack(">h", 35) + b"\1" + pack(">hhhi", 18, 0, 2, 0))  # as librdkafka's mock cluster
    _, found = messages(tcp(API_VERSIONS, answer, port=PORT))
    assert (found.error, found.fields["kafka_error_code"]) == ("", 35)


def test_topic_ids_are_named_by_metadata_of_the_same_connection() -> None:
    ask_names = request(3, 12, 1, b"\x02" + bytes(16) + compact("orders") + b"\0" + b"\0\0" + b"\0", tags=b"\0")
    names = response(
        1,
        b"\0"
        + pack(">i", 0)
        + b"\x01"
        + compact("c")
        + pack(">i", 1)
        + b"\x02"
        + pack(">h", 0)
        + compact("orders")
        + TOPIC_ID
        + b"\0\x01"
        + pack(">i", 0)
        + b"\0"
        + b"\0",
    )
    fetch = request(
        1,
        13,
        2,
        pack(">iiiibii", -1, 500, 1, 1 << 20, 0, 0, -1)
        + b"\x02"
        + TOPIC_ID
        + b"\x02"
        + pack(">iiqiqi", 0, -1, 0, -1, -1, 1 << 20)
        + b"\0"
        + b"\0"
        + b"\x01"
        + compact("")
        + b"\0",
        tags=b"\0",
    )
    answer = response(
        2,
        b"\0"
        + pack(">ihi", 0, 0, 0)
        + b"\x02"
        + TOPIC_ID
        + b"\x02"
        + pack(">ihqqq", 0, 0, 8, 8, 0)
        + b"\x01"
        + pack(">i", -1)
        + bytes([len(BATCH) + 1])
        + BATCH
        + b"\0"
        + b"\0"
        + b"\0",
    )
    found = messages(tcp(ask_names + fetch, names + answer, port=PORT))
    assert errors(found) == [""] * 4
    assert [message.fields["kafka_topics"] for message in found] == [
        ["orders"],
        [TOPIC_ID_TEXT],
        ["orders"],
        ["orders"],
    ]
    assert variables(found[3]) == {"response_body": "k1\tv1"}


def test_unknown_apis_and_versions_show_their_header() -> None:
    wire = request(500, 0, 1, b"whatever") + request(3, 99, 2, b"whatever")
    found = messages(tcp(METADATA + wire, response(1, b"whatever"), port=PORT))
    assert errors(found) == [""] * 4
    assert [message.fields["kafka_api_key_name"] for message in found[1:3]] == ["API_500", "METADATA"]
    assert document(found[1])["payload"] == {}


def test_authentication_is_not_shown() -> None:
    handshake = request(17, 1, 1, string("PLAIN"))
    login = request(36, 1, 2, pack(">i", 11) + b"\0user\0secret"[:11])
    done = response(1, pack(">hi", 0, 1) + string("PLAIN")) + response(
        2, pack(">h", 0) + string(None) + pack(">iq", 3, 0)[:4] + b"abc" + pack(">q", 0)
    )
    found = messages(tcp(handshake + login, done, port=PORT))
    assert errors(found) == [""] * 4
    assert document(found[1])["payload"] == {"authBytes": "[redacted]"}
    assert document(found[3])["payload"]["authBytes"] == "[redacted]"


def test_tokens_without_header_follow_the_first_handshake() -> None:
    handshake = request(17, 0, 1, string("PLAIN"))
    wire = handshake + framed(b"\0user\0secret") + METADATA
    answers = response(1, pack(">hi", 0, 1) + string("PLAIN")) + framed(b"") + METADATA_ANSWER
    found = messages(tcp(wire, answers, port=PORT))
    assert [message.fields.get("kafka_api_key_name") for message in found] == [
        "SASL_HANDSHAKE",
        "SASL_TOKEN",
        "METADATA",
        "SASL_HANDSHAKE",
        "SASL_TOKEN",
        "METADATA",
    ]
    assert (found[1].key, errors(found)) == (found[4].key, [""] * 6)
    assert "secret" not in str(document(found[1]))


def test_secret_settings_are_not_shown() -> None:
    body = pack(">i", 1) + b"\x04" + string("1") + pack(">i", 2)
    body += string("ssl.key.password") + string("hunter2") + string("num.io.threads") + string("8") + b"\0"
    (message,) = messages(tcp(request(33, 0, 1, body), port=PORT))
    configs = document(message)["payload"]["resources"][0]["configs"]
    assert [config["value"] for config in configs] == ["[redacted]", "8"]


def test_group_members_tell_their_topics() -> None:
    subscription = pack(">hi", 0, 1) + string("orders") + pack(">i", -1)
    body = string("g") + pack(">i", 10_000) + string("") + string("consumer") + pack(">i", 1) + string("range")
    (message,) = messages(tcp(request(11, 0, 1, body + pack(">i", len(subscription)) + subscription), port=PORT))
    assert (message.error, message.fields["kafka_topics"]) == ("", ["orders"])
    assert document(message)["payload"]["protocols"][0]["metadata"] == {
        "version": 0,
        "topics": ["orders"],
        "userData": None,
    }


def test_pipelined_answers_with_one_id_are_taken_in_order() -> None:
    found = messages(tcp(produce(9) + METADATA.replace(pack(">i", 5), pack(">i", 9)), produced(9), port=PORT))
    assert found[-1].fields["kafka_api_key_name"] == "PRODUCE"


def test_answer_from_before_the_capture() -> None:
    _, message = messages(tcp(METADATA, response(77, b"whatever"), port=PORT))
    assert (message.error, message.key, "kafka_api_key" in message.fields) == ("", "77", False)
    assert document(message) == {"correlationID": 77, "payload": {}}


def test_seen_from_the_middle() -> None:
    stream = tcp(
        b"rest of a message\0\0" + METADATA + produce(9), b"\0\0rest" + METADATA_ANSWER, port=PORT, midway=True
    )
    assert is_mine(stream)
    found = messages(stream)
    assert [message.fields["kafka_api_key_name"] for message in found] == ["METADATA", "PRODUCE", "METADATA"]


def test_direction_guessed_wrong() -> None:
    stream = tcp(METADATA_ANSWER, METADATA, port=PORT, midway=True)
    asked, answered = messages(stream)
    assert (asked.direction, answered.direction) == (1, 0)
    assert (asked.kind, answered.kind) == (MessageKind.REQUEST, MessageKind.RESPONSE)


def test_gap_spoils_the_message_it_is_in() -> None:
    size = len(METADATA)
    wire = METADATA + METADATA[: size - 4] + bytes(4) + METADATA
    found = messages(tcp(wire, port=PORT, gaps={0: [(2 * size - 4, 2 * size, 4)]}))
    assert errors(found) == ["", f"gap: 4 bytes missing at {2 * size - 4}", ""]


def test_gap_over_a_size() -> None:
    size = len(METADATA)
    wire = METADATA + bytes(8) + METADATA[8:] + METADATA
    found = messages(tcp(wire, port=PORT, gaps={0: [(size, size + 8, 8)]}))
    assert [(message.start, message.error) for message in found] == [(0, ""), (2 * size, "")]


def test_gap_over_an_answer() -> None:
    answers = METADATA_ANSWER + produced(9) + API_VERSIONS_ANSWER
    size = len(METADATA_ANSWER)
    lost = METADATA_ANSWER + bytes(10) + answers[size + 10 :]
    found = messages(tcp(METADATA + produce(9) + API_VERSIONS, lost, port=PORT, gaps={1: [(size, size + 10, 10)]}))
    assert [message.fields["kafka_api_key_name"] for message in found[3:]] == ["METADATA", "API_VERSIONS"]


BLOB = bytes(range(256)) * (3 << 12)  # 3 MiB: part of a fetch response


def test_requests_behind_megabytes_of_others() -> None:
    found = messages(tcp(BLOB + METADATA + produce(9), METADATA_ANSWER, port=PORT, midway=True))
    assert [(message.start, message.error) for message in found[:2]] == [
        (len(BLOB), ""),
        (len(BLOB) + len(METADATA), ""),
    ]


@pytest.mark.parametrize("junk", [BLOB, b"?" * len(BLOB), bytes(len(BLOB))], ids=["octets", "text", "zeros"])
def test_answers_behind_the_rest_of_a_fetch(junk: bytes) -> None:
    asked, answers = METADATA + produce(9), METADATA_ANSWER + produced(9)
    begun_late = messages(tcp(asked, b"?" + junk + answers, port=PORT, midway=True))
    assert [(message.key, message.error) for message in begun_late[2:]] == [("5", ""), ("9", "")]
    gap = {1: [(0, 1400, 1400)]}  # it takes size and correlation id along
    lost = messages(tcp(asked, bytes(1400) + junk + answers, port=PORT, gaps=gap))
    assert [(message.key, message.error) for message in lost[2:]] == [("5", ""), ("9", "")]


def test_answer_of_megabytes_behind_a_gap() -> None:
    answers = response(5, BLOB) + produced(9)
    stream = tcp(METADATA + produce(9), bytes(8) + b"?" * 9 + answers, port=PORT, gaps={1: [(0, 8, 8)]})
    assert [message.start for message in messages(stream)[2:]] == [17, 17 + 8 + len(BLOB)]


def test_ids_that_were_asked_for_later_are_no_answers() -> None:
    """Small numbers fill the rest of a fetch response: they are no ids before somebody asked for them."""
    numbers = b"?" + pack(">16i", *[8, 5] * 8)
    stream = tcp(METADATA, numbers + METADATA_ANSWER, port=PORT, midway=True)
    stream.sides[0].times = ((0, 7),)
    stream.sides[1].times = ((0, 1), (len(numbers), 8))
    assert [message.start for message in messages(stream)[1:]] == [len(numbers)]


def test_places_that_a_search_passes_over_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kafka_framing, "FIRST_EFFORT", 0)
    monkeypatch.setattr(_kafka_framing, "EFFORT_PER_BYTE", 1)
    place = request(3, 1, 5, pack(">i", 1) + string("a/b"))  # no such topic
    start = 1 + 6  # behind the first, which is read, its own bytes look like another
    hostile = b"?" + place * 3
    error = f"malformed: too many places look like a message: from {start} on not all were read"
    found = messages(tcp(hostile + METADATA, port=PORT, midway=True))
    assert [(message.start, message.end, message.error) for message in found] == [
        (start, len(hostile + METADATA), error)
    ]
    found = messages(tcp(hostile + b"?" * 9_000 + METADATA, port=PORT, midway=True))
    assert [(message.start, message.error) for message in found] == [(start, error), (len(hostile) + 9_000, "")]
    (told,) = messages(tcp(METADATA + hostile, port=PORT))[1:]
    assert told.error == (
        f"malformed: no message at {len(METADATA)}, too many places look like a message: "
        f"from {len(METADATA) + start} on not all were read"
    )


def test_senseless_bytes_spoil_one_message() -> None:
    found = messages(tcp(METADATA + b"\xff" * 30 + METADATA + produce(9), port=PORT))
    size = len(METADATA)
    assert [(message.start, message.error) for message in found] == [
        (0, ""),
        (size, f"malformed: no message at {size}"),
        (size + 30, ""),
        (2 * size + 30, ""),
    ]


@pytest.mark.parametrize("cut", range(5, len(METADATA)))
def test_request_that_ends_early(cut: int) -> None:
    found = messages(tcp(METADATA + METADATA[:cut], port=PORT))
    assert len(found) == 2
    assert found[1].error.startswith(("truncated: ", "malformed: "))
    document(found[0])


def test_body_that_contradicts_its_schema() -> None:
    wire = request(3, 1, 1, pack(">i", 1 << 20)) + METADATA
    found = messages(tcp(METADATA + wire, port=PORT))
    assert [error.partition(":")[0] for error in errors(found)] == ["", "malformed", ""]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (METADATA, b"", PORT, True),
        (METADATA, b"", 1234, True),
        (request(3, 99, 1, b"new"), b"", PORT, True),
        (request(18, 0, 1, b"more"), b"", PORT, True),
        (request(18, 0, 1, b"more"), b"", 1234, False),
        (b"\0\0\0\x1c" + METADATA[4:] + b"!" * 6, b"", 1234, False),
        (request(200, 0, 1, b""), b"", 1234, False),
        (request(3, 99, 1, pack(">i", 0)), b"", 1234, False),
        (request(3, 1, 1, pack(">i", 0), client="\x01\x02"), b"", 1234, False),
        (request(3, 1, -1, pack(">i", 0)), b"", 1234, False),
        (b"GET / HTTP/1.1\r\n\r\n", b"", PORT, False),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"", PORT, False),
        (bytes(64), bytes(64), PORT, False),
        (b"", METADATA_ANSWER, PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=str,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


def test_probe_of_answers_alone() -> None:
    assert is_mine(tcp(b"", METADATA_ANSWER * 3, port=PORT, midway=True))
    assert not is_mine(tcp(b"", METADATA_ANSWER * 3, port=1234, midway=True))


WIRE = API_VERSIONS + METADATA + produce(9) + request(13, 4, 7, compact("g") + b"\x01" + b"\0", tags=b"\0")
ANSWERS = API_VERSIONS_ANSWER + METADATA_ANSWER + produced(9) + response(7, b"\0" + pack(">ih", 0, 0) + b"\x01\0")


def check(stream: FakeStream) -> None:
    kafka.probe(kafka.KAFKA, [stream])
    ends = [0, 0]
    for message in messages(stream):
        side = message.direction
        assert ends[side] <= message.start < message.end <= len(stream.sides[side].data)
        ends[side] = message.end
        if message.detail:
            message.detail()


@given(st.binary(max_size=200), st.booleans(), st.integers(0, len(WIRE)), st.integers(0, 1))
def test_any_bytes(junk: bytes, midway: bool, at: int, side: int) -> None:
    wires = [WIRE, ANSWERS]
    wires[side] = wires[side][:at] + junk + wires[side][at:]
    gap = (at, min(at + 7, len(wires[side])), 70)
    gaps = {side: [gap]} if gap[1] > at else {}
    check(tcp(wires[0], wires[1], port=PORT, midway=midway, gaps=gaps))


@given(st.lists(st.tuples(st.integers(0, len(WIRE) - 1), st.integers(0, 255)), max_size=4))
def test_hostile_bytes(hits: list[tuple[int, int]]) -> None:
    wire = bytearray(WIRE)
    for at, byte in hits:
        wire[at] = byte
    check(tcp(bytes(wire), ANSWERS, port=PORT))


@given(st.integers(0, 92), st.integers(0, 18), st.binary(max_size=300))
def test_any_body_of_any_api(key: int, version: int, body: bytes) -> None:
    check(tcp(METADATA + request(key, version, 1, body), response(1, body), port=PORT))


def test_many_candidates_are_looked_at_in_linear_time() -> None:
    topics = pack(">i", 60_000) + b"\0\0" * 60_000
    hostile = request(3, 0, 1, topics[: 1 << 16])[:400]
    check(tcp(b"?" + hostile * 1_000, b"?" * 9, port=PORT, midway=True))


def test_known_by_a_request_in_the_middle_on_any_port() -> None:
    assert is_mine(tcp(b"tail" + METADATA + produce(9), port=1234, midway=True))
    assert not is_mine(tcp(b"tail" + METADATA + produce(9), port=1234))


@pytest.mark.parametrize(
    "wire",
    [
        b"tail" + METADATA[:-2],  # cut: what it would be is not certain
        b"tail" + request(0, 1, 1, pack(">hii", 0x4944, 0, 0)),  # no such acks
        b"tail" + request(3, 1, 1, pack(">i", 1) + string("a/b")),  # no such topic
        b"tail" + request(3, 1, 1, pack(">i", 1) + string("orders"), client=None),
        b"tail" + produce(9)[:60] + b"\xff" * 4_000,
    ],
    ids=["cut", "acks", "topic", "no name", "contradiction"],
)
def test_bytes_that_only_look_like_a_request(wire: bytes) -> None:
    assert not is_mine(tcp(wire, port=61616, midway=True))


def test_cut_first_request_is_known() -> None:
    assert is_mine(tcp(produce(9)[:60], port=1234))
    assert not is_mine(tcp(produce(9)[:30] + b"\xff" * 20, port=1234))


def test_server_is_a_stranger() -> None:
    stream = tcp(METADATA, METADATA_ANSWER, port=PORT)
    stream.client = Endpoint(CLIENT.ip, 1)
    assert is_mine(stream)
