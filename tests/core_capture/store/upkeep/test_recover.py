"""What is left of a store whose writer died, whose index is gone or whose disk is torn: saved as far as it can be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity, Leftover, Store, export
from kubeshark.core_capture.store.catalogue._state import load_state, save_state
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import Bench, batch, frames, records, udp
from tests.core_capture.store._dying import deaths

ITEMS = records(frames(), step_ns=1_000_000)


@pytest.fixture
def three(bench: Bench) -> Bench:
    """Three segments of one source."""
    bench.fill(ITEMS, segment_bytes=20 * max(map(len, ITEMS)))
    assert len(names(bench)) == 3
    return bench


def names(bench: Bench) -> list[str]:
    return [info.name for info in bench.open().segments()]


def exported(path: Path, me: Identity) -> bytes:
    out = io.BytesIO()
    export(Store.open(path, identities=[me]), out, form="pcap")
    return out.getvalue()[24:]


def actions(found: list[Leftover]) -> list[tuple[str, str, int]]:
    return [(leftover.action, leftover.name, leftover.packets) for leftover in found]


def recover(bench: Bench) -> list[Leftover]:
    """Recover, after checking that looking changed nothing."""
    before = bench.files()
    seen = bench.open().leftovers()
    assert bench.files() == before
    found, problems = bench.open().recover(key=bench.key)
    assert (found, problems) == (seen, [])
    return found


def findings(bench: Bench) -> list[str]:
    return [str(finding) for finding in bench.open().verify([bench.key.public]).findings if finding.kind != "note"]


def test_nothing_to_do(three: Bench) -> None:
    before = three.files()
    assert recover(three) == []
    assert three.files() == before


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_an_index_is_made_again(number: int, how: str, three: Bench) -> None:
    name = names(three)[number]
    packets = [info.packets for info in three.open().segments()]
    source = three.open().segments()[number].source
    index = three.path / f"{name}.idx.age"
    if how == "missing":
        index.unlink()
    else:
        index.write_bytes(index.read_bytes()[:-1])
    assert actions(recover(three)) == [("rebuild", name, packets[number])]
    assert [info.packets for info in three.open().segments()] == packets
    assert three.open().segments()[number].source == source
    assert exported(three.path, three.me) == b"".join(ITEMS)
    assert findings(three) == []
    assert recover(three) == []
    assert not three.open().info().leftovers
    three.fill()
    assert findings(three) == []


def test_without_the_catalogue_the_gap_stays_visible(three: Bench) -> None:
    name = names(three)[1]
    (three.path / f"{name}.idx.age").unlink()
    (three.path / "catalogue.age").unlink()
    assert [leftover.action for leftover in recover(three)] == ["rebuild"]
    assert three.open().segments()[1].source.name == f"recovered: {name}"
    assert exported(three.path, three.me) == b"".join(ITEMS)
    (finding,) = findings(three)
    assert finding.startswith("missing: 1 segments between")


def test_the_catalogue_remembers_an_index_that_is_gone(three: Bench) -> None:
    (three.path / f"{names(three)[1]}.idx.age").unlink()
    three.fill()
    assert [leftover.action for leftover in recover(three)] == ["rebuild"]
    assert findings(three) == []


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_lost_state(how: str, three: Bench) -> None:
    state = load_state(three.backend)
    path = three.path / "store.json"
    path.write_text("{") if how == "damaged" else path.unlink()
    with pytest.raises(StoreError, match=r"store\.json"):
        three.writer()
    assert [leftover.action for leftover in recover(three)] == ["restore"]
    after = load_state(three.backend)
    assert (after.heads, after.next_number) == (state.heads, state.next_number)
    three.fill()
    assert findings(three) == []


def test_a_writer_keeps_data_without_an_index(three: Bench) -> None:
    name = names(three)[1]
    (three.path / f"{name}.idx.age").unlink()
    three.fill()
    assert three.open().info().leftovers == (f"{name}.pcap.zst.age",)


def test_both_files_complete_but_no_names(three: Bench) -> None:
    """The writer died between syncing the pair and naming it in store.json."""
    state = load_state(three.backend)
    last = names(three)[-1]
    before = three.open().segments()
    entry = three.open()._entries()[-2]
    head = state.heads[three.key.public]
    state.heads[three.key.public] = type(head)(entry.info.name, entry.chain.sequence, entry.sha256)
    save_state(three.backend, state)
    for path in three.path.glob(f"{last}.*"):
        path.rename(path.with_name(f".tmp-{path.name}"))
    assert actions(recover(three)) == [("publish", last, before[-1].packets)]
    assert three.open().segments() == before
    assert findings(three) == []


def test_a_head_without_its_names(three: Bench) -> None:
    last = names(three)[-1]
    for path in three.path.glob(f"{last}.*"):
        path.rename(path.with_name(f".tmp-{path.name}"))
    assert [leftover.action for leftover in recover(three)] == ["publish"]
    assert len(names(three)) == 3
    assert findings(three) == []


def test_torn_temporary_files(bench: Bench) -> None:
    import random

    noise = random.Random(3)
    packets = [udp("10.0.0.1", 1, "10.0.0.2", 53, noise.randbytes(1400)) for _ in range(900)]
    bench.fill(records(packets), segment_bytes=8 << 20)
    (name,) = names(bench)
    data, index = (bench.path / f"{name}{suffix}" for suffix in (".pcap.zst.age", ".idx.age"))
    (bench.path / f".tmp-{data.name}").write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    (bench.path / f".tmp-{index.name}").write_bytes(index.read_bytes()[:100])
    for path in (data, index, bench.path / "catalogue.age", bench.path / "store.json"):
        path.unlink()
    (found,) = recover(bench)
    assert (found.action, found.is_whole) == ("rebuild", False)
    assert 200 < found.packets < 450
    assert exported(bench.path, bench.me) in [b"".join(records(packets)[: found.packets])]
    assert findings(bench) == []


def test_a_published_data_file_that_was_cut(bench: Bench) -> None:
    import random

    noise = random.Random(3)
    packets = [udp("10.0.0.1", 1, "10.0.0.2", 53, noise.randbytes(1400)) for _ in range(900)]
    bench.fill(records(packets), segment_bytes=8 << 20)
    bench.fill(ITEMS)
    (data,) = (path for path in bench.path.glob("*.pcap.zst.age") if path.stat().st_size > 1 << 20)
    data.write_bytes(data.read_bytes()[:-500_000])
    (found,) = recover(bench)
    assert (found.action, found.is_whole) == ("rebuild", False)
    assert 300 < found.packets < 700
    with bench.open().open_segment(found.name) as segment:
        assert bytes(segment.select(None)) == b"".join(records(packets)[: found.packets])
    assert findings(bench) == []
    assert bench.open().problems == []
    assert recover(bench) == []


def test_damage_inside_a_data_file_is_left_to_queries(three: Bench) -> None:
    path = three.path / f"{names(three)[1]}.pcap.zst.age"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert path.stat().st_size < 1 << 16  # a single chunk, the last: nothing of it is left
    assert [leftover.action for leftover in recover(three)] == ["lost"]


def test_what_holds_no_packets_is_discarded(three: Bench) -> None:
    for name in (".tmp-rewrap", ".tmp-store.json", ".tmp-20231114T221320Z-node-a-0099.idx.age"):
        (three.path / name).write_bytes(b"x")
    (three.path / ".tmp-20231114T221320Z-node-a-0099.pcap.zst.age").write_bytes(b"")
    assert {action for action, _name, _packets in actions(recover(three))} == {"discard"}
    assert not list(three.path.glob(".tmp-*"))
    assert len(names(three)) == 3


def test_a_deletion_is_ended(three: Bench) -> None:
    state = load_state(three.backend)
    state.deleting = [names(three)[0]]
    save_state(three.backend, state)
    assert [leftover.action for leftover in recover(three)] == ["delete"]
    assert len(names(three)) == 2


def test_what_cannot_be_helped(three: Bench) -> None:
    first, second, _third = names(three)
    (three.path / f"{first}.pcap.zst.age").unlink()
    (three.path / f"{second}.idx.age").unlink()
    (three.path / f"{second}.pcap.zst.age").write_bytes(b"?")
    assert [(leftover.action, leftover.name) for leftover in recover(three)] == [("lost", first), ("lost", second)]
    assert (three.path / f"{second}.pcap.zst.age").exists()


def test_what_is_for_others_stays(three: Bench) -> None:
    name = names(three)[0]
    (three.path / f"{name}.idx.age").unlink()
    stranger = Store.open(three.path, identities=[Identity.generate()])
    before = three.files()
    assert {leftover.action for leftover in stranger.leftovers()} == {"locked"}
    found, problems = stranger.recover(key=three.key)
    assert ({leftover.action for leftover in found}, problems) == ({"locked"}, [])
    assert three.files() == before


def test_dying_while_recovering(three: Bench, tmp_path: Path) -> None:
    first, second, _third = names(three)
    (three.path / f"{first}.idx.age").unlink()
    (three.path / f"{second}.pcap.zst.age").rename(three.path / f".tmp-{second}.pcap.zst.age")
    (three.path / f"{second}.idx.age").unlink()

    def act(path: Path) -> None:
        Store.open(path, identities=[three.me]).recover(key=three.key)

    points = 0
    for path, _died in deaths(three.path, tmp_path / "runs", act):
        points += 1
        act(path)
        assert exported(path, three.me) == b"".join(ITEMS), path
        store = Store.open(path, identities=[three.me])
        assert store.leftovers() == []
        assert [str(f) for f in store.verify([three.key.public]).findings if f.kind != "note"] == []
    assert points > 20


def test_dying_while_recovering_and_then_a_writer(three: Bench, tmp_path: Path) -> None:
    """The next writer clears away; no packet goes with it."""
    (three.path / f"{names(three)[0]}.idx.age").unlink()

    def act(path: Path) -> None:
        Store.open(path, identities=[three.me]).recover(key=three.key)

    for path, _died in deaths(three.path, tmp_path / "runs", act):
        other = Bench(path, three.me, three.key, sources=50)
        with other.writer() as writer:
            writer.add(batch(ITEMS[:1]))
            writer.finish()
        act(path)
        assert sum(info.packets for info in other.open().segments()) == len(ITEMS) + 1
