"""kubeshark serve -i: one command that captures and shows, and whose capture ends with it, sealed."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeshark.cli import hub
from kubeshark.cli._local_capture import check_local_capture
from tests.core_capture.live._cable import FAR, PORT, Sender, frame
from tests.core_capture.live.conftest import sender
from tests.hub._serving import Hub, ask_socket

__all__ = ["sender"]

COMMAND = (sys.executable, "-m", "kubeshark")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Hub]:
    environment = {"HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
    command = [*COMMAND, "serve", "--store", str(folder / "store"), "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield Hub(found.group(), folder / "store", folder / "home")
        finally:
            process.terminate()
            process.wait(60)


def test_a_hub_that_captures_nothing_has_what_is_asked_of_a_capture() -> None:
    parser = argparse.ArgumentParser()
    hub.add_parser(parser.add_subparsers(), "hub", "")
    check_local_capture(parser.parse_args(["hub"]))


def test_what_is_captured_is_shown_and_sealed_at_the_end(sender: Sender, tmp_path: Path) -> None:
    with serving(tmp_path, "-i", FAR, "--filter", f"udp port {PORT}") as hub:
        ends, found, sent = time.monotonic() + 30, 0, 0
        while not found:
            assert time.monotonic() < ends, "nothing was captured"
            sent += sender.send([frame(sent, size=200)])  # until the other process listens
            time.sleep(0.2)
            with hub.socket() as socket:
                results = ask_socket(socket, 1, f"dst.port == {PORT}")
                assert results.to_the_end()["op"] == "done"
                found = sum(results.sizes)
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [*COMMAND, "store", "info", "--store", tmp_path / "store", "--output", "json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    info = json.loads(told.stdout)
    assert info["open"] == 0
    assert 0 < info["packets"] <= sent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-i", "none0"), "none0"),
        (("-i", FAR, "--filter", "tcp prot 1"), "tcp prot 1"),
        (("--filter", "tcp"), "give an interface"),
        (("-i", FAR, "--store", "s3://bucket/prefix"), "into a folder"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_served(
    sender: Sender, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    command = [*COMMAND, "serve", "--store", str(tmp_path / "store"), "--port", "0", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
