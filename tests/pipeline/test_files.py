"""Dissecting files without a store: each is read or reported, pipes work like files, nothing is left."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from kubeshark.cli.terminal._output import FieldsLine, JsonLine, TableLine
from kubeshark.errors import PluginError, UsageError
from kubeshark.extension_api import Classifier
from kubeshark.pipeline import FileDissection, Plugins
from tests.pipeline._plugins import Lines, with_plugins
from tests.pipeline._traffic import Capture, Connection, dns


def http_capture() -> bytes:
    capture = Capture()
    Connection(capture).open().ask().answer()
    return capture.pcap()


def dns_capture(count: int = 1) -> bytes:
    capture = Capture()
    for number in range(count):
        capture.add(dns(number))
    return capture.pcap()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "http.pcap").write_bytes(http_capture())
    (tmp_path / "dns.pcap").write_bytes(dns_capture(3))
    (tmp_path / "cut.pcap").write_bytes(dns_capture(2)[:-5])
    (tmp_path / "notes.txt").write_text("no capture")
    return tmp_path


def dissect(files: Sequence[Path | str], kfl: str = "", **options: int) -> tuple[list[str], FileDissection]:
    with FileDissection([str(file) for file in files], kfl, plugins=Plugins(), **options) as dissection:  # type: ignore[arg-type]
        return [f"{entry.protocol.name} {entry.id}" for entry in dissection], dissection


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def test_ids_are_named_after_the_files_contents(files: Path) -> None:
    found, dissection = dissect([files / "http.pcap"], "http")
    assert found == [f"http {digest(http_capture())}-0-0"]
    assert (dissection.report(), dissection.exit_code) == ([], 0)


def test_entries_say_which_file_they_are_from(files: Path) -> None:
    names = [str(files / "http.pcap"), str(files / "dns.pcap")]
    with FileDissection(names, 'http || file.endsWith("dns.pcap")', plugins=Plugins()) as dissection:
        origins = [entry.to_dict()["file"] for entry in dissection]
    assert origins == [names[0], *[names[1]] * (len(origins) - 1)]
    assert len(origins) > 3


def test_what_is_made_of_entries_may_be_made_of_columns(files: Path) -> None:
    """Lines are those of the entries, file by file; a limit counts them."""
    names = [str(files / "http.pcap"), str(files / "dns.pcap")]
    for line in (TableLine(120), FieldsLine(("url", "dns_questions", "conn_state")), JsonLine(("file", "protocol"))):
        with FileDissection(names, plugins=Plugins()) as entries, FileDissection(names, plugins=Plugins()) as lines:
            expected = list(map(line, entries))
            assert list(lines.map(line)) == expected
        for limit in (1, 2, len(expected) - 1):
            with FileDissection(names, plugins=Plugins(), limit=limit) as some:
                assert list(some.map(line)) == expected[:limit]
            with FileDissection(names, plugins=Plugins(), limit=limit) as some:
                assert [each for lines in some.lists(line) for each in lines] == expected[:limit]


def test_a_limit_counts_over_all_files(files: Path) -> None:
    both = [files / "http.pcap", files / "dns.pcap"]
    assert [len(dissect(both, "http || dns", limit=limit)[0]) for limit in (0, 1, 2, 4, 9)] == [0, 1, 2, 4, 4]


def test_each_link_type_is_a_segment(root: Path) -> None:
    found, _ = dissect([root / "examples" / "captures" / "sample.pcapng"])
    names = {text.split()[1].split("-")[0] for text in found}
    assert all(name.partition(".")[0] == min(names) for name in names)


@pytest.mark.parametrize(
    ("names", "entries", "code", "said"),
    [
        (["notes.txt"], 0, 1, ["notes.txt: is neither pcap nor pcapng"]),
        (["missing"], 0, 1, ["missing: No such file or directory"]),
        (["notes.txt", "missing"], 0, 1, ["notes.txt", "missing"]),
        (["notes.txt", "dns.pcap"], 3, 3, ["notes.txt"]),
        (["cut.pcap"], 1, 3, ["cut.pcap: "]),
        (["."], 0, 1, [": Is a directory"]),
    ],
)
def test_what_cannot_be_read_is_said(files: Path, names: list[str], entries: int, code: int, said: list[str]) -> None:
    found, dissection = dissect([files / name for name in names], "dns")
    assert len(found) == entries
    assert dissection.exit_code == code
    report = dissection.report()
    assert len(report) == len(said)
    assert all(text in line for text, line in zip(said, report, strict=True))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input(pack: type[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(http_capture()) + b"left over"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    found, _ = dissect(["-"], "http")
    assert found == [f"http {digest(data)}-0-0"]


def test_a_pipe_is_read_once(files: Path) -> None:
    pipe = files / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(http_capture(),))
    writer.start()
    found, dissection = dissect([pipe], "http")
    writer.join()
    assert found == [f"http {digest(http_capture())}-0-0"]
    assert dissection.report() == []


def test_a_bad_filter_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError):
        FileDissection(["missing"], "http &&", plugins=Plugins())


def test_evaluation_errors_are_noted_and_the_exit_code_is_good(files: Path) -> None:
    _, dissection = dissect([files / "http.pcap"], 'http && path_segments[9] == ""')
    assert dissection.exit_code == 0
    (note,) = dissection.report()
    assert note.startswith("1 entries did not match")


def test_a_failing_plugin_is_a_problem(files: Path) -> None:
    lines = Lines(Classifier("tcp", (80,)), fails_on=b"GET")
    with (
        with_plugins(lines=lines) as plugins,
        FileDissection([str(files / "http.pcap")], plugins=plugins) as dissection,
    ):
        assert [entry.protocol.name for entry in dissection] == ["conn", "tcp", "tcp"]
    assert dissection.report() == ["plugin test@1.0.0: no idea"]
    assert dissection.exit_code == 3
    assert lines.is_closed


def test_nothing_is_left_in_the_users_home(files: Path, own_home: Path) -> None:
    before = sorted(own_home.rglob("*"))
    dissect([files / "http.pcap"])
    assert sorted(own_home.rglob("*")) == before


def test_no_dissector_of_ours_fails_on_other_peoples_captures(captures: Path) -> None:
    """One that does is contained, and no crash any more: the scoreboard would not tell."""
    found, dissection = dissect(sorted((captures / "files").iterdir()))
    assert len(found) > 10_000
    assert [problem for problem in dissection.problems if isinstance(problem, PluginError)] == []
