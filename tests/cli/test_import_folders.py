"""kubeshark import -R: captures in folders, by name or by how they begin; what else is there is counted."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from kubeshark.cli import main


@pytest.fixture
def folder(tmp_path: Path, sample: Path) -> Path:
    top = tmp_path / "captures"
    (top / "below").mkdir(parents=True)
    shutil.copy(sample, top / "without-a-suffix")
    (top / "below" / "same.PCAPNG.GZ").write_bytes(gzip.compress(sample.read_bytes()))
    (top / "notes.txt").write_text("no capture")
    (top / "empty").touch()
    return top


def test_captures_are_found_and_the_rest_is_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", "-R", str(folder), "--store", str(tmp_path / "store")]
    assert main([*words, "--output", "json"]) == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["other_files"] == 2
    assert totals["packets"] == 2 * 1360
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("; 2 other files skipped\n")
    assert shown.err.count("already in the store") == 2


def test_a_folder_needs_the_flag(
    folder: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["import", str(folder), *store]) == 1
    assert capsys.readouterr().err.endswith(f"kubeshark: {folder} is a folder: -R imports the captures in it\n")
    assert main(["import", str(sample), str(folder), *store]) == 3
    assert main(["import", "-R", str(sample), *store]) == 0


def test_a_capture_that_is_damaged_does_not_stop_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.pcap").write_text("nothing like it")
    assert main(["import", "-R", str(folder), "--store", str(tmp_path / "store")]) == 3
    told = capsys.readouterr()
    assert "broken.pcap" in told.err
    assert "imported 2,720 packets" in told.out


def test_a_folder_without_captures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert main(["import", "-R", str(tmp_path / "none"), "--store", str(tmp_path / "store")]) == 0
    assert capsys.readouterr().out.startswith("imported 0 packets")


def test_it_does_not_go_with_follow(folder: Path) -> None:
    assert main(["import", "-R", "--follow", str(folder)]) == 2
