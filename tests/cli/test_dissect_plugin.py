"""kubeshark dissect --plugin: one plugin beside the built-in ones, installed or in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.cli import main


@pytest.fixture
def made(own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["plugin", "new", "acme", "--lang", "python", "--into", str(tmp_path)]) == 0
    capsys.readouterr()
    return tmp_path / "acme"


def test_a_plugin_in_its_folder(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (capture,) = (made / "tests").glob("*.pcap*")
    ask = ["dissect", str(capture), "--fields", "protocol", "--output", "jsonl"]
    assert main([*ask, "--plugin", str(made)]) == 0
    with_it = {json.loads(line)["protocol"] for line in capsys.readouterr().out.splitlines()}
    assert main(ask) == 0
    without = {json.loads(line)["protocol"] for line in capsys.readouterr().out.splitlines()}
    assert with_it - without


def test_one_that_is_not_installed(own_home: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dissect", str(sample), "--plugin", "nobody"]) == 2
    assert 'see "kubeshark plugin list"' in capsys.readouterr().err
