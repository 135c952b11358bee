"""kubeshark store upload, and --upload of what captures: from a folder to an archive that is queried."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubeshark.core_capture.store import create_identity, default_node, identity_path
from tests.core_capture.live._cable import FAR, PORT, Sender, frame
from tests.core_capture.live.conftest import sender
from tests.core_capture.store._servers import BUCKET, Server, versitygw

__all__ = ["sender"]

COMMAND = (sys.executable, "-m", "kubeshark")


def kubeshark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Path:
    create_identity(identity_path())
    capture = root / "examples" / "captures" / "sample.pcapng"
    assert kubeshark("import", str(capture), "--store", str(tmp_path / "store")).returncode == 0
    return tmp_path / "store"


def test_from_a_folder_to_an_archive_that_is_queried(store: Path, url: str, server: Server) -> None:
    for node in ("node-1", "node-2"):
        done = kubeshark("store", "upload", url, "--node", node, "--store", str(store), "--output", "json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) | {"uploaded_bytes": 0} == {
            "url": f"{url}/{node}",
            "state": "uploading",
            "uploaded": 1,
            "uploaded_bytes": 0,
            "waiting": 0,
            "waiting_bytes": 0,
            "lost": 0,
            "left_out": 0,
            "problem": "",
        }
    here = kubeshark("query", "http", "--store", str(store), "--output", "jsonl", "--fields", "timestamp,url,src.ip")
    there = kubeshark("query", "http", "--store", url, "--output", "jsonl", "--fields", "timestamp,url,src.ip")
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == here.stdout != ""
    told = json.loads(kubeshark("store", "info", "--store", str(store), "--output", "json").stdout)["archive"]
    assert (told["url"], told["uploaded"], told["waiting"], told["lost"]) == (f"{url}/node-2", 1, 0, 0)
    assert f"{url}/node-2" in kubeshark("store", "info", "--store", str(store)).stdout
    done = kubeshark("store", "catalogue", "--store", url, "--output", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"segments": 2})
    assert kubeshark("query", "http", "--store", url, "--output", "jsonl", "--fields", "id").stdout.count("\n") == 36
    whole = kubeshark("store", "verify", "--store", f"{url}/node-1")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    refused = kubeshark("store", "prune", "--max-age", "1d", "--store", url)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "name one of the nodes below it" in refused.stderr


def test_what_is_refused(store: Path, moto_s3: Server) -> None:
    for arguments, said in (
        (("store", "upload", "/tmp/x", "--store", str(store)), "is no archive"),
        (("store", "upload", "s3://u:p@x/y", "--store", str(store)), "credentials do not belong"),
        (("store", "upload", f"s3://{BUCKET}/x", "--store", f"s3://{BUCKET}/y"), "is on object storage already"),
        (("worker", "--upload", "ftp://x", "--store", str(store)), "is no archive"),
        (("capture", "-i", "lo", "--upload", "ftp://x", "--store", str(store)), "is no archive"),
    ):
        done = kubeshark(*arguments)
        assert (done.returncode, done.stderr.count("\n"), said in done.stderr) == (2, 1, True), done.stderr
    missing = kubeshark("store", "upload", "s3://no-such-bucket/x", "--store", str(store))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "there is no such bucket" in missing.stderr


def test_a_capture_that_uploads(sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sealed at the end of a capture is in the archive when the command ends; no thread kept a capability."""
    url, store = f"s3://{BUCKET}/live", str(tmp_path / "store")
    options = ["-i", FAR, "--filter", f"udp port {PORT}", "--store", store, "--upload", url, "--max-bytes", "1GB"]
    (tmp_path / "gateway").mkdir()
    with versitygw(tmp_path / "gateway") as server:  # on this test's network
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with subprocess.Popen(
            [*COMMAND, "capture", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stderr is not None
            for line in running.stderr:
                if b"Ctrl-C ends it" in line:
                    break
            sender.send(frame(n) for n in range(500))
            time.sleep(0.3)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=100)
        assert (running.returncode, err) == (0, b""), err
        assert b"captured 500 packets" in out
        there = kubeshark("store", "info", "--store", f"{url}/{default_node()}", "--output", "json")
        assert (there.returncode, json.loads(there.stdout)["packets"]) == (0, 500), there.stderr
        assert kubeshark("store", "verify", "--store", url).returncode == 0
