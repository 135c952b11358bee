"""A real PostgreSQL server: psql and pgbench talk to it, and what passes is read as the protocol's manual says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running

PASSWORD = "quite-secret"
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL: Debian keeps its servers off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else need(name, "postgresql")


def as_user(*command: str | Path) -> list[str]:
    words = [str(word) for word in command]
    return [need("runuser", "util-linux"), "-u", UNPRIVILEGED, "--", *words] if os.geteuid() == 0 else words


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "db.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "server.crt").write_bytes(made.public_bytes(encoding))
    (folder / "server.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    initdb, postgres = program("initdb"), program("postgres")
    port = free_port()
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        (folder / "password").write_text(PASSWORD)
        certificate(folder)
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                subprocess.run(["chown", UNPRIVILEGED, path], check=True)
        made = as_user(initdb, "-D", data, "-U", "ann", "-A", "scram-sha-256", "--pwfile", folder / "password", "-N")
        subprocess.run([*made, "--no-locale", "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL)
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": folder / "server.crt",
            "ssl_key_file": folder / "server.key",
        }
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with running(as_user(postgres, "-D", data, "-p", str(port), *settings), port):
            yield port


def client(name: str, port: int, *words: str, mode: str = "disable", fails: bool = False) -> str:
    run = subprocess.run(
        [program(name), "-h", "127.0.0.1", "-p", str(port), "-U", "ann", *words],
        env={**os.environ, "PGPASSWORD": PASSWORD, "PGSSLMODE": mode, "PGDATABASE": "postgres"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert fails or run.returncode == 0, run.stderr
    return run.stdout


def psql(port: int, *statements: str, mode: str = "disable", fails: bool = False) -> str:
    words = [word for statement in statements for word in ("-c", statement)]
    return client("psql", port, "-X", "-q", *words, mode=mode, fails=fails)


def found(relay: Relay) -> list[Entry]:
    entries = relay.entries("postgresql")
    assert [entry.error for entry in entries if entry.error] == []
    assert PASSWORD not in str([entry.to_dict() for entry in entries])
    return entries


def commands(entries: list[Entry]) -> list[str]:
    return [entry.get("postgresql_command") for entry in entries]


def test_login_queries_and_errors(server: int) -> None:
    with Relay(server, shown_port=5432) as relay:
        psql(
            relay.port,
            "create temp table t (id int primary key, name text)",
            "insert into t values (1, 'one'), (2, null)",
            "select * from t order by id",
            "insert into t values (1, 'again')",
            "drop table if exists missing",
            "select 1 as a; select 2 as b",
            fails=True,
        )
    entries = found(relay)
    assert commands(entries) == [
        "STARTUP",
        "CREATE TABLE",
        "INSERT",
        "SELECT",
        "INSERT",
        "DROP TABLE",
        "SELECT",
        "TERMINATE",
    ]
    login, _, _, selected, failed, dropped, both, _ = (entry.to_dict() for entry in entries)
    assert (login["request"]["user"], login["request"]["database"]) == ("ann", "postgres")
    assert (login["response"]["authentication"], login["request"]["password"]) == ("sasl", "[redacted]")
    assert selected["response"]["columns"] == [{"name": "id", "type": "int4"}, {"name": "name", "type": "text"}]
    assert selected["response"]["rows"] == [["1", "one"], ["2", None]]
    assert (failed["response"]["errorCode"], failed["response"]["ok"]) == ("23505", False)
    assert dropped["response"]["notices"][0]["code"] == "00000"
    assert both["response"]["tags"] == ["SELECT 1", "SELECT 1"]
    assert [entry.get("postgresql_success") for entry in entries[:5]] == [True, True, True, True, False]
    assert entries[4].get("postgresql_error_code") == "23505"


def test_copy_and_notifications(server: int, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_text("".join(f"{at}\tn{at}\n" for at in range(300)))
    with Relay(server, shown_port=5432) as relay:
        psql(
            relay.port,
            "create temp table c (id int, name text)",
            rf"\copy c from '{rows}'",
            "copy c to stdout",
            "listen news",
            "notify news, 'hello'",
        )
    entries = found(relay)
    assert commands(entries)[1:-1] == ["CREATE TABLE", "COPY", "COPY", "LISTEN", "NOTIFY", "NOTIFY"]
    sent, told = entries[2].to_dict(), entries[3].to_dict()
    assert (sent["response"]["tag"], len(sent["request"]["copyData"])) == ("COPY 300", 100)
    assert told["response"]["rows"][:2] == [["0", "n0"], ["1", "n1"]]
    (event,) = (entry.to_dict()["event"] for entry in entries if entry.exchange.event)
    assert (event["data"]["channel"], event["data"]["payload"]) == ("news", "hello")


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_extended_protocol(server: int, tmp_path: Path, mode: str) -> None:
    script = tmp_path / "script.sql"
    script.write_text("\\set n 41\nselect :n + 1 as n;\nselect :n + 1 as n;\n")
    with Relay(server, shown_port=5432) as relay:
        client("pgbench", relay.port, "-n", "-t", "2", "-M", mode, "-f", str(script))
    entries = [entry for entry in found(relay) if entry.get("postgresql_query") == "select $1 + 1 as n;"]
    runs = [entry.to_dict() for entry in entries if entry.get("postgresql_command") == "SELECT"]
    assert len(runs) == 4
    assert all(run["request"]["parameters"] == ["41"] for run in runs)
    assert all(run["response"]["rows"] == [["42"]] for run in runs)
    assert all(run["response"]["columns"] == [{"name": "n", "type": "int4"}] for run in runs)
    assert {run["request"]["statement"] == "" for run in runs} == {mode == "extended"}


def test_pipeline_with_an_error(server: int, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("\\startpipeline\nselect 1;\nselect 1 / 0;\nselect 3;\n\\endpipeline\n")
    with Relay(server, shown_port=5432) as relay:
        client("pgbench", relay.port, "-n", "-t", "1", "-M", "extended", "-f", str(script), fails=True)
    entries = [entry for entry in found(relay) if "select" in entry.get("postgresql_query")][-3:]
    assert [entry.get("postgresql_query") for entry in entries] == ["select 1;", "select 1 / 0;", "select 3;"]
    assert [entry.get("postgresql_error_code") for entry in entries] == ["", "22012", ""]
    assert entries[2].to_dict()["response"] is None


def test_encryption_is_handed_over(server: int) -> None:
    with Relay(server, shown_port=5432) as relay:
        psql(relay.port, "select 1", mode="require")
    assert commands(found(relay)) == ["SSLREQUEST"]
    assert [entry.protocol.abbr for entry in relay.entries("tlsx")][:1] == ["TLS"]


def test_wrong_password(server: int) -> None:
    with Relay(server, shown_port=5432) as relay:
        subprocess.run(
            [program("psql"), "-h", "127.0.0.1", "-p", str(relay.port), "-U", "ann", "-c", "select 1", "postgres"],
            env={**os.environ, "PGPASSWORD": "wrong", "PGSSLMODE": "disable"},
            capture_output=True,
            timeout=30,
        )
    (login,) = found(relay)
    assert (login.get("postgresql_error_code"), login.get("postgresql_success")) == ("28P01", False)
