"""Which names the ends of an entry had at its time: KFL's Kubernetes variables, by address and time.

Of several records that cover a moment the one that began last is right; a moment that none covers belongs to one that
begins at most EARLY_NS later, because who watches a cluster hears of an address after its first packet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kubeshark.core_capture.store import NameRecord

__all__ = ["NAMED", "Names", "Who"]

EARLY_NS = 2 * 1_000_000_000
MAX_PER_ADDRESS = 512  # records of one kind; of more the latest
KINDS = ("pod", "service", "node", "host")


class Who(NamedTuple):
    """What is known of an address at some time."""

    pod: NameRecord | None = None
    service: NameRecord | None = None
    node: NameRecord | None = None
    host: NameRecord | None = None

    @property
    def name(self) -> str:
        """The best name: pod, service.namespace, host outside, node."""
        if self.pod is not None:
            return self.pod.name
        if self.service is not None:
            return f"{self.service.name}.{self.service.namespace}" if self.service.namespace else self.service.name
        best = self.host or self.node
        return best.name if best is not None else ""

    @property
    def namespace(self) -> str:
        inside = self.pod or self.service
        return inside.namespace if inside is not None else ""

    @property
    def pod_name(self) -> str:
        inside = self.pod or self.service
        return inside.name if inside is not None else ""

    @property
    def service_name(self) -> str:
        return self.service.name if self.service is not None else ""

    @property
    def service_namespace(self) -> str:
        return self.service.namespace if self.service is not None else ""

    @property
    def host_name(self) -> str:
        return self.host.name if self.host is not None else ""

    @property
    def node_name(self) -> str:
        if self.pod is not None and self.pod.node:
            return self.pod.node
        return self.node.name if self.node is not None else ""

    @property
    def labels(self) -> Mapping[str, str]:
        best = self.pod or self.service or self.node
        return dict(best.labels) if best is not None else {}

    @property
    def annotations(self) -> Mapping[str, str]:
        best = self.pod or self.service or self.node
        return dict(best.annotations) if best is not None else {}

    def fill(self, resolution: dict[str, Any]) -> dict[str, Any]:
        """Put it into a Resolution (entries.md §3)."""
        if self == NOBODY:
            return resolution
        resolution["name"], resolution["namespace"] = self.name, self.namespace
        resolution["resolutionMechanism"] = "ip" if self.pod or self.service or self.node else "dns"
        if self.pod is not None:
            resolution["pod"] = {
                "metadata": _metadata(self.pod),
                "spec": {"nodeName": self.pod.node},
                "status": {"hostIP": self.pod.node_address},
            }
        if self.service is not None:
            resolution["service"] = {"metadata": _metadata(self.service)}
        return resolution


NOBODY = Who()


class Names:
    """Names by address and time. Nothing is worked out before an address is asked for."""

    def __init__(self, records: Iterable[NameRecord]) -> None:
        self._records: dict[str, list[NameRecord]] = defaultdict(list)
        for record in records:
            for address in record.addresses:
                self._records[address].append(record)
        self._spans: dict[str, tuple[list[int], list[Who]]] = {}
        self._nodes: dict[str, list[NameRecord]] | None = None

    @classmethod
    def of(cls, records: Iterable[NameRecord]) -> Names | None:
        """Return them, None if there are none: then nothing is looked up."""
        made = cls(records)
        return made if made._records else None

    def at(self, address: str, time_ns: int) -> Who:
        """Return who had an address (canonical text) at a time."""
        if address not in self._records:
            return NOBODY
        spans = self._spans.get(address)
        if spans is None:
            spans = self._spans[address] = _spans(self._records[address])
        begins, found = spans
        place = bisect_right(begins, time_ns) - 1
        return found[place] if place >= 0 else NOBODY

    def node(self, name: str, time_ns: int) -> NameRecord | None:
        """Return the node that had this name at a time."""
        if self._nodes is None:
            nodes: dict[str, list[NameRecord]] = defaultdict(list)
            for record in chain.from_iterable(self._records.values()):
                if record.kind == "node":
                    nodes[record.name].append(record)
            self._nodes = dict(nodes)
        return _holding(self._nodes.get(name, []), time_ns)

    def value(self, variable: str, src: str, dst: str, time_ns: int) -> Any:
        """Return a variable of NAMED for an entry between two addresses."""
        return NAMED[variable](self.at(src, time_ns), self.at(dst, time_ns))


def _spans(records: list[NameRecord]) -> tuple[list[int], list[Who]]:
    """Return moments at which something changes, ascending, and what holds from each on."""
    by_kind = {kind: [record for record in records if record.kind == kind][-MAX_PER_ADDRESS:] for kind in KINDS}
    begins = sorted(
        {
            moment
            for kept in by_kind.values()
            for record in kept
            for moment in (record.since_ns - EARLY_NS, record.since_ns, record.until_ns)
            if moment is not None
        }
    )
    return begins, [Who(*(_holding(by_kind[kind], moment) for kind in KINDS)) for moment in begins]


def _holding(records: list[NameRecord], moment: int) -> NameRecord | None:
    covering = [r for r in records if r.since_ns <= moment and (r.until_ns is None or moment < r.until_ns)]
    if covering:
        return max(covering, key=lambda record: (record.since_ns, record.namespace, record.name))
    coming = [record for record in records if moment < record.since_ns <= moment + EARLY_NS]
    return min(coming, key=lambda record: (record.since_ns, record.namespace, record.name), default=None)


def _metadata(record: NameRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "namespace": record.namespace,
        "labels": dict(record.labels),
        "annotations": dict(record.annotations),
    }


def _both(of: Callable[[Who], str]) -> Callable[[Who, Who], list[str]]:
    return lambda src, dst: list(dict.fromkeys(filter(None, (of(src), of(dst)))))


def _each(name: str, of: Callable[[Who], Any]) -> dict[str, Callable[[Who, Who], Any]]:
    return {f"src.{name}": lambda src, _: of(src), f"dst.{name}": lambda _, dst: of(dst)}


NAMED: Mapping[str, Callable[[Who, Who], Any]] = {
    **_each("name", lambda who: who.name),
    **_each("namespace", lambda who: who.namespace),
    **_each("pod.name", lambda who: who.pod_name),
    **_each("pod.namespace", lambda who: who.namespace),
    **_each("service.name", lambda who: who.service_name),
    **_each("service.namespace", lambda who: who.service_namespace),
    **_each("dns", lambda who: who.host_name),
    "namespaces": _both(lambda who: who.namespace),
    "pods": _both(lambda who: who.pod.name if who.pod is not None else ""),
    "services": _both(lambda who: who.service_name),
    "dns_resolutions": _both(lambda who: who.host_name),
    "local_labels": lambda src, _: src.labels,
    "remote_labels": lambda _, dst: dst.labels,
    "local_annotations": lambda src, _: src.annotations,
    "remote_annotations": lambda _, dst: dst.annotations,
    "local_node_name": lambda src, _: src.node_name,
    "remote_node_name": lambda _, dst: dst.node_name,
    "local_resolution_status": lambda src, _: "" if src.name else "cache_miss",
    "remote_resolution_status": lambda _, dst: "" if dst.name else "cache_miss",
}
"""Variables that names tell; local is the client."""
