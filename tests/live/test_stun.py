"""A real TURN server (coturn)."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest

from ._relay import Relay
from ._servers import free_port, need, running

MAGIC = b"\x21\x12\xa4\x42"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    turnserver, port = need("turnserver", "coturn"), free_port()
    folder: Path = tmp_path_factory.mktemp("turn")
    options = ["-n", "-L", "127.0.0.1", "-p", str(port), "-u", "ada:engine", "-r", "example", "--lt-cred-mech", "-b"]
    quiet = [folder / "db", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile", folder / "pid"]
    with running([turnserver, *options, *quiet, "-m", "1"], port):
        yield port


def test_binding(server: int) -> None:
    client = need("turnutils_stunclient", "coturn")
    with Relay(server, shown_port=3478, datagrams=True) as relay:
        subprocess.run([client, "-p", str(relay.port), "127.0.0.1"], capture_output=True, timeout=10)
    entries = relay.entries("stun")
    assert entries
    assert [entry.error for entry in entries] == [None] * len(entries)
    assert {entry.get("stun_method") for entry in entries} == {"Binding"}
    assert entries[0].get("stun_mapped_address").startswith("127.0.0.1:")
    shown = {part["name"] for part in entries[0].to_dict()["response"]["attributes"]}
    assert {"XOR-MAPPED-ADDRESS", "SOFTWARE", "RESPONSE-ORIGIN"} <= shown


@pytest.mark.parametrize("datagrams", [True, False], ids=["udp", "tcp"])
def test_allocation_asks_for_credentials(server: int, datagrams: bool) -> None:
    allocate = pack(">HH", 3, 8) + MAGIC + secrets.token_bytes(12) + pack(">HHI", 0x19, 4, 17 << 24)
    with Relay(server, shown_port=3478, datagrams=datagrams) as relay:
        kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as client:
            client.connect(("127.0.0.1", relay.port))
            client.settimeout(5)
            client.send(allocate)
            assert client.recv(2048)
            time.sleep(0.02)
    (entry,) = relay.entries("stun")
    assert (entry.get("stun_method"), entry.get("stun_error_code")) == ("Allocate", 401)
    assert (entry.get("stun_realm"), entry.error) == ("example", None)
