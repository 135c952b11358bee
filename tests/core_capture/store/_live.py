"""Live captures for the tests."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import Interface, SourceMetadata
from kubeshark.core_capture.store import LiveWriter, SourceInfo, Store, export
from kubeshark.core_capture.store.segments._cache import BlockCache
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.core_capture.store.writing._log import read_log
from tests.core_capture.store._bench import Bench, batch

__all__ = ["NS", "exported", "fed", "flow_ids", "live", "log_files", "open_ids", "until"]

NS = 1_000_000_000


def live(bench: Bench, *, store: Store | None = None, interfaces: int = 1, **options: Any) -> LiveWriter:
    """Begin a capture of eth0, whose node holds no identity."""
    metadata = SourceMetadata(
        "pcapng", interfaces=[Interface(1, 262_144, 10**9, name=f"eth{n}") for n in range(interfaces)]
    )
    store = store or Store.open(bench.path, identities=[], create=True)
    options = {"segment_bytes": 1 << 20, "node": "node-a", "key": bench.key} | options
    return store.live_writer([bench.me.recipient], source=SourceInfo("eth0", metadata=metadata), **options)


def exported(store: Store) -> list[bytes]:
    """Return the records of all segments, in the order of an export."""
    out = io.BytesIO()
    export(store, out, form="pcap")
    content = out.getvalue()
    assert content.startswith(pcap_header(1))
    offsets, end = load_core().offsets(content[24:])
    bounds = [*offsets.tolist(), end]
    return [content[24 + start : 24 + stop] for start, stop in pairwise(bounds)]


def flow_ids(store: Store) -> dict[str, Any]:
    """Return what entry ids are made of: the flow table of each segment, by name."""
    found = {}
    for info in store.segments():
        with store.open_segment(info.name, cache=BlockCache(0)) as segment:
            found[info.name] = segment.flows.tobytes()
    return found


def open_ids(bench: Bench) -> dict[str, Any]:
    """Return the same of what lies in the log."""
    segments, _problems = read_log(bench.backend, [bench.me])
    return {each.name: load_core().decode(each.draft.data, each.draft.link_type).flows.tobytes() for each in segments}


def log_files(bench: Bench) -> list[str]:
    return sorted(path.name for path in Path(bench.path).glob("*.log.age"))


def until(condition: Callable[[], object], what: str = "", seconds: float = 30) -> None:
    """Wait for what threads do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what or "it did not happen"
        time.sleep(0.002)


def fed(writer: LiveWriter, items: Sequence[bytes], *, first: int = 0, at_once: int = 10) -> None:
    for at in range(0, len(items), at_once):
        writer.add(batch(items[at : at + at_once], first=first + at))
