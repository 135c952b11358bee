"""What `recover` says of damage and does about it: nothing is worse afterwards, and verify and queries agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kubeshark.core_capture._records import Interface, RawBlock, SourceMetadata
from kubeshark.core_capture.store import Identity, Leftover, Retention, Store
from kubeshark.core_capture.store.catalogue._state import Rotation, load_state, save_state
from kubeshark.errors import Damaged
from tests.core_capture.store._bench import START_NS, Bench, batch, records, udp
from tests.core_capture.store._dying import deaths
from tests.core_capture.store.upkeep.test_recover import ITEMS, actions, exported, findings, names, recover, three

__all__ = ["three"]

OTHER = "20231114T221320Z-node-a-0099"


def data(bench: Bench, name: str) -> Path:
    return Path(bench.path) / f"{name}.pcap.zst.age"


def index(bench: Bench, name: str) -> Path:
    return Path(bench.path) / f"{name}.idx.age"


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("x"))
    other.rename(one)
    one.with_name("x").rename(other)


def left_alone(bench: Bench) -> list[Leftover]:
    """Recover, after which every file is as it was."""
    before = bench.files()
    found = recover(bench)
    assert bench.files() == before
    return found


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def for_nobody(content: bytes) -> bytes:
    """Change a letter of the recipient's share: it stays one, for a key that nobody has."""
    at = content.index(b"X25519 ") + 20
    return content[:at] + (b"B" if content[at : at + 1] == b"A" else b"A") + content[at + 1 :]


def test_swapped_data_files(three: Bench) -> None:
    first, second, _third = names(three)
    swap(data(three, first), data(three, second))
    found = left_alone(three)
    assert [(each.action, each.is_whole) for each in found] == [("swapped", False)] * 2
    assert found[0].message == f"{first}: its data file is that of {second}: give each its own name"
    swap(data(three, first), data(three, second))
    assert recover(three) == []
    assert exported(three.path, three.me) == b"".join(ITEMS)


def test_swapped_data_files_of_which_one_has_no_index(three: Bench) -> None:
    first, second, _third = names(three)
    swap(data(three, first), data(three, second))
    index(three, second).unlink()
    found = left_alone(three)
    assert actions(found) == [("swapped", first, 0), ("swapped", second, 0)]
    assert f"its data file lies under the name of {second}" in found[0].message
    assert f"its data file is that of {first}" in found[1].message


def test_a_data_file_of_nobody(three: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", three.me, three.key)
    other.fill(ITEMS)
    first = names(three)[0]
    shutil.copy(data(other, names(other)[0]), data(three, first))
    (found,) = left_alone(three)
    assert (found.action, found.name, found.is_whole) == ("swapped", first, False)
    assert "not the one its index was written for" in found.message


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_data_file_that_lies_whole_under_another_name(how: str, three: Bench) -> None:
    first = names(three)[0]
    shutil.copy(data(three, first), data(three, OTHER))
    data(three, first).unlink() if how == "missing" else data(three, first).write_bytes(
        data(three, first).read_bytes()[:-300]
    )
    found = left_alone(three)
    assert actions(found) == [("swapped", first, 0), ("swapped", OTHER, 0)]
    data(three, OTHER).rename(data(three, first))
    assert recover(three) == []
    assert exported(three.path, three.me) == b"".join(ITEMS)


def test_swapped_indexes(three: Bench) -> None:
    first, second, _third = names(three)
    swap(index(three, first), index(three, second))
    assert actions(left_alone(three)) == [("swapped", first, 0), ("swapped", second, 0)]


def test_an_index_that_lies_under_another_name(three: Bench) -> None:
    first = names(three)[0]
    index(three, first).rename(index(three, OTHER))
    found = left_alone(three)
    assert actions(found) == [("swapped", first, 0), ("swapped", OTHER, 0)]
    assert f"its index lies under the name of {OTHER}" in found[0].message


@pytest.mark.parametrize("size", [8, 70_000])
def test_what_was_appended_to_a_data_file_is_cut_off(size: int, three: Bench) -> None:
    before = three.files()
    (_first, second, _third) = names(three)
    with data(three, second).open("ab") as file:
        file.write(bytes(size))
    (found,) = recover(three)
    assert (found.action, found.is_whole) == ("repair", True)
    assert f"lie {size:,} bytes that are none of its own" in found.message
    assert three.files() == before


def test_data_overwritten_by_anothers(three: Bench) -> None:
    three.fill(records([udp("10.0.0.1", 1, "10.0.0.2", 53, bytes([at % 251] * 1000)) for at in range(300)]))
    *_, second, larger = names(three)
    data(three, second).write_bytes(data(three, larger).read_bytes())
    (found,) = left_alone(three)
    assert (found.action, found.name, found.is_whole) == ("lost", second, False)
    assert f"a copy of that of {larger}, its own is not here" in found.message


@pytest.mark.parametrize("at", [0, 150, -1])
def test_a_damaged_header_of_a_data_file(at: int, three: Bench) -> None:
    """Its key stands in the index: all of it can be read before and after. -1 is in the nonce behind it."""
    name = names(three)[1]
    if at < 0:
        content = data(three, name).read_bytes()
        at = content.index(b"\n", content.index(b"\n---") + 1) + 2
    flip(data(three, name), at)
    assert exported(three.path, three.me) == b"".join(ITEMS)
    assert findings(three) != []
    (found,) = recover(three)
    assert (found.action, found.name, found.is_whole) == ("repair", name, True)
    assert "all its packets can be read" in found.message
    assert findings(three) == []
    assert recover(three) == []
    assert exported(three.path, three.me) == b"".join(ITEMS)


def test_dying_while_repairing(three: Bench, tmp_path: Path) -> None:
    first, _second, third = names(three)
    flip(data(three, third), 0)
    with data(three, first).open("ab") as file:
        file.write(bytes(8))

    def act(path: Path) -> None:
        Store.open(path, identities=[three.me]).recover(key=three.key)

    for path, _died in deaths(three.path, tmp_path / "runs", act):
        with Bench(path, three.me, three.key, sources=50).writer() as writer:
            writer.add(batch(ITEMS[:1]))
            writer.finish()
        act(path)
        store = Store.open(path, identities=[three.me])
        assert store.leftovers() == []
        assert sum(info.packets for info in store.segments()) == len(ITEMS) + 1
        assert store.verify([three.key.public]).is_sound


def test_the_last_chunk_damaged(three: Bench) -> None:
    name = names(three)[1]
    flip(data(three, name), -20)
    (found,) = left_alone(three)
    assert (found.action, found.is_whole) == ("lost", False)
    assert "a chunk fails its authentication" in found.message


def test_an_index_with_a_damaged_recipient(three: Bench) -> None:
    """It looks like one for somebody else: a new one is made of the data, and the old one is kept."""
    name = names(three)[1]
    was = for_nobody(index(three, name).read_bytes())
    index(three, name).write_bytes(was)
    (found,) = recover(three)
    assert (found.action, found.is_whole) == ("rebuild", True)
    assert exported(three.path, three.me) == b"".join(ITEMS)
    aside = Path(three.path) / f"{name}.idx.age.damaged"
    assert aside.read_bytes() == was
    assert recover(three) == []
    three.open().prune(Retention(max_bytes=0), key=three.key)
    assert not aside.exists()


def test_an_index_that_a_rotation_has_done_already(three: Bench) -> None:
    """Its data has the old recipients yet: that is no damage."""
    other, name = Identity.generate(), names(three)[0]
    path = index(three, name)
    content = path.read_bytes()
    with path.open("wb") as out:
        from kubeshark.core_capture.store import rewrap

        (Path(three.path) / "x").write_bytes(content)
        rewrap(Path(three.path) / "x", out, [three.me], [other.recipient])
    (Path(three.path) / "x").unlink()
    state = load_state(three.backend)
    state.rotation = Rotation([str(other.recipient)], file=path.name)
    save_state(three.backend, state)
    (found,) = left_alone(three)
    assert found.action == "locked"
    assert "rotation" in found.message


def test_a_copy_of_an_index(three: Bench) -> None:
    first = names(three)[0]
    shutil.copy(index(three, first), index(three, OTHER))
    (found,) = left_alone(three)
    assert (found.action, found.name, found.is_whole) == ("copy", OTHER, False)
    assert found.message == f"{OTHER}: its index is a copy of that of {first}, and it has no data: delete it"


@pytest.mark.parametrize("with_index", [False, True])
def test_a_copy_of_a_data_file(with_index: bool, three: Bench) -> None:
    first = names(three)[0]
    shutil.copy(data(three, first), data(three, OTHER))
    if with_index:
        shutil.copy(index(three, first), index(three, OTHER))
    (found,) = left_alone(three)
    assert (found.action, found.name, found.is_whole) == ("copy", OTHER, False)
    assert found.message == f"{OTHER}: its data file is a copy of that of {first}: delete it"
    assert exported(three.path, three.me) == b"".join(ITEMS)


def test_an_index_overwritten_by_anothers(three: Bench) -> None:
    first, second, _third = names(three)
    shutil.copy(index(three, first), index(three, second))
    (found,) = recover(three)
    assert (found.action, found.name) == ("rebuild", second)
    assert exported(three.path, three.me) == b"".join(ITEMS)
    assert recover(three) == []


def test_secrets_stay_where_only_the_data_was_cut(bench: Bench) -> None:
    import random

    noise = random.Random(3)
    items = records([udp("10.0.0.1", 1, "10.0.0.2", 53, noise.randbytes(1400)) for _ in range(900)])
    secret = RawBlock(10, b"\x4b\x53\x4c\x54" + bytes(4), before_ordinal=0)
    other = RawBlock(4, bytes(4), before_ordinal=0)
    metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 65_535)], blocks=[secret, other])
    with bench.writer(bench.source(metadata), segment_bytes=8 << 20) as writer:
        writer.add(batch(items))
        writer.finish()
    (name,) = names(bench)
    data(bench, name).write_bytes(data(bench, name).read_bytes()[:-500_000])
    (found,) = recover(bench)
    assert (found.action, found.is_whole) == ("rebuild", False)
    assert "TLS secrets" not in found.message
    with bench.open().open_segment(name) as segment:
        assert segment.extras.metadata.blocks == [secret]
    assert findings(bench) == []
    index(bench, name).unlink()
    (found,) = recover(bench)
    assert "TLS secrets), because it has no index" in found.message


@pytest.mark.parametrize("suffix", ["idx.age", "pcap.zst.age"])
@pytest.mark.parametrize("how", ["folder", "link"])
def test_what_is_no_file(how: str, suffix: str, three: Bench) -> None:
    first, second, _third = names(three)
    path = Path(three.path) / f"{first}.{suffix}"
    path.unlink()
    path.mkdir() if how == "folder" else path.symlink_to("nowhere")
    index(three, second).unlink()
    found = three.open().leftovers()
    assert three.open().recover(key=three.key) == (found, [])
    assert [(each.action, each.name) for each in found] == [("lost", first), ("rebuild", second)]
    assert found[0].message == f"{first}: {path.name} is no file: take it away"
    pruned = three.open().prune(Retention(before_ns=START_NS + 10**15), dry_run=True)
    assert [str(problem) for problem in pruned.problems] == [str(Damaged("is no file", file=path.name))]
    assert len(pruned.segments) == 2


def test_damaged_lists(three: Bench) -> None:
    """The catalogue is made again; of snapshots somebody has to know."""
    three.open().add_snapshot("all", 0, 2**62)
    folder = Path(three.path)
    for file in ("catalogue.age", "snapshots.age"):
        flip(folder / file, -1)
    before = three.open().leftovers()
    found, problems = three.open().recover(key=three.key)
    assert (found, problems) == (before, [])
    assert [(each.action, each.name) for each in found] == [("restore", "catalogue.age"), ("lost", "snapshots.age")]
    assert "until somebody deletes snapshots.age and creates the snapshots anew" in found[1].message
    assert [each.action for each in recover(three)] == ["lost"]
    with pytest.raises(Damaged, match=r"deletes snapshots\.age and creates"):
        three.open().snapshots()
    (folder / "snapshots.age").unlink()
    assert findings(three) == []


def test_a_damaged_catalogue_beside_a_damaged_index(three: Bench) -> None:
    """It cannot be complete: no catalogue is better than one that nobody can read."""
    first = names(three)[0]
    flip(Path(three.path) / "catalogue.age", -1)
    data(three, first).unlink()
    flip(index(three, first), -1)
    assert [each.action for each in recover(three)] == ["lost", "restore"]
    assert [each.action for each in recover(three)] == ["lost"]


def test_looking_needs_no_lock_on_a_file_system_that_cannot_be_written(
    three: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    real = os.open

    def read_only(path: object, flags: int, *rest: int, **named: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *rest, **named)  # type: ignore[arg-type]

    index(three, names(three)[0]).unlink()
    monkeypatch.setattr(os, "open", read_only)
    assert [each.action for each in three.open().leftovers()] == ["rebuild"]


def test_on_object_storage(three: Bench, tmp_path: Path) -> None:
    """The same, where files are replaced by uploads."""
    bench = Bench(f"memory://survey-{tmp_path.name}", three.me, three.key)
    bench.fill(ITEMS, segment_bytes=20 * max(map(len, ITEMS)))
    first, second, third = names(bench)
    files = bench.open().files

    def change(name: str, content: bytes) -> None:
        files.replace(name, content)

    whole = {name: files.read(name, 1 << 20).data for name in files.names() if name.startswith("2")}
    change(f"{first}.pcap.zst.age", whole[f"{first}.pcap.zst.age"] + bytes(8))
    header = bytearray(whole[f"{second}.pcap.zst.age"])
    header[150] ^= 1
    change(f"{second}.pcap.zst.age", bytes(header))
    locked = for_nobody(whole[f"{third}.idx.age"])
    change(f"{third}.idx.age", locked)
    change(f"{OTHER}.pcap.zst.age", whole[f"{first}.pcap.zst.age"])
    found, problems = bench.open().recover(key=bench.key)
    assert [(each.action, each.name) for each in found] == [
        ("repair", first),
        ("repair", second),
        ("rebuild", third),
        ("copy", OTHER),
    ]
    assert problems == []
    store = bench.open()
    assert [each.name for each in store.leftovers()] == [OTHER]
    assert files.read(f"{third}.idx.age.damaged", 1 << 20).data == locked
    assert sum(info.packets for info in store.segments()) == len(ITEMS)
    assert store.verify([bench.key.public]).is_sound
