"""The ninep example: its own capture, answers out of order, a picture that other programs can open, any bytes."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeshark.pipeline.plugins._conform import conform
from kubeshark.pipeline.plugins._trial import Trial, expectations


@pytest.fixture(scope="module")
def folder(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("ts/ninep")


@pytest.fixture(scope="module")
def trial(folder: Path) -> Iterator[Trial]:
    with Trial(folder) as trial:
        yield trial


def test_its_capture(trial: Trial, folder: Path) -> None:
    (expectation,) = expectations(folder)
    outcome = trial.test(expectation)
    assert outcome.is_good, outcome
    assert outcome.entries == 14
    assert len(list(trial.entries(expectation.capture, "ninep && ninep_failed()"))) == 2


def test_requests_at_once_are_told_apart(trial: Trial, folder: Path) -> None:
    capture = folder / "tests" / "ninep.pcap"
    answers = {}
    for entry in trial.entries(capture, "ninep && ninep_type == 'Twalk'"):
        answers[entry.get("ninep_name")] = entry.wrapper()["data"]["response"]["type"]
    assert answers == {"lib/café.txt": "Rwalk", "nothing": "Rerror", "pixels": "Rwalk"}


def test_the_picture(trial: Trial, folder: Path) -> None:
    """Read back as RFC 2083 says: every checksum, and the pixels are the bytes that were read."""
    (entry,) = trial.entries(folder / "tests" / "ninep.pcap", "ninep && ninep_type == 'Tread' && ninep_count == 1024")
    section = entry.wrapper()["representation"]["response"][1]
    assert (section["type"], section["mimeType"], section["encoding"]) == ("image", "image/png", "base64")
    png = base64.b64decode(section["body"], validate=True)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert [rows[y * (width + 1)] for y in range(height)] == [0] * height
    assert b"".join(rows[y * (width + 1) + 1 :][:width] for y in range(height)) == bytes(range(256)) * 4


def test_it_conforms(trial: Trial, folder: Path) -> None:
    assert conform(trial, folder, count=25).findings == []
