"""`kubeshark import --follow` beside tcpdump, which rotates: killed and begun again, it keeps each packet once."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeshark.core_capture.files import open_capture
from tests.cli._command import kubeshark
from tests.core_capture.live._cable import FAR, PORT, Sender, frame
from tests.core_capture.live.conftest import sender

__all__ = ["sender"]

PACKETS = 4000
SIZE = 1000
PORT_AT = 42  # of an Ethernet frame: where the payload of UDP begins


@contextmanager
def following(place: Path, store: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kubeshark", "import", "--follow", str(place), "--store", str(store)]
    with subprocess.Popen(
        [*command, "--output", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert any("Ctrl-C ends it" in line for line in running.stderr)
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
                _out, err = running.communicate(timeout=60)
                assert (running.returncode, err) == (0, "")


@contextmanager
def dumping(*options: str) -> Iterator[None]:
    """Run tcpdump, which keeps its rights: it makes files while it runs."""
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: apt-get install tcpdump")
    command = ["tcpdump", "-i", FAR, "-U", "-B", "65536", "-Z", "root", *options, "udp", "port", str(PORT)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any("listening" in line for line in running.stderr)
        try:
            yield
        finally:
            running.send_signal(signal.SIGINT)
            _out, err = running.communicate(timeout=60)
            assert "\n0 packets dropped by kernel" in err


def numbers(store: Path, out: Path) -> Counter[int]:
    """Return how often each numbered frame is in the store."""
    done = kubeshark("export", "-o", out, "--store", store)
    assert done.returncode == 0, done.stderr
    found: Counter[int] = Counter()
    with open_capture(out) as reader:
        for batch in reader:
            at = 0
            while at < len(batch.data):
                (captured,) = struct.unpack_from("<I", batch.data, at + 8)
                found[struct.unpack_from(">Q", batch.data, at + 16 + PORT_AT)[0]] += 1
                at += 16 + captured
    return found


def until_stored(store: Path, packets: int) -> None:
    ends = time.monotonic() + 60
    while True:
        done = kubeshark("store", "info", "--store", store, "--output", "json")
        if done.returncode == 0 and json.loads(done.stdout)["packets"] >= packets:
            return
        assert time.monotonic() < ends, done.stdout + done.stderr


@pytest.mark.parametrize("options", [("-C", "1", "-W", "4"), ("-G", "1")], ids=["a ring", "by time"])
def test_each_packet_once_through_rotation_and_kill(sender: Sender, tmp_path: Path, options: tuple[str, ...]) -> None:
    store, folder = tmp_path / "store", tmp_path / "captures"
    folder.mkdir()
    is_by_time = "-G" in options
    place = folder if is_by_time else folder / "x.pcap"
    name = "%H%M%S.pcap" if is_by_time else "x.pcap"
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for number in range(sent, sent + count):
            sender.send([frame(number, size=SIZE)])
            time.sleep(0.0003)  # a ring of 4 MB holds what comes meanwhile
        sent += count

    with dumping(*options, "-w", str(folder / name)):
        send(1200)
        with following(place, store) as running:
            send(500)
            until_stored(store, sent)  # while its file is not over
            send(1000)
            running.kill()
            running.wait()
        send(500)
        with following(place, store):
            send(PACKETS - sent)
            until_stored(store, sent)
    with following(place, store):
        until_stored(store, sent)
    assert numbers(store, tmp_path / "all.pcap") == Counter(range(PACKETS))
    assert kubeshark("store", "verify", "--store", store).returncode == 0


def test_pcapng_whose_last_block_comes_in_pieces(root: Path, tmp_path: Path) -> None:
    whole = (root / "examples/captures/sample.pcapng").read_bytes()
    growing = tmp_path / "x.pcapng"
    growing.write_bytes(whole[:100_003])
    with following(growing, tmp_path / "store"):
        for stop in (100_050, 250_001, 400_002, len(whole)):
            with growing.open("ab") as out:
                out.write(whole[growing.stat().st_size : stop])
            time.sleep(0.3)
        until_stored(tmp_path / "store", 1360)
    rows = ("query", "http", "--fields", "timestamp,path,status_code")
    assert kubeshark("import", root / "examples/captures/sample.pcapng", "--store", tmp_path / "other").returncode == 0
    assert (
        kubeshark(*rows, "--store", tmp_path / "store").stdout == kubeshark(*rows, "--store", tmp_path / "other").stdout
    )
