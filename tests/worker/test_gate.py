"""Who is let in, over real sockets: certificates of all kinds, and those who take their time."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.worker import _gate
from kubeshark.worker._gate import names_of
from tests.worker._cluster import Pki, Running, in_thread


def ask(worker: Running, tls: TlsFiles | None, pki: Pki) -> httpx.Response:
    """Ask for the status with a certificate, or with none."""
    context = ssl.create_default_context(cafile=pki.files("hub").authority)
    if tls is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    with httpx.Client(verify=context, trust_env=False, timeout=20) as client:
        return client.get(f"{worker.url}/v1/status")


def expired(pki: Pki, folder: Path) -> TlsFiles:
    """Return a hub's certificate of the true authority that ended yesterday."""
    authority = pki.folder / "authority"
    signer = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    before = x509.load_pem_x509_certificate((pki.folder / "hub" / "tls.crt").read_bytes())
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = x509.CertificateBuilder(before.issuer, before.subject, key.public_key(), before.serial_number)
    builder = builder.not_valid_before(now - timedelta(9)).not_valid_after(now - timedelta(1))
    for extension in before.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes((authority / "ca.crt").read_bytes())
    (folder / "tls.crt").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(secret)
    return TlsFiles.in_folder(folder)


def test_a_hub_is_let_in(worker: Running, pki: Pki) -> None:
    assert ask(worker, pki.files("hub"), pki).status_code == 200


@pytest.mark.parametrize("shown", ["nothing", "foreign", "expired", "another worker's"])
def test_nobody_else_is(worker: Running, pki: Pki, tmp_path: Path, shown: str) -> None:
    match shown:
        case "nothing":
            tls = None
        case "foreign":  # of an authority with the same name
            tls = Pki(tmp_path / "pki").files("hub")
        case "expired":
            tls = expired(pki, tmp_path)
        case _:
            tls = pki.files("node-2")
    with pytest.raises(httpx.TransportError):
        ask(worker, tls, pki)
    assert worker.service.counters.requests == 0
    assert ask(worker, pki.files("hub"), pki).json()["counters"]["refused"] >= 1


def test_a_client_of_the_authority_that_is_no_hub(worker: Running, pki: Pki, tmp_path: Path) -> None:
    """A certificate that cert-manager made for another service: good for clients, but with another name."""
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "authority").symlink_to(pki.folder / "authority")
    other = Pki.__new__(Pki)
    other.folder = tmp_path / "pki"
    from kubeshark._certificates import issue

    issue(other.folder, [], hub="payments")
    answer = ask(worker, other.files("hub"), pki)
    assert (answer.status_code, answer.json()) == (403, {"error": "this certificate is none of a hub's"})
    assert worker.service.counters.requests == 0


def test_older_tls_is_refused(worker: Running, pki: Pki) -> None:
    context = pki.files("hub").context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=context, trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(f"{worker.url}/v1/status")


def opened(worker: Running, pki: Pki) -> ssl.SSLSocket:
    context = pki.files("hub").context(ssl.Purpose.SERVER_AUTH)
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", worker.port), timeout=20), server_hostname="localhost"
    )


def is_ended(connection: socket.socket) -> bool:
    """Wait until the other side ends a connection."""
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_who_is_slow_is_cut_off(store: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that does not come, a head that trickles in, the head of a second request, and silence."""
    with monkeypatch.context() as hurried, in_thread(store, pki.files("localhost")) as worker:
        hurried.setattr(_gate, "HANDSHAKE_SECONDS", 0.3)  # the others below may need more of a slow machine
        with closing(socket.create_connection(("127.0.0.1", worker.port), timeout=20)) as silent:
            assert is_ended(silent)
    monkeypatch.setattr(_gate, "HEAD_SECONDS", 2.0)
    with in_thread(store, pki.files("localhost")) as worker:
        with closing(opened(worker, pki)) as idle:
            assert is_ended(idle)
        for begun in (b"GET /v1/st", b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n"):
            with closing(opened(worker, pki)) as slow:
                slow.sendall(begun)
                if begun.endswith(b"\r\n\r\n"):
                    assert slow.recv(9) == b"HTTP/1.1 "
                began, ended = time.monotonic(), False
                while not ended and time.monotonic() - began < 20:
                    try:
                        slow.sendall(b"x")
                        time.sleep(0.05)
                        slow.settimeout(0.05)
                        while slow.recv(4096):
                            pass
                        ended = True
                    except TimeoutError:
                        continue
                    except OSError:
                        ended = True
                assert ended
        assert ask(worker, pki.files("hub"), pki).status_code == 200


def test_so_many_connections(store: Path, pki: Pki) -> None:
    with in_thread(store, pki.files("localhost"), connections=5) as worker, ExitStack() as stack:
        held = [stack.enter_context(closing(opened(worker, pki))) for _ in range(5)]
        for _ in range(50):  # more are closed before they cost anything
            with closing(socket.create_connection(("127.0.0.1", worker.port), timeout=20)) as more:
                assert is_ended(more)
        assert worker.service.counters.refused >= 50
        held.pop().close()
        until = time.monotonic() + 60
        while True:  # the server hears of the end a moment later
            try:
                assert ask(worker, pki.files("hub"), pki).status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.02)


@pytest.mark.parametrize(
    "sent",
    [b"\0" * 4096, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 8000, b"GET " + b"/" * 70_000, b"PRI * HTTP/2.0\r\n\r\n"],
)
def test_what_is_no_http(worker: Running, pki: Pki, sent: bytes) -> None:
    with closing(opened(worker, pki)) as connection:
        try:
            connection.sendall(sent)
            said = connection.recv(12)
        except OSError:
            said = b""
        assert said in (b"", b"HTTP/1.1 400", b"HTTP/1.1 404")
    assert ask(worker, pki.files("hub"), pki).status_code == 200


def test_replaced_certificates_are_taken(
    store: Path, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gate, "RELOAD_SECONDS", 0.0)
    other = Pki(tmp_path / "other", "localhost")
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def mount(source: Pki) -> None:
        for path in (source.folder / "localhost").iterdir():
            (mounted / "new").write_bytes(path.read_bytes())
            (mounted / "new").replace(mounted / path.name)

    mount(pki)
    with in_thread(store, TlsFiles.in_folder(mounted)) as worker:
        assert ask(worker, pki.files("hub"), pki).status_code == 200
        mount(other)
        assert ask(worker, other.files("hub"), other).status_code == 200
        (mounted / "tls.crt").write_text("half a file")  # what is there stays in use
        assert ask(worker, other.files("hub"), other).status_code == 200


def test_names_of_a_certificate() -> None:
    names = (("DNS", "a"), ("URI", "spiffe://b"), ("IP Address", "10.0.0.1"), ("email", "c"))
    assert names_of({"subjectAltName": names}) == {"a", "spiffe://b"}
    assert names_of(None) == names_of({}) == set()
