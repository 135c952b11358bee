"""Sealed segments: told in order, beside the import, and never waited for without end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, SegmentInfo
from kubeshark.core_capture.store.segments._info import SourceRecord
from kubeshark.extension_api import SealedSegment, hookimpl
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.intake import _imports
from kubeshark.pipeline.intake._sealed import SealedSegments
from tests.pipeline._plugins import Foreign, failure, with_plugins
from tests.pipeline._traffic import Capture, Connection


class Sealing(Foreign):
    def __init__(self, error: BaseException | None = None, until: threading.Event | None = None) -> None:
        super().__init__()
        self.error, self.until = error, until
        self.told: list[SealedSegment] = []

    @hookimpl
    def segment_sealed(self, segment: SealedSegment) -> None:
        if self.until:
            self.until.wait(30)
        self.told.append(segment)
        if self.error:
            raise self.error


@pytest.fixture
def pcap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_imports, "installed_hooks", lambda: frozenset({"segment_sealed"}))
    capture = Capture()
    for at in range(40):
        Connection(capture, client_port=40_000 + at).open().ask().answer()
    (tmp_path / "a.pcap").write_bytes(capture.pcap())
    return tmp_path / "a.pcap"


def imported(pcap: Path, **plugins: Foreign) -> tuple[int, tuple[str, ...]]:
    with (
        with_plugins(**plugins) as registered,
        Pipeline.open(pcap.parent / "store", identities=[Identity.generate()], plugins=registered) as pipeline,
    ):
        result = pipeline.import_file(pcap)
        return result.segments, result.problems


def test_it_is_told_what_was_sealed_and_no_key(pcap: Path) -> None:
    plugin = Sealing()
    assert imported(pcap, up=plugin) == (1, ())
    (segment,) = plugin.told
    assert (segment.packets, segment.flows, segment.source, segment.link_type) == (160, 40, "a.pcap", 101)
    assert segment.first_ns < segment.last_ns
    assert Path(segment.path).is_file()
    assert Path(segment.path).read_bytes().startswith(b"age-encryption.org/v1")
    assert "AGE-SECRET-KEY" not in repr(segment)


def test_a_failure_is_a_problem_of_the_import(pcap: Path) -> None:
    second = Sealing()
    segments, problems = imported(pcap, a=Sealing(failure("bad luck")), b=Sealing(OSError("no route")), c=second)
    assert segments == 1
    assert len(second.told) == 1
    assert "bad luck (segment " in problems[0]
    assert "plugin b@1.0.0 in segment_sealed: OSError: no route" in problems[1]


def test_one_that_ends_the_program_ends_nothing(pcap: Path) -> None:
    second = Sealing()
    _, problems = imported(pcap, a=Sealing(SystemExit(3)), b=second)
    assert len(second.told) == 1
    assert "plugin a@1.0.0 in segment_sealed: SystemExit: 3" in problems[0]


def test_one_that_hangs_is_left_behind(tmp_path: Path) -> None:
    until = threading.Event()
    told = SealedSegments({"slow@1.0.0": Sealing(until=until).segment_sealed}, tmp_path, wait_s=0.2)
    source = SourceRecord("", "a.pcap", 1, 0, 0, 0, True)
    with told:
        told.tell(SegmentInfo("s-1", "node", "", 1, 1, 1, 1, 1, 1, 1, source))
        told.tell(SegmentInfo("empty", "node", "", 1, 0, 0, 0, 0, 1, 1, source))
    until.set()
    assert told.problems == [
        "plugin slow@1.0.0 is still busy after 0.2 s: 1 sealed segments were not waited for",
    ]
