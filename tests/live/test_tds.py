"""A real client of SQL Server, FreeTDS, against canned answers: there is no free server, but these bytes are real."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from struct import pack

import pytest

from ._relay import Relay
from ._servers import need

PASSWORD = "quite-secret"
DONE = b"\xfd" + pack("<HHQ", 0x10, 0xC1, 1)


def packet(payload: bytes) -> bytes:
    return pack(">BBHHBB", 4, 1, 8 + len(payload), 52, 1, 0) + payload


def b(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def token(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + pack("<H", len(body)) + body


WELCOME = packet(b"\0\0\x0b\0\6\1\0\x11\0\1\xff" + b"\x0f\0\x08\x98\0\0" + b"\2")
LOGGED_IN = packet(
    token(0xE3, b"\1" + b("shop") + b("master"))
    + token(0xAD, b"\1\x74\0\0\4" + b("Microsoft SQL Server") + b"\x0f\0\x08\x98")
    + token(0xE3, b"\4" + b("4096") + b("4096"))
    + b"\xfd"
    + bytes(12)
)
ANSWER = packet(
    b"\x81" + pack("<H", 1) + pack("<IH", 0, 9) + b"\x26\x04" + b("n") + b"\xd1\x04" + pack("<i", 42) + DONE
)


class Canned:
    """Answers each message with the bytes for its type."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        with client, client.makefile("rb") as stream:
            while len(head := stream.read(8)) == 8:
                stream.read(int.from_bytes(head[2:4], "big") - 8)
                if head[1] & 1:
                    client.sendall({0x12: WELCOME, 0x10: LOGGED_IN}.get(head[0], ANSWER))


@pytest.fixture
def server() -> Iterator[int]:
    canned = Canned()
    yield canned.port
    canned.listener.close()
    canned.thread.join(timeout=5)


def test_login_and_batch(server: int) -> None:
    with Relay(server, shown_port=1433) as relay:
        subprocess.run(
            [need("tsql", "freetds-bin"), "-H", "127.0.0.1", "-p", str(relay.port), "-U", "ann", "-P", PASSWORD],
            env={"TDSVER": "7.4", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
            input=b"select n from items\ngo\nquit\n",
            capture_output=True,
            timeout=20,
        )
    entries = relay.entries("tds")
    assert [entry.error for entry in entries if entry.error] == []
    shown = [entry.to_dict() for entry in entries]
    assert PASSWORD not in str(shown)
    batches = [at for at, entry in enumerate(entries) if entry.get("tds_query").strip() == "select n from items"]
    assert [entry.get("tds_type") for entry in entries][:2] == ["PRELOGIN", "LOGIN7"]
    assert shown[0]["request"]["options"]["encryption"]
    assert (shown[1]["request"]["user"], shown[1]["request"]["application"]) == ("ann", "TSQL")
    assert shown[1]["response"]["server"] == "Microsoft SQL Server"
    (at,) = batches
    assert (shown[at]["response"]["rows"], entries[at].get("tds_database")) == ([[42]], "shop")
