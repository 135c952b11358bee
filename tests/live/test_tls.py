"""TLS between a real server (OpenSSL's s_server) and real clients, decrypted with the key logs of the clients."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.extension_api import MessageKind
from kubeshark.pipeline import Entry, FileDissection, Plugins
from tests.pipeline.tls._exchange import certificate_file

from ._relay import Relay
from ._servers import free_port, need, running, wait_for_port

SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_AES_128_CCM_SHA256": 0x1304,
    "TLS_AES_128_CCM_8_SHA256": 0x1305,
}
PAUSE = 0.2  # s_client reads commands only at the beginning of what it reads at once


class Server:
    """An s_server behind a recording relay."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.keys: list[Path] = []

    def client(self, relay: Relay, *options: str, say: tuple[bytes, ...] = ()) -> bytes:
        """Run s_client with its key log; say the pieces with pauses between them."""
        keys = self.folder / f"keys{len(self.keys)}.log"
        self.keys.append(keys)
        where = f"127.0.0.1:{relay.port}"
        command = ["openssl", "s_client", "-connect", where, "-servername", "shop.example", "-keylogfile", str(keys)]
        with subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdin
            for piece in say:
                time.sleep(PAUSE)
                process.stdin.write(piece)
                process.stdin.flush()
            time.sleep(PAUSE)
            out, _ = process.communicate(timeout=20)
            return out

    def entries(self, relay: Relay, kfl: str) -> list[Entry]:
        capture = self.folder / "live.pcap"
        capture.write_bytes(relay.pcap)
        with FileDissection([str(capture)], kfl, plugins=Plugins(), keylogs=self.keys) as dissection:
            entries = list(dissection)
            assert dissection.problems == []
            return entries

    def said(self, relay: Relay) -> tuple[bytes, bytes]:
        """Return what client and server said inside TLS, as the entries of raw payload have it."""
        sides = [b"", b""]
        for entry in self.entries(relay, "tls && tcp"):
            message = entry.message(MessageKind.EVENT)
            assert message
            sides[message.direction] += entry.raw(MessageKind.EVENT)
        return sides[0], sides[1]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """An s_server that sends every line back reversed; more options by `request.param`."""
    need("openssl")
    port = free_port()
    pem = str(certificate_file(tmp_path))
    options = getattr(request, "param", ())
    command = ["openssl", "s_server", "-accept", str(port), "-cert", pem, "-key", pem, "-rev", "-quiet", *options]
    with running(command, port):
        yield Server(tmp_path, port)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("server", [("-ciphersuites", ":".join(SUITES))], indirect=True, ids=["server"])
def test_suites_of_tls13(server: Server, suite: str) -> None:
    with Relay(server.port, shown_port=8444) as relay:
        server.client(relay, "-ciphersuites", suite, say=(b"hello\n", b"Q\n"))
    (handshake,) = server.entries(relay, "tlsx")
    names = ("tlsx_sni", "tlsx_version", "tlsx_cipher_suite", "tlsx_weak")
    assert [handshake.get(name) for name in names] == ["shop.example", 0x0304, SUITES[suite], False]
    assert server.said(relay) == (b"hello\n", b"olleh\n")


def test_key_updates(server: Server) -> None:
    say = (b"one\n", b"K\n", b"two\n", b"k\n", b"K\n", b"three\n", b"Q\n")
    with Relay(server.port, shown_port=8444) as relay:
        server.client(relay, say=say)
    client, answers = server.said(relay)
    assert client == b"one\ntwo\nthree\n"
    assert answers in (b"eno\nowt\n", b"eno\nowt\neerht\n")  # behind an update s_server is a line late


def test_early_data_and_resumption(tmp_path: Path) -> None:
    need("openssl")
    server = Server(tmp_path, free_port())
    pem, session, early = certificate_file(tmp_path), tmp_path / "session", tmp_path / "early"
    early.write_bytes(b"first of all\n")
    command = ["openssl", "s_server", "-accept", str(server.port), "-cert", pem, "-key", pem]
    with subprocess.Popen(  # without -rev it ends with its standard input
        [*command, "-early_data", "-no_anti_replay"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        wait_for_port(server.port)
        with Relay(server.port, shown_port=8444) as relay:
            server.client(relay, "-sess_out", str(session), say=(b"hello\n", b"Q\n"))
            out = server.client(relay, "-sess_in", str(session), "-early_data", str(early), say=(b"more\n", b"Q\n"))
        process.terminate()
    first, second = server.entries(relay, "tlsx")
    assert (first.to_dict()["request"]["resumes"], first.to_dict()["response"]["resumed"]) == (False, False)
    assert (second.to_dict()["request"]["resumes"], second.to_dict()["response"]["resumed"]) == (True, True)
    assert second.to_dict()["request"]["earlyData"]
    assert b"Early data was accepted" in out
    assert server.said(relay)[0] == b"hello\nfirst of all\nmore\n"


@pytest.mark.parametrize("server", [("-groups", "P-384")], indirect=True, ids=["server"])
def test_hello_retry_request(server: Server) -> None:
    with Relay(server.port, shown_port=8444) as relay:
        server.client(relay, "-groups", "X25519:P-384", say=(b"hello\n", b"Q\n"))
    (handshake,) = server.entries(relay, "tlsx")
    response = handshake.to_dict()["response"]
    assert response["helloRetryRequest"] == {"group": "secp384r1"}
    assert server.said(relay) == (b"hello\n", b"olleh\n")


@pytest.mark.parametrize("server", [("-tls1_2",)], indirect=True, ids=["server"])
def test_refused_version(server: Server) -> None:
    with Relay(server.port, shown_port=8444) as relay:
        server.client(relay, "-tls1_3")
    (refused,) = server.entries(relay, "tlsx")
    assert refused.get("tlsx_alert") == 70
    assert refused.to_dict()["response"]["alert"] == {"level": "fatal", "description": "protocol_version", "code": 70}


@pytest.mark.parametrize("server", [("-tls1_2",)], indirect=True, ids=["server"])
def test_certificate(server: Server) -> None:
    with Relay(server.port, shown_port=8444) as relay:
        server.client(relay, say=(b"hello\n", b"Q\n"))
    (handshake,) = server.entries(relay, "tlsx")
    response = handshake.to_dict()["response"]
    (certificate,) = response["certificates"]
    assert (certificate["subject"], certificate["sans"]) == ("CN=shop.example", ["shop.example"])
    assert response["security"] == ["the certificate is self-signed"]
    assert server.said(relay) == (b"hello\n", b"olleh\n")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_http_of_the_standard_library(tmp_path: Path, version: str) -> None:
    need("openssl")
    port = free_port()
    pem = str(certificate_file(tmp_path))
    server = Server(tmp_path, port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    context.set_alpn_protocols(["http/1.1"])
    server.keys.append(tmp_path / "python.log")
    context.keylog_filename = str(server.keys[0])
    command = ["openssl", "s_server", "-accept", str(port), "-cert", pem, "-key", pem, "-WWW", "-alpn", "http/1.1"]
    (tmp_path / "page.html").write_bytes(b"x" * 40_000)
    with running(command, port, cwd=tmp_path), Relay(port, shown_port=443) as relay:
        client = http.client.HTTPSConnection("127.0.0.1", relay.port, context=context, timeout=10)
        client.request("GET", "/page.html")
        assert len(client.getresponse().read()) == 40_000
        client.close()
    (entry,) = server.entries(relay, "https")
    assert [entry.get(name) for name in ("method", "path", "status_code")] == ["GET", "/page.html", 200]
    assert entry.raw(MessageKind.RESPONSE).endswith(b"x" * 40_000)


@pytest.mark.parametrize(("option", "version"), [("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")])
def test_curl_and_hypercorn(tmp_path: Path, option: str, version: str) -> None:
    need("curl")
    pytest.importorskip("hypercorn", reason="hypercorn is not installed: it is in the extra named test")
    server = Server(tmp_path, free_port())
    pem, app = str(certificate_file(tmp_path)), Path(__file__).parent / "_asgi_app.py"
    command = [sys.executable, "-m", "hypercorn", f"{app}:app", "--bind", f"127.0.0.1:{server.port}"]
    keys = tmp_path / "curl.log"
    with (
        running([*command, "--certfile", pem, "--keyfile", pem], server.port),
        Relay(server.port, shown_port=443) as relay,
    ):
        url = f"https://127.0.0.1:{relay.port}/echo"
        subprocess.run(
            ["curl", "-sk", option, "--data", "item=17", url, "--next", "-sk", option, url + "?again=1"],
            env={**os.environ, "SSLKEYLOGFILE": str(keys)},
            check=True,
            capture_output=True,
            timeout=20,
        )
    server.keys.append(keys)
    found = server.entries(relay, "https")
    names = ("method", "url", "http_version", "tls")
    assert [[entry.get(name) for name in names] for entry in found] == [
        ["POST", "/echo", version, True],
        ["GET", "/echo?again=1", version, True],
    ]
    assert all(entry.error is None for entry in found)
    assert found[0].to_dict()["request"]["postData"]["text"] == "item=17"
    (handshake, *_) = server.entries(relay, "tlsx")
    assert "h2" in handshake.to_dict()["request"]["alpn"] or version == "HTTP/1.1"
