"""A part of a connection may take the other end for the client: every part is read all the same, or none."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture import And, InNetwork, Not, Or, PortBetween, Predicate, Transport
from kubeshark.core_capture.store import Identity, SourceInfo, Store
from kubeshark.extension_api import CLIENT, SERVER
from kubeshark.pipeline import Pipeline, Plugins
from kubeshark.pipeline.reading._choose import choose_rows, either_way
from tests.core_capture.reference._packets import A
from tests.pipeline._traffic import Capture, Connection, batch, dns, find, make_query

FILTERS = [
    "src.port == 40000",
    "dst.port == 40001",
    "src.port == 40001",
    f'src.ip == "{A}"',
    f'dst.ip == "{A}"',
    f'!(src.ip == "{A}")',
    "src.port != 40000 || dst.port == 40001",
    "http && src.port > 40000",
]


def unclear() -> Capture:
    """A connection between two ports of which neither is a server's, and a datagram that is answered."""
    capture = Capture()
    Connection(capture, 40_001).open().ask().answer().ask().answer()
    capture.add(dns(1))
    capture.add(dns(1, answer=True))
    return capture


@pytest.mark.parametrize("kfl", FILTERS)
@pytest.mark.parametrize("cuts", [[3], [2, 3, 4, 5], [7], [3, 5, 7]])
def test_cuts_between_question_and_answer_do_not_matter(kfl: str, cuts: list[int]) -> None:
    def shown(cuts: list[int]) -> list[tuple[object, ...]]:
        entries = find(unclear(), kfl, cuts=cuts)
        return [(e.start_ns, e.protocol.name, e.src, e.error, e.total_size) for e in entries]

    assert shown(cuts) == shown([])


@given(cut=st.integers(1, 7), kfl=st.sampled_from(FILTERS))
def test_a_filter_only_chooses_among_the_entries_that_there_are(cut: int, kfl: str) -> None:
    all_of_them = {entry.id: entry.to_dict() for entry in find(unclear(), cuts=[cut])}
    for entry in find(unclear(), kfl, cuts=[cut]):
        assert entry.to_dict() == all_of_them[entry.id]


def test_whole_connections_are_read_one_way_only() -> None:
    capture = Capture()
    for number in range(3):
        connection = Connection(capture, 40_001, 41_000 + number).open().ask().answer()
        connection.end(CLIENT).end(SERVER)
    query = make_query(capture.segments(len(capture.records) // 3), "src.port == 40001")
    assert list(query) == []
    assert query.stats.flows_selected == 0
    (segment,) = capture.segments()
    assert list(choose_rows(segment, PortBetween("dst", 40_001, 40_001), is_alone=False)) == [0, 1, 2]


def test_turning_keeps_the_shape() -> None:
    network, tcp = ip_network("10.0.0.0/8"), Transport(frozenset({6}))
    predicate: Predicate = And((Not(InNetwork("src", network)), Or((PortBetween("dst", 1, 2), tcp))))
    turned = And((Not(InNetwork("dst", network)), Or((PortBetween("src", 1, 2), tcp))))
    assert either_way(predicate) == Or((predicate, turned))
    assert either_way(tcp) == tcp


def test_a_store_opens_the_segments_of_all_parts(tmp_path: Path) -> None:
    capture = Capture()
    connection = Connection(capture, 40_001).open().ask(b"GET /big HTTP/1.1\r\n\r\n")
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
    for _ in range(20):
        connection.answer(b"x" * 100)
    identity = Identity.generate()
    store = Store.open(tmp_path / "store", identities=[identity], create=True)
    with store.writer([identity.recipient], source=SourceInfo("s"), segment_bytes=1_000) as writer:
        for record in capture.records:
            writer.add(batch([record]))
        writer.finish()
    with Pipeline.open(tmp_path / "store", identities=[identity], plugins=Plugins()) as opened:
        (entry,) = opened.query("http && src.port == 40000")
        assert entry.error is None
        assert len(entry.facts.parts) == opened.info()["segments"] > 1
        again = opened.entry(entry.id)
        assert again is not None
        assert again.to_dict() == entry.to_dict()
