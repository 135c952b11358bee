"""Snapshots: what their file says, who signed it, and that it survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, Store
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.places._lock import StoreLock
from kubeshark.core_capture.store.places._names import SNAPSHOTS_LOCK
from kubeshark.errors import Damaged, StoreError, UsageError
from tests.core_capture.store._bench import START_NS, Bench
from tests.core_capture.store._dying import deaths


def test_they_come_back_by_name(bench: Bench) -> None:
    store = bench.fill()
    assert store.snapshots() == []
    late = store.add_snapshot("b", START_NS + 10**9, START_NS + 2 * 10**9)
    early = store.add_snapshot("a", -5, START_NS)
    assert bench.open().snapshots() == [early, late]
    (info,) = store.segments()
    assert (early.keeps(info), late.keeps(info)) == (True, False)
    assert store.delete_snapshot("a") == early
    assert bench.open().snapshots() == [late]
    assert bench.open().verify([]).is_sound


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 64])
def test_names_that_cannot_be(name: str, bench: Bench) -> None:
    with pytest.raises(UsageError, match="snapshot name"):
        bench.open().add_snapshot(name, 0, 1)


def test_the_window_has_an_order(bench: Bench) -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        bench.open().add_snapshot("x", 1, 0)


def test_several_recipients(bench: Bench) -> None:
    other = Identity.generate()
    bench.open().add_snapshot("x", 0, 1, recipients=[bench.me.recipient, other.recipient])
    assert len(Store.open(bench.path, identities=[other]).snapshots()) == 1
    assert len(bench.open().snapshots()) == 1


def test_who_cannot_read_them_does_not_replace_them(bench: Bench) -> None:
    bench.open().add_snapshot("x", 0, 1)
    stranger = Store.open(bench.path, identities=[Identity.generate()])
    with pytest.raises(StoreError, match="other recipients"):
        stranger.add_snapshot("y", 0, 1)
    assert [snapshot.name for snapshot in bench.open().snapshots()] == ["x"]


def test_a_changed_file_is_damaged(bench: Bench) -> None:
    """Anybody can encrypt to a recipient: only the signature tells."""
    bench.open().add_snapshot("x", 0, 1)
    path = bench.path / "snapshots.age"
    with AgeReader(path, [bench.me]) as age:
        plain = age.read(0, age.size)
    for changed, says in (
        (plain.replace(b'"until_ns":1', b'"until_ns":2'), "not signed by the node it names"),
        (b"{}", "missing required field"),
        (plain.replace(b'"x"', b'"/"'), "matching regex"),
        (b"[" * 10_000, "damaged"),
        (b" " * (2 << 20), "larger"),
    ):
        with path.open("wb") as file:
            out = AgeWriter(file, [bench.me.recipient])
            out.write(changed)
            out.finish()
        with pytest.raises(Damaged, match=says):
            bench.open().snapshots()
        assert [finding.kind for finding in bench.open().verify([]).findings] == ["damaged"]


def test_dying_at_any_point_keeps_what_was(bench: Bench, tmp_path: Path) -> None:
    bench.fill()
    bench.open().add_snapshot("before", 0, 1)

    def act(path: Path) -> None:
        Store.open(path, identities=[bench.me]).add_snapshot("after", 2, 3)

    for path, died in deaths(bench.path, tmp_path / "runs", act):
        store = Store.open(path, identities=[bench.me])
        names = [snapshot.name for snapshot in store.snapshots()]
        assert names in (["before"], ["after", "before"])
        assert died or len(names) == 2
        assert store.verify([]).is_sound
        if len(names) == 1:
            act(path)
            assert len(store.snapshots()) == 2


def test_two_at_once(bench: Bench) -> None:
    bench.fill()
    with StoreLock(bench.path, SNAPSHOTS_LOCK), pytest.raises(StoreError, match="another process"):
        bench.open().add_snapshot("x", 0, 1)
