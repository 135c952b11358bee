"""Segments of schedules without `upload` stay on the node, and the archive is sound without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store import NodeKey, Retention, Scheduled, Store, _housekeeper
from kubeshark.core_capture.store.archives import _uploader
from kubeshark.core_capture.store.archives._uploader import Uploader
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.catalogue._upload_journal import load_journal
from kubeshark.core_capture.store.places import _object_client
from kubeshark.core_capture.store.places._locate import archive_url
from kubeshark.core_capture.store.places._names import LEDGER, SCHEDULED
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records
from tests.core_capture.store._live import NS, live, until
from tests.core_capture.store._relay import Relay, relay
from tests.core_capture.store._servers import Server

DAY_S = 86_400
UP = Scheduled(("nightly",), keep_s=30 * DAY_S, as_store=False)
DOWN = Scheduled(("hourly",), keep_s=2 * DAY_S, as_store=False, archived=False)
BOTH = Scheduled(("nightly", "hourly"), keep_s=30 * DAY_S, as_store=False)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures are of now, and tests wait for nothing that takes seconds."""
    monkeypatch.setattr(_housekeeper._Clock, "now_ns", lambda _: START_NS)
    monkeypatch.setattr(_object_client, "RETRY_SECONDS", 1)
    monkeypatch.setattr(_object_client, "RETRIES", 1)
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "LOOK_SECONDS"):
        monkeypatch.setattr(_uploader, name, 0.05)


@pytest.fixture
def archive(url: str) -> str:
    return archive_url(url, "node-a")


def capture(bench: Bench, *marks: Scheduled | None) -> None:
    """Capture one segment in each window; closed ones are sealed before the next opens."""
    with live(bench) as writer:
        for number, mark in enumerate(marks):
            since_ns = START_NS + number * 60 * NS
            writer.turn(mark, since_ns)
            writer.add(batch(records(frames(flows=2, packets=10), start_ns=since_ns + NS), first=100 * number))
            writer.turn(None, since_ns + 30 * NS)
            writer.tick(number * 100 * NS)
            writer.tick(number * 100 * NS + 3 * NS)
            until(lambda number=number: writer.counters.segments == number + 1)  # type: ignore[misc]


def there(bench: Bench, archive: str) -> list[Scheduled | None]:
    store = Store.open(archive, identities=[bench.me])
    report = store.verify([bench.key.public])
    assert report.is_sound, report.findings
    return [info.scheduled for info in store.segments() if info.packets]


def test_what_no_schedule_uploads_is_left_out(bench: Bench, archive: str, server: Server) -> None:
    capture(bench, DOWN, UP, DOWN, BOTH, DOWN)
    status = Uploader(bench.path, key=bench.key, url=archive).run_once()
    assert (status.uploaded, status.left_out, status.waiting, status.lost) == (2, 3, 0, 0)
    assert there(bench, archive) == [UP, BOTH]
    store = Store.open(archive, identities=[bench.me])
    state = load_state(store.files)
    assert state.heads[bench.key.public].name == store.segments()[-1].name  # cutting the end off would show
    assert sum(record.last - record.first + 1 for record in state.removed) == 3
    again = Uploader(bench.path, key=bench.key, url=archive).run_once()
    assert (again.uploaded, again.left_out) == (2, 3)
    assert load_state(store.files).removed == state.removed
    capture(bench, UP)
    assert Uploader(bench.path, key=bench.key, url=archive).run_once().uploaded == 3
    assert there(bench, archive) == [UP, UP, BOTH]  # by time


def test_what_has_no_mark_is_uploaded(bench: Bench, archive: str, moto_s3: Server) -> None:
    bench.fill(records(frames()))  # an import
    capture(bench, UP, DOWN)
    assert Uploader(bench.path, key=bench.key, url=archive).run_once().left_out == 1
    assert there(bench, archive) == [None, UP]


def test_deleting_what_was_left_out_is_no_loss(bench: Bench, archive: str, moto_s3: Server) -> None:
    capture(bench, DOWN, UP)
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    uploader.run_once()
    assert len(bench.open().prune(Retention(expired=True), key=bench.key).segments) == 2
    status = uploader.run_once()
    assert (status.uploaded, status.left_out, status.lost) == (1, 0, 0)
    assert there(bench, archive) == [UP]


def test_killed_anywhere_it_goes_on(
    bench: Bench, archive: str, moto_s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off from the server after each of its requests in turn: nothing else is sent, and no gap stays."""
    capture(bench, DOWN, UP, DOWN)
    with relay(moto_s3.port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        assert _cut(bench, archive, between) > 5
        sent = {path.rpartition("/")[2].partition("?")[0] for method, path in between.seen if method == "PUT"}
        assert there(bench, archive) == [UP]
    named = {info.name: info.scheduled for info in bench.open().segments()}
    assert {named[file.partition(".")[0]] for file in sent if file.partition(".")[0] in named} == {UP}


def _cut(bench: Bench, archive: str, between: Relay) -> int:
    """Return how often it had to begin anew."""
    for stop in range(1, 200):
        first = len(between.seen)
        between.plan = lambda number, _m, _p, last=first + stop: "500" if number > last else None
        try:
            Uploader(bench.path, key=bench.key, url=archive).run_once()
        except StoreError:
            continue
        between.plan = lambda *_: None
        Uploader(bench.path, key=bench.key, url=archive).run_once()
        return stop
    raise AssertionError("it never ends")


def test_a_ledger_that_comes_late(bench: Bench, archive: str, moto_s3: Server) -> None:
    """A segment has its name before the ledger has it: its place in the chain is told when it is known."""
    capture(bench, DOWN, UP)
    path = Path(bench.path) / LEDGER
    ledger = path.read_bytes()
    path.unlink()
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    assert uploader.run_once().left_out == 1
    assert not Store.open(archive, identities=[bench.me]).verify([bench.key.public]).is_sound
    path.write_bytes(ledger)
    uploader.run_once()
    assert there(bench, archive) == [UP]


def test_nobody_guesses_from_a_damaged_file(bench: Bench, archive: str, moto_s3: Server) -> None:
    capture(bench, DOWN, UP)
    marks = Path(bench.path) / SCHEDULED
    content = marks.read_bytes()
    for bad in (b"", content[:-9], content.replace(b"hourly", b"hourlx")):
        marks.write_bytes(bad)
        with pytest.raises(StoreError, match=r"scheduled\.json"):
            Uploader(bench.path, key=bench.key, url=archive).run_once()
    marks.write_bytes(content)
    assert Uploader(bench.path, key=bench.key, url=archive).run_once().left_out == 1


def test_somebody_else_of_this_machine_uploads(bench: Bench, archive: str, moto_s3: Server) -> None:
    """Whose node key is another one believes the node that wrote the segments."""
    capture(bench, DOWN, UP)
    assert Uploader(bench.path, key=NodeKey.generate(), url=archive).run_once().left_out == 1
    assert len(Store.open(archive, identities=[bench.me]).segments()) == 1


def test_the_archive_keeps_what_schedules_say(bench: Bench, archive: str, server: Server) -> None:
    capture(bench, UP, Scheduled(("plain",)))
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    store = Store.open(archive, identities=[bench.me])
    store.write_catalogue()
    assert [info.scheduled for info in store.prune(Retention(expired=True), key=bench.key).segments] == [UP]
    assert there(bench, archive) == [Scheduled(("plain",))]


def test_the_journal_of_an_older_version(bench: Bench, archive: str, moto_s3: Server) -> None:
    capture(bench, UP)
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    path = Path(bench.path) / "uploads.json"
    path.write_bytes(path.read_bytes().replace(b'"left_out":[],', b""))
    assert b"left_out" not in path.read_bytes()
    journal = load_journal(bench.backend)
    assert journal is not None
    assert (len(journal.done), journal.left_out) == (1, set())
