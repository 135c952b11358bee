"""A real FTP server (pyftpdlib), spoken to by the standard library's client."""

from __future__ import annotations

import contextlib
import ftplib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ._relay import Relay

pytestmark = pytest.mark.filterwarnings("ignore")  # of the server

PASSWORD = "quite-secret"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    servers = pytest.importorskip("pyftpdlib.servers")
    handlers = pytest.importorskip("pyftpdlib.handlers")
    authorizers = pytest.importorskip("pyftpdlib.authorizers")
    authorizer = authorizers.DummyAuthorizer()
    authorizer.add_user("ada", PASSWORD, str(folder), perm="elradfmw")
    handler = type("Handler", (handlers.FTPHandler,), {"authorizer": authorizer, "banner": "ready"})
    server = servers.FTPServer(("127.0.0.1", 0), handler)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.serve_forever(timeout=0.02, blocking=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield server.address[1]
    finally:
        stop.set()
        thread.join(timeout=5)
        server.close_all()


def test_session(tmp_path: Path) -> None:
    with serving(tmp_path) as port, Relay(port, shown_port=21) as relay, ftplib.FTP() as client:
        client.connect("127.0.0.1", relay.port)
        client.login("ada", PASSWORD)
        client.storbinary("STOR a.txt", io.BytesIO(b"hello"))
        client.retrlines("LIST", callback=lambda _: None)
        with contextlib.suppress(ftplib.error_perm):
            client.delete("nothing")
        client.sendcmd("FEAT")
    entries = [entry for entry in relay.entries("ftp") if entry.get("ftp_command")]
    assert [entry.error for entry in entries] == [None] * len(entries)
    shown = [(entry.get("ftp_command"), entry.get("ftp_status")) for entry in entries]
    assert [pair for pair in shown if pair[0] not in ("TYPE", "PASV", "EPSV")] == [
        ("USER", 331),
        ("PASS", 230),
        ("STOR", 226),
        ("LIST", 226),
        ("DELE", 550),
        ("FEAT", 211),
        ("QUIT", 221),
    ]
    assert PASSWORD not in str([entry.to_dict() for entry in entries])
