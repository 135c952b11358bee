"""What a live view is given: new segments, open ones that grew, and an end of both."""

from __future__ import annotations

import time
from pathlib import Path

from kubeshark.core_capture.store import Identity, Store
from kubeshark.pipeline.follow._feed import Change, StoreFeed
from tests.pipeline._live import LiveCapture
from tests.pipeline._stores import mixed

RAW = 101


def told(changes: list[Change]) -> list[tuple[str, bool, int]]:
    return [(each.segment.name, each.is_sealed, int(each.segment.flows["packets"].sum())) for each in changes]


def test_segments_grow_and_are_sealed(tmp_path: Path) -> None:
    me = Identity.generate()
    live = LiveCapture(tmp_path, me, RAW)
    records = mixed().records
    feed = StoreFeed(Store.open(tmp_path, identities=[me]))
    assert feed.poll() == []
    live.add(records[:5])
    name = live.name
    assert told(feed.poll()) == [(name, False, 5)]
    assert feed.poll() == []
    live.add(records[5:9])
    assert told(feed.poll()) == [(name, False, 9)]
    live.seal()
    live.add(records[9:])
    assert told(feed.poll()) == [(name, True, 9), (live.name, False, len(records) - 9)]
    assert feed.problems == []
    feed.close()


def test_a_store_that_is_quiet_is_not_listed(tmp_path: Path) -> None:
    me = Identity.generate()
    live = LiveCapture(tmp_path, me, RAW)
    live.add(mixed().records)
    store = Store.open(tmp_path, identities=[me])
    feed = StoreFeed(store)
    time.sleep(0.1)  # the folder's time says nothing before
    assert len(feed.poll()) == 1
    listed = []
    store.segments = lambda predicate=None: listed.append(predicate) or []  # type: ignore[method-assign, func-returns-value]
    assert feed.poll() == []
    assert listed == []


def test_a_damaged_piece_is_said(tmp_path: Path) -> None:
    me = Identity.generate()
    live = LiveCapture(tmp_path, me, RAW)
    live.add(mixed().records)
    (piece,) = tmp_path.glob("*.log.age")
    (tmp_path / f"{piece.name.replace('.000001.', '.000002.')}").write_bytes(piece.read_bytes())
    feed = StoreFeed(Store.open(tmp_path, identities=[me]))
    assert len(feed.poll()) == 1
    assert "put in another's place" in str(feed.problems[0])
