"""A segment without its index is said by all who read; one that is just being published or deleted is not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kubeshark.core_capture.store import NodeKey, Retention, Store, export
from kubeshark.core_capture.store.catalogue._state import load_state, save_state
from kubeshark.core_capture.store.places._local import LocalBackend
from tests.core_capture.store._bench import Bench, batch, frames, records
from tests.core_capture.store._pieces import make_piece, put

ITEMS = records(frames(), step_ns=1_000_000)


@pytest.fixture
def three(bench: Bench) -> Bench:
    """Three segments of one source."""
    bench.fill(ITEMS, segment_bytes=20 * max(map(len, ITEMS)))
    return bench


def names(bench: Bench) -> list[str]:
    return [info.name for info in bench.open().segments()]


def index(bench: Bench, name: str) -> Path:
    return Path(bench.path) / f"{name}.idx.age"


def problems(bench: Bench) -> list[str]:
    store = bench.open()
    store.segments()
    return [str(problem) for problem in store.problems]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("catalogue", [True, False])
def test_readers_say_it(catalogue: bool, number: int, three: Bench) -> None:
    name = names(three)[number]
    index(three, name).unlink()
    if not catalogue:
        (Path(three.path) / "catalogue.age").unlink()
    (said,) = problems(three)
    assert said.startswith(f"{name}.pcap.zst.age: damaged: it has no index")
    assert "kubeshark store recover" in said
    store = three.open()
    done = export(store, io.BytesIO(), form="pcap")
    assert [str(each) for each in (*done.problems, *store.problems)] == [said]
    (finding,) = three.open().verify([three.key.public]).findings
    assert (finding.kind, finding.message) == ("damaged", said)
    three.open().recover(key=three.key)
    assert problems(three) == []


def test_while_a_writer_publishes_it(three: Bench) -> None:
    """Data is renamed first: its index still has its temporary name."""
    name = names(three)[2]
    index(three, name).rename(Path(three.path) / f".tmp-{name}.idx.age")
    assert problems(three) == []


def test_what_is_published_after_the_listing(three: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    name = names(three)[2]
    temporary = Path(three.path) / f".tmp-{name}.idx.age"
    index(three, name).rename(temporary)
    exists = LocalBackend.exists

    def renamed_meanwhile(files: LocalBackend, file: str) -> bool:
        if temporary.exists():
            temporary.rename(index(three, name))
        return exists(files, file)

    monkeypatch.setattr(LocalBackend, "exists", renamed_meanwhile)
    assert problems(three) == []


def test_while_it_is_deleted(three: Bench) -> None:
    name = names(three)[0]
    state = load_state(three.backend)
    state.deleting = [name]
    save_state(three.backend, state)
    index(three, name).unlink()
    assert problems(three) == []


def test_while_it_is_sealed_from_its_log(three: Bench) -> None:
    name = names(three)[2]
    index(three, name).unlink()
    put(three, [make_piece(ITEMS, name=name)])
    assert problems(three) == []


def test_pruning_says_it_too(three: Bench) -> None:
    first, *_ = names(three)
    index(three, first).unlink()
    pruned = three.open().prune(Retention(before_ns=0), dry_run=True)
    assert [str(each) for each in pruned.problems] == problems(three)


def test_on_object_storage_the_catalogue_tells(me: object, tmp_path: Path) -> None:
    bench = Bench(f"memory://lost-{tmp_path.name}", me, NodeKey.generate())  # type: ignore[arg-type]
    with bench.writer() as writer:
        writer.add(batch(ITEMS))
        writer.finish()
    store = bench.open()
    (info,) = store.segments()
    store.files.delete(f"{info.name}.idx.age")
    assert len(problems(bench)) == 1
    Store.open(bench.path, identities=[bench.me]).files.delete("catalogue.age")
    assert problems(bench) == []


def test_a_damaged_index_is_one_finding(three: Bench) -> None:
    """It is not missing in its chain, too."""
    for name in names(three):
        path = index(three, name)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (finding,) = three.open().verify([three.key.public]).findings
        assert (finding.kind, finding.file) == ("damaged", path.name)
        path.write_bytes(content)
