"""kill -9 and power loss at every point of an import: what was acknowledged is there, the rest is cleared away."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, NodeKey, SourceInfo, Store, export
from tests.core_capture.store._bench import Bench, batch, frames, records


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory, me: Identity, root: Path) -> tuple[Path, NodeKey]:
    """A folder with one store for each point at which its import died; the last one did not die."""
    folder = tmp_path_factory.mktemp("died")
    key = NodeKey.load_or_create(folder / "node.key")
    (folder / "runs").mkdir()
    program = Path(__file__).with_name("_crash_child.py")
    subprocess.run(
        [sys.executable, program, folder / "runs", str(me.recipient), folder / "node.key"],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=60,
    )
    return folder / "runs", key


def test_nothing_acknowledged_is_lost_at_any_point(died: tuple[Path, NodeKey], me: Identity) -> None:
    runs, key = died
    points = sorted(runs.iterdir(), key=lambda path: int(path.name))
    assert len(points) > 20
    promised = [read_promise(point) for point in points[:-1]]
    assert promised == sorted(promised)
    assert len(set(promised)) > 2
    for point, acknowledged in zip(points, promised, strict=False):
        check_after_death(point / "store", acknowledged, me, key)


def read_promise(point: Path) -> int:
    return int((point / "acknowledged").read_text())


def check_after_death(folder: Path, acknowledged: int, me: Identity, key: NodeKey) -> None:
    items, before = records(frames()), sorted(path.name for path in folder.iterdir())
    store = Store.open(folder, identities=[me])
    stored = sum(info.packets for info in store.segments())
    assert stored >= acknowledged, folder
    assert store.problems == []
    assert exported(store) == b"".join(items[:stored])
    leftovers = store.info().leftovers
    assert set(leftovers) >= {name for name in before if name.startswith(".tmp-")}
    assert sorted(path.name for path in folder.iterdir()) == before  # reading changed nothing

    with store.writer([me.recipient], source=SourceInfo("b.pcap"), node="node-a", key=key) as writer:
        assert set(writer.leftovers) == set(leftovers)
    assert not store.info().leftovers
    assert sum(info.packets for info in store.segments()) >= stored
    report = store.verify([key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]


def exported(store: Store) -> bytes:
    out = io.BytesIO()
    export(store, out, form="pcap")
    return out.getvalue()[24:]


def test_an_import_that_died_is_continued_to_the_same_packets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    items, source = records(frames()), bench.source()
    for point in range(1, 40):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync, point))
            patch.setattr(os, "rename", dying(os.rename, point // 2))
            try:
                with bench.writer(source, segment_bytes=2_500) as writer:
                    for at in range(0, len(items), 10):
                        writer.add(batch(items[at : at + 10], first=at))
                    writer.finish()
            except DiedError:
                pass
        store = bench.open()
        state = store.import_state(source.sha256)
        assert exported(store) == b"".join(items[: state.packets])
        if state.complete:
            break
    assert state.packets == len(items)
    assert store.verify().is_sound


def test_what_recover_saved_is_replaced_by_the_same_import(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    items, source = records(frames()), bench.source()
    saved = 0
    for point in range(1, 40):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync, point))
            patch.setattr(os, "rename", dying(os.rename, point // 2))
            with suppress(DiedError), bench.writer(source, segment_bytes=2_500) as writer:
                for at in range(0, len(items), 10):
                    writer.add(batch(items[at : at + 10], first=at))
                writer.finish()
        found, problems = bench.open().recover(key=bench.key)
        saved += sum(leftover.action == "rebuild" for leftover in found)
        assert problems == []
        state = bench.open().import_state(source.sha256)
        if state.complete and not state.came_again():
            break
    assert saved
    store = bench.open()
    assert exported(store) == b"".join(items)
    assert [info for info in store.segments() if info.source.sha256 != source.sha256] == []
    assert store.verify([bench.key.public]).is_sound


class DiedError(BaseException):
    """Stands for the end of the process."""


def dying(original: object, calls: int) -> object:
    left = [calls]

    def call(*arguments: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise DiedError
        return original(*arguments)  # type: ignore[operator]

    return call
