"""Packets of a data file without its index: every block that is whole, and nothing that age does not vouch for."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import load_core
from kubeshark.core_capture.store import Identity, NotForUsError
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.segments._salvage import Salvaged, salvage
from kubeshark.errors import Damaged, StoreError
from tests.core_capture.store._bench import START_NS, Bench, frames, record, records, udp


def noise(count: int) -> list[bytes]:
    """Return records that do not compress: some blocks, over many chunks."""
    body = random.Random(7)
    return [
        record(udp("10.0.0.1", 1 + at % 5, "10.0.0.2", 53, body.randbytes(1400)), START_NS + at) for at in range(count)
    ]


@pytest.fixture
def data(bench: Bench) -> Path:
    bench.fill(noise(900), segment_bytes=8 << 20)
    (path,) = bench.path.glob("2*.pcap.zst.age")
    return path


def read(bench: Bench, path: Path) -> Salvaged:
    return salvage(path, [bench.me], load_core())


def test_a_whole_file(bench: Bench, data: Path) -> None:
    found = read(bench, data)
    assert (found.link_type, found.packets, found.is_whole) == (1, 900, True)
    assert bytes(found.data) == b"".join(noise(900))


@pytest.mark.parametrize("share", [0.999, 0.7, 0.5, 0.3])
def test_a_cut_file(share: float, bench: Bench, data: Path) -> None:
    content = data.read_bytes()
    data.write_bytes(content[: int(len(content) * share)])
    found = read(bench, data)
    assert not found.is_whole
    assert 0.9 * share - 0.3 < found.packets / 900 <= share
    assert {*split(bytes(found.data))} <= {*noise(900)}


def split(data: bytes) -> list[bytes]:
    return [data[at : at + 16 + 1442] for at in range(0, len(data), 16 + 1442)]


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_damaged_chunk_costs_its_blocks(where: float, bench: Bench, data: Path) -> None:
    content = bytearray(data.read_bytes())
    content[int(len(content) * where)] ^= 1
    data.write_bytes(content)
    found = read(bench, data)
    assert not found.is_whole
    assert 900 > found.packets >= 900 - 2 * (256 * 1024 // 1458) - 1
    assert {*split(bytes(found.data))} <= {*noise(900)}


def test_a_lost_beginning_loses_the_link_type(bench: Bench, data: Path) -> None:
    content = bytearray(data.read_bytes())
    content[300] ^= 1
    data.write_bytes(content)
    found = read(bench, data)
    assert found.link_type is None
    assert found.packets > 300


def test_every_cut_of_a_small_file(bench: Bench) -> None:
    bench.fill(records(frames()))
    (path,) = bench.path.glob("2*.pcap.zst.age")
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        try:
            found = read(bench, path)
        except StoreError:
            continue
        assert not found.is_whole
        assert found.packets == 0


PLAIN = zstandard.ZstdCompressor(level=1).compress(b"".join(records(frames()))[:2000])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=50) | st.just(PLAIN) | st.just(b"\x28\xb5\x2f\xfd"), max_size=8))
def test_authentic_nonsense(pieces: list[bytes], bench: Bench, tmp_path: Path) -> None:
    """Anybody can encrypt to a recipient."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        out = AgeWriter(file, [bench.me.recipient])
        out.write(b"".join(pieces))
        out.finish()
    found = read(bench, path)
    assert found.packets <= 40 * pieces.count(PLAIN) + 40


def test_nonsense_costs_no_more_than_its_size(bench: Bench, tmp_path: Path) -> None:
    for piece in (
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd\x00\x00" + bytes(60),
        zstandard.ZstdCompressor().compress(b""),
    ):
        path = tmp_path / "file"
        with path.open("wb") as file:
            out = AgeWriter(file, [bench.me.recipient])
            out.write(piece * ((8 << 20) // len(piece)))
            out.finish()
        started = time.process_time()
        assert read(bench, path).packets == 0
        assert time.process_time() - started < 20


def test_what_is_no_data_file(bench: Bench, tmp_path: Path) -> None:
    for content in (b"", b"not zstd at all", b"\x28\xb5\x2f\xfd" * 1000, b"\x5e\x2a\x4d\x18" * 100):
        path = tmp_path / "file"
        with path.open("wb") as file:
            out = AgeWriter(file, [bench.me.recipient])
            out.write(content)
            out.finish()
        found = read(bench, path)
        assert (found.packets, found.is_whole) == (0, False)
    with pytest.raises(NotForUsError):
        salvage(path, [Identity.generate()], load_core())
    path.write_bytes(b"?")
    with pytest.raises(Damaged):
        read(bench, path)
