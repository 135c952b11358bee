"""Where an export is written: whole or not at all, and never in the place of what is no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline.exports._output import open_output


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    with open_output(out) as stream:
        stream.write(b"whole")
        assert not out.exists()
    assert out.read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out.pcap"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    out.write_bytes(b"before")
    with pytest.raises(RuntimeError), open_output(str(out)) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert out.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.pcap"]


def test_a_file_that_is_replaced_leaves_its_mode(tmp_path: Path) -> None:
    """What nobody else may read is packets in the clear."""
    out = tmp_path / "out.pcap"
    out.touch(mode=0o600)
    with open_output(out) as stream:
        stream.write(b"x")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "out.pcap").symlink_to("there.pcap")
    with open_output(tmp_path / "out.pcap") as stream:
        stream.write(b"x")
    assert (tmp_path / "out.pcap").is_symlink()
    assert (tmp_path / "there.pcap").read_bytes() == b"x"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with open_output(pipe) as stream:
        stream.write(b"through")
    reader.join(10)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["", ".", "folder", "folder/", "new/"])
def test_what_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="names no file"), open_output(name):
        pass
    with pytest.raises(UsageError, match=r"there is no folder .*missing"), open_output("missing/x.pcap"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
