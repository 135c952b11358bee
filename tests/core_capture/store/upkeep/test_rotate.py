"""Rotation changes who opens a store and nothing that is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kubeshark.core_capture.store import Identity, Rotated, SourceInfo, Store
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import Bench, batch, frames, records
from tests.core_capture.store._dying import deaths


def test_the_new_identity_reads_and_the_old_does_not(bench: Bench) -> None:
    bench.fill()
    bench.fill()
    before = bench.open().segments()
    after = Identity.from_key(X25519PrivateKey.generate())
    assert bench.open().rotate_keys([after.recipient]) == Rotated(5)
    with pytest.raises(StoreError, match=f"needs the identity of {after.recipient}"):
        bench.open().segments()
    store = Store.open(bench.path, identities=[after])
    assert store.segments() == before
    assert store.verify([bench.key.public]).is_sound
    assert not store.info().leftovers


def test_a_store_for_others_stays_as_it_is(bench: Bench) -> None:
    bench.fill()
    stranger = Identity.from_key(X25519PrivateKey.generate())
    before = bench.files()
    store = Store.open(bench.path, identities=[stranger])
    with pytest.raises(StoreError, match=f"needs the identity of {bench.me.recipient}"):
        store.rotate_keys([stranger.recipient])
    before[".snapshots.lock"] = b""
    assert bench.files() == before


def test_a_writer_keeps_it_out(bench: Bench) -> None:
    with bench.writer(), pytest.raises(StoreError, match="another process writes"):
        bench.open().rotate_keys([bench.me.recipient])


def opens(path: Path, *identities: Identity) -> bool:
    """Say whether every file opens for at least one of them."""
    store = Store.open(path, identities=identities)
    return store.verify([]).is_sound and len(store.segments()) == 3


@pytest.fixture
def three(bench: Bench) -> Bench:
    for _ in range(3):
        bench.fill()
    bench.open().add_snapshot("kept", 0, 1)
    return bench


def test_dying_at_any_point_and_going_on_with_the_old_identity(three: Bench, tmp_path: Path) -> None:
    after = Identity.generate()

    def act(path: Path) -> Rotated:
        return Store.open(path, identities=[three.me]).rotate_keys([after.recipient])

    points = 0
    for path, died in deaths(three.path, tmp_path / "runs", act):
        points += 1
        assert opens(path, three.me, after)
        if died and load_state(LocalBackend(path)).rotation is not None:
            assert Store.open(path, identities=[three.me, after]).overview().rotation == (str(after.recipient),)
        if load_state(LocalBackend(path)).recipients != [str(after.recipient)]:  # it did not end
            done = act(path)
            assert done.problems == []
            assert done.files + done.done_before == 8
        assert opens(path, after)
        assert load_state(LocalBackend(path)).rotation is None
        assert [snapshot.name for snapshot in Store.open(path, identities=[after]).snapshots()] == ["kept"]
        assert not list(path.glob(".tmp-*"))
    assert points > 30


def test_what_is_written_meanwhile_is_rotated_too(three: Bench, tmp_path: Path) -> None:
    after = Identity.generate()

    def act(path: Path) -> Rotated:
        return Store.open(path, identities=[three.me]).rotate_keys([after.recipient])

    died_at = [path for path, died in deaths(three.path, tmp_path / "runs", act) if died]
    path = next(
        path
        for path in died_at
        if (load_state(LocalBackend(path)).rotation or None) and ".idx" in load_state(LocalBackend(path)).rotation.file
    )  # type: ignore[union-attr]
    Bench(path, three.me, three.key, sources=70).fill()
    assert act(path).problems == []
    store = Store.open(path, identities=[after])
    assert len(store.segments()) == 4
    assert store.problems == []


def test_changing_ones_mind_needs_both_identities(three: Bench, tmp_path: Path) -> None:
    after, other = Identity.generate(), Identity.generate()

    def act(path: Path) -> Rotated:
        return Store.open(path, identities=[three.me]).rotate_keys([after.recipient])

    died_at = [path for path, died in deaths(three.path, tmp_path / "runs", act) if died]
    path = died_at[len(died_at) // 2]
    assert Store.open(path, identities=[three.me]).rotate_keys([other.recipient]).problems
    done = Store.open(path, identities=[three.me, after]).rotate_keys([other.recipient])
    assert done.problems  # those that `other` has already, and does not help to open
    done = Store.open(path, identities=[three.me, after, other]).rotate_keys([other.recipient])
    assert done.problems == []
    assert opens(path, other)


def test_several_recipients_each_open_it(three: Bench) -> None:
    one, two = Identity.generate(), Identity.generate()
    three.open().rotate_keys([one.recipient, two.recipient])
    assert opens(three.path, one)
    assert opens(three.path, two)
    with pytest.raises(StoreError, match="needs the identity"):
        three.open().segments()


def test_progress(three: Bench) -> None:
    seen: list[tuple[int, int]] = []
    three.open().rotate_keys([three.me.recipient], on_progress=lambda done, total: seen.append((done, total)))
    assert len(seen) == 9
    assert seen[0][0] == 0
    assert seen[-1] == (seen[0][1], seen[0][1])


def test_single_files_for_others_stay_as_they_are(three: Bench) -> None:
    stranger, after = Identity.generate(), Identity.generate()
    store = Store.open(three.path, identities=[])
    with store.writer([stranger.recipient], source=SourceInfo("x"), node="node-a", key=three.key) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    done = three.open().rotate_keys([after.recipient])
    assert sorted(str(problem).split("-")[-1] for problem in done.problems) == [
        "0004.idx.age is encrypted to other recipients",
        "0004.pcap.zst.age is encrypted to other recipients",
    ]
    assert len(Store.open(three.path, identities=[after]).segments()) == 3
    assert len(Store.open(three.path, identities=[stranger]).segments()) == 1
