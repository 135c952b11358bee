"""Each check with what is right and what is wrong; servers are real, on this machine."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kubeshark.cli.checks import _values as checks
from kubeshark.core_capture.store import Identity
from kubeshark.errors import UsageError
from kubeshark.settings import Duration, Schedule
from tests.core_capture.store._servers import Server

RECIPIENT = str(Identity.generate().recipient)


def test_regular_expressions() -> None:
    assert checks.check_regex("^cart|stock$") == []
    with pytest.raises(UsageError, match=r"'\(' is no regular expression: missing \)"):
        checks.check_regex("(")
    with pytest.raises(UsageError, match="2,000 characters"):
        checks.check_regex("x" * 3_000)


def test_bpf() -> None:
    assert checks.check_bpf("") == [] and checks.check_bpf("tcp port 80") == []
    assert checks.check_bpf("ip or not ip") == ["this filter matches every packet"]
    with pytest.raises(UsageError, match="rejects all packets"):
        checks.check_bpf("ip and not ip")
    with pytest.raises(UsageError, match="syntax error"):
        checks.check_bpf("tcp prt 80")


def test_kfl() -> None:
    assert checks.check_kfl("") == [] and checks.check_kfl("http && status_code >= 500") == []
    with pytest.raises(UsageError):
        checks.check_kfl("http &&")


def test_schedules() -> None:
    assert checks.six_fields("30 2 * * *") == "0 30 2 * * *"
    said = checks.check_cron("0 0 2 * * *", "Europe/Berlin")
    assert len(said) == 3 and all("02:00:00 CE" in line for line in said)
    assert checks.check_cron("0 * * * *", "UTC", 7200)[-1] == (
        "warning: a run takes 7,200 s, and the next one begins after 3,600 s"
    )
    for cron in ("61 * * * *", "* *", "", "x" * 300):
        with pytest.raises(UsageError, match="is no schedule"):
            checks.six_fields(cron)
    assert checks.check_schedule(Schedule(name="a", cron="0 0 2 * * *", duration=Duration("30m")))
    with pytest.raises(UsageError, match="its duration is 0"):
        checks.check_schedule(Schedule(name="a", cron="0 0 2 * * *", duration=Duration("0")))


@pytest.mark.parametrize("zone", ["Berlin", "../etc/passwd", "", "x" * 300])
def test_time_zones(zone: str) -> None:
    assert checks.check_timezone("Europe/Berlin") == []
    with pytest.raises(UsageError, match="no time zone"):
        checks.check_timezone(zone)


def test_sizes_and_durations() -> None:
    assert checks.check_size("10Gi") == [] and checks.check_duration("30m", least=1) == []
    for check, text in ((checks.check_size, "big"), (checks.check_duration, "long")):
        with pytest.raises(UsageError):
            check(text)
    with pytest.raises(UsageError, match="too short"):
        checks.check_duration("0", least=1)


def test_recipients() -> None:
    assert checks.check_recipients([RECIPIENT]) == []
    with pytest.raises(UsageError, match="recipient"):
        checks.check_recipients([RECIPIENT[:-1] + ("q" if RECIPIENT[-1] != "q" else "p")])


def test_interfaces() -> None:
    assert checks.check_interfaces(["lo"]) in ([], ["warning: lo is down"])
    with pytest.raises(UsageError, match="there is no interface 'nope0'"):
        checks.check_interfaces(["nope0"])
    assert checks.default_interfaces()


def test_folders(tmp_path: Path) -> None:
    assert checks.check_folder(str(tmp_path / "a" / "b"), 1) == []
    [said] = checks.check_folder(str(tmp_path), 1 << 60)
    assert said.startswith("warning: ") and "1,073,741,824.0 GiB may be used" in said
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no folder"):
        checks.check_folder(str(tmp_path / "file"), 1)


def test_a_bucket(moto_s3: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_bucket(url, {}) == [f"{url}: written, read and deleted"]
    with pytest.raises(UsageError, match="there is no such bucket"):
        checks.check_bucket("s3://no-such-bucket-here/x", {})
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    endpoint = {"AWS_ENDPOINT_URL": moto_s3.environment()["AWS_ENDPOINT_URL"]}
    assert checks.check_bucket(url, endpoint) and "AWS_ENDPOINT_URL" not in os.environ


def test_what_is_no_bucket() -> None:
    assert checks.check_bucket("memory://probe", {}) == ["memory://probe: written, read and deleted"]
    with pytest.raises(UsageError, match="the bucket cannot be used"):
        checks.check_bucket("nonsense://probe", {})


def issued(folder: Path, *, host: str = "traffic.example.test", days: int = 90, name: str = "tls") -> tuple[str, str]:
    """Write a certificate and its key; return their paths."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    subject = x509.Name([])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .sign(key, SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(paths[0]), str(paths[1])


def test_certificates(tmp_path: Path) -> None:
    good = issued(tmp_path)
    assert checks.check_certificate(*good, "traffic.example.test") == []
    assert checks.check_certificate(*issued(tmp_path, host="*.example.test", name="wild"), "a.example.test") == []
    [warning] = checks.check_certificate(*issued(tmp_path, days=10, name="soon"), "traffic.example.test")
    assert "expires in" in warning
    other = issued(tmp_path, name="other")
    expired = issued(tmp_path, days=-1, name="old")
    for pair, host, said in (
        (good, "elsewhere.test", "is not for elsewhere.test: it is for traffic.example.test"),
        ((good[0], other[1]), "traffic.example.test", "is not the key of"),
        (expired, "traffic.example.test", "is good from"),
        ((good[1], good[0]), "traffic.example.test", "no certificate and its key"),
        (("/nowhere", good[1]), "traffic.example.test", "/nowhere: No such file"),
    ):
        with pytest.raises(UsageError, match=said):
            checks.check_certificate(*pair, host)


@pytest.fixture
def provider() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
            documents = {
                "/.well-known/openid-configuration": {"issuer": at, "authorization_endpoint": f"{at}/auth"},
                "/other/.well-known/openid-configuration": {"issuer": at, "authorization_endpoint": f"{at}/auth"},
            }
            document = documents.get(self.path)
            self.send_response(200 if document else 404)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_identity_providers(provider: str) -> None:
    assert checks.check_issuer(provider) == []
    for issuer, said in (
        (f"{provider}/other", "calls itself"),
        (f"{provider}/none", "no discovery document"),
        ("http://127.0.0.1:1", "cannot be read"),
        ("http://example.test", "is no https:// URL"),
        ("file:///etc/passwd", "is no https:// URL"),
    ):
        with pytest.raises(UsageError, match=said):
            checks.check_issuer(issuer)
