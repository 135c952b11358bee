"""What the survey says before it writes."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from kubeshark.cli.survey._outlook import open_share, outlook, sampled_bytes
from kubeshark.cli.survey._survey import Survey
from kubeshark.errors import UsageError
from kubeshark.settings import Settings, load
from tests.core_capture.live._cable import ip, own_network

TWO = '{name: a, cron: "0 0 2 * * *", duration: 6h}, {name: b, cron: "0 0 4 * * *", duration: 6h}'
NIGHTLY = f"capture.schedules=[{TWO}]"
BUSY = 'capture.schedules=[{name: a, cron: "* * * * * *", duration: 200ms}]'


def settings(*overrides: str) -> Settings:
    return load(None, {}, overrides).settings


def survey(target: str, **more: object) -> Survey:
    made = Survey({}, is_offline=True)
    made.answers = {"target": target, **more}
    return made


def test_nothing_is_said_of_files() -> None:
    assert outlook(survey("files"), settings()) == []


def test_a_cluster_that_is_not_asked() -> None:
    [line] = outlook(survey("cluster"), settings())
    assert line.startswith("check: warn cluster: ") and "kubeshark check --pre-tap" in line


def test_how_much_of_the_time_windows_are_open() -> None:
    assert open_share(settings()) == 1
    assert open_share(settings(NIGHTLY), 0) == pytest.approx(8 / 24)  # they overlap
    assert open_share(settings(BUSY), 0) == pytest.approx(0.2, abs=0.01)


def test_what_passes_on_an_interface_in_a_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with own_network():
        ip("link set lo up")
        ends = threading.Event()

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                while not ends.wait(0.01):
                    out.sendto(b"x" * 1_000, ("127.0.0.1", 5300))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            assert sampled_bytes(["lo"], "port 5300", 0.5) > 1_000
            assert sampled_bytes(["lo"], "port 5301", 0.2) == 0
            lines = outlook(survey("local"), settings("capture.interfaces=lo", "tap.bpfOverride=port 5300", NIGHTLY))
        finally:
            ends.set()
            sender.join()
    assert lines[-1].startswith("sampled 2 s on lo: ")
    assert lines[-1].endswith(" a day, open 33.3% of the time, before compression")
    assert lines[0].startswith("check: ")


def test_an_interface_that_is_not_there_says_nothing_of_bytes() -> None:
    with pytest.raises(UsageError):
        sampled_bytes(["nowhere0"], "", 0.1)
    lines = outlook(survey("local"), settings("capture.interfaces=nowhere0"))
    assert not [line for line in lines if line.startswith("sampled")]
