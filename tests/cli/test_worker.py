"""kubeshark worker: addresses, certificates and what a store behind it looks like to the other commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.cli.worker import parse_address
from kubeshark.core_capture.store import create_identity, identity_path
from kubeshark.errors import UsageError
from tests.worker._cluster import Process

COMMAND = (sys.executable, "-m", "kubeshark")


def kubeshark(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=os.environ | environment, check=False
    )


def test_from_certificates_to_a_query(tmp_path: Path, root: Path) -> None:
    pki, store = tmp_path / "pki", tmp_path / "store"
    made = kubeshark("worker", "init-tls", "--out", str(pki), "localhost")
    assert made.stdout.splitlines() == [str(pki / name) for name in ("authority", "hub", "localhost")]
    again = kubeshark("worker", "init-tls", "--out", str(pki), "localhost")
    assert (again.returncode, again.stdout) == (1, "")
    assert "localhost exists already: a key is never replaced: move it away" in again.stderr
    create_identity(identity_path())
    capture = root / "examples" / "captures" / "sample.pcapng"
    assert kubeshark("import", str(capture), "--store", str(store)).returncode == 0
    with Process(store, pki / "localhost", home=tmp_path / "nobody") as worker:
        url = f"https://localhost:{worker.port}"
        there = kubeshark("query", "http", "--store", url, "--jobs", "2", KUBESHARK_TLS=str(pki / "hub"))
        assert (there.returncode, there.stderr) == (0, "")
        assert there.stdout == kubeshark("query", "http", "--store", str(store)).stdout
        refused = kubeshark("query", "http", "--store", url, KUBESHARK_TLS=str(pki / "localhost"))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "it may not accept our certificate" in refused.stderr
        unknown = kubeshark("query", "http", "--store", url)
        assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
        assert "ca.crt: name it with --tls" in unknown.stderr
    gone = kubeshark("query", "http", "--store", url, KUBESHARK_TLS=str(pki / "hub"))
    assert (gone.returncode, gone.stderr) == (1, f"kubeshark: {url}: cannot be reached\n")


def test_addresses() -> None:
    assert parse_address("0.0.0.0:8898") == ("0.0.0.0", 8898)
    assert parse_address("[::1]:0") == ("::1", 0)
    assert parse_address("node-1:65535") == ("node-1", 65_535)
    for text in ("", "8898", "a:", ":1", "a:65536", "::1:5", "[a]:1 ", "a:1\n"):
        with pytest.raises(UsageError):
            parse_address(text)
