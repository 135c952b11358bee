"""Names by address and time: reuse, overlap, what comes a little late, and that queries of every kind see them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture.store import Identity, NameRecord
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.names._named import EARLY_NS, NAMED, Names, Who
from tests.core_capture.reference._packets import A, B
from tests.pipeline._traffic import SECOND, START_NS, Capture, Connection

NODE = NameRecord(kind="node", name="lab-1", addresses=("192.0.2.1",), since_ns=0)
STOCK = NameRecord(kind="service", name="stock", namespace="shop", addresses=(B,), since_ns=0)


def pod(name: str, since: int, until: int | None = None, address: str = A, **more: Any) -> NameRecord:
    """Seconds after START_NS."""
    return NameRecord(
        kind="pod",
        name=name,
        namespace="shop",
        addresses=(address,),
        since_ns=START_NS + since * SECOND,
        until_ns=None if until is None else START_NS + until * SECOND,
        labels={"app": name.partition("-")[0]},
        **more,
    )


def test_an_address_that_is_used_again() -> None:
    names = Names([pod("cart-1", 0, 10), pod("mail-1", 60, 90), pod("mail-2", 90)])

    def name(second: float) -> str:
        return names.at(A, START_NS + round(second * SECOND)).name

    assert [name(at) for at in (-3, 0, 9.9, 10, 57, 59, 60, 89, 90, 1_000)] == [
        *("", "cart-1", "cart-1", "", "", "mail-1", "mail-1", "mail-1", "mail-2", "mail-2"),
    ]
    assert names.at(A, START_NS - EARLY_NS).name == "cart-1"
    assert names.at("203.0.113.9", START_NS) == Who()


def test_who_began_last_is_right_and_who_goes_on_comes_back() -> None:
    names = Names([pod("old", 0), pod("new", 5, 8)])
    assert [names.at(A, START_NS + at * SECOND).name for at in (4, 5, 7, 8)] == ["old", "new", "new", "old"]


def test_what_is_best_known() -> None:
    host = NameRecord(kind="host", name="shop.example", addresses=(B,), since_ns=0)
    assert Names([host]).at(B, 1).name == "shop.example"
    who = Names([host, STOCK]).at(B, 1)
    assert (who.name, who.namespace, who.pod_name, who.host_name) == ("stock.shop", "shop", "stock", "shop.example")
    assert Names([host, STOCK, pod("stock-0", -5, address=B)]).at(B, START_NS).name == "stock-0"
    assert Names([NODE]).at("192.0.2.1", 5).name == "lab-1"


def test_no_names_look_up_nothing() -> None:
    assert Names.of([]) is None
    assert Names.of([NODE]) is not None


@pytest.fixture
def store(tmp_path: Path) -> Pipeline:
    """Twice the same two addresses; between the two exchanges another pod got the first."""
    capture = Capture()
    Connection(capture, client_port=40_001).open().ask().answer()
    capture.wait(60)
    Connection(capture, client_port=40_002).open().ask().answer()
    pipeline = Pipeline.open(tmp_path / "store", identities=[Identity.generate()])
    pipeline.import_file(io.BytesIO(capture.pcap()), name="x.pcap")
    found = [pod("cart-1", -5, 30, node="lab-1"), pod("mail-1", 30), STOCK]
    pipeline.store.change_names(lambda _: found)
    return pipeline


def test_queries_say_who_it_was_then(store: Pipeline) -> None:
    rows = list(store.rows("http", fields=["src.port", "src.name", "dst.name", "dst.service.name", "pods"]))
    assert [list(row.values())[-5:] for row in rows] == [
        [40_001, "cart-1", "stock.shop", "stock", ["cart-1"]],
        [40_002, "mail-1", "stock.shop", "stock", ["mail-1"]],
    ]
    assert [len(list(store.query(kfl))) for kfl in ('src.pod.name == "cart-1"', '"mail-1" in pods && http')] == [2, 1]
    assert len(list(store.query('http && map_get(local_labels, "app", "") == "mail"'))) == 1
    assert len(list(store.query('conn && src.name == "cart-1"'))) == 1
    assert len(list(store.query('http && src.namespace == "elsewhere"'))) == 0


def test_entries_columns_and_documents_agree(store: Pipeline) -> None:
    entries = list(store.query("http || conn"))
    for name in NAMED:
        columns = [value for batch in store.query("http || conn").batches([name]) for value in batch[name]]
        assert columns == [entry.get(name) for entry in entries], name
    document = entries[0].to_dict()
    assert document["src"]["pod"]["metadata"]["labels"] == {"app": "cart"}
    assert document["src"]["pod"]["spec"] == {"nodeName": "lab-1"}
    assert (document["dst"]["name"], document["dst"]["service"]["metadata"]["namespace"]) == ("stock.shop", "shop")
    assert entries[0].row()["src"]["name"] == "cart-1"


def test_the_node_that_captured(store: Pipeline) -> None:
    (segment,) = store.store.segments()
    node = NameRecord(kind="node", name=segment.node, addresses=("192.0.2.8",), since_ns=0)
    assert [entry.get("node_name") for entry in store.query("http")] == ["", ""]
    store.store.change_names(lambda known: [*known, node])
    kfl = f'http && node_name == "{segment.node}" && node_ip == "192.0.2.8" && node["ip"] == node_ip'
    assert len(list(store.query(kfl))) == 2
    assert [batch["node_name"] for batch in store.query("conn").batches(["node_name"])] == [[segment.node] * 2]


def test_a_view_of_one_namespace(store: Pipeline) -> None:
    assert len(list(store.restricted(namespaces=["shop"]).query("http"))) == 2
    assert len(list(store.restricted(namespaces=["bank"]).query("http"))) == 0


def test_names_that_cannot_be_read_are_a_problem_of_the_query(store: Pipeline) -> None:
    path = Path(store.store.location) / "names.age"
    path.write_bytes(path.read_bytes()[:-20])
    again = Pipeline.open(store.store.location, identities=store.store.identities)
    query = again.query("http")
    assert [entry.get("src.name") for entry in query] == ["", ""]
    assert "names.age" in str(query.problems[0])


def test_names_in_the_store_are_bounded_by_its_packets(store: Pipeline) -> None:
    ended = replace_until(pod("gone", -500), -400)
    left = store.store.change_names(lambda known: [*known, ended])
    assert [record.name for record in left] == ["stock", "cart-1", "mail-1"]
    assert Pipeline.open(store.store.location, identities=store.store.identities).store.names() == left
    assert store.store.verify([]).is_sound


def replace_until(record: NameRecord, second: int) -> NameRecord:
    import msgspec

    return msgspec.structs.replace(record, until_ns=START_NS + second * SECOND)
