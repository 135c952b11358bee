"""The main job from the command line: files in, encrypted store, entries out, and what happens on bad input."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from _command import kubeshark


def digest(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def store(tmp_path: Path, sample: Path) -> Path:
    folder = tmp_path / "store"
    done = kubeshark("import", sample, "--store", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_http_as_har(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "errors.har"
    done = kubeshark("export", "http && status_code >= 400", "-o", out, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "6 exchanges" in done.stderr
    assert [entry["response"]["status"] for entry in json.loads(out.read_text())["log"]["entries"]][:3] == [
        404,
        409,
        500,
    ]
    refused = kubeshark("export", "-o", tmp_path / "x.pcap", "--no-redact", "--store", store)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_import_query_show_export(store: Path, sample: Path, tmp_path: Path) -> None:
    fields = "timestamp,src.ip,method,url,status_code"
    found = kubeshark("query", "http && status_code >= 400", "--store", store, "--fields", fields, "--output", "jsonl")
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert rows
    assert all(list(row) == fields.split(",") and row["status_code"] >= 400 for row in rows)

    entries = kubeshark("query", "http", "--store", store, "--output", "jsonl", "--limit", "3")
    for line in entries.stdout.splitlines():
        entry = json.loads(line)
        shown = kubeshark("show", entry["id"], "--store", store, "--output", "json")
        assert json.loads(shown.stdout) == entry
        text = kubeshark("show", entry["id"], "--store", store)
        assert entry["request"]["method"] in text.stdout
        assert not entry["response"] or "s  ← response" in text.stdout

    out = tmp_path / "again.pcapng"
    assert kubeshark("export", "-o", out, "--store", store).returncode == 0
    again = tmp_path / "again"
    totals = json.loads(kubeshark("import", out, "--store", again, "--output", "json").stdout)
    first = json.loads(kubeshark("import", sample, "--store", tmp_path / "first", "--output", "json").stdout)
    assert totals == first


def test_queries_leave_the_store_as_it_was(store: Path) -> None:
    before = digest(store)
    for kfl in (
        "",
        "http",
        "dns && status_code != 0",
        "tcp_conn",
        'request_body.contains("x")',
        'field("request") != null',
    ):
        assert kubeshark("query", kfl, "--store", store, "--output", "jsonl").returncode == 0
    kubeshark("export", "http", "-o", "-", "--store", store)
    kubeshark("store", "info", "--store", store)
    kubeshark("store", "verify", "--store", store)
    assert digest(store) == before


def test_the_same_query_gives_the_same_bytes(store: Path) -> None:
    first, second = (kubeshark("query", "http || dns", "--store", store, "--output", "jsonl").stdout for _ in range(2))
    assert first == second != ""


def test_library_and_command_agree(store: Path) -> None:
    from kubeshark import Pipeline

    with Pipeline.open(store) as pipeline:
        library = [entry.to_dict() for entry in pipeline.query("http && status_code >= 400")]
    command = kubeshark("query", "http && status_code >= 400", "--store", store, "--output", "jsonl").stdout
    assert [json.loads(line) for line in command.splitlines()] == library


def test_pages_processes_and_budgets(store: Path, sample: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    for file in (sample, sample.parent / "shop.pcapng.zst"):
        assert kubeshark("import", file, "--store", many).returncode == 0
    ask = ("query", "http", "--store", many, "--fields", "id", "--output", "jsonl")
    whole = kubeshark(*ask).stdout.splitlines()
    assert kubeshark(*ask, "--jobs", "2").stdout.splitlines() == whole
    assert kubeshark(*ask, "--jobs", "2", "--reverse").stdout.splitlines() == whole[::-1]
    page = kubeshark(*ask, "--limit", "3", "--cursor")
    assert page.stdout.splitlines() == whole[:3]
    on, back = (line.split() for line in page.stderr.splitlines())
    assert (on[0], back[0]) == ("--after", "--before")
    second = kubeshark(*ask, "--limit", "2", "--cursor", *on)
    assert second.stdout.splitlines() == whole[3:5]
    again = kubeshark(*ask, "--limit", "9", *second.stderr.splitlines()[1].split())
    assert again.stdout.splitlines() == whole[:3]
    stopped = kubeshark(*ask, "--max-bytes", "1")
    assert stopped.returncode == 3
    (line,) = stopped.stderr.splitlines()
    assert line.startswith("kubeshark: stopped after 1 bytes decrypted: there may be more: go on with --after ")
    rest = kubeshark(*ask, *line.split()[-2:])
    assert stopped.stdout.splitlines() + rest.stdout.splitlines() == whole
    assert kubeshark(*ask, "--after", "nonsense").returncode == 2


def test_an_import_that_fails_says_one_thing(tmp_path: Path) -> None:
    failed = kubeshark("import", tmp_path / "missing.pcap", "--store", tmp_path / "store")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert sum("missing.pcap" in line for line in failed.stderr.splitlines()) == 1


def test_dissect_leaves_nothing_and_agrees_with_the_store(store: Path, sample: Path, own_home: Path) -> None:
    before = sorted(own_home.rglob("*"))
    fields = "protocol,src.ip,src.port,dst.ip,dst.port,timestamp,method,url,status_code,dns_questions,elapsed_time"
    direct = kubeshark("dissect", sample, "--fields", fields, "--output", "jsonl")
    stored = kubeshark("query", "--store", store, "--fields", fields, "--output", "jsonl")
    assert sorted(direct.stdout.splitlines()) == sorted(stored.stdout.splitlines())
    assert sorted(own_home.rglob("*")) == before


def test_a_store_without_its_identity_opens_nowhere(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "identity.age"
    missing = kubeshark("query", "http", "--store", store, KUBESHARK_IDENTITY=str(other))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.count("\n") == 1
    assert "KUBESHARK_IDENTITY" in missing.stderr
    assert kubeshark("keys", "new", "-o", other).returncode == 0
    wrong = kubeshark("query", "http", "--store", store, KUBESHARK_IDENTITY=str(other))
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.count("\n") == 1


def test_a_flipped_byte_is_reported_and_the_rest_is_shown(store: Path) -> None:
    data = max(store.glob("*.pcap.zst.age"), key=lambda path: path.stat().st_size)
    whole = kubeshark(
        "query", "http || dns", "--store", store, "--fields", "id", "--output", "jsonl"
    ).stdout.splitlines()
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    found = kubeshark("query", "http || dns", "--store", store, "--fields", "id", "--output", "jsonl")
    assert found.returncode == 3
    assert data.name in found.stderr
    intact = found.stdout.splitlines()
    assert 0 < len(intact) < len(whole)
    assert set(intact) < set(whole)
    verified = kubeshark("store", "verify", "--store", store)
    assert verified.returncode == 3
    assert data.name in verified.stderr


def test_repeating_an_import_says_so(store: Path, sample: Path) -> None:
    again = kubeshark("import", sample, "--store", store, "--output", "json")
    assert again.returncode == 0
    assert "already" in again.stderr
    totals = json.loads(again.stdout)
    assert totals["packets"] == 0
    assert totals["skipped"] > 0


def test_a_file_that_changed_since_is_another_capture_and_that_is_said(sample: Path, tmp_path: Path) -> None:
    capture, store = tmp_path / "g", tmp_path / "store"
    capture.write_bytes(sample.read_bytes()[:200_000])
    assert kubeshark("import", capture, "--store", store).returncode == 3
    capture.write_bytes(sample.read_bytes())
    done = kubeshark("import", capture, "--store", store)
    digest = hashlib.sha256(sample.read_bytes()[:200_000]).hexdigest()[:8]
    assert done.returncode == 0
    assert f"another capture of this name is in the store ({digest})" in done.stderr
    assert done.stderr.endswith(f'"kubeshark store prune --source {digest}" removes it\n')
    assert kubeshark("import", capture, "--store", store).stderr.count("another capture") == 0
    assert kubeshark("store", "prune", "--source", digest, "--store", store).returncode == 0
    info = json.loads(kubeshark("store", "info", "--store", store, "--output", "json").stdout)
    assert info["packets"] == 1360


def test_standard_input_and_compressed_files(sample: Path, tmp_path: Path) -> None:
    packed = gzip.compress(sample.read_bytes())
    direct = json.loads(kubeshark("import", sample, "--store", tmp_path / "a", "--output", "json").stdout)
    piped = kubeshark("import", "-", "--store", tmp_path / "b", "--output", "json", stdin=packed)
    assert json.loads(piped.stdout) == direct, piped.stderr


BAD = [
    (["query", "http &&"], 2, "column"),
    (["query", "nope == 1"], 2, "nope"),
    (["query", "status_code"], 2, "bool"),
    (["query", "http", "--fields", "nope"], 2, "nope"),
    (["query", "http", "--since", "yesterday"], 2, "yesterday"),
    (["query", "http", "--limit", "-3"], 2, "--limit"),
    (["show", "not-an-id"], 2, "id"),
    (["show", "20000101T000000Z-x-0001-0-0"], 1, "no entry"),
    (["frobnicate"], 2, "frobnicate"),
    (["export", "http"], 2, "-o"),
    (["serve", "--host", "0.0.0.0"], 2, "insecure"),
    (["serve", "--port", "70000"], 2, "70000"),
    (["plugin", "install", "/nonexistent"], 1, "nonexistent"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "word"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_clear_line(store: Path, arguments: list[str], code: int, word: str) -> None:
    done = kubeshark(*arguments, KUBESHARK_STORE=str(store))
    assert done.returncode == code, done.stderr
    assert word in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_unreadable_files_are_named_and_the_others_are_read(sample: Path, tmp_path: Path) -> None:
    text, cut, empty = tmp_path / "notes.txt", tmp_path / "cut.pcap", tmp_path / "empty.pcap"
    text.write_text("this is not a capture\n")
    empty.write_bytes(b"")
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    cut.write_bytes(
        header + struct.pack("<IIII", 1, 2, 60, 60) + bytes(60) + struct.pack("<IIII", 1, 3, 60, 60) + bytes(10)
    )
    done = kubeshark(
        "import", text, cut, empty, tmp_path / "missing", sample, "--store", tmp_path / "s", "--output", "json"
    )
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) >= 4
    for name in ("notes.txt", "cut.pcap", "empty.pcap", "missing"):
        assert name in done.stderr
    assert json.loads(done.stdout)["packets"] > 1
    assert kubeshark("dissect", text).returncode == 1
    assert kubeshark("dissect", text, sample, "--limit", "1").returncode == 3


@pytest.mark.parametrize("name", ["none", "other"])
def test_no_store_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    out = tmp_path / "out.pcap"
    for command in (["query", "http"], ["export", "-o", out], ["store", "info"], ["store", "verify"], ["serve"]):
        done = kubeshark(*command, "--store", tmp_path / name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), command
        assert done.stderr.startswith(f"kubeshark: no store at {tmp_path / name}"), command
    assert not out.exists()


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    """Who follows a store may come before the first writer."""
    done = kubeshark("query", "http", "--output", "jsonl", "--store", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_an_import_that_fails_leaves_no_folder_that_it_made(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"hello")
    (tmp_path / "mine").mkdir()
    for name in ("made", "mine"):
        assert kubeshark("import", tmp_path / "junk", "--store", tmp_path / name).returncode == 1
    assert not (tmp_path / "made").exists() and (tmp_path / "mine").is_dir()
    assert kubeshark("import", sample, "--store", tmp_path / "mine").returncode == 0
    assert kubeshark("query", "http", "--store", tmp_path / "mine").returncode == 0


def test_head_ends_quietly(store: Path) -> None:
    import subprocess

    command = f'"{sys.executable}" -m kubeshark query --store "{store}" --output jsonl | head -n 1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["version", "import {sample} --store {folder}/new", "query --store {store}"])
def test_closed_streams_cost_nothing(closed: str, command: str, sample: Path, store: Path, tmp_path: Path) -> None:
    """And no file comes into their place: what is printed would be in it."""
    import subprocess

    line = f"{sys.executable} -m kubeshark {command.format(sample=sample, store=store, folder=tmp_path)} {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if command.startswith("import"):
        assert kubeshark("store", "verify", "--store", tmp_path / "new").returncode == 0


def test_a_segment_that_cannot_be_opened_costs_no_other(sample: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert kubeshark("import", sample, "--store", store).returncode == 0
    (data,) = store.glob("*.pcap.zst.age")
    part = tmp_path / "part.pcap"
    assert kubeshark("export", "dst.port == 53", "-o", part, "--store", store).returncode == 0
    assert kubeshark("import", part, "--store", store).returncode == 0
    data.unlink()
    data.mkdir()
    done = kubeshark("query", "http || dns", "--store", store, "--fields", "protocol", "--output", "jsonl")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "it is no file: take it away" in done.stderr
    assert set(done.stdout.splitlines()) == {'{"protocol":"DNS"}'}


def test_every_command_has_help_with_a_description() -> None:
    top = kubeshark("--help")
    assert top.returncode == 0
    for command in ("import", "query", "show", "dissect", "export", "serve", "store", "keys", "plugin", "version"):
        assert command in top.stdout
        helped = kubeshark(command, "--help")
        assert helped.returncode == 0
        assert "usage: kubeshark" in helped.stdout
