"""Requests for plugins: what is granted works, everything else is refused before a byte leaves."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubeshark.extension_api._permissions import Grants
from kubeshark.hosts.broker._http import HttpError, LateError, Network, RefusedError


def network(*hosts: str, **settings: Any) -> Network:
    return Network(Grants.parse(hosts), **settings)


def get(sender: Network, url: str, seconds: float = 5.0, **headers: str) -> Any:
    return sender.request("GET", url, list(headers.items()), b"", seconds)


def test_a_granted_host_answers(web: Any) -> None:
    sender = network(web.host)
    response = sender.request("POST", f"http://{web.host}/say/hello?a=b", [("X-Token", "t")], b"body", 5)
    assert (response.status, response.reason, response.body) == (200, "Said So", b"hello?a=b")
    assert ("X-Kind", "plain") in response.headers
    ((method, path, headers, body),) = web.asked
    assert (method, path, body) == ("POST", "/say/hello?a=b", b"body")
    assert headers["host"] == web.host
    assert headers["x-token"] == "t"
    assert headers["accept-encoding"] == "identity"
    assert get(sender, f"http://{web.host}/status/500").status == 500
    assert sender.request("HEAD", f"http://{web.host}/say/x", [], b"", 5).body == b""


@pytest.mark.parametrize(
    ("grants", "url"),
    [
        ([], "http://{host}/say/x"),
        (["hooks.example"], "http://{host}/say/x"),
        (["127.0.0.1:1", "*"], "http://localhost:{port}/say/x"),
        (["127.0.0.1:1"], "http://{host}/say/x"),
        (["https://127.0.0.0/8"], "http://{host}/say/x"),
        (["localhost"], "http://{host}/say/x"),
        (["*"], "http://{host}/say/x"),
        (["*"], "http://localhost:{port}/say/x"),
        (["*"], "http://2130706433:{port}/say/x"),
        (["*"], "http://0x7f.1:{port}/say/x"),
        (["*"], "http://[::ffff:127.0.0.1]:{port}/say/x"),
        (["*"], "http://0.0.0.0:{port}/say/x"),
        (["*"], "http://169.254.169.254/latest/meta-data/"),
        (["*"], "http://[fe80::1]/"),
        (["*"], "http://[fd00:ec2::254]/"),
        (["*"], "http://[64:ff9b::7f00:1]/"),
        (["*"], "http://100.100.100.200/"),
        (["*"], "http://10.0.0.1/"),
        (["*.example"], "http://example/"),
        (["hooks.example"], "http://hooks.example:8080/"),
        (["hooks.example"], "http://hooks.example.evil.example/"),
        (["hooks.example"], "http://evilhooks.example/"),
    ],
)
def test_what_was_not_granted_is_refused(web: Any, grants: list[str], url: str) -> None:
    with pytest.raises(RefusedError, match="not granted"):
        get(network(*grants), url.format(host=web.host, port=web.port))
    assert web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://{host}/",
        "file:///etc/passwd",
        "http://",
        "http:///say/x",
        "//{host}/say/x",
        "{host}",
        "http://user@{host}/say/x",
        "http://{host}@evil.example/",
        "http://{host}/ HTTP/1.1",
        "http://{host}/\r\nX: y",
        "http://{host}\\@evil.example/",
        "http://{host}:99999/",
        "http://ho st/",
        "http://[::1/",
        "http://\u0435xample/",
        "http://{host}/" + "x" * 9000,
    ],
)
def test_what_is_no_url_is_refused(web: Any, url: str) -> None:
    with pytest.raises(HttpError):
        get(network(web.host, "*"), url.format(host=web.host))
    assert web.asked == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.example"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive"),
        ("Proxy-Authorization", "x"),
        ("Expect", "100-continue"),
        ("X: y\r\nZ", "v"),
        ("X", "y\r\nHost: z"),
        ("X", "y\nz"),
        ("", "v"),
        ("X Y", "v"),
        ("X", "\0"),
    ],
)
def test_headers_cannot_carry_a_second_request(web: Any, name: str, value: str) -> None:
    with pytest.raises(HttpError, match="header"):
        network(web.host).request("GET", f"http://{web.host}/say/x", [(name, value)], b"", 5)
    with pytest.raises(HttpError, match="more than"):
        network(web.host).request("GET", f"http://{web.host}/say/x", [("X", "y")] * 65, b"", 5)
    for method in ("CONNECT", "TRACE", "GET /", ""):
        with pytest.raises(HttpError, match="no method"):
            network(web.host).request(method, f"http://{web.host}/say/x", [], b"", 5)
    assert web.asked == []


def test_redirects_go_to_granted_hosts_only(web: Any) -> None:
    sender = network(web.host, "*")
    response = get(sender, f"http://{web.host}/to/302//say/there")
    assert (response.body, response.url) == (b"there", f"http://{web.host}/say/there")
    for target in (
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:22/",
        "http://localhost:22/",
        "file:///etc/passwd",
    ):
        web.asked.clear()
        with pytest.raises(HttpError, match=r"not granted|is no URL"):
            get(sender, f"http://{web.host}/to/307/{target}")
        assert len(web.asked) == 1
    with pytest.raises(HttpError, match="more than 5 redirects"):
        get(sender, f"http://{web.host}/to/302//to/302/")


def test_a_redirect_elsewhere_carries_no_credentials(web: Any) -> None:
    sender = network(web.host, f"localhost:{web.port}")
    headers = [("Authorization", "secret"), ("Cookie", "secret"), ("X-Other", "kept"), ("Content-Type", "text/plain")]
    url = f"http://{web.host}/to/302/http://localhost:{web.port}/say/there"
    assert sender.request("POST", url, headers, b"body", 5).body == b"there"
    method, _, seen, body = web.asked[-1]
    assert (method, body, seen["x-other"]) == ("GET", b"", "kept")
    assert not {"authorization", "cookie", "content-type"} & seen.keys()


def test_a_name_is_resolved_once_and_pinned(web: Any) -> None:
    """DNS rebinding: the second answer would lead inside."""
    answers = iter([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"]])
    sender = network(f"hooks.example:{web.port}", resolve=lambda host, port: next(answers))
    with pytest.raises(HttpError) as failed:
        get(sender, f"http://hooks.example:{web.port}/say/x", 0.3)
    assert not isinstance(failed.value, RefusedError)  # it went outside, where nobody answered
    with pytest.raises(RefusedError, match=r'hooks.example is 127.0.0.1, which is not public: permission "hosts: 127'):
        get(sender, f"http://hooks.example:{web.port}/say/x")
    assert web.asked == []


def test_a_private_address_must_be_granted_as_such(web: Any) -> None:
    sender = network(f"intra.example:{web.port}", "127.0.0.0/8", resolve=lambda host, port: ["127.0.0.1"])
    assert get(sender, f"http://intra.example:{web.port}/say/inside").body == b"inside"
    assert get(network(f"localhost:{web.port}"), f"http://localhost:{web.port}/say/here").body == b"here"


def test_large_and_endless_answers_are_cut_off(web: Any) -> None:
    sender = network(web.host, max_response_bytes=100_000)
    assert len(get(sender, f"http://{web.host}/large/100000").body) == 100_000
    for path in ("large/100001", "endless/"):
        with pytest.raises(HttpError, match="more than 100,000 bytes"):
            get(sender, f"http://{web.host}/{path}")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("short/", "ended its answer|IncompleteRead"), ("headers/200", "headers"), ("nonsense/", ".")],
)
def test_broken_answers_are_failures(web: Any, path: str, reason: str) -> None:
    with pytest.raises(HttpError, match=reason):
        get(network(web.host), f"http://{web.host}/{path}")


def test_a_slow_server_is_left_at_the_deadline(web: Any) -> None:
    with pytest.raises(LateError, match="did not answer in time"):
        get(network(web.host), f"http://{web.host}/slow/", 0.3)


def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("http", "https"):
            with pytest.raises(LateError):
                get(network(f"127.0.0.1:{port}"), f"{scheme}://127.0.0.1:{port}/", 0.3)


def test_a_resolver_that_hangs_is_left_behind() -> None:
    done = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        done.wait(20)
        return []

    with pytest.raises(LateError, match="not resolved in time"):
        get(network("hooks.example", resolve=hang), "http://hooks.example/", 0.2)
    done.set()


def test_cancel_ends_a_request_under_way(web: Any) -> None:
    sender = network(web.host)
    timer = threading.Timer(0.2, sender.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(HttpError, match="being closed"):
        get(sender, f"http://{web.host}/slow/", 60)
    assert time.monotonic() - began < 30
    with pytest.raises(HttpError):
        get(sender, f"http://{web.host}/say/x")
    timer.join()


def test_tls_is_verified(web: Any, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(stream, server_side=True) as tls:
                    tls.recv(4096)
                    tls.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                stream.close()

    threading.Thread(target=serve, daemon=True).start()
    url, grants = f"https://localhost:{port}/", (f"localhost:{port}", "127.0.0.1")
    with pytest.raises(HttpError, match="certificate verify failed"):
        get(network(*grants), url)
    trusting = network(*grants, context=lambda: ssl.create_default_context(cafile=str(certificate)))
    with pytest.raises(RefusedError, match="redirects from TLS to plain"):
        get(trusting, url)
    with pytest.raises(HttpError, match=r"not valid for|IP address mismatch"):
        get(
            network(f"127.0.0.1:{port}", context=lambda: ssl.create_default_context(cafile=str(certificate))),
            f"https://127.0.0.1:{port}/",
        )
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
