"""A worker as a process: what it can read, what ends it, and what it leaves."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, Store, open_store
from tests.worker._cluster import COMMAND, Pki, Process


def memory_of(pid: int) -> bytes:
    """Return what a process holds in memory that it may write to."""
    held = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found:
                start, end = (int(edge, 16) for edge in found.groups())
                try:
                    memory.seek(start)
                    held.append(memory.read(end - start))
                except OSError:  # of devices
                    continue
    return b"".join(held)


def records(store: Store) -> list[bytes]:
    """Return the packets of each segment, in the clear."""
    found = []
    for info in store.segments():
        with store.open_segment(info.name) as segment:
            found.append(bytes(segment.select(None)))
    assert any(found)
    return found


def test_it_holds_no_key_to_what_it_serves(
    store: Path, pki: Pki, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESHARK_TLS", str(pki.folder / "hub"))
    opened = Store.open(store, identities=[identity])
    with Process(store, pki.folder / "localhost", home=tmp_path) as worker:
        assert records(open_store(f"https://localhost:{worker.port}", identities=[identity])) == records(opened)
        pid = worker.process.pid
        held = memory_of(pid)
        open_files = [str(path.resolve()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert b"kubeshark" in held  # it was looked at
    for info in opened.segments():
        with opened.open_segment(info.name) as segment:
            key = segment._index.meta.data.file_key
        assert len(key) == 32
        assert bytes.fromhex(key) not in held
        assert key.encode() not in held
    assert identity.secret().encode() not in held
    assert identity.secret().lower().encode() not in held
    assert not [path for path in open_files if "identity" in path]


def test_it_ends_when_it_is_told_to_and_begins_again_after_a_kill(store: Path, pki: Pki, tmp_path: Path) -> None:
    before = sorted((path.name, path.stat().st_size) for path in store.iterdir())
    worker = Process(store, pki.folder / "localhost", home=tmp_path)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        worker.start()
        worker.process.send_signal(number)
        worker.process.communicate(timeout=30)
        assert worker.process.returncode is not None
    assert sorted((path.name, path.stat().st_size) for path in store.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--store", "nothing"), 1, "cannot open the store nothing: No such file or directory"),
        (("--store", "s3://bucket"), 2, "a worker keeps its store on its node, not at s3://bucket"),
        (("--listen", "8898"), 2, "'8898' is no address to listen on: write HOST:PORT"),
        (("--listen", "192.0.2.1:1"), 1, "cannot listen on 192.0.2.1 port 1: Cannot assign requested address"),
        (("--tls", "nowhere"), 1, "there is no nowhere/ca.crt"),
        (("--memory-mb", "-1"), 2, "limits are not below 0"),
    ],
)
def test_what_cannot_be(store: Path, pki: Pki, tmp_path: Path, options: tuple[str, str], code: int, said: str) -> None:
    given = {"--store": str(store), "--tls": str(pki.folder / "localhost"), "--listen": "127.0.0.1:0"} | {
        options[0]: options[1]
    }
    arguments = [each for pair in given.items() for each in pair]
    done = subprocess.run(
        [*COMMAND, "worker", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
