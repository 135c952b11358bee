"""Real S3 servers for the tests: moto's, which simulates one, and versitygw, which is one."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

ACCESS, SECRET = "test-access-key", "test-secret-key-ZZZZ"
BUCKET = "captures"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "kubeshark"  # tests get another home


@dataclass(frozen=True)
class Server:
    """An S3 server on this machine with one bucket."""

    endpoint: str

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return what a user sets."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def bucket(self, prefix: str = "") -> S3Store:
        """Return the bucket as an outsider sees it, to look and to meddle."""
        return S3Store(
            BUCKET,
            prefix=prefix or None,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Return all objects below a prefix."""
        store = self.bucket(prefix)
        listed = obstore.list(store).collect()
        return {meta["path"]: bytes(obstore.get(store, meta["path"]).bytes()) for meta in listed}


@contextmanager
def moto() -> Iterator[Server]:
    """Run moto's server as a process of its own; it ends with the block."""
    program = Path(__file__).with_name("_moto.py")
    with subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            server = Server(f"http://127.0.0.1:{int(child.stdout.readline())}")
            make_bucket(server)
            yield server
        finally:
            child.kill()


@contextmanager
def versitygw(folder: Path, port: int = 0) -> Iterator[Server]:
    """Run versitygw over a folder, or again over one it had; it ends with the block, as kill -9 ends it."""
    port = port or free_port()
    is_new = not (folder / "data").exists()
    (folder / "data").mkdir(exist_ok=True)
    (folder / "meta").mkdir(exist_ok=True)
    command = [find_versitygw(), "--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "--quiet"]
    command += ["--keep-alive", "posix", "--sidecar", str(folder / "meta"), str(folder / "data")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            server = Server(f"http://127.0.0.1:{port}")
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert child.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            else:
                pytest.fail("versitygw does not listen")
            if is_new:
                make_bucket(server)
            yield server
        finally:
            child.kill()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def find_versitygw() -> str:
    """Return the program, or skip: `scripts/versitygw.sh` builds it."""
    built = sorted(CACHE.glob("versitygw-*/versitygw"))
    found = str(built[-1]) if built else shutil.which("versitygw")
    if found is None:
        pytest.skip("no versitygw: scripts/versitygw.sh builds it with Go, in two minutes, once")
    return found


def make_bucket(server: Server) -> None:
    """Make the bucket: obstore makes none, so this is a signed request of its own."""
    request = sign("PUT", f"/{BUCKET}", f"127.0.0.1:{server.port}")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", f"/{BUCKET}", headers=request)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def sign(method: str, path: str, host: str) -> dict[str, str]:
    """Return the headers of an empty request, signed as AWS Signature Version 4 asks."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n\n{signed}\n{empty}"
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return {
        "host": host,
        "x-amz-date": now,
        "x-amz-content-sha256": empty,
        "authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={signed}, Signature={signature}",
    }
