"""The service map's sums: names where entries have them, two times compared."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kubeshark.hub.answers._sums import Counted
from kubeshark.hub.overviews._edges import NAMES, OUTSIDE, Edges, Group, variable_of
from kubeshark.pipeline import SIZE, Run
from kubeshark.pipeline.kfl import compile_filter

WHOLE = Counted(stopped="")


class Rows:
    """A run of entries that are given as columns; what is not given is empty."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = {name.replace("__", "."): column for name, column in columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> list[Any]:
        empty: Any = 0 if name in ("dst.port", SIZE, "elapsed_time", "status_code", "error") else ""
        return self.columns.get(name, [empty] * len(self))


def summed(group: Group, **columns: list[Any]) -> Edges:
    edges = Edges(group, 7)
    edges.add(cast("Run", Rows(**columns)))
    return edges


def calls(number: int, *, us: int = 100, failed: int = 0) -> Edges:
    return summed(
        "host",
        src__ip=["10.0.0.1"] * number,
        dst__ip=["10.0.0.2"] * number,
        elapsed_time=[us] * number,
        error=[i < failed for i in range(number)],
    )


ENDS: dict[str, list[Any]] = {
    "src__ip": ["10.0.0.1", "10.0.0.2", "10.0.0.1"],
    "src__pod__name": ["web-1", "web-2", "web-1"],
    "src__pod__namespace": ["shop"] * 3,
    "src__name": ["web"] * 3,
    "dst__ip": ["10.96.0.1", "10.96.0.1", "192.0.2.7"],
    "dst__service__name": ["db", "db", ""],
    "dst__service__namespace": ["data", "data", ""],
    "local_node_name": ["node-1", "node-2", "node-1"],
    "remote_node_name": ["", "", "gate"],
}


@pytest.mark.parametrize(
    ("group", "sources", "targets"),
    [
        ("host", {"10.0.0.1", "10.0.0.2"}, {"10.96.0.1", "192.0.2.7"}),
        ("pod", {"shop/web-1", "shop/web-2"}, {"10.96.0.1", "192.0.2.7"}),
        ("service", {"shop/web"}, {"data/db", "192.0.2.7"}),
        ("node", {"node-1", "node-2"}, {"10.96.0.1", "gate"}),
        ("namespace", {"shop"}, {"data", OUTSIDE}),
    ],
)
def test_ends_are_called_by_the_names_that_entries_have(group: Group, sources: set[str], targets: set[str]) -> None:
    answer = summed(group, **ENDS).answer(100, WHOLE)
    assert {edge.source for edge in answer.edges} == sources
    assert {edge.target for edge in answer.edges} == targets
    for edge in answer.edges:
        compile_filter(edge.kfl, now_ns=0)
    for node in answer.nodes:
        compile_filter(node.kfl, now_ns=0)


def test_a_host_has_its_name_beside_its_address() -> None:
    names = {node.id: node.name for node in summed("host", **ENDS).answer(100, WHOLE).nodes}
    assert names == {"10.0.0.1": "web", "10.0.0.2": "web", "10.96.0.1": "db", "192.0.2.7": ""}


def test_a_hostile_name_stays_a_text_in_the_filter() -> None:
    hostile = 'a" || true || "\n'
    answer = summed("service", src__ip=["::1"], dst__ip=["::2"], src__name=[hostile]).answer(9, WHOLE)
    assert "\n" not in answer.edges[0].kfl
    assert r"src.name == \"a" not in answer.edges[0].kfl
    assert r'src.name == "a\" || true || \"\n"' in answer.edges[0].kfl


@pytest.mark.parametrize(
    ("now", "then", "faster", "change"),
    [
        (calls(100), calls(100), 1, "same"),
        (calls(100), calls(3), 1, "changed"),
        (calls(4), calls(2), 1, "same"),  # chance
        (calls(400), calls(100), 4, "same"),  # a longer time
        (calls(100, us=1_000), calls(100, us=100), 1, "changed"),
        (calls(100, failed=10), calls(100), 1, "changed"),
        (calls(5), Edges("host", 7), 1, "new"),
        (Edges("host", 7), calls(5), 1, "gone"),
    ],
)
def test_what_changed_between_two_times(now: Edges, then: Edges, faster: float, change: str) -> None:
    answer = now.answer(10, WHOLE, then, faster)
    assert [edge.change for edge in answer.edges] == [change]
    assert answer.edges[0].before is not None
    assert answer.edges[0].before.calls == then.entries


def test_every_name_is_a_variable_of_the_filter_language() -> None:
    for side in ("src", "dst"):
        for name in NAMES:
            compile_filter(f'{variable_of(side, name)} == "x"', now_ns=0)


def test_a_node_is_asked_for_at_the_end_where_it_is() -> None:
    (edge,) = (
        summed("node", src__ip=["10.0.0.1"], dst__ip=["10.0.0.2"], local_node_name=["a"], remote_node_name=["b"])
        .answer(9, WHOLE)
        .edges
    )
    assert edge.kfl == 'local_node_name == "a" && remote_node_name == "b"'
