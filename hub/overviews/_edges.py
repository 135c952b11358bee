"""Who talks to whom, added up: the edges of the service map, of one time or of two that are compared.

Layer 7 adds up entries, layer 4 connections. Latencies are kept by size class, eight to a doubling: percentiles are
within nine per cent, and memory does not depend on how many calls there are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from kubeshark.hub.answers._sums import Counted
from kubeshark.pipeline import SIZE, Run
from kubeshark.pipeline.renderers._kfl_text import literal

__all__ = ["MAX_EDGES", "Edges", "End", "Group", "ServiceMap", "end_of", "ends_fields"]

Group = Literal["host", "pod", "service", "workload", "node", "namespace"]
Change = Literal["new", "gone", "changed", "same"]
MAX_EDGES = 20_000
MAX_KEPT = 200_000  # edges that are added up; calls of further ones are counted as hidden
CLASSES = 8  # of latency, to a doubling
OUTSIDE = "(outside)"
MAX_WAYS = 8
SPACES = ("namespace", "service.namespace", "pod.namespace")
NODE = "node_name"
NAMES = ("name", "service.name", "pod.name", NODE, *SPACES)
BY: dict[str, tuple[str, ...]] = {
    "pod": ("pod.name", "name"),
    "service": ("service.name", "name"),
    "workload": ("service.name", "pod.name", "name"),
    "node": (NODE,),
    "namespace": (),
}
"""By group: the names that an end is called by, the first that it has."""
CHANGED_BY = 1.5
"""Rates and medians that differ by a smaller factor are the same: two times are never alike to the last call."""
SIGMAS = 3
CHANGED_ERRORS = 0.05  # of the calls


class Node(BaseModel):
    id: str
    name: str = Field(description='of a host that has one; "" otherwise')
    namespace: str
    addresses: list[str] = Field(description="at most 16 of them")
    calls_in: int
    calls_out: int
    kfl: str = Field(description="the filter that selects the node's entries")


class Amount(BaseModel):
    calls: int = Field(description="entries; connections on layer 4")
    errors: int
    bytes: int
    latency_us: dict[str, int] = Field(description="p50, p90, p99, max; empty where nothing was answered")


class Edge(Amount):
    source: str
    target: str
    protocols: dict[str, int] = Field(description="of an edge that is gone: those it had")
    ports: list[int] = Field(description="of the target, at most 16 of them")
    kfl: str = Field(description="the filter that selects the edge's entries")
    before: Amount | None = Field(default=None, description="of the time it is compared with")
    change: Change | None = Field(
        default=None,
        description="where two times are compared; changed: calls a second or the median latency by half and more, "
        "or the share of errors by five points",
    )


class ServiceMap(Counted):
    nodes: list[Node]
    edges: list[Edge]
    hidden_edges: int
    entries: int
    before_entries: int | None = Field(default=None, description="of the time it is compared with")


@dataclass(slots=True)
class _Edge:
    calls: int = 0
    errors: int = 0
    bytes: int = 0
    longest: int = 0
    protocols: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)
    ports: set[int] = field(default_factory=set)

    def amount(self) -> dict[str, Any]:
        """Return the fields of an Amount."""
        return {
            "calls": self.calls,
            "errors": self.errors,
            "bytes": self.bytes,
            "latency_us": self.percentiles(),
        }

    def percentiles(self) -> dict[str, int]:
        total = sum(self.latencies.values())
        if not total:
            return {}
        wanted = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        found, seen = {}, 0
        for size, number in sorted(self.latencies.items()):
            seen += number
            for name in [name for name, share in wanted.items() if name not in found and seen >= share * total]:
                found[name] = min(self.longest, round(2 ** ((size + 0.5) / CLASSES)))
        return {**found, "max": self.longest}


Way = tuple[tuple[str, str], ...]  # names of an end, and their values


@dataclass(frozen=True, slots=True)
class End:
    """What an end of an entry is called in a group, and how it is told to be that."""

    id: str
    namespace: str
    name: str  # of a host that has one
    way: Way

    def kfl(self, side: str) -> str:
        """Return the filter of what has it at one end, "src" or "dst"."""
        return " && ".join(f"{variable_of(side, name)} == {literal(value)}" for name, value in self.way)


def variable_of(side: str, name: str) -> str:
    """Return the KFL variable that has this name of an end: nodes are those of the client and of the server."""
    if name == NODE:
        return "local_node_name" if side == "src" else "remote_node_name"
    return f"{side}.{name}"


def ends_fields(side: str) -> tuple[str, ...]:
    """Return the variables that `end_of` is told the values of."""
    return (f"{side}.ip", *(variable_of(side, name) for name in NAMES))


def end_of(group: Group, values: Sequence[str]) -> End:
    """Return which end it is whose `ends_fields` have these values."""
    address = values[0]
    names: dict[str, str] = dict(zip(NAMES, values[1:], strict=True))
    spaces = {name: names[name] for name in SPACES if names[name]}
    namespace = next(iter(spaces.values()), "")
    called = next((name for name in BY.get(group, ()) if names[name]), "")
    if group == "namespace":
        way = next(((space,) for space in spaces.items()), tuple((each, "") for each in SPACES))
        return End(namespace or OUTSIDE, namespace, "", way)
    if called == NODE:
        return End(names[NODE], "", "", ((NODE, names[NODE]),))
    if called:
        known_as = f"{namespace}/{names[called]}" if namespace else names[called]
        return End(known_as, namespace, "", ((called, names[called]), *list(spaces.items())[:1]))
    return End(address, namespace, names["name"] or names["pod.name"] or names["service.name"], (("ip", address),))


@dataclass(slots=True)
class _Node:
    namespace: str
    name: str
    addresses: set[str] = field(default_factory=set)
    ways: dict[str, End] = field(
        default_factory=dict
    )  # by filter, how ends are told to be this: a name may stand in several

    def kfl(self, side: str) -> str:
        """Return the filter of what has this node at one end, "src" or "dst"."""
        terms = [end.kfl(side) for end in self.ways.values()]
        return terms[0] if len(terms) == 1 else "(" + " || ".join(f"({term})" for term in terms) + ")"


class Edges:
    """Adds up runs of entries."""

    def __init__(self, group: Group, layer: int) -> None:
        self.group: Group = group
        self.layer = layer
        self.entries = 0
        self.hidden = 0
        self.edges: dict[tuple[str, str], _Edge] = {}
        self.nodes: dict[str, _Node] = {}
        own = ("conn_local_bytes", "conn_remote_bytes") if layer == 4 else (SIZE, "elapsed_time", "status_code")
        self.fields = ("dst.port", "protocol", "error", *own, *ends_fields("src"), *ends_fields("dst"))

    def add(self, run: Run) -> None:
        columns = {name: run.column(name) for name in self.fields}
        self.entries += len(run)
        sources, targets = self._ends(columns, "src"), self._ends(columns, "dst")
        if self.layer == 4:
            sizes = [a + b for a, b in zip(columns["conn_local_bytes"], columns["conn_remote_bytes"], strict=True)]
            elapsed = statuses = [0] * len(run)
        else:
            sizes, elapsed, statuses = columns[SIZE], columns["elapsed_time"], columns["status_code"]
        facts = (columns["protocol"], columns["dst.port"], columns["error"], sizes, elapsed, statuses)
        for source, target, protocol, port, failed, size, us, status in zip(sources, targets, *facts, strict=True):
            edge = self.edges.get((source, target))
            if edge is None:
                if len(self.edges) >= MAX_KEPT:
                    self.hidden += 1
                    continue
                edge = self.edges[source, target] = _Edge()
            edge.calls += 1
            edge.bytes += size
            edge.errors += bool(failed) or status >= 400
            edge.protocols[protocol] += 1
            if len(edge.ports) < 16:
                edge.ports.add(port)
            if us > 0:
                edge.latencies[int(math.log2(us) * CLASSES)] += 1
                edge.longest = max(edge.longest, us)

    def _ends(self, columns: dict[str, list[Any]], side: str) -> Sequence[str]:
        """Return the node of one end of each entry."""
        known: dict[tuple[str, ...], str] = {}
        nodes = []
        for values in zip(*(columns[name] for name in ends_fields(side)), strict=True):
            if values not in known:
                known[values] = self._note(end_of(self.group, values), values[0])
            nodes.append(known[values])
        return nodes

    def _note(self, end: End, address: str) -> str:
        kept = self.nodes.setdefault(end.id, _Node(end.namespace, end.name))
        if len(kept.ways) < MAX_WAYS:
            kept.ways.setdefault(end.kfl("src"), end)
        if len(kept.addresses) < 16:
            kept.addresses.add(address)
        return end.id

    def answer(self, limit: int, counted: Counted, before: Edges | None = None, faster: float = 1.0) -> ServiceMap:
        """Return the edges with the most calls, and the nodes at their ends.

        `before` is of another time, whose calls are worth `faster` of ours: how much longer our time is than its.
        """
        past = before.edges if before else {}
        known = {**(before.nodes if before else {}), **self.nodes}
        none = _Edge()

        def most(key: tuple[str, str]) -> tuple[int, tuple[str, str]]:
            return -max(self.edges.get(key, none).calls, past.get(key, none).calls), key

        ranked = sorted(self.edges.keys() | past.keys(), key=most)
        calls_in: Counter[str] = Counter()
        calls_out: Counter[str] = Counter()
        edges = []
        for source, target in ranked[:limit]:
            now, then = self.edges.get((source, target)), past.get((source, target))
            shown = now or then or none
            calls_out[source] += now.calls if now else 0
            calls_in[target] += now.calls if now else 0
            edges.append(
                Edge(
                    **(now or none).amount(),
                    source=source,
                    target=target,
                    protocols=dict(shown.protocols.most_common(16)),
                    ports=sorted(shown.ports),
                    kfl=f"{known[source].kfl('src')} && {known[target].kfl('dst')}" + self._layer_kfl(),
                    before=Amount(**(then or none).amount()) if before else None,
                    change=_change(now, then, faster) if before else None,
                )
            )
        nodes = [
            Node(
                id=node,
                name=known[node].name,
                namespace=known[node].namespace,
                addresses=sorted(known[node].addresses),
                calls_in=calls_in[node],
                calls_out=calls_out[node],
                kfl=f"({known[node].kfl('src')} || {known[node].kfl('dst')})" + self._layer_kfl(),
            )
            for node in sorted(calls_in.keys() | calls_out.keys())
        ]
        return ServiceMap(
            nodes=nodes,
            edges=edges,
            hidden_edges=len(ranked) - len(edges) + (1 if self.hidden or (before and before.hidden) else 0),
            entries=self.entries,
            before_entries=before.entries if before else None,
            **counted.model_dump(),
        )

    def _layer_kfl(self) -> str:
        return " && conn" if self.layer == 4 else ""


def _change(now: _Edge | None, then: _Edge | None, faster: float) -> Change:
    if now is None or then is None:
        return "gone" if now is None else "new"
    expected = then.calls * faster
    noise = SIGMAS * math.sqrt(now.calls + expected * faster)  # of two counts, the older one scaled
    if abs(now.calls - expected) > noise and _differs(now.calls, expected):
        return "changed"
    if abs(now.errors / now.calls - then.errors / then.calls) > CHANGED_ERRORS:
        return "changed"
    medians = [each.percentiles().get("p50", 0) for each in (now, then)]
    return "changed" if all(medians) and _differs(*medians) else "same"


def _differs(a: float, b: float) -> bool:
    return max(a, b) > CHANGED_BY * min(a, b)
