"""kubeshark export: which packets, in which form, and what is said of the filter."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kubeshark.cli import main


@pytest.fixture
def store(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "store"
    assert main(["import", str(sample), "--store", str(folder)]) == 0
    capsys.readouterr()
    return folder


def export(store: Path, *words: str | Path) -> int:
    return main(["export", "--store", str(store), *map(str, words)])


def records(path: Path) -> list[bytes]:
    """Return the records of a little-endian pcap file."""
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        found.append(data[at:end])
        at = end
    return found


@pytest.mark.parametrize(("name", "magic"), [("A.PCAPNG", b"\x0a\x0d\x0d\x0a"), ("a.Pcap", b"\x4d\x3c\xb2\xa1")])
def test_the_ending_decides_in_any_case(store: Path, tmp_path: Path, name: str, magic: bytes) -> None:
    assert export(store, "-o", tmp_path / name) == 0
    assert (tmp_path / name).read_bytes()[:4] == magic


@pytest.mark.parametrize(("name", "program"), [("x.pcap.gz", "gzip"), ("x.PCAPNG.ZST", "zstd")])
def test_a_compressed_name_is_refused(
    store: Path, tmp_path: Path, name: str, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    assert export(store, "-o", out) == 2
    assert f"write -o - | {program} > {out}" in capsys.readouterr().err
    assert not out.exists()


def test_packets_are_those_of_the_matches_alone(store: Path, tmp_path: Path) -> None:
    whole, part, conn = tmp_path / "whole.pcap", tmp_path / "part.pcap", tmp_path / "conn.pcap"
    kfl = "http && status_code >= 500"
    assert export(store, kfl, "-o", whole) == 0
    assert export(store, kfl, "--streams", "-o", conn) == 0
    assert whole.read_bytes() == conn.read_bytes()
    assert export(store, kfl, "--packets", "-o", part) == 0
    some, all_of_them = records(part), records(whole)
    assert 0 < len(some) < len(all_of_them)
    assert [record for record in all_of_them if record in some] == some
    assert all(b"HTTP/1" in record for record in some if b" 500 " in record)
    assert export(store, "conn && dst.port == 53", "--packets", "-o", part) == 0
    assert export(store, "conn && dst.port == 53", "-o", whole) == 0
    assert records(part) == records(whole)


@pytest.mark.parametrize("expression", ["udp port 53", "tcp[tcpflags] & tcp-syn != 0", "ip6", "greater 200"])
def test_a_bpf_chooses_what_tcpdump_does(store: Path, tmp_path: Path, expression: str) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: apt-get install tcpdump")
    everything, part = tmp_path / "all.pcap", tmp_path / "part.pcap"
    assert export(store, "-o", everything) == 0
    assert export(store, "--bpf", expression, "-o", part) == 0
    command = ["tcpdump", "-r", everything, "--count", expression]
    counted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert counted.split()[0] == str(len(records(part)))
    assert [record for record in records(everything) if record in records(part)] == records(part)


def test_a_bpf_and_a_filter_both_choose(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "both.pcapng"
    assert export(store, "http", "--bpf", "udp", "-o", out) == 0
    assert "exported 0 packets" in capsys.readouterr().err
    assert export(store, "http", "--packets", "--bpf", "dst port 80", "-o", out) == 0
    assert "exported 0 packets" not in capsys.readouterr().err
    out.unlink()
    assert export(store, "--bpf", "tcp prt 80", "-o", out) == 2
    assert "'tcp prt 80' is wrong" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("words", [["--packets"], ["--bpf", "tcp"]])
def test_a_har_file_has_no_packets(store: Path, tmp_path: Path, words: list[str]) -> None:
    assert export(store, "http", "-o", tmp_path / "a.har", *words) == 2


@pytest.mark.parametrize("name", ["out.pcap", "out.har"])
@pytest.mark.parametrize(
    ("kfl", "said"),
    [
        ("http && 1/0 == 1", "no entry can match: division by zero"),
        ('http && request.headers["nope"] == "x"', "entries did not match because the filter failed on them"),
        ("http and response.status == 200", "translated from the old language"),
    ],
)
def test_what_a_query_tells_of_a_filter_an_export_does(
    store: Path, tmp_path: Path, name: str, kfl: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(store, kfl, "-o", tmp_path / name) == 0
    assert said in capsys.readouterr().err


def test_a_translated_filter_that_is_exact_is_told(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(store, "dst.port == 53 and dst.port != 54", "-o", tmp_path / "out.pcap") == 0
    assert "translated from the old language" in capsys.readouterr().err


def test_the_limit_of_the_old_language_is_kept(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(store, "http and limit(2)", "-o", tmp_path / "two.har") == 0
    assert "exported 2 exchanges" in capsys.readouterr().err
    assert export(store, "dst.port == 53 and limit(1)", "-o", tmp_path / "one.pcap") == 0
    assert export(store, "dst.port == 53", "-o", tmp_path / "all.pcap") == 0
    assert 0 < len(records(tmp_path / "one.pcap")) < len(records(tmp_path / "all.pcap"))
    assert main(["query", "http and limit(2)", "--store", str(store), "--output", "jsonl"]) == 0
    assert capsys.readouterr().out.count("\n") == 2
