"""Several readers beside one writer, retention and snapshots, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Expired, NodeKey, Retention, Store, create_identity
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import START_NS, Bench, records, udp

SECONDS = 4


def test_a_crowd(tmp_path: Path, root: Path) -> None:
    keys, folder = tmp_path / "keys", tmp_path / "store"
    me = create_identity(keys / "identity")
    key = NodeKey.load_or_create(keys / "node.key")
    Store.open(folder, create=True)
    program = Path(__file__).with_name("_crowd.py")
    environment = {**os.environ, "PYTHONPATH": str(root), "KUBESHARK_IDENTITY": str(keys / "identity")}
    crowd = {
        f"{role}-{number}": subprocess.Popen(
            [sys.executable, program, role, folder, keys, str(SECONDS)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, role in enumerate(("writer", "reader", "reader", "pruner", "snapshots"))
    }
    said = {name: process.communicate(timeout=150) for name, process in crowd.items()}
    assert {name: process.returncode for name, process in crowd.items() if process.returncode} == {}, said
    done = {name: json.loads(out) for name, (out, _errors) in said.items()}
    assert done["writer-0"]["written"] > 3, done
    assert done["reader-1"]["read"] > 3, done
    assert done["pruner-3"]["pruned"] > 0, done
    assert done["snapshots-4"]["snapshots"] > 1, done
    store = Store.open(folder, identities=[me])
    report = store.verify([key.public])
    assert [str(finding) for finding in report.findings if finding.kind not in ("note", "unknown")] == []
    assert store.info().leftovers == ()


@pytest.fixture
def two(bench: Bench) -> Bench:
    for number in range(2):
        bench.fill(records([udp("10.0.0.1", 1, "10.0.0.2", 53)] * 3, start_ns=START_NS + number * 10**12))
    return bench


def test_a_segment_that_expires_before_it_is_opened(two: Bench) -> None:
    store = two.open()
    first, second = (info.name for info in store.segments())
    two.open().prune(Retention(before_ns=START_NS + 10**11), key=two.key)
    with pytest.raises(Expired, match=f"^{first} expired: it was deleted while it was to be read$"):
        store.open_segment(first)
    assert [info.name for info in store.segments()] == [second]
    with pytest.raises(StoreError, match="no segment"):
        two.open().open_segment(first)


def test_a_segment_that_expires_before_it_is_read(two: Bench) -> None:
    store = two.open()
    first, _second = (info.name for info in store.segments())
    with store.open_segment(first) as early, store.open_segment(first) as late:
        early.select(None)
        two.open().prune(Retention(before_ns=START_NS + 10**11), key=two.key)
        assert len(early.select(None)) == 3 * (16 + 42)  # who had it open reads on
        with pytest.raises(Expired):
            late.select(None)


def test_verify_beside_a_deletion(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubeshark.core_capture.store import _verify

    first = two.open().segments()[0].name
    listed = _verify.index_names(two.backend.names())
    two.open().prune(Retention(before_ns=START_NS + 10**11), key=two.key)
    monkeypatch.setattr(_verify, "index_names", lambda _files: listed)
    report = two.open().verify([two.key.public])
    assert report.is_sound
    assert f"note: {first} was deleted meanwhile" in map(str, report.findings)
