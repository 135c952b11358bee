"""Windows of schedules as a worker keeps them: marked, uploaded or not, and still so after kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Scheduled, Store, archive_url
from kubeshark.core_capture.store.archives._uploader import Uploader
from kubeshark.core_capture.store.places._names import open_names
from kubeshark.pipeline import Pipeline
from kubeshark.settings import Duration, Schedule
from tests.core_capture.live._cable import ip, own_network
from tests.core_capture.store._servers import BUCKET, Server, free_port, versitygw
from tests.pipeline.reading.test_twins import ID
from tests.worker._cluster import COMMAND, Pki, Process
from tests.worker.test_captures import Scheduled as Simulated

NIGHTLY = Scheduled(("nightly",), keep_s=30 * 86_400, as_store=False)
HOURLY = Scheduled(("hourly",), as_store=True, archived=False)
OPEN, NEVER = '"0 0 0 * * *", duration: 24h', '"0 0 0 29 2 *", duration: 1s'


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.1)


def logs(folder: Path) -> dict[str, list[int]]:
    """Return the pieces of what is not sealed, by segment."""
    return open_names([path.name for path in folder.iterdir()])


def marks_by_port(store: Store) -> dict[int, Scheduled | None]:
    """Return in whose window what was sent from these ports was captured; one that is in two segments fails."""
    found = dict[int, Scheduled | None]()
    for info in store.segments():
        with store.open_segment(info.name) as segment:
            for flow in segment.flows:
                for port in (int(flow["port_a"]), int(flow["port_b"])):
                    if 41_000 <= port < 42_000:
                        assert found.setdefault(port, info.scheduled) == info.scheduled
    return found


def test_segments_end_with_windows_also_where_the_capture_dies(tmp_path: Path, url: str, moto_s3: Server) -> None:
    """By a simulated clock, through the process that captures."""
    nightly = Schedule(
        name="nightly", cron="0 0 1 * * *", duration=Duration("2h"), expire=Duration("720h"), upload=True
    )
    hourly = Schedule(name="hourly", cron="0 0 2 * * *", duration=Duration("2h"))
    folder = tmp_path / "store"
    with own_network():
        ip("link set lo up")
        scheduled = Simulated(folder, nightly, hourly)
        try:
            scheduled.until(lambda: scheduled.row.state == "running")
            scheduled.at(1, is_open=True)
            chosen = scheduled.row.chosen
            assert chosen is not None
            assert (chosen.schedules, chosen.keep_s, chosen.as_store, chosen.archived) == (
                ["nightly"],
                2_592_000,
                False,
                True,
            )
            scheduled.until(lambda: 41_001 in marks_by_port(Store.open(folder, identities=[ID])))
            process = scheduled.captures._process
            assert process is not None
            process.kill()
            scheduled.until(lambda: (scheduled.row.restarts, scheduled.row.state) == (1, "running"))
            scheduled.at(2, is_open=True)  # both
            scheduled.at(3, is_open=True)  # hourly alone
            scheduled.at(4, is_open=False)
        finally:
            scheduled.stop()
    store = Store.open(folder, identities=[ID])
    both = Scheduled(("nightly", "hourly"), keep_s=30 * 86_400)
    wanted = {41_001: NIGHTLY, 41_002: both, 41_003: HOURLY}
    assert marks_by_port(store) == wanted  # what was killed lies in the log
    assert logs(folder)
    store.recover()
    assert not logs(folder)
    assert marks_by_port(Store.open(folder, identities=[ID])) == wanted
    assert Uploader(folder, archive_url(url, "node-1")).run_once().left_out >= 1
    archive = Store.open(archive_url(url, "node-1"), identities=[ID])
    assert marks_by_port(archive) == {41_001: NIGHTLY, 41_002: both}
    assert archive.verify().is_sound


def configured(path: Path, nightly: str, hourly: str) -> None:
    path.write_text(
        "capture:\n  schedules:\n"
        f"    - {{name: nightly, cron: {nightly}, expire: 720h, upload: true}}\n"
        f"    - {{name: hourly, cron: {hourly}}}\n"
    )


def kill_all(worker: Process) -> None:
    """Kill the process that captures, which would end in order, and then the worker that would begin another."""
    children = Path(f"/proc/{worker.process.pid}/task").glob("*/children")
    for child in [int(each) for path in children for each in path.read_text().split()]:
        os.kill(child, signal.SIGKILL)
    worker.kill()


def say(source: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("", source))
        out.sendto(b"said", ("127.0.0.1", 5353))


def test_a_worker_as_people_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the window of one schedule, it is started again in that of the other."""
    folder, gateway, port, config = tmp_path / "store", tmp_path / "gateway", free_port(), tmp_path / "kubeshark.yaml"
    gateway.mkdir()
    pki = Pki(tmp_path / "pki", "localhost")
    place = f"s3://{BUCKET}/scheduled"
    given = ("-i", "lo", "--filter", "udp port 5353", "--recipient", str(ID.recipient), "--node", "node-1")
    worker = Process(folder, pki.folder / "localhost", home=tmp_path / "nobody", options=(*given, "--upload", place))
    with versitygw(gateway, port) as server:
        worker.environment = server.environment() | {"KUBESHARK_CONFIG": str(config)}

    def is_logged_after(source: int, count: int) -> bool:
        """Say something, and whether the log has that many segments."""
        say(source)
        return len(logs(folder)) >= count

    with own_network():
        ip("link set lo up")
        with versitygw(gateway, port):
            configured(config, OPEN, NEVER)
            worker.start()
            try:
                until(lambda: is_logged_after(41_001, 1))
                kill_all(worker)
                worker.start()
                until(lambda: is_logged_after(41_002, 2))
                worker.stop()  # sealed, and uploaded
                configured(config, NEVER, OPEN)
                worker.start()
                until(lambda: is_logged_after(41_003, 2))
            finally:
                worker.stop()
    wanted = {41_001: NIGHTLY, 41_002: NIGHTLY, 41_003: HOURLY}
    assert marks_by_port(Store.open(folder, identities=[ID])) == wanted
    uploads = json.loads((folder / "uploads.json").read_bytes())
    assert (uploads["lost"], len(uploads["left_out"])) == (0, 1)
    with versitygw(gateway, port) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        archive = Store.open(archive_url(place, "node-1"), identities=[ID])
        assert marks_by_port(archive) == {41_002: NIGHTLY}  # the log of what was killed is for who can read it
        with Pipeline.open(folder, identities=[ID]) as pipeline:
            said = [row["scheduled"] for row in pipeline.info()["list"] if row["scheduled"]]
    assert {(*each["schedules"], each["archived"]) for each in said} == {("nightly", True), ("hourly", False)}
    assert all(bool(each["kept_until"]) == each["archived"] for each in said)


def test_upload_without_an_archive_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "kubeshark.yaml"
    configured(config, OPEN, NEVER)
    pki = Pki(tmp_path / "pki", "localhost")
    command = [*COMMAND, "worker", "-i", "lo", "--recipient", str(ID.recipient), "--store", str(tmp_path / "store")]
    command += ["--tls", str(pki.folder / "localhost"), "--listen", "127.0.0.1:0"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "KUBESHARK_CONFIG": str(config)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "capture.schedules: upload: true, and there is no archive: give --upload s3://" in done.stderr
