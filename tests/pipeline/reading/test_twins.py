"""The same packets seen by two nodes: shown once, whatever each of the nodes missed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kubeshark.core_capture import load_core
from kubeshark.core_capture.store import Identity, SourceInfo, Store
from kubeshark.pipeline import Entry, Pipeline
from kubeshark.pipeline.reading._repeats import SKEW_NS, without_repeats
from tests.core_capture.reference._packets import RAW, udp
from tests.pipeline._traffic import MS, Capture, Connection, batch, dns

ID = Identity.generate()


def traffic(*, clock_ns: int = 0, connections: int = 6, first: int = 0) -> Capture:
    capture = Capture()
    capture.now_ns += clock_ns
    for number in range(first, first + connections):
        one = Connection(capture, client_port=40_000 + number).open()
        for each in range(3):
            path = f"{number}/{each}".ljust(3 + 5 * each + number, "x")  # each packet has a size of its own
            one.ask(f"GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).answer(answer_of(each + number))
        capture.add(dns(number, client_port=33_000 + number))
        capture.add(dns(number, answer=True, client_port=33_000 + number))
        one.end(0).end(1)
    return capture


def answer_of(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)


def store_of(path: Path, **nodes: list[bytes]) -> Path:
    """Write a store with a segment of each node."""
    for node, records in nodes.items():
        with Store.open(path, identities=[ID], create=True).writer(
            [ID.recipient], source=SourceInfo(node), node=node
        ) as writer:
            writer.add(batch(records))
            writer.finish()
    return path


def shown(path: Path, kfl: str = "http or dns", **options: object) -> tuple[list[Entry], int]:
    """Return the entries, and how many bytes of packets were decrypted for them."""
    with Pipeline.open(path, identities=[ID]) as pipeline:
        query = pipeline.query(kfl, **options)  # type: ignore[arg-type]
        found = list(query)
        assert query.problems == []
        return found, query._query.read.data_bytes


def what(entries: list[Entry]) -> list[tuple[object, ...]]:
    """Return what entries say, whoever captured them."""
    return sorted((e.protocol.name, e.get("url"), e.src.port, e.get("status_code"), e.total_size) for e in entries)


def test_both_saw_everything(tmp_path: Path) -> None:
    here, there = traffic(), traffic(clock_ns=700 * MS)
    alone, _ = shown(store_of(tmp_path / "alone", a=here.records))
    both, _ = shown(store_of(tmp_path / "both", a=here.records, b=there.records))
    assert len(alone) == 6 * 4
    assert what(both) == what(alone)
    assert [entry.id for entry in both] == [entry.id for entry in alone]
    assert len(shown(tmp_path / "both", "conn")[0]) == len(shown(tmp_path / "alone", "conn")[0])


def test_twins_are_left_out_without_reading_them(tmp_path: Path) -> None:
    here, there = traffic(), traffic(clock_ns=MS)
    _, one = shown(store_of(tmp_path / "alone", a=here.records), "tcp")
    _, two = shown(store_of(tmp_path / "both", a=here.records, b=there.records), "tcp && http")
    assert one == two


@pytest.mark.parametrize("seed", range(8))
def test_each_missed_something(tmp_path: Path, seed: int) -> None:
    """What one node lost the other has: together they show what neither does alone."""
    rng = random.Random(seed)
    here, there = traffic(), traffic(clock_ns=rng.randrange(-500, 500) * MS)
    count = len(here.records)
    is_tcp = [at for at in range(count) if here.records[at][16 + 9] == 6]
    lost = [set(rng.sample(is_tcp, count // 5)) for _ in range(2)]
    lost[1] -= lost[0]
    nodes = {
        name: [record for at, record in enumerate(capture.records) if at not in gone]
        for name, capture, gone in (("a", here, lost[0]), ("b", there, lost[1]))
    }
    whole, _ = shown(store_of(tmp_path / "alone", a=here.records))
    both, _ = shown(store_of(tmp_path / "both", **nodes))
    assert what(both) == what(whole)


def test_one_began_in_the_middle(tmp_path: Path) -> None:
    here, there = traffic(), traffic(clock_ns=20 * MS)
    whole, _ = shown(store_of(tmp_path / "alone", a=here.records))
    both, _ = shown(store_of(tmp_path / "both", a=here.records[:40], b=there.records[4:]))
    assert what(both) == what(whole)


def test_ports_that_are_used_again_are_other_connections(tmp_path: Path) -> None:
    def capture(clock_ns: int, drop: int) -> list[bytes]:
        made = Capture()
        made.now_ns += clock_ns
        for number in range(3):
            one = Connection(made, sequence=[1000 * (number + 1), 5000 * (number + 1)]).open()
            one.ask(f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).answer().end(0).end(1)
        del made.records[drop]
        return made.records

    both, _ = shown(store_of(tmp_path / "s", a=capture(0, drop=9), b=capture(5 * MS, drop=16)), "http")
    assert sorted(entry.get("url") for entry in both) == [f"http://h/{number}" for number in range(3)] or sorted(
        entry.get("path") for entry in both
    ) == ["/0", "/1", "/2"]


def test_the_copy_that_an_id_names_is_found(tmp_path: Path) -> None:
    path = store_of(tmp_path / "both", a=traffic().records, b=traffic(clock_ns=MS).records)
    with Pipeline.open(path, identities=[ID]) as pipeline:
        names = {info.node: info.name for info in pipeline.store.segments()}
        first = next(entry for entry in pipeline.query("http"))
        assert first.entry_id.segment == names["a"]
        other = pipeline.entry(first.id.replace(names["a"], names["b"]))
        assert other is not None
        assert (other.get("url"), other.entry_id.segment) == (first.get("url"), names["b"])


def test_the_same_twice_is_there_twice() -> None:
    capture = Capture()
    for _ in range(3):
        capture.add(dns(1))
    data = b"".join(capture.records)
    core = load_core()

    def counts(*pieces: tuple[str, bytes]) -> list[int]:
        return [len(core.offsets(piece)[0]) for piece in without_repeats(core, RAW, pieces)]

    assert counts(("a", data), ("b", data)) == [3, 0]
    assert counts(("a", data), ("a", data)) == [3, 3]
    assert counts(("a", data), ("b", data), ("c", data), ("b", data)) == [3, 0, 0, 3]
    one = capture.records[0]
    assert counts(("a", one), ("b", data)) == [1, 2]
    late = Capture()
    late.now_ns += SKEW_NS + 10 * MS
    late.add(dns(1))
    assert counts(("a", one), ("b", late.records[0])) == [1, 1]
    assert counts(("a", b""), ("b", one)) == [0, 1]


def test_loopback_is_each_nodes_own(tmp_path: Path) -> None:
    """The same ports, payload and time on 127.0.0.1 of two nodes are two datagrams."""
    capture = Capture()
    for ends in (("127.0.0.1", "127.0.0.1"), ("10.0.0.1", "10.0.0.2")):
        capture.add(udp(b"said", (20_001, 9999), ends))
    both, _ = shown(store_of(tmp_path / "both", a=capture.records, b=capture.records), "udp")
    assert sorted(entry.src.ip for entry in both) == ["10.0.0.1", "127.0.0.1", "127.0.0.1"]
