"""FTP control streams in, messages out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.sessions import ftp

from .._streams import FakeStream, tcp

CLIENT = b"USER ada\r\nPASS hunter2\r\nPASV\r\nretr a file\r\n\xff\xf4\xff\xf2ABOR\r\nQUIT\r\n"
SERVER = (
    b"220 ready\r\n331 password\r\n230-hello\r\n you\r\n230 in\r\n227 (127,0,0,1,4,1)\r\n150 sending\r\n226 done\r\n"
    b"226 aborted\r\n221 bye\r\n"
)
TLS = b"\x16\x03\x01\0\x05hello"


def found_in(stream: FakeStream) -> list[Message]:
    return [found for found in ftp.dissect(ftp.FTP, [stream])[0] if isinstance(found, Message)]


def is_mine(stream: FakeStream) -> bool:
    return ftp.probe(ftp.FTP, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_session() -> None:
    found = found_in(tcp(CLIENT, SERVER, port=21))
    asked = [part for part in found if part.kind == MessageKind.REQUEST]
    assert [(part.fields["ftp_command"], part.fields["ftp_argument"]) for part in asked] == [
        ("USER", "ada"),
        ("PASS", "[redacted]"),
        ("PASV", ""),
        ("RETR", "a file"),
        ("ABOR", ""),
        ("QUIT", ""),
    ]
    assert {part.fields["ftp_user"] for part in asked} == {"ada"}
    greeting, *answers = [part for part in found if part.kind != MessageKind.REQUEST]
    assert (greeting.kind, greeting.fields["ftp_status"]) == (MessageKind.EVENT, 220)
    assert [part.fields["ftp_status"] for part in answers if part.final] == [331, 230, 227, 226, 226, 221]
    assert document(answers[1]) == {"status": 230, "lines": ["hello", " you", "in"]}
    assert "hunter2" not in str([(part.fields, document(part)) for part in found])


def test_passwords_that_site_commands_carry_are_not_shown() -> None:
    found = found_in(
        tcp(b"SITE PSWD old1 new1\r\nsite gpass s3cret\r\nSITE CHMOD 600 a\r\nSITE PSWD\r\n", b"", port=21)
    )
    told = [part.fields["ftp_argument"] for part in found]
    assert told == ["PSWD [redacted]", "gpass [redacted]", "CHMOD 600 a", "PSWD"]
    assert "old1" not in str([(part.fields, document(part)) for part in found])


def test_delayed_greeting() -> None:
    found = found_in(tcp(b"", b"120 soon\r\n220 ready\r\n", port=21))
    assert [part.kind for part in found] == [MessageKind.EVENT, MessageKind.EVENT]


def test_auth_tls_hands_over() -> None:
    parts = ftp.dissect(ftp.FTP, [tcp(b"AUTH TLS\r\n" + TLS, b"220 x\r\n234 go\r\n" + TLS, port=21)])[0]
    handover = parts[-1]
    assert isinstance(handover, Handover)
    assert (handover.protocol, [bytes(side.data) for side in handover.sides]) == ("tlsx", [TLS, TLS])


def test_damage_and_cut() -> None:
    found = found_in(tcp(b"SYST\r\n\x01\x02\r\n\r\nNOOP", port=21))
    assert [part.error for part in found] == [
        "",
        "malformed: no command at 6",
        "truncated: only 4 bytes were captured",
    ]


def test_seen_from_the_middle() -> None:
    found = found_in(tcp(b"e.txt\r\nPWD\r\n", b"200 ok\r\n257 /\r\n", port=21, midway=True))
    assert [part.fields.get("ftp_command") for part in found] == ["PWD", None, None]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (CLIENT, SERVER, 21, True),
        (CLIENT, SERVER, 2121, True),
        (b"", b"220 vsFTPd\r\n", 2121, True),
        (b"", b"220 ready\r\n", 2121, False),
        (b"USER x\r\n", b"+OK\r\n", 2121, False),
        (b"EHLO x\r\n", b"220 x ESMTP\r\n", 2121, False),
        (TLS, b"", 21, False),
        (b"", b"SSH-2.0-x\r\n", 21, False),
        (b"", b"", 21, False),
    ],
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


@given(st.binary(max_size=100), st.integers(0, len(SERVER)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    stream = tcp(CLIENT[:at] + junk + CLIENT[at:], SERVER[:at] + junk + SERVER[at:], port=21, midway=midway)
    ends = [0, 0]
    is_mine(stream)
    for part in found_in(stream):
        assert ends[part.direction] <= part.start < part.end
        ends[part.direction] = part.end
        if part.detail:
            part.detail()
