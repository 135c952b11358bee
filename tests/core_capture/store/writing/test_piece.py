"""Pieces of the log: written, read by standard tools, and read when they are cut, changed or made by an enemy."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import PacketExtra
from kubeshark.core_capture.store._limits import MAX_PIECE_BYTES
from kubeshark.core_capture.store.keys._age_format import SEALED_CHUNK, NotForUsError
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter, rewrap
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._local import LocalFile
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.core_capture.store.writing._piece import Forged, Piece, decode_piece, write_piece
from kubeshark.errors import Damaged, StoreError
from tests.core_capture.store._bench import START_NS, frames, record, records
from tests.core_capture.store._pieces import NAME, make_piece

ITEMS = records(frames())


def written(piece: Piece, me: Identity, key: NodeKey, path: Path) -> Path:
    out = io.BytesIO()
    write_piece(out, piece, [me.recipient], key)
    path.write_bytes(out.getvalue())
    return path


def read(path: Path, me: Identity, *, segment: str = NAME, number: int = 1) -> Piece:
    return decode_piece(LocalFile(path), [me], load_core(), segment=segment, number=number)


def test_what_is_written_is_read(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    piece = make_piece(ITEMS, first=5)
    found = read(written(piece, me, node_key, tmp_path / "piece"), me)
    assert bytes(found.data) == piece.data
    assert found.ordinals.tolist() == piece.ordinals.tolist()
    assert found.extras == piece.extras
    assert (found.metadata, found.origin, found.counters) == (piece.metadata, piece.origin, piece.counters)
    assert (found.public_key, found.lost) == (node_key.public, 0)


def test_ordinals_with_holes_and_no_packets_at_all(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    holes = replace(make_piece(ITEMS[:4]), ordinals=np.array([1, 2, 7, 2**60], dtype=np.uint64), extras={})
    assert read(written(holes, me, node_key, tmp_path / "holes"), me).ordinals.tolist() == [1, 2, 7, 2**60]
    assert len(read(written(make_piece([]), me, node_key, tmp_path / "none"), me).ordinals) == 0


def test_standard_tools_read_a_piece(
    tmp_path: Path, me: Identity, node_key: NodeKey, tool: Callable[[str], str]
) -> None:
    piece = make_piece(ITEMS)
    path = written(piece, me, node_key, tmp_path / "piece")
    (tmp_path / "key").write_text(me.secret())
    plain = subprocess.run(
        [tool("age"), "-d", "-i", tmp_path / "key", path], capture_output=True, check=True, timeout=30
    ).stdout
    pcap = subprocess.run([tool("zstd"), "-dc"], input=plain, capture_output=True, check=True, timeout=30).stdout
    assert pcap == pcap_header(1) + piece.data


@pytest.mark.parametrize("payload", [os.urandom, bytes], ids=["noise", "nothing"])
def test_records_are_compressed_where_it_pays(
    payload: Callable[[int], bytes], tmp_path: Path, me: Identity, node_key: NodeKey, tool: Callable[[str], str]
) -> None:
    items = [record(payload(1400), START_NS + at) for at in range(700)]
    path = written(make_piece(items), me, node_key, tmp_path / "piece")
    assert bytes(read(path, me).data) == b"".join(items)
    with AgeReader(path, [me]) as age:
        plain = age.read(0, age.size)
    pcap = subprocess.run([tool("zstd"), "-dc"], input=plain, capture_output=True, check=True, timeout=30).stdout
    assert pcap == pcap_header(1) + b"".join(items)
    assert (len(plain) > len(pcap)) == (payload is os.urandom)


def test_nobody_else_reads_it(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    path = written(make_piece(ITEMS), me, node_key, tmp_path / "piece")
    with pytest.raises(NotForUsError):
        read(path, Identity.generate())


def test_a_rotation_keeps_the_signature(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    path, other = written(make_piece(ITEMS), me, node_key, tmp_path / "piece"), Identity.generate()
    with (tmp_path / "copy").open("wb") as out:
        rewrap(path, out, [me], [other.recipient])
    assert bytes(read(tmp_path / "copy", other).data) == b"".join(ITEMS)


def test_it_is_bound_to_its_place(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    path = written(make_piece(ITEMS), me, node_key, tmp_path / "piece")
    for segment, number in ((NAME, 2), (NAME.replace("0001", "0002"), 1)):
        with pytest.raises(Forged, match="another's place"):
            read(path, me, segment=segment, number=number)


def test_what_was_said_once_cannot_be_said_again_of_other_packets(
    tmp_path: Path, me: Identity, node_key: NodeKey
) -> None:
    """An enemy who may read, and has no node key, encrypts the signed head anew with frames of his own."""
    path = written(make_piece(ITEMS), me, node_key, tmp_path / "piece")
    with AgeReader(path, [me]) as age:
        plain = age.read(0, age.size)
    out = io.BytesIO()
    writer = AgeWriter(out, [me.recipient])
    writer.write(plain)
    writer.finish()
    path.write_bytes(out.getvalue())
    with pytest.raises(Forged):
        read(path, me)


def test_a_piece_that_is_cut_keeps_what_comes_before(tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    rng = np.random.default_rng(1)
    items = [record(rng.bytes(1000), START_NS + at) for at in range(600)]
    path = written(replace(make_piece(items), extras={599: PacketExtra(1)}), me, node_key, tmp_path / "piece")
    content, counts = path.read_bytes(), set()
    for end in range(0, len(content), SEALED_CHUNK // 3):
        path.write_bytes(content[:end])
        try:
            found = read(path, me)
        except Damaged:
            continue
        count = len(found.ordinals)
        assert bytes(found.data) == b"".join(items[:count])
        assert (found.lost, found.extras) == (600 - count, {})
        counts.add(count)
    assert 0 in counts
    assert max(counts) > 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_are_found(data: st.DataObject, tmp_path: Path, me: Identity, node_key: NodeKey) -> None:
    path = written(make_piece(ITEMS), me, node_key, tmp_path / "piece")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, 1 << 16)) % len(content)] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(StoreError):
        found = read(path, me)
        assert b"".join(ITEMS).startswith(bytes(found.data))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_enemy_who_knows_the_recipient_does_no_harm(
    data: st.DataObject, tmp_path: Path, me: Identity, node_key: NodeKey
) -> None:
    """Plaintext is changed and encrypted anew, and what is said of the packets is signed by whoever likes to."""
    path, out = tmp_path / "piece", io.BytesIO()
    age = AgeWriter(out, [me.recipient])
    real = written(make_piece(ITEMS), me, node_key, path)
    with AgeReader(real, [me]) as reader:
        plain, payload = reader.read(0, reader.size), reader.payload_id
    length = struct.unpack_from("<I", plain, 4)[0]
    head = zstandard.decompress(plain[8 : 8 + length]).replace(payload.encode(), age.payload_id.encode())
    body, frames_ = bytearray(head[:-64]), bytearray(plain[8 + length :])
    for part in data.draw(st.lists(st.sampled_from([body, frames_]), min_size=0, max_size=4)):
        at = data.draw(st.integers(0, 1 << 16)) % len(part)
        part[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    signed = zstandard.compress(bytes(body) + node_key.sign(bytes(body)))
    age.write(struct.pack("<II", 0x184D2A50, len(signed)) + signed + bytes(frames_))
    age.finish()
    path.write_bytes(out.getvalue())
    try:
        found = read(path, me)
    except StoreError:
        return
    offsets, end = load_core().offsets(found.data)
    assert (len(offsets), end) == (len(found.ordinals), len(found.data))
    assert (np.diff(found.ordinals.astype(np.int64)) > 0).all()
    assert all(at < len(offsets) and extra.interface < 2 for at, extra in found.extras.items())


def test_more_than_a_piece_takes(me: Identity, node_key: NodeKey) -> None:
    with pytest.raises(ValueError, match="in a piece"):
        write_piece(io.BytesIO(), replace(make_piece([]), data=bytes(MAX_PIECE_BYTES + 1)), [me.recipient], node_key)


@pytest.mark.parametrize("content", [b"", b"PK", struct.pack("<II", 0x184D2A50, 1 << 31), bytes(100)])
def test_what_is_no_piece(content: bytes, tmp_path: Path, me: Identity) -> None:
    with (tmp_path / "piece").open("wb") as out:
        age = AgeWriter(out, [me.recipient])
        age.write(content)
        age.finish()
    with pytest.raises(Damaged):
        read(tmp_path / "piece", me)
