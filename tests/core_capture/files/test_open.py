"""What is not a capture is refused with one clear sentence; everything that is one opens, from anywhere."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest

from kubeshark.core_capture.files import open_capture
from kubeshark.errors import InputError, Malformed, Truncated


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", Truncated, "notes: is empty"),
        (b"\xd4\xc3", Truncated, "notes: ends before it shows what it is at byte 2"),
        (b"hello, world", Malformed, "notes: is neither pcap nor pcapng: convert other capture formats with editcap"),
        (b"\x0a\x0d\x0d\x0a" + bytes(24), Malformed, "notes: looks like pcapng, but has no byte-order mark at byte 8"),
        (b"\x0a\x0d\x0d\x0a", Malformed, "notes: looks like pcapng"),
        (b"\x1f\x8b\x08", Truncated, "notes: the gzip data ends early"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 40, Malformed, "notes: the zstd data is damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, data, kind, message) -> None:
    path = tmp_path / "notes"
    path.write_bytes(data)
    with pytest.raises(kind, match="^" + re.escape(message)):
        open_capture(path, name="notes")


def test_missing_file_and_folder(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot be opened: No such file or directory"):
        open_capture(tmp_path / "nothing.pcap")
    with pytest.raises(InputError, match="cannot be opened: Is a directory"):
        open_capture(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        open_capture("nul\0.pcap")


def test_path_gives_name_and_progress(tmp_path, pcap) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(1, 0, b"x", 1)]))
    with open_capture(path) as reader:
        assert reader.name == str(path)
        assert reader.bytes_total == path.stat().st_size
        list(reader)
        assert reader.bytes_read == reader.bytes_total


def test_open_file_is_left_open(pcap) -> None:
    file = io.BytesIO(pcap([]))
    with open_capture(file) as reader:
        assert (reader.name, reader.bytes_total) == ("capture", None)
        assert list(reader) == []
    assert not file.closed


def test_standard_input(pcap) -> None:
    program = (
        "from kubeshark.core_capture.files import open_capture\n"
        "with open_capture('-') as reader: print(reader.name, sum(batch.count for batch in reader), reader.bytes_total)"
    )
    data = pcap([(1, 0, b"x" * 100, 100)] * 3000)
    run = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert run.stdout.strip() == b"standard input 3000 None"
