"""Holds scanners to their oracle: the same entries, ids, times and variables with them as without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from kubeshark.core_capture import Core, Decoded, FlowStreams, load_core
from kubeshark.pipeline import Entry, Plugins
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._query import Query
from kubeshark.pipeline.reading._segments import Segment
from kubeshark.pipeline.tables._lazy_entry import LazyEntry

__all__ = ["assert_filtered_as_dissected", "assert_scanned_as_dissected"]


class WithoutScanners:
    """A core whose assembled flows cannot be scanned: everything is dissected."""

    name = "native"

    def __init__(self, core: Core) -> None:
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def assemble(self, decoded: Decoded, flows: Any) -> list[FlowStreams]:
        return list(self._core.assemble(decoded, flows))


@cache
def plugins() -> Plugins:
    return Plugins()


def entries(segments: Sequence[Segment], core: Any, kfl: str = "", decrypt: Any = None) -> list[Entry]:
    tools = plugins()
    entry_filter = EntryFilter(kfl, tools, now_ns=0)
    dissector = Dissector(core, tools, [], Origin("file", "", tools.variables, tools.display), decrypt)
    return list(Query(segments, dissector, entry_filter, entry_filter.predicate))


def assert_scanned_as_dissected(segments: Sequence[Segment]) -> Counter[str]:
    """Compare every entry, variable and document; return how many entries each protocol's scanner gave."""
    core = load_core()
    scanned, dissected = entries(segments, core), entries(segments, WithoutScanners(core))
    assert [entry.id for entry in scanned] == [entry.id for entry in dissected]
    assert [entry.start_ns for entry in scanned] == [entry.start_ns for entry in dissected]
    counts: Counter[str] = Counter()
    for ours, oracle in zip(scanned, dissected, strict=True):
        if isinstance(ours, LazyEntry):
            if not ours.id.endswith("conn"):
                counts[ours.protocol.flag] += 1
            for name in plugins().variables:
                assert ours.get(name) == oracle.get(name), (ours.id, name)
            assert ours.to_dict() == oracle.to_dict()
            assert ours.moments() == oracle.moments()
    return counts


def assert_filtered_as_dissected(segments: Sequence[Segment], kfl: str) -> int:
    """Compare which entries match; return how many."""
    core = load_core()
    scanned, dissected = entries(segments, core, kfl), entries(segments, WithoutScanners(core), kfl)
    assert [entry.id for entry in scanned] == [entry.id for entry in dissected]
    assert [entry.protocol for entry in scanned] == [entry.protocol for entry in dissected]
    return len(scanned)
