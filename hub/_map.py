"""The service map: who talks to whom, added up here, never from rows in a browser.

Layer 7 adds up entries, layer 4 connections. Latencies are kept by size class, eight to a doubling: percentiles are
within nine per cent, and memory does not depend on how many calls there are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from kubeshark.hub._access import Who, need
from kubeshark.hub._queries import AGGREGATE_S, Kfl, Since, Until
from kubeshark.hub._state import State
from kubeshark.hub._times import read_time
from kubeshark.pipeline import SIZE, Run

__all__ = ["Edges", "router"]

router = APIRouter(prefix="/api/v1", tags=["map"], dependencies=[Depends(need("read"))])

Group = Literal["host", "workload", "namespace"]
MAX_EDGES = 20_000
MAX_KEPT = 200_000  # edges that are added up; calls of further ones are counted as hidden
CLASSES = 8  # of latency, to a doubling
OUTSIDE = "(outside)"
NAMES = ("name", "service.name", "pod.name", "namespace", "service.namespace", "pod.namespace")


class Node(BaseModel):
    id: str
    namespace: str
    addresses: list[str] = Field(description="at most 16 of them")
    calls_in: int
    calls_out: int


class Edge(BaseModel):
    source: str
    target: str
    calls: int = Field(description="entries; connections on layer 4")
    errors: int
    bytes: int
    protocols: dict[str, int]
    ports: list[int] = Field(description="of the target, at most 16 of them")
    latency_us: dict[str, int] = Field(description="p50, p90, p99, max; empty where nothing was answered")
    kfl: str = Field(description="the filter that selects the edge's entries")


class ServiceMap(BaseModel):
    nodes: list[Node]
    edges: list[Edge]
    hidden_edges: int
    entries: int
    stopped: str


@dataclass(slots=True)
class _Edge:
    calls: int = 0
    errors: int = 0
    bytes: int = 0
    longest: int = 0
    protocols: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)
    ports: set[int] = field(default_factory=set)

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


class Edges:
    """Adds up runs of entries."""

    def __init__(self, group: Group, layer: int) -> None:
        self.group = group
        self.layer = layer
        self.entries = 0
        self.hidden = 0
        self.edges: dict[tuple[str, str], _Edge] = {}
        self.addresses: dict[str, set[str]] = {}
        self.namespaces: dict[str, str] = {}
        names = () if group == "host" else tuple(f"{side}.{name}" for side in ("src", "dst") for name in NAMES)
        own = ("conn_local_bytes", "conn_remote_bytes") if layer == 4 else (SIZE, "elapsed_time", "status_code")
        self.fields = ("src.ip", "dst.ip", "dst.port", "protocol", "error", *own, *names)

    def add(self, run: Run) -> None:
        columns = {name: run.column(name) for name in self.fields}
        self.entries += len(run)
        sources, targets = self._groups(columns, "src"), self._groups(columns, "dst")
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

    def _groups(self, columns: dict[str, list[Any]], side: str) -> Sequence[str]:
        """Return the node of one end of each entry."""
        addresses = columns[f"{side}.ip"]
        if self.group == "host":
            for address in set(addresses):
                self._note(address, address, "")
            return addresses
        named = zip(addresses, *(columns[f"{side}.{name}"] for name in NAMES), strict=True)
        known: dict[tuple[str, ...], str] = {}
        nodes = []
        for end in named:
            if end not in known:
                address, name, service, pod, *spaces = end
                namespace = next((each for each in spaces if each), "")
                if self.group == "namespace":
                    known[end] = namespace or OUTSIDE
                else:
                    workload = service or pod or name
                    known[end] = f"{namespace}/{workload}" if namespace and workload else workload or address
                self._note(known[end], address, namespace)
            nodes.append(known[end])
        return nodes

    def _note(self, node: str, address: str, namespace: str) -> None:
        known = self.addresses.setdefault(node, set())
        if len(known) < 16:
            known.add(address)
        self.namespaces[node] = namespace

    def answer(self, limit: int, stopped: str) -> ServiceMap:
        """Return the edges with the most calls, and the nodes at their ends."""
        ranked = sorted(self.edges.items(), key=lambda item: (-item[1].calls, item[0]))
        shown = ranked[:limit]
        calls_in: Counter[str] = Counter()
        calls_out: Counter[str] = Counter()
        for (source, target), edge in shown:
            calls_out[source] += edge.calls
            calls_in[target] += edge.calls
        nodes = [
            Node(
                id=node,
                namespace=self.namespaces.get(node, ""),
                addresses=sorted(self.addresses.get(node, ())),
                calls_in=calls_in[node],
                calls_out=calls_out[node],
            )
            for node in sorted(calls_in.keys() | calls_out.keys())
        ]
        edges = [
            Edge(
                source=source,
                target=target,
                calls=edge.calls,
                errors=edge.errors,
                bytes=edge.bytes,
                protocols=dict(edge.protocols.most_common(16)),
                ports=sorted(edge.ports),
                latency_us=edge.percentiles(),
                kfl=self._kfl(source, target),
            )
            for (source, target), edge in shown
        ]
        hidden = len(ranked) - len(shown) + (1 if self.hidden else 0)
        return ServiceMap(nodes=nodes, edges=edges, hidden_edges=hidden, entries=self.entries, stopped=stopped)

    def _kfl(self, source: str, target: str) -> str:
        terms = []
        for side, node in (("src", source), ("dst", target)):
            addresses = sorted(self.addresses.get(node, ()))
            namespace = self.namespaces.get(node, "")
            if self.group == "namespace" and namespace:
                terms.append(f'({side}.namespace == "{namespace}" || {side}.pod.namespace == "{namespace}")')
            elif len(addresses) == 1:
                terms.append(f'{side}.ip == "{addresses[0]}"')
            else:
                listed = ", ".join(f'"{address}"' for address in addresses)
                terms.append(f"{side}.ip in [{listed}]")
        return " && ".join(terms) + (" && conn" if self.layer == 4 else "")


@router.get("/map", summary="Who talks to whom: nodes, and edges with calls, errors, bytes and latencies")
def service_map(
    hub: State,
    principal: Who,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    group: Group = "host",
    layer: Annotated[Literal["4", "7"], Query(description="4: connections, 7: entries")] = "7",
    limit: Annotated[int, Query(ge=1, le=MAX_EDGES, description="edges, those with the most calls")] = 5_000,
) -> ServiceMap:
    view = hub.view(principal)
    text = kfl
    if layer == "4":
        written = view.compile(kfl).kfl_text
        text = f"(\n{written}\n) && conn" if written.strip() else "conn"
    found = view.query(text, since_ns=read_time(since), until_ns=read_time(until), max_seconds=AGGREGATE_S)
    edges = Edges(group, int(layer))
    with hub.pool.turn() as turn:
        turn.take()
        for run in found.runs(edges.fields):
            edges.add(run)
    return edges.answer(limit, found.stopped)
