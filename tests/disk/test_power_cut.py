"""The power goes at every operation of every change of a store: what was acknowledged is there, and work goes on."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store import SourceInfo, Store, export
from kubeshark.core_capture.store.places._names import open_names
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.writing._log import LogReader
from kubeshark.pipeline import Pipeline
from tests.disk._act import ACTS, Hands, import_source
from tests.disk._commands import Commands
from tests.disk._model import Cut, Disk, cuts
from tests.disk._shim import read_log, run

pytestmark = pytest.mark.timeout(900)

SAMPLES = 4
MANY_SAMPLES = 300
PCAP_HEADER = 24

samples = pytest.mark.parametrize("samples", [SAMPLES, pytest.param(MANY_SAMPLES, marks=pytest.mark.slow)])


class Lab:
    """Records changes of a store, cuts the power, and looks."""

    def __init__(self, shim: Path, secrets: Path, source: Path, folder: Path) -> None:
        self.shim, self.secrets, self.source, self.folder = shim, secrets, source, folder
        self.hands = Hands(secrets)
        self.content = source.read_bytes()

    def after(self, what: str, samples: int, template: Path | None = None) -> Iterator[tuple[Cut, Path]]:
        """Yield each cut of an act on a copy of `template`, and a folder with what is found after it."""
        place = self.folder / "disk"
        if template is None:
            place.mkdir()
        else:
            shutil.copytree(template, place)
        disk, log = Disk(place), self.folder / "log"
        program = Path(__file__).with_name("_act.py")
        said = run(self.shim, place, program, what, place, self.secrets, self.source, log=log)
        assert said.endswith("done\n")
        found = self.folder / "found"
        for cut in cuts(disk, read_log(log), samples=samples):
            found.mkdir()
            cut.write_to(found)
            yield cut, found
            shutil.rmtree(found)

    def first(self, packets: int) -> bytes:
        """Return a capture of the first packets of the source."""
        offsets, end = load_core().offsets(self.content[PCAP_HEADER:])
        return self.content[: PCAP_HEADER + ([*offsets.tolist(), end])[packets]]

    def filled(self) -> Path:
        """Return a folder with a store that holds the source."""
        folder = self.folder / "filled"
        folder.mkdir()
        import_source(self.hands, folder, self.source)
        return folder


@pytest.fixture
def lab(shim: Path, secrets: Path, source: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # looking needs no real disk
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(secrets / "me.age"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    return Lab(shim, secrets, source, tmp_path)


def exported(store: Store, segments: list[SegmentInfo] | None = None) -> bytes:
    out = io.BytesIO()
    export(store, out, form="pcap", segments=segments)
    return out.getvalue()


def findings(store: Store, hands: Hands) -> list[str]:
    return [str(finding) for finding in store.verify([hands.key.public]).findings if finding.kind != "note"]


@samples
def test_an_import(lab: Lab, samples: int) -> None:
    promised = 0
    for number, (cut, found) in enumerate(lab.after("import", samples)):
        acknowledged = max((int(mark) for mark in cut.marks.split() if mark.isdigit()), default=0)
        promised = max(promised, acknowledged)
        store = lab.hands.open(found, create=True)
        if cut.is_ordered:
            check_packets(lab, store, acknowledged, cut)
        if number % 2:
            _found, problems = store.recover(key=lab.hands.key)
            assert problems == [], cut
            store = lab.hands.open(found)
            assert findings(store, lab.hands) == [], cut
            check_packets(lab, store, acknowledged, cut)
        import_source(lab.hands, found, lab.source)
        store = lab.hands.open(found)
        assert imported(store) == lab.content, cut
        assert findings(store, lab.hands) == [], cut
        assert store.info().leftovers == (), cut
    assert promised == 48


@samples
def test_a_capture(lab: Lab, samples: int) -> None:
    """Of each cut, somebody recovers, or the next capture goes on and the next import of the node seals the log."""
    promised = 0
    for number, (cut, found) in enumerate(lab.after("capture", samples)):
        acknowledged = max((int(mark) for mark in cut.marks.split() if mark.isdigit()), default=0)
        promised = max(promised, acknowledged)
        store = lab.hands.open(found, create=True)
        log = LogReader(store.files, store.identities)
        logs = log.read()
        if cut.is_ordered:
            assert (log.problems, store.problems) == ([], []), cut
            sealed = [info for info in store.segments() if info.packets and not store.is_open(info.name)]
            ordinals = [n for info in sealed for n in range(info.source.first_ordinal, info.source.last_ordinal + 1)]
            ordinals += [n for each in logs for n in each.draft.ordinals.tolist()]
            assert len(ordinals) == len(set(ordinals)), cut
            assert set(range(acknowledged)) <= set(ordinals), cut
        if number % 2:
            _found, errors = store.recover(key=lab.hands.key)
            assert errors == [], cut
        else:
            lab.hands.open(found).writer([lab.hands.me.recipient], source=SourceInfo("-"), key=lab.hands.key).finish()
        store = lab.hands.open(found)
        assert findings(store, lab.hands) == [], cut
        if cut.is_ordered:
            assert store.info().leftovers == (), cut
            assert open_names(store.files.names()) == {}, cut
            content = exported(store)
            assert lab.content.startswith(content), cut
            assert len(content) >= len(lab.first(acknowledged)), cut
    assert promised == 48


def check_packets(lab: Lab, store: Store, acknowledged: int, cut: Cut) -> None:
    """What is there is the source's beginning, and all that was acknowledged."""
    assert sum(info.packets for info in store.segments()) >= acknowledged, cut
    assert store.problems == [], cut
    assert lab.content.startswith(exported(store)), cut


def imported(store: Store) -> bytes:
    """Export the capture; what `recover` saved of a segment that nobody had acknowledged is a capture of its own."""
    return exported(store, [info for info in store.segments() if info.source.sha256])


@samples
def test_a_rotation(lab: Lab, samples: int) -> None:
    """Every packet opens for the old identity or the new one; a rotation that is run again ends."""
    both = (lab.hands.me, lab.hands.other)
    for cut, found in lab.after("rotate", samples, lab.filled()):
        store = lab.hands.open(found, identities=both)
        assert (exported(store), store.problems) == (lab.content, []), cut
        if "done" in cut.marks:
            store = lab.hands.open(found, identities=(lab.hands.other,))
        else:
            assert not store.rotate_keys([str(lab.hands.other.recipient)]).problems, cut
            store = lab.hands.open(found, identities=(lab.hands.other,))
        assert exported(store) == lab.content, cut
        assert findings(store, lab.hands) == [], cut


@samples
def test_a_pruning(lab: Lab, samples: int) -> None:
    """Whole segments go, the oldest first, and what is gone is known to be gone."""
    for number, (cut, found) in enumerate(lab.after("prune", samples, lab.filled())):
        store = lab.hands.open(found)
        names = [info.name for info in store.segments()]
        if number % 2:
            assert store.recover(key=lab.hands.key)[1] == [], cut
        else:
            ACTS["prune"](lab.hands, found)
        store = lab.hands.open(found)
        after = [info.name for info in store.segments()]
        assert names[-len(after) :] == after, cut
        assert lab.content.endswith(exported(store)[PCAP_HEADER:]), cut
        assert findings(store, lab.hands) == [], cut
        assert store.info().leftovers == (), cut
        if "done" in cut.marks:
            assert len(names) < 5, cut


@samples
@pytest.mark.parametrize("then_a_writer", [False, True])
def test_recovering(lab: Lab, samples: int, then_a_writer: bool) -> None:
    """Segments lost their index, the head of the chain too; dying while they are saved loses none."""
    folder = lab.filled()
    first, second, *_rest, last = [info.name for info in lab.hands.open(folder).segments()]
    store = folder / "store"
    for name in (first, second, last):
        (store / f"{name}.idx.age").unlink()
    if not then_a_writer:
        (store / f"{second}.pcap.zst.age").rename(store / f".tmp-{second}.pcap.zst.age")
    for cut, found in lab.after("recover", samples, folder):
        if then_a_writer:  # it clears away what it finds
            lab.hands.open(found).writer([lab.hands.me.recipient], source=SourceInfo("-"), key=lab.hands.key).finish()
        ACTS["recover"](lab.hands, found)
        after = lab.hands.open(found)
        assert exported(after) == lab.content, cut
        # The writer, who may not read the catalogue, drops it: then nobody knows what the lost indexes had signed.
        expected = "missing: " if then_a_writer else "nothing"
        assert [text for text in findings(after, lab.hands) if not text.startswith(expected)] == [], cut
        assert after.info().leftovers == (), cut


@samples
def test_a_snapshot(lab: Lab, samples: int) -> None:
    """It is there or not, never half; and after it was said to be there, it is."""
    for cut, found in lab.after("snapshot", samples, lab.filled()):
        store = lab.hands.open(found)
        names = [snapshot.name for snapshot in store.snapshots()]
        assert names in ([], ["first"]), cut
        assert names or "done" not in cut.marks, cut
        if not names:
            ACTS["snapshot"](lab.hands, found)
        assert [snapshot.name for snapshot in store.snapshots()] == ["first"], cut
        assert exported(store) == lab.content, cut
        assert findings(store, lab.hands) == [], cut


def test_the_first_import_of_a_new_home(lab: Lab, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command makes identity, node key and store; once it says what it imported, all of it lasts, keys too."""
    place, log = lab.folder / "disk", lab.folder / "log"
    (place / "home").mkdir(parents=True)
    disk = Disk(place)
    monkeypatch.delenv("KUBESHARK_IDENTITY")
    done = commands.run(["import", lab.source, "--store", place / "new" / "store"], place, log=log)
    assert done.code == 0, done.stderr
    found = lab.folder / "found"
    said = 0
    for cut in cuts(disk, read_log(log), samples=SAMPLES):
        found.mkdir()
        cut.write_to(found)
        monkeypatch.setenv("HOME", str(found / "home"))
        if "imported 48 packets" in cut.marks:
            said += 1
            assert exported(Store.open(found / "new" / "store")) == lab.content, cut
        with Pipeline.open(found / "new" / "store") as pipeline:
            pipeline.import_file(lab.source)
        store = Store.open(found / "new" / "store")
        assert imported(store) == lab.content, cut
        assert store.verify().is_sound, cut
        shutil.rmtree(found)
    assert said
