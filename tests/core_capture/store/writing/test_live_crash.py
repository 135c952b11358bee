"""kill -9 and power loss at every point of a capture: no acknowledged packet is lost, none is there twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, NodeKey, Store
from kubeshark.core_capture.store.writing._log import read_log
from tests.core_capture.store._bench import Bench, batch, frames, records
from tests.core_capture.store._live import exported, flow_ids, live, log_files, open_ids

ITEMS = records(frames())


@pytest.fixture(scope="module", params=[5, pytest.param(1, marks=pytest.mark.slow)])
def died(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, me: Identity, root: Path
) -> tuple[list[Path], NodeKey]:
    """Folders with a store for points at which its capture died, in order."""
    folder = tmp_path_factory.mktemp("died")
    key = NodeKey.load_or_create(folder / "node.key")
    (folder / "runs").mkdir()
    program = Path(__file__).with_name("_live_crash_child.py")
    subprocess.run(
        [sys.executable, program, folder / "runs", str(me.recipient), folder / "node.key", str(request.param)],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=240,
    )
    points = sorted((folder / "runs").iterdir(), key=lambda path: int(path.name))
    return points[:-1], key  # the last one did not die


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_at_any_point(died: tuple[list[Path], NodeKey], me: Identity) -> None:
    points, key = died
    assert len(points) > 15
    promised = set()
    for point in points:
        acknowledged, known = map(int, (point / "promised").read_text().split())
        promised.add(known)
        check_what_is_there(point / "store", acknowledged, known, me)
        shutil.copytree(point / "store", point / "another")
        check_recovery(Bench(point / "store", me, key), known)
        check_the_next_capture(Bench(point / "another", me, key), known)
    assert {0, len(ITEMS)} <= promised
    assert len(promised) > 5


def check_what_is_there(folder: Path, acknowledged: int, known: int, me: Identity) -> None:
    """Reading changes nothing, and finds each packet once."""
    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    store = Store.open(folder, identities=[me])
    logs, problems = read_log(store.files, [me])
    assert problems == []
    assert store.problems == []
    sealed = [info for info in store.segments() if info.packets and not store.is_open(info.name)]
    assert sum(info.packets for info in store.segments()) == sum(each.packets for each in logs) + sum(
        info.packets for info in sealed
    )
    ordinals = [n for info in sealed for n in range(info.source.first_ordinal, info.source.last_ordinal + 1)]
    ordinals += [n for each in logs for n in each.draft.ordinals.tolist()]
    assert len(ordinals) == len(set(ordinals)) >= acknowledged
    assert set(range(known)) <= set(ordinals)
    for each in logs:
        assert bytes(each.draft.data) == b"".join(ITEMS[n] for n in each.draft.ordinals.tolist())
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == before


def check_recovery(bench: Bench, known: int) -> None:
    """Who has the identity makes the same segments of the log."""
    before = open_ids(bench)
    store = bench.open()
    _found, problems = store.recover(key=bench.key)
    assert problems == []
    check_the_end(bench, known, before)
    assert bench.open().leftovers() == []


def check_the_next_capture(bench: Bench, known: int) -> None:
    """Who has no identity goes on, and loses nothing; the next import of who has one seals the rest."""
    before = open_ids(bench)
    with live(bench) as writer:
        writer.add(batch(ITEMS[:3]))
        writer.finish()
    after = open_ids(bench) | flow_ids(bench.open())  # a segment that only lacked its name has it now
    assert {name: after[name] for name in before} == before
    bench.writer().finish()
    check_the_end(bench, known, before, more=3)


def check_the_end(bench: Bench, known: int, before: dict[str, object], more: int = 0) -> None:
    store = bench.open()
    found = exported(store)
    assert len(found) >= known + more
    assert sorted(found) == sorted(ITEMS[: len(found) - more] + ITEMS[:more])
    ids = flow_ids(store)
    assert {name: ids[name] for name in before} == before
    assert log_files(bench) == []
    assert store.info().leftovers == ()
    report = store.verify([bench.key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]
