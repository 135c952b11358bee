"""A real memcached: text, meta and binary protocol, TCP and UDP."""

from __future__ import annotations

import contextlib
import getpass
import socket
import subprocess
from collections.abc import Iterator
from struct import pack

import pytest

from ._relay import Relay
from ._servers import free_port, need, running


@pytest.fixture
def server() -> Iterator[int]:
    port = free_port()
    user = ["-u", "root"] if getpass.getuser() == "root" else []
    with running([need("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", str(port), *user], port):
        yield port


def talk(port: int, *turns: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for turn in turns:
            client.sendall(turn)
            client.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                while client.recv(1 << 16):
                    pass


def test_text(server: int) -> None:
    with Relay(server, shown_port=11211) as relay:
        talk(
            relay.port,
            b"set a 1 0 5\r\nhello\r\n",
            b"get a b\r\ngets a\r\n",
            b"add a 0 0 1\r\nx\r\n",
            b"set n 0 0 1 noreply\r\n5\r\nincr n 2\r\ndelete b\r\n",
            b"touch a 60\r\nversion\r\nstats\r\n",
            b"nonsense\r\n",
            b"mg a v f q\r\nmg b v q\r\nms c 2\r\nxy\r\nmd c q\r\nmn\r\n",
            b"quit\r\n",
        )
    entries = relay.entries("memcached")
    assert [(entry.get("memcached_command"), entry.get("memcached_status")) for entry in entries] == [
        ("set", "STORED"),
        ("get", "VALUE"),
        ("gets", "VALUE"),
        ("add", "NOT_STORED"),
        ("set", ""),
        ("incr", "NUMBER"),
        ("delete", "NOT_FOUND"),
        ("touch", "TOUCHED"),
        ("version", "VERSION"),
        ("stats", "STAT"),
        ("nonsense", "ERROR"),
        ("mg", "VA"),
        ("mg", ""),
        ("ms", "HD"),
        ("md", ""),
        ("mn", "MN"),
        ("quit", ""),
    ]
    assert [entry.error for entry in entries] == [None] * len(entries)


def test_binary(server: int) -> None:
    with Relay(server, shown_port=11211) as relay:
        for tool, arguments in (("memcping", []), ("memcstat", []), ("memcexist", ["nothing"])):
            command = [need(tool, "libmemcached-tools"), "--servers", f"127.0.0.1:{relay.port}", "--binary", *arguments]
            subprocess.run(command, capture_output=True, check=False, timeout=10)
    entries = relay.entries("memcached")
    assert {entry.get("memcached_command") for entry in entries} >= {"add", "quit", "version", "stats"}
    assert [entry.error for entry in entries] == [None] * len(entries)


def test_datagrams(server: int) -> None:
    with (
        Relay(server, shown_port=11211, datagrams=True) as relay,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        for number, line in enumerate((b"set a 0 0 1\r\nx\r\n", b"get a\r\n")):
            client.sendto(pack(">HHHH", number, 0, 1, 0) + line, ("127.0.0.1", relay.port))
            client.recv(2048)
    entries = relay.entries("memcached")
    assert [(entry.get("memcached_command"), entry.get("memcached_status")) for entry in entries] == [
        ("set", "STORED"),
        ("get", "VALUE"),
    ]
