"""The commands that change a store, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.cli import main
from kubeshark.core_capture.store import (
    NodeKey,
    Retention,
    Scheduled,
    _housekeeper,
    create_identity,
    identity_path,
    load_identities,
)
from kubeshark.core_capture.store.segments._scheduled import MAX_KEEP_S
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, records
from tests.core_capture.store._live import NS, live
from tests.core_capture.store._pieces import pieces, put


@pytest.fixture
def store(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(sample)
    capsys.readouterr()
    return tmp_path / "store"


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_prune(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "prune", "--max-bytes", "0", "--dry-run", "--store", store) == 0
    said = capsys.readouterr().out
    assert "1,360 packets  sample.pcapng" in said
    assert "would free" in said
    assert run("store", "prune", "--max-age", "1s", "--store", store, "--output", "json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["packets"], len(done["deleted"]), done["within_limits"]) == (1360, 1, True)
    assert run("store", "verify", "--store", store) == 0


def test_prune_what_expired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets of 2023, kept for a day, for a century, and as the store says."""
    monkeypatch.setattr(_housekeeper._Clock, "now_ns", lambda _: START_NS)  # else the writer deletes them itself
    bench = Bench(tmp_path / "store", create_identity(identity_path()), NodeKey.load_or_create())
    with live(bench) as writer:
        marks = [Scheduled(("hourly",), keep_s=86_400, as_store=False), Scheduled(("yearly",), keep_s=MAX_KEEP_S)]
        for number, mark in enumerate([*marks, Scheduled(("plain",))]):
            since_ns = START_NS + number * 60 * NS
            writer.turn(mark, since_ns)
            some = records(frames(flows=1, packets=5)[:5], start_ns=since_ns + NS)
            writer.add(batch(some, first=10 * number))
        writer.finish()
    assert run("store", "prune", "--expired", "--store", bench.path, "--output", "json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (len(done["deleted"]), done["packets"]) == (1, 5)
    assert run("store", "info", "--store", bench.path, "--output", "json") == 0
    left = json.loads(capsys.readouterr().out)["list"]
    assert [each["scheduled"]["schedules"] for each in left] == [["yearly"], ["plain"]]


def test_prune_needs_a_limit(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "prune", "--store", store) == 2
    assert "give --max-bytes, --max-age or both" in capsys.readouterr().err


def test_prune_one_capture(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "prune", "--source", "other.pcapng", "--store", store) == 2
    assert "there is no capture 'other.pcapng'" in capsys.readouterr().err
    assert run("store", "prune", "--source", "sample.pcapng", "--max-bytes", "0", "--store", store) == 2
    assert "as a whole" in capsys.readouterr().err
    assert run("store", "prune", "--source", "sample.pcapng", "--store", store) == 0
    assert "1,360 packets  sample.pcapng" in capsys.readouterr().out
    assert run("store", "verify", "--store", store) == 0


def test_snapshots(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    window = ("--since", "2001-01-01T00:00:00Z", "--until", "now")
    assert run("store", "snapshot", "create", "all", *window, "--store", store) == 0
    assert capsys.readouterr().out == "snapshot all keeps 1 segments, 1,360 packets\n"
    assert run("store", "prune", "--max-bytes", "0", "--store", store) == 0
    said = capsys.readouterr()
    assert "snapshot all keeps 1 segments that would go" in said.out
    assert "still exceeds a limit" in said.err
    assert run("store", "snapshot", "list", "--store", store, "--output", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["since"], row["packets"]) == ("all", "2001-01-01T00:00:00.000000000Z", 1360)
    assert run("store", "snapshot", "list", "--store", store) == 0
    assert capsys.readouterr().out.startswith("all ")
    assert run("store", "snapshot", "create", "all", *window, "--store", store) == 1
    assert "there is a snapshot 'all' already" in capsys.readouterr().err
    assert run("store", "snapshot", "delete", "all", "--store", store) == 0
    assert run("store", "snapshot", "delete", "all", "--store", store) == 1
    assert run("store", "prune", "--max-bytes", "0", "--store", store) == 0
    assert "freed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "x"),
        ("create", "x", "--since", "now", "--until", "2001-01-01"),
        ("create", "../x", "--since", "now"),
        ("create", "x", "--since", "yesterday"),
    ],
)
def test_snapshots_that_cannot_be(store: Path, arguments: tuple[str, ...]) -> None:
    assert run("store", "snapshot", *arguments, "--store", store) == 2


def test_recover(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "recover", "--store", store) == 0
    assert capsys.readouterr().out == "nothing was left behind\n"
    next(store.glob("*.idx.age")).unlink()
    assert run("store", "recover", "--store", store) == 0
    said = capsys.readouterr().out
    assert said.startswith("rebuild  ")
    assert "it has no index (1,360 packets)\nnothing was changed" in said
    assert run("store", "recover", "--yes", "--store", store, "--output", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)["found"]
    assert (row["action"], row["packets"], row["whole"]) == ("rebuild", 1360, True)
    assert run("store", "verify", "--store", store) == 0
    assert run("query", "http && status_code >= 400", "--store", store, "--output", "jsonl") == 0
    assert len(capsys.readouterr().out.splitlines()) > 3


def test_rotate_keys(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("keys", "new", "-o", tmp_path / "new.age") == 0
    recipient = capsys.readouterr().out.split()[-1]
    assert run("store", "rotate-keys", "--to", recipient, "--store", store) == 0
    said = capsys.readouterr().out
    assert f"3 files are encrypted to {recipient} now" in said
    assert "stay readable to the old recipients" in said
    assert run("store", "info", "--store", store) == 1
    assert f"needs the identity of {recipient}" in capsys.readouterr().err
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "new.age"))
    assert run("store", "verify", "--store", store) == 0
    assert run("store", "rotate-keys", "--to", "age1nobody", "--store", store) == 2


def test_info(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "snapshot", "create", "all", "--since", "2001-01-01", "--store", store) == 0
    capsys.readouterr()
    assert run("store", "info", "--store", store) == 0
    said = capsys.readouterr().out
    for words in ("compression ", "tcp/80", "1,360 packets in 1 segments, complete", "snapshot all"):
        assert words in said
    assert run("store", "info", "--store", store, "--output", "json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["packets"] == info["captures"][0]["packets"] == 1360
    assert sum(row["flows"] for row in info["protocols"]) == info["flows"]
    assert info["compression"] > 1


def test_verify_names_file_and_offset(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = next(store.glob("*.pcap.zst.age"))
    content = bytearray(data.read_bytes())
    content[-9] ^= 1
    data.write_bytes(content)
    assert run("store", "verify", "--store", store, "--output", "json") == 3
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["kind"], finding["file"]) == ("damaged", data.name)
    assert finding["offset"] > 0


def test_a_query_that_meets_retention_says_what_expired(store: Path) -> None:
    with Pipeline.open(store) as pipeline:
        query = pipeline.query("http")
        pruned = Pipeline.open(store).store.prune(Retention(max_bytes=0))
        assert list(query) == []
    assert [str(problem) for problem in query.problems] == [
        f"{info.name} expired: it was deleted while it was to be read" for info in pruned.segments
    ]


def test_the_log_of_a_dead_capture(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed with its age and counters, checked, queried, and sealed when somebody says so."""
    (me,) = load_identities()
    bench = Bench(store, me, NodeKey.generate())
    put(bench, pieces(records(frames()), [10]))
    assert run("store", "info", "--store", store, "--output", "json") == 0
    info = json.loads(capsys.readouterr().out)
    (log,) = info["logs"]
    assert (info["not_sealed"], log["packets"], log["source"], log["problems"]) == (48, 48, "eth0", [])
    assert log["age_s"] > 86_400
    counters = next(row["counters"] for row in info["captures"] if row["name"] == "eth0")
    assert counters == {"received": 51, "dropped": 3, "filtered": 0, "lost": 0, "stored": 48}
    assert run("store", "info", "--store", store) == 0
    said = capsys.readouterr().out
    assert "48 packets not sealed, the last" in said
    assert "51 received, 3 dropped, 0 filtered, 0 lost, 48 stored" in said
    run("store", "verify", "--trust", bench.key.public, "--store", store)
    assert "is not sealed: 48 packets lie in its log" in capsys.readouterr().err
    assert run("store", "recover", "--store", store) == 0
    assert "its packets lie in the log (48 packets)" in capsys.readouterr().out
    assert run("store", "recover", "--yes", "--store", store) == 0
    capsys.readouterr()
    assert run("store", "info", "--store", store, "--output", "json") == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["not_sealed"], info["logs"], info["packets"]) == (0, [], 1360 + 48)


def test_a_store_stays_sound_for_the_identity_it_was_rotated_to(
    store: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder it has no signing key: its first import makes one, and what was trusted before still is."""
    old = NodeKey.load_or_create().public
    new = create_identity(tmp_path / "elsewhere" / "b.age")
    assert run("store", "rotate-keys", "--to", str(new.recipient), "--store", store) == 0
    assert f"to verify a copy elsewhere: --trust {old}\n" in capsys.readouterr().out
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "elsewhere" / "b.age"))
    assert run("store", "verify", "--store", store) == 0
    head = tmp_path / "head.pcapng"
    head.write_bytes(sample.read_bytes()[:100_000])
    run("import", head, "--store", store)
    capsys.readouterr()
    assert run("store", "verify", "--store", store) == 0, capsys.readouterr().err
    (tmp_path / "store").rename(tmp_path / "moved")
    assert run("store", "verify", "--store", tmp_path / "moved") == 3
    said = capsys.readouterr().err
    assert f"is signed by node key {old}, which is not trusted here\n" in said
    assert said.endswith(f"kubeshark: if you know who signed it: --trust {old}\n")
    assert run("store", "verify", "--trust", old, "--store", tmp_path / "moved") == 0


def test_whoever_signs_after_that_is_no_friend(
    store: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = create_identity(tmp_path / "elsewhere" / "b.age")
    run("store", "rotate-keys", "--to", str(new.recipient), "--store", store)
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "elsewhere" / "b.age"))
    head = tmp_path / "head.pcapng"
    head.write_bytes(sample.read_bytes()[:100_000])
    run("import", head, "--store", store)
    stranger = Bench(store, new, NodeKey.generate())
    stranger.fill(records(frames()))
    capsys.readouterr()
    assert run("store", "verify", "--store", store) == 3
    assert f"--trust {stranger.key.public}\n" in capsys.readouterr().err
