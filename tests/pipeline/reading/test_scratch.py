"""Memory or temporary store: the entries are the same, and nothing is left."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from kubeshark.core_capture import load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._query import Query
from kubeshark.pipeline.reading._scratch import Scratch


def documents(sample: Path, memory_bytes: int) -> list[dict[str, object]]:
    plugins = Plugins()
    entry_filter = EntryFilter("", plugins, now_ns=0)
    with Scratch(load_core(), memory_bytes=memory_bytes) as scratch:
        with open_capture(sample, batch_bytes=32 << 10) as reader:
            for batch in reader:
                scratch.add(batch)
        dissector = Dissector(load_core(), plugins, [], Origin())
        query = Query(scratch.segments("name"), dissector, entry_filter, entry_filter.predicate)
        return [entry.to_dict() for entry in query]


def test_a_large_file_gives_the_same_entries(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sample = root / "examples" / "captures" / "sample.pcapng"
    in_memory = documents(sample, 1 << 30)
    assert documents(sample, 100 << 10) == in_memory
    assert in_memory[0]["id"].startswith("name-")  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
