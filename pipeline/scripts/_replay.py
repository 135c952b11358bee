"""Feeds scripts from captures: the packets as they are read, then every entry once, in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any

from kubeshark.core_capture._records import RECORD_HEADER_BYTES, RecordBatch
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._plugins import Plugins, installed_hooks
from kubeshark.pipeline.scripts._config import read_config
from kubeshark.pipeline.scripts._encode import BATCH
from kubeshark.pipeline.scripts._runtime import Scripts
from kubeshark.pipeline.scripts._script import find_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeshark.pipeline._imports import ImportResult, Progress
    from kubeshark.pipeline._pipeline import Pipeline
    from kubeshark.pipeline._segments import Segment

__all__ = ["feed", "import_with_scripts", "opening", "packets_of", "queried_scripts", "without_scripts"]

_RECORD = Struct("<IIII")
_NS = 1_000_000_000
_ETHERNET, _RAW, _RAW_IP, _LINUX_SLL = 1, 101, 12, 113
_IP_AT = {_ETHERNET: 14, _RAW: 0, _RAW_IP: 0, _LINUX_SLL: 16}
_FRAGMENT = 0x3FFF  # more fragments, or an offset
_HOOK = "onItemQueried"


def packets_of(batch: RecordBatch) -> list[tuple[int, int, int, bool]]:
    """Return (time in ns since 1970, captured bytes, original bytes, is a fragment) of each packet."""
    found = []
    data, at = memoryview(batch.data), 0
    ip_at = _IP_AT.get(batch.link_type)
    for index in range(batch.count):
        seconds, nanoseconds, captured, original = _RECORD.unpack_from(data, at)
        extra = batch.extras.get(index)
        time_ns = seconds * _NS + nanoseconds if extra is None or extra.time_ns is None else extra.time_ns
        at += RECORD_HEADER_BYTES
        is_fragment = False
        if ip_at is not None and captured >= ip_at + 8 and data[at + ip_at] >> 4 == 4:
            is_fragment = bool(int.from_bytes(data[at + ip_at + 6 : at + ip_at + 8], "big") & _FRAGMENT)
        found.append((time_ns, captured, original, is_fragment))
        at += captured
    return found


def feed(scripts: Scripts, entries: Iterable[Entry]) -> int:
    """Give entries to onItemCaptured, in their order; return how many there were."""
    count, held = 0, []
    for entry in entries:
        held.append(entry)
        count += 1
        if len(held) == BATCH:
            scripts.captured(held)
            held = []
    if held:
        scripts.captured(held)
    return count


@contextmanager
def without_scripts(plugins: Plugins) -> Iterator[None]:
    """What is dissected inside is not looked at by onItemQueried: it leaves for nobody."""
    scripts, plugins.scripts = plugins.scripts, None
    try:
        yield
    finally:
        plugins.scripts = scripts


@contextmanager
def opening(scripts: Scripts, segment: Callable[[str], Segment]) -> Iterator[None]:
    """Let `pcap.*` read packets of segments, by name, inside."""
    before, scripts.streams.open = scripts.streams.open, segment
    try:
        yield
        scripts.settle()
    finally:
        scripts.streams.open = before


def import_with_scripts(
    pipeline: Pipeline,
    file: str | Path,
    scripts: Scripts,
    *,
    keylogs: Sequence[str | Path] = (),
    on_progress: Progress | None = None,
) -> tuple[ImportResult, int]:
    """Import a file and call the hooks for what it added; return the result, and how many entries there were."""
    before = {info.name for info in pipeline.store.segments()}

    def told(batch: RecordBatch) -> None:
        scripts.packets(packets_of(batch))

    with without_scripts(pipeline.plugins):
        wants_packets = scripts.has("onPacketCaptured", "worker")
        result = pipeline.import_file(
            file, keylogs=keylogs, on_progress=on_progress, on_batch=told if wants_packets else None
        )
        added = [info for info in pipeline.store.segments() if info.name not in before and info.packets]
        if not added or not scripts.has("onItemCaptured", "worker"):
            return result, 0
        names = {info.name for info in added}
        query = pipeline.query(
            since_ns=min(info.first_ns for info in added), until_ns=max(info.last_ns for info in added)
        )
        with opening(scripts, pipeline.store.open_segment):
            count = feed(scripts, (entry for entry in query if entry.entry_id.segment in names))
        scripts.problems += map(str, query.problems)
    return result, count


def queried_scripts(variables: Callable[[], Any]) -> Scripts | None:
    """Return the scripts that look at what queries give, in the hub's role; None if there are none. Loads nothing."""
    config = read_config()
    if not config.enabled or (not config.folders and _HOOK not in installed_hooks()):
        return None
    scripts, problems = find_scripts(config)
    mine = [script for script in scripts if _HOOK in script.text]
    if not mine:
        return None
    found = Scripts(mine, config, roles=("hub",), variables=variables())
    found.problems += problems
    return found
