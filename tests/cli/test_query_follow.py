"""`kubeshark query --follow` while another process captures into the store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubeshark.core_capture.store import create_identity, identity_path
from tests.cli._command import kubeshark

SECONDS = 8


@contextmanager
def following(store: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kubeshark", "query", "--follow", "--store", str(store), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def capture(store: Path, root: Path) -> subprocess.Popen[bytes]:
    """Capture so long, and until the standard input is closed."""
    command = [sys.executable, "-m", "tests.pipeline._live", str(store), str(SECONDS), "--until-stdin-ends"]
    return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    create_identity(identity_path())
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_entries_are_shown_while_they_come_and_once_with_the_ids_of_queries(store: Path, root: Path) -> None:
    seen: list[str] = []

    def until(count: int) -> None:
        deadline = time.monotonic() + 100
        while len(seen) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    since = datetime.now(UTC).isoformat()  # it may begin after the capture
    with following(store, "http || dns", "--since", since, "--output", "jsonl") as watching:
        stream = watching.stdout
        assert stream is not None
        reading = threading.Thread(target=lambda: seen.extend(stream))
        reading.start()
        writing = capture(store, root)
        until(100)
        assert writing.poll() is None and len(seen) >= 100
        writing.communicate(timeout=100)
        assert writing.returncode == 0
        ids = expected(store)
        until(len(ids))
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
        reading.join(30)
        assert watching.stderr is not None
        assert watching.stderr.read() == ""
    assert sorted(json.loads(line)["id"] for line in seen) == sorted(ids)
    assert len(ids) > 500


def expected(store: Path) -> list[str]:
    found = kubeshark("query", "http || dns", "--store", store, "--output", "jsonl", "--fields", "id")
    assert found.returncode == 0, found.stderr
    return [json.loads(line)["id"] for line in found.stdout.splitlines()]


def test_a_limit_ends_it_and_fields_are_shown_line_by_line(store: Path, root: Path) -> None:
    with following(store, "dns", "--fields", "id,dns_questions", "--output", "jsonl", "--limit", "7") as watching:
        writing = capture(store, root)
        out, errors = watching.communicate(timeout=60)
        writing.kill()
        writing.communicate()
    assert (watching.returncode, errors) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 7
    assert all(set(row) == {"id", "dns_questions"} for row in rows)


def test_since_shows_earlier_ones_first(store: Path, root: Path) -> None:
    assert kubeshark("import", root / "examples" / "captures" / "sample.pcapng", "--store", store).returncode == 0
    found = expected(store)
    with following(
        store, "http || dns", "--since", "2020-01-01T00:00:00Z", "--fields", "id", "--limit", str(len(found))
    ) as watching:
        out, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (0, "")
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == sorted(found)


@pytest.mark.parametrize(
    "option", [["--until", "now"], ["--reverse"], ["--explain"], ["--cursor"], ["--max-seconds", "5"]]
)
def test_what_does_not_go_with_it_is_wrong_usage(store: Path, option: list[str]) -> None:
    done = kubeshark("query", "--follow", "--store", store, *option)
    assert done.returncode == 2
    assert option[0] in done.stderr


def test_the_table_comes_with_its_head(store: Path, root: Path) -> None:
    with following(store, "http", "--output", "table", "--limit", "1") as watching:
        writing = capture(store, root)
        out, _ = watching.communicate(timeout=60)
        writing.kill()
        writing.communicate()
    head, row = out.splitlines()
    assert head.startswith("TIME")
    assert "GET" in row
