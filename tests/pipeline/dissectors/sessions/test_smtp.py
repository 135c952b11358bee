"""SMTP streams in, messages out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Endpoint, Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.sessions import smtp

from .._streams import FakeStream, tcp

GREETING = b"220 mx.example ESMTP\r\n"
MAIL = b"Subject: =?utf-8?q?caf=C3=A9?=\r\nTo: b@y\r\n\r\n..dots\r\nend\r\n.\r\n"
SESSION = b"EHLO me\r\nMAIL FROM:<a@x> SIZE=9\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n" + MAIL + b"QUIT\r\n"
REPLIES = (
    GREETING
    + b"250-mx\r\n250 PIPELINING\r\n250 2.1.0 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 2.0.0 queued\r\n221 bye\r\n"
)
TLS = b"\x16\x03\x01\0\x05hello"


def found_in(stream: FakeStream) -> list[Message]:
    return [found for found in smtp.dissect(smtp.SMTP, [stream])[0] if isinstance(found, Message)]


def requests(data: bytes, **options: Any) -> list[Message]:
    return [found for found in found_in(tcp(data, port=25, **options)) if found.kind != MessageKind.RESPONSE]


def is_mine(stream: FakeStream) -> bool:
    return smtp.probe(smtp.SMTP, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_session() -> None:
    found = found_in(tcp(SESSION, REPLIES, port=25))
    asked = [part for part in found if part.kind == MessageKind.REQUEST]
    assert [part.fields["smtp_command"] for part in asked] == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
    data = asked[4]
    assert (data.start, data.end) == (SESSION.index(b"DATA"), SESSION.index(b"QUIT"))
    assert data.fields == {
        "smtp_command": "DATA",
        "smtp_argument": "",
        "smtp_request": True,
        "smtp_request_size": data.end - data.start,
        "smtp_mail_from": "a@x",
        "smtp_rcpt_to": ["b@y"],
        "smtp_subject": "café",
    }
    assert document(data)["headers"] == {"Subject": "café", "To": "b@y"}
    assert document(data)["body"] == ".dots\r\nend"
    greeting, *answers = [part for part in found if part.kind != MessageKind.REQUEST]
    assert (greeting.kind, greeting.fields["smtp_status"]) == (MessageKind.EVENT, 220)
    assert [part.fields["smtp_status"] for part in answers] == [250, 250, 250, 550, 354, 250, 221]
    assert [part.final for part in answers] == [True, True, True, True, False, True, True]
    assert document(answers[0])["lines"] == ["mx", "PIPELINING"]
    assert document(answers[1])["enhanced"] == "2.1.0"


def test_refused_data_is_followed_by_commands() -> None:
    found = requests(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nRSET\r\nQUIT\r\n")
    assert [part.fields["smtp_command"] for part in found] == ["MAIL", "RCPT", "DATA", "RSET", "QUIT"]


def test_empty_message() -> None:
    found = requests(b"DATA\r\n.\r\nQUIT\r\n")
    assert [(part.start, part.end, part.error) for part in found] == [(0, 9, ""), (9, 15, "")]
    assert document(found[0])["body"] == ""


def test_chunks() -> None:
    data = b"MAIL FROM:<a@x>\r\nBDAT 16\r\nSubject: Hi\r\n\r\nABDAT 3 LAST\r\n\0\xff.NOOP\r\n"
    found = requests(data)
    assert [part.fields["smtp_command"] for part in found] == ["MAIL", "BDAT", "BDAT", "NOOP"]
    assert (found[1].fields["smtp_subject"], document(found[1])["body"]) == ("Hi", "A")
    assert document(found[2])["body"] == "\0ÿ."


@pytest.mark.parametrize("size", [b"", b" x", b" 5 MORE", b" -1"])
def test_chunk_without_size(size: bytes) -> None:
    first, second = requests(b"BDAT" + size + b"\r\nQUIT\r\n")
    assert (first.error, second.fields["smtp_command"]) == ("malformed: BDAT without a size", "QUIT")


def test_auth_shows_nothing() -> None:
    client = b"AUTH PLAIN AGEAc2VjcmV0\r\nAUTH LOGIN\r\nc2VjcmV0\r\nc2VjcmV0\r\nMAIL FROM:<a@x>\r\n"
    server = GREETING + b"235 ok\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n250 ok\r\n"
    found = found_in(tcp(client, server, port=587))
    asked = [part for part in found if part.kind == MessageKind.REQUEST]
    assert [part.fields["smtp_argument"] for part in asked] == ["PLAIN [redacted]", "LOGIN", "FROM:<a@x>"]
    assert [part.final for part in found if part.kind == MessageKind.RESPONSE] == [True, False, False, True, True]
    assert "c2Vj" not in str([(part.fields, document(part)) for part in found])


def test_start_tls_hands_over() -> None:
    parts = smtp.dissect(smtp.SMTP, [tcp(b"STARTTLS\r\n" + TLS, GREETING + b"220 go\r\n", port=25)])[0]
    handover = parts[-1]
    assert isinstance(handover, Handover)
    assert (handover.protocol, [bytes(side.data) for side in handover.sides]) == ("tlsx", [TLS, b""])


def test_lmtp_replies_once_a_recipient() -> None:
    client = SESSION.replace(b"EHLO", b"LHLO")
    server = REPLIES.replace(b"550 no", b"250 ok").replace(
        b"250 2.0.0 queued\r\n", b"550-5.1.1 no\r\n550 such user\r\n250 two\r\n"
    )
    answers = [part for part in found_in(tcp(client, server, port=24)) if part.kind == MessageKind.RESPONSE]
    assert [part.final for part in answers[-3:]] == [False, True, True]
    stored = answers[-2]
    assert (stored.start, stored.end) == (server.index(b"550-5.1.1"), server.index(b"221"))
    assert (stored.fields["smtp_status"], stored.fields["smtp_reply"]) == (550, "5.1.1 no")
    assert document(stored) == {
        "status": 550,
        "enhanced": "5.1.1",
        "lines": ["550 5.1.1 no", "550 such user", "250 two"],
    }


@pytest.mark.parametrize(
    ("replies", "statuses"),
    [
        (b"250 a\r\n451 b\r\n221 bye\r\n", [451, 221]),
        (b"250 a\r\n550 b\r\n221 bye\r\n", [550, 221]),
        (b"250 a\r\n", [250]),
        (b"250 a\r\nwhat\r\n250 b\r\n221 bye\r\n", [250, 221]),
    ],
    ids=["later", "never", "cut", "damaged"],
)
def test_worst_reply_is_that_to_the_message(replies: bytes, statuses: list[int]) -> None:
    client = (
        b"LHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<no@y>\r\nRCPT TO:<c@y>\r\nBDAT 1 LAST\r\nAQUIT\r\n"
    )
    server = GREETING + b"250 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n" + replies
    answers = [part for part in found_in(tcp(client, server, port=24)) if part.kind == MessageKind.RESPONSE]
    assert [part.fields["smtp_status"] for part in answers[5:]] == statuses


def test_turned_round() -> None:
    stream = tcp(REPLIES, SESSION, port=40001)
    stream.client = Endpoint("192.0.2.1", 25)
    assert is_mine(stream)
    assert {part.direction for part in found_in(stream) if part.kind == MessageKind.REQUEST} == {1}


def test_damage() -> None:
    found = requests(b"NOOP\r\n\x01\x02\x03\r\nmore\x04\r\nQUIT\r\n")
    assert [part.error for part in found] == ["", "malformed: no command at 6", ""]


def test_seen_from_the_middle() -> None:
    found = requests(b"rest of a message\r\n.\r\nRSET\r\nQUIT\r\n", midway=True)
    assert [part.fields["smtp_command"] for part in found] == ["RSET", "QUIT"]


def test_gap_in_a_message() -> None:
    at = SESSION.index(b"..dots")
    wire = SESSION[:at] + bytes(6) + SESSION[at + 6 :]
    found = requests(wire, gaps={0: [(at, at + 6, 6)]})
    assert [part.error for part in found] == ["", "", "", "", "", f"gap: 6 bytes missing at {at}", ""]
    data, text = found[4:6]
    assert (data.fields["smtp_command"], data.fields["smtp_mail_from"], data.end) == ("DATA", "a@x", text.start)


def test_gap_over_the_end_of_a_message() -> None:
    at = SESSION.index(b".\r\nQUIT")
    wire = SESSION[:at] + bytes(3) + SESSION[at + 3 :] + SESSION
    found = requests(wire, gaps={0: [(at, at + 3, 3)]})
    commands = [str(part.fields.get("smtp_command", "")) for part in found]
    assert commands[4:8] == ["DATA", "", "QUIT", "EHLO"]


def test_message_without_end() -> None:
    data, text = requests(b"DATA\r\nSubject: Hi\r\n\r\nText")
    assert (data.error, text.error) == ("", "truncated: the message's end was not captured")
    chunk, rest = requests(b"BDAT 100 LAST\r\nSubject")
    assert (chunk.error, rest.error) == ("", "truncated: only 7 bytes of 100 were captured")


def test_client_that_leaves_inside_a_message() -> None:
    wire = SESSION[: SESSION.index(b"..dots")] + b"half"
    stream = tcp(wire, REPLIES[: REPLIES.index(b"250 2.0.0")], port=25, ended=("closed", ""))
    *_, data = (part for part in found_in(stream) if part.direction == 0)
    assert (data.kind, data.end, data.fields["smtp_subject"]) == (MessageKind.REQUEST, len(wire), "café")
    size = len(wire) - SESSION.index(MAIL)
    assert data.error == f"unfinished: the client closed the connection after {size} bytes of the message"
    assert (document(data)["body"], document(data)["mailFrom"]) == ("half", "a@x")
    stream = tcp(b"BDAT 100 LAST\r\nSubject", GREETING, port=25, ended=("closed", "closed"))
    (chunk,) = (part for part in found_in(stream) if part.direction == 0)
    assert chunk.error == "unfinished: the client closed the connection after 7 bytes of the message"


def test_server_that_leaves_inside_a_message_says_nothing_of_the_client() -> None:
    stream = tcp(b"DATA\r\nSubject: Hi\r\n\r\nText", GREETING, port=25, ended=("", "closed"))
    assert [part.error for part in found_in(stream) if part.direction == 0] == [
        "",
        "truncated: the message's end was not captured",
    ]


def test_gap_before_the_client_left() -> None:
    wire = SESSION[: SESSION.index(b"..dots")] + bytes(4)
    stream = tcp(wire, REPLIES, port=25, gaps={0: [(len(wire) - 4, len(wire), 4)]}, ended=("closed", ""))
    *_, data, text = (part for part in found_in(stream) if part.direction == 0)
    assert (data.error, text.error) == ("", f"gap: 4 bytes missing at {len(wire) - 4}")


def test_recipients_of_a_message_are_those_that_the_server_took() -> None:
    client = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nBDAT 1\r\nABDAT 1 LAST\r\nB"
    replies = GREETING + b"250 ok\r\n450 later\r\n251 will forward\r\n550-no\r\n550 such user\r\n250 ok\r\n250 ok\r\n"
    asked = [part for part in found_in(tcp(client, replies, port=25)) if part.kind == MessageKind.REQUEST]
    assert [part.fields.get("smtp_rcpt_to") for part in asked[1:]] == [["b@y"], ["c@y"], ["d@y"], ["c@y"], ["c@y"]]
    alone = requests(client)
    assert alone[-1].fields["smtp_rcpt_to"] == ["b@y", "c@y", "d@y"], "no reply was seen"


@pytest.mark.parametrize("cut", range(1, len(SESSION)))
def test_cut_anywhere(cut: int) -> None:
    for part in requests(SESSION[:cut]):
        assert part.end <= cut
        assert part.error.startswith("malformed") is False
        if part.detail:
            part.detail()


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (b"EHLO x\r\n", GREETING, 25, True),
        (b"", GREETING, 2526, True),
        (b"EHLO x\r\n", b"", 2526, True),
        (b"EHLO x\r\n", b"220 x\r\n", 2526, True),
        (b"EHLO x\r\n", b"+OK\r\n", 2526, False),
        (b"USER x\r\n", b"220 FTP\r\n", 25, False),
        (b"USER x\r\n", b"220 x\r\n", 2526, False),
        (b"", b"220 x\r\n", 25, True),
        (TLS, b"", 25, False),
        (b"GET / HTTP/1.1\r\n", b"", 25, False),
        (b"", b"", 25, False),
    ],
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


@given(st.binary(max_size=100), st.integers(0, len(SESSION)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    stream = tcp(SESSION[:at] + junk + SESSION[at:], REPLIES[:at] + junk + REPLIES[at:], port=25, midway=midway)
    ends = [0, 0]
    is_mine(stream)
    for part in found_in(stream):
        assert ends[part.direction] <= part.start < part.end
        ends[part.direction] = part.end
        if part.detail:
            part.detail()
