"""Names beside the segments: what the file says, who signed it, that it survives and stays bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from kubeshark.core_capture.store import Identity, NameRecord, Store
from kubeshark.core_capture.store.catalogue import _name_history as history
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.errors import Damaged, StoreError
from tests.core_capture.store._bench import START_NS, Bench


def record(name: str, since: int, until: int | None = None) -> NameRecord:
    return NameRecord(kind="pod", name=name, namespace="shop", addresses=("10.0.0.4",), since_ns=since, until_ns=until)


def test_they_come_back_by_their_begin(bench: Bench) -> None:
    store = bench.fill()
    assert store.names() == []
    late, early = record("b", START_NS + 5), record("a", START_NS, START_NS + 5)
    assert store.change_names(lambda _: [late, early]) == [early, late]
    assert store.names() == bench.open().names() == [early, late]
    store.change_names(lambda known: known[1:])
    assert (store.names(), bench.open().names()) == ([late], [late])
    assert bench.open().verify([]).is_sound


def test_what_ended_before_the_oldest_packet_goes(bench: Bench) -> None:
    store = bench.fill()
    kept = store.change_names(lambda _: [record("old", 5, START_NS), record("now", 5), record("never", 9, 9)])
    assert [each.name for each in kept] == ["now"]


def test_more_than_enough(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_RECORDS", 2)
    kept = bench.open().change_names(lambda _: [record(str(at), at) for at in range(4)])
    assert [each.name for each in kept] == ["2", "3"]


def test_what_does_not_change_is_not_written(bench: Bench) -> None:
    bench.open().change_names(lambda _: [record("a", 1)])
    before = (bench.path / "names.age").read_bytes()
    bench.open().change_names(lambda known: known)
    assert (bench.path / "names.age").read_bytes() == before


def test_who_cannot_read_them_does_not_replace_them(bench: Bench) -> None:
    bench.open().change_names(lambda _: [record("a", 1)])
    with pytest.raises(StoreError, match="other recipients"):
        Store.open(bench.path, identities=[Identity.generate()]).change_names(lambda _: [])
    assert len(bench.open().names()) == 1


def test_other_keys(bench: Bench) -> None:
    other = Identity.generate()
    store = bench.fill()
    store.change_names(lambda _: [record("a", 1)])
    store.rotate_keys([other.recipient])
    assert len(Store.open(bench.path, identities=[other]).names()) == 1


def rewrite(bench: Bench, content: bytes) -> None:
    with (bench.path / "names.age").open("wb") as file:
        out = AgeWriter(file, [bench.me.recipient])
        out.write(content)
        out.finish()


def plain(bench: Bench) -> bytes:
    with AgeReader(bench.open().files.open("names.age"), [bench.me]) as age:
        return zstandard.ZstdDecompressor().decompress(age.read(0, age.size))


def test_a_changed_file_is_damaged(bench: Bench) -> None:
    """Anybody can encrypt to a recipient: only the signature tells."""
    bench.open().change_names(lambda _: [record("cart", 1)])
    rewrite(bench, zstandard.ZstdCompressor().compress(plain(bench).replace(b"cart", b"bank")))
    with pytest.raises(Damaged, match="not signed"):
        bench.open().names()
    assert [finding.kind for finding in bench.open().verify([]).findings] == ["damaged"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zstd",
        zstandard.ZstdCompressor().compress(b"{}"),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"{}"),
        b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little"),  # says that it is a terabyte
    ],
)
def test_bytes_that_are_no_names(bench: Bench, content: bytes) -> None:
    bench.open()
    rewrite(bench, content)
    with pytest.raises(Damaged, match=r"names\.age"):
        bench.open().names()


def test_nobody_finds_names_in_the_clear(bench: Bench) -> None:
    bench.open().change_names(lambda _: [record("cart-service", 1)])
    assert b"cart" not in Path(bench.path / "names.age").read_bytes()
