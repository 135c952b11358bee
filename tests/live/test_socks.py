"""Real SOCKS servers: microsocks with a password, and OpenSSH's own; curl asks through them."""

from __future__ import annotations

import getpass
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running


class Teapot(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.IM_A_TEAPOT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def website() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teapot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def ask(proxy: str, url: str) -> int:
    command = [need("curl"), "--silent", "--noproxy", "", "--max-time", "10", "--proxy", proxy, "--output", "-", url]
    return subprocess.run(command, capture_output=True, check=False).returncode


def said(entries: list[Entry], *variables: str) -> list[tuple[object, ...]]:
    return [tuple(entry.get(variable) for variable in variables) for entry in entries]


def test_version_5_with_a_password(website: int) -> None:
    port = free_port()
    server = [need("microsocks"), "-i", "127.0.0.1", "-p", str(port), "-u", "me", "-P", "secret"]
    with running(server, port), Relay(port, shown_port=1080) as relay:
        there = f"http://127.0.0.1:{website}/tea"
        assert ask(f"socks5h://me:secret@127.0.0.1:{relay.port}", there) == 0
        assert ask(f"socks5h://me:wrong@127.0.0.1:{relay.port}", there) != 0
        assert ask(f"socks5h://me:secret@127.0.0.1:{relay.port}", f"http://127.0.0.1:{free_port()}/") != 0
    good, wrong, refused = (
        relay.entries(f"src.port == {port} && (socks || http)") for port in (40_001, 40_002, 40_003)
    )
    about = "socks_type", "socks_method", "socks_username", "socks_command", "socks_port", "socks_status_text"
    assert said(good[:3], *about) == [
        ("greeting", "username", "", "", 0, ""),
        ("authentication", "", "me", "", 0, "success"),
        ("request", "", "", "CONNECT", website, "succeeded"),
    ]
    assert said(good[3:], "method", "path", "status_code") == [("GET", "/tea", HTTPStatus.IM_A_TEAPOT)]
    assert said(wrong, *about)[1:] == [("authentication", "", "me", "", 0, "failure")]
    assert refused[-1].get("socks_status_text") == "connection refused"
    assert not any("secret" in str(entry.document()) for entry in (*good, *wrong, *refused))


def test_tls_inside(website: int) -> None:
    port = free_port()
    with running([need("microsocks"), "-i", "127.0.0.1", "-p", str(port)], port), Relay(port) as relay:
        assert ask(f"socks5://127.0.0.1:{relay.port}", f"https://127.0.0.1:{website}/") != 0  # no TLS there
    found = relay.entries("socks || tlsx")
    assert said(found[:2], "socks_method", "socks_host") == [("none", ""), ("", "127.0.0.1")]
    assert found[2].get("tlsx_info") == "ClientHello"


@pytest.fixture
def tunnel(tmp_path: Path) -> Iterator[int]:
    """The SOCKS server of an SSH client (ssh -D), which knows version 4, too."""
    sshd, ssh, keygen = (
        need("sshd", "openssh-server"),
        need("ssh", "openssh-client"),
        need("ssh-keygen", "openssh-client"),
    )
    for name in ("host", "mine"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port, here = free_port(), free_port()
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "mine.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitRootLogin": "yes",
    }
    (tmp_path / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    login = [ssh, "-F", "none", "-N", "-i", tmp_path / "mine", "-p", str(port), "-D", f"127.0.0.1:{here}"]
    login += [argument for option in options for argument in ("-o", option)] + [f"{getpass.getuser()}@127.0.0.1"]
    with running([sshd, "-D", "-e", "-f", tmp_path / "sshd_config"], port), running(login, here):
        yield here


@pytest.mark.parametrize(("scheme", "host"), [("socks4", "127.0.0.1"), ("socks4a", "localhost")])
def test_version_4(tunnel: int, website: int, scheme: str, host: str) -> None:
    with Relay(tunnel, shown_port=9050) as relay:
        assert ask(f"{scheme}://127.0.0.1:{relay.port}", f"http://{host}:{website}/tea") == 0
    asked, fetched = relay.entries("socks || http")
    assert said([asked], "socks_version", "socks_host", "socks_port", "socks_status") == [("4", host, website, 90)]
    assert said([fetched], "path", "status_code") == [("/tea", HTTPStatus.IM_A_TEAPOT)]
