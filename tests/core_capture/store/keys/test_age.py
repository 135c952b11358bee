"""Our age files against the age command and against every way to be wrong."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture.store import AgeReader, AgeWriter, Identity, NotForUsError, rewrap
from kubeshark.core_capture.store.keys._age_format import CHUNK, TAG, Tail
from kubeshark.core_capture.store.keys._age_reader import USUAL_HEADER_BYTES
from kubeshark.errors import Damaged, KubesharkError, StoreError

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17]


def plain_of(size: int) -> bytes:
    return bytes(at * 7 % 251 for at in range(size))


def sealed(plain: bytes, *identities: Identity) -> tuple[bytes, Tail]:
    out = io.BytesIO()
    writer = AgeWriter(out, [identity.recipient for identity in identities])
    writer.write(plain)
    tail = writer.finish()
    return out.getvalue(), tail


def stranger() -> Identity:
    return Identity.from_key(X25519PrivateKey.generate())


@pytest.mark.parametrize("size", SIZES)
def test_age_decrypts_ours(size: int, me: Identity, tmp_path: Path, tool: Callable[[str], str]) -> None:
    other, key = stranger(), tmp_path / "key"
    (tmp_path / "file").write_bytes(sealed(plain_of(size), other, me)[0])
    key.write_text(me.secret())
    done = subprocess.run([tool("age"), "-d", "-i", key, tmp_path / "file"], capture_output=True, check=True)
    assert done.stdout == plain_of(size)


@pytest.mark.parametrize("size", SIZES)
def test_we_decrypt_ages(size: int, me: Identity, tmp_path: Path, tool: Callable[[str], str]) -> None:
    path = tmp_path / "file"
    recipients = [argument for who in (stranger(), me) for argument in ("-r", str(who.recipient))]
    subprocess.run([tool("age"), "-o", path, *recipients], input=plain_of(size), check=True)
    with AgeReader(path, [stranger(), me]) as age:
        assert age.size == size
        assert age.read(0, size) == plain_of(size)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    size=st.sampled_from(SIZES) | st.integers(0, 4 * CHUNK),
    pieces=st.lists(st.integers(0, 2 * CHUNK), max_size=5),
    reads=st.lists(st.tuples(st.integers(0, 4 * CHUNK), st.integers(0, 3 * CHUNK)), min_size=1, max_size=5),
)
def test_any_read_of_any_writes(
    size: int, pieces: list[int], reads: list[tuple[int, int]], me: Identity, tmp_path: Path
) -> None:
    plain = plain_of(size)
    with (tmp_path / "file").open("wb") as out:
        writer, at = AgeWriter(out, [me.recipient]), 0
        for piece in [*pieces, size]:
            writer.write(plain[at : at + piece])
            at = min(at + piece, size)
        tail = writer.finish()
    for expected in (None, tail):
        with AgeReader(tmp_path / "file", [me], tail=expected) as age:
            assert age.size == size
            for offset, length in reads:
                assert age.read(offset, length) == plain[offset : offset + length]


def test_reads_decrypt_only_their_chunks(me: Identity, tmp_path: Path) -> None:
    content, tail = sealed(plain_of(20 * CHUNK), me)
    (tmp_path / "file").write_bytes(content)
    with AgeReader(tmp_path / "file", [me], tail=tail) as age:
        age.read(5 * CHUNK + 1, CHUNK)
        assert age.chunks_read == 2


def test_strangers_are_refused(me: Identity, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(sealed(b"secret", me)[0])
    with pytest.raises(NotForUsError, match="file is encrypted to other recipients"):
        AgeReader(tmp_path / "file", [stranger()])


def test_nobody_to_encrypt_to() -> None:
    with pytest.raises(StoreError, match="without a recipient"):
        AgeWriter(io.BytesIO(), [])


def test_every_flipped_byte_is_found(me: Identity, tmp_path: Path) -> None:
    content, _tail = sealed(plain_of(40), stranger(), me)
    path = tmp_path / "file"
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises((Damaged, NotForUsError)), AgeReader(path, [me]) as age:
            age.read(0, age.size)


def read_all(path: Path, me: Identity, tail: Tail | None) -> bytes:
    """With all of a tail, damage is found where it is read; without, when the file is opened."""
    with AgeReader(path, [me], tail=tail) as age:
        return age.read(0, age.size)


def test_every_cut_is_found_and_whole_chunks_are_kept(me: Identity, tmp_path: Path) -> None:
    plain = plain_of(2 * CHUNK + 100)
    content, tail = sealed(plain, me)
    path, payload = tmp_path / "file", len(content) - len(plain) - 3 * TAG
    cuts = {0, 1, 30, payload - 1, payload, payload + 5, payload + CHUNK, payload + CHUNK + TAG, len(content) - 1}
    for cut in sorted(cuts):
        path.write_bytes(content[:cut])
        for expected in (None, tail):
            with pytest.raises(Damaged, match="file: damaged"):
                read_all(path, me, expected)
        if cut >= payload:
            with AgeReader(path, [me], truncated=True) as age:
                assert age.size == (cut - payload) // (CHUNK + TAG) * CHUNK
                assert age.read(0, len(plain)) == plain[: age.size]


def test_a_whole_file_may_be_read_as_truncated(me: Identity, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(sealed(plain_of(CHUNK + 3), me)[0])
    with AgeReader(tmp_path / "file", [me], truncated=True) as age:
        assert age.read(0, age.size) == plain_of(CHUNK + 3)


def test_appended_bytes_are_found(me: Identity, tmp_path: Path) -> None:
    content, tail = sealed(plain_of(CHUNK), me)
    for more in (b"x", bytes(TAG), bytes(CHUNK)):
        (tmp_path / "file").write_bytes(content + more)
        for expected in (None, tail):
            with pytest.raises(Damaged):
                read_all(tmp_path / "file", me, expected)


def test_a_file_of_the_same_size_is_not_the_same(me: Identity, tmp_path: Path) -> None:
    _content, tail = sealed(plain_of(100), me)
    (tmp_path / "file").write_bytes(sealed(plain_of(100), me)[0])
    with pytest.raises(Damaged, match="not the file its index was written for"):
        read_all(tmp_path / "file", me, Tail(tail.size, tail.tag))
    with pytest.raises(Damaged, match="its header fails its authentication"):
        read_all(tmp_path / "file", me, tail)


def test_who_knows_the_file_key_needs_no_identity(me: Identity, tmp_path: Path) -> None:
    content, tail = sealed(plain_of(CHUNK + 100), me)
    (tmp_path / "file").write_bytes(content)
    with AgeReader(tmp_path / "file", [], tail=tail) as age:
        assert age.read(0, age.size) == plain_of(CHUNK + 100)
    assert tail.file_key.hex() not in repr(tail)
    assert repr(tail.file_key) not in repr(tail)


def test_a_header_with_many_recipients_is_read_whole(me: Identity, tmp_path: Path) -> None:
    many = [me, *(Identity.generate() for _ in range(60))]
    content, tail = sealed(plain_of(100), *many)
    (tmp_path / "file").write_bytes(content)
    assert content.index(b"\n--- ") > USUAL_HEADER_BYTES
    with AgeReader(tmp_path / "file", [me], tail=tail) as age:
        assert age.read(0, age.size) == plain_of(100)


def test_damage_names_file_and_offset(me: Identity, tmp_path: Path) -> None:
    content = bytearray(sealed(plain_of(3 * CHUNK), me)[0])
    payload = len(content) - 3 * (CHUNK + TAG)
    content[payload + CHUNK + TAG + 5] ^= 1
    (tmp_path / "file").write_bytes(content)
    with AgeReader(tmp_path / "file", [me]) as age:
        assert age.read(0, CHUNK) == plain_of(CHUNK)
        with pytest.raises(Damaged) as caught:
            age.read(CHUNK - 1, 2)
    assert (caught.value.file, caught.value.offset) == ("file", payload + CHUNK + TAG)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300), with_intro=st.booleans())
def test_arbitrary_bytes_raise_our_errors_only(noise: bytes, with_intro: bool, me: Identity, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((b"age-encryption.org/v1\n" if with_intro else b"") + noise)
    with pytest.raises(KubesharkError):
        AgeReader(tmp_path / "file", [me])


@pytest.mark.parametrize(
    "header",
    [
        b"-> X25519 AAAA\nAAAA\n--- AAAA\n",
        b"-> X25519\n\n--- AAAA\n",
        b"-> \n\n--- AAAA\n",
        b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n",
        b"-> grease x y\n" + b"A" * 64 + b"\n\n--- " + b"A" * 43 + b"\n",
        b"-> X25519 " + b"=" * 43 + b"\n" + b"A" * 43 + b"\n---",
        b"-> x\n" + b"A" * 65 + b"\n\n---",
    ],
)
def test_odd_headers(header: bytes, me: Identity, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"age-encryption.org/v1\n" + header + bytes(40))
    with pytest.raises((Damaged, NotForUsError)):
        AgeReader(tmp_path / "file", [me])


def test_rewrap_changes_who_reads_and_nothing_else(me: Identity, tmp_path: Path, tool: Callable[[str], str]) -> None:
    after, path, copy, key = stranger(), tmp_path / "file", tmp_path / "copy", tmp_path / "key"
    content, tail = sealed(plain_of(CHUNK + 9), me)
    path.write_bytes(content)
    with copy.open("wb") as out:
        rewrap(path, out, [me], [after.recipient])
    payload = CHUNK + 9 + 2 * TAG + 16
    assert copy.read_bytes()[-payload:] == content[-payload:]
    key.write_text(after.secret())
    done = subprocess.run([tool("age"), "-d", "-i", key, copy], capture_output=True, check=True)
    assert done.stdout == plain_of(CHUNK + 9)
    with pytest.raises(NotForUsError):
        AgeReader(copy, [me])
    with AgeReader(copy, [after], tail=tail) as age:
        assert age.size == CHUNK + 9
