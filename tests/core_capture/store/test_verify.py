"""verify names every kind of damage; and no flipped byte of a store goes unnoticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kubeshark.core_capture.store import Finding, NodeKey, Store, VerifyReport
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import Bench, batch, frames, record, records, udp


@pytest.fixture
def three(bench: Bench) -> Bench:
    """A store of three segments of one node."""
    for number in range(3):
        bench.fill(records([udp("10.0.0.1", number + 1, "10.0.0.2", 53, bytes(50))] * 3))
    return bench


def names(bench: Bench) -> list[str]:
    return [info.name for info in bench.open().segments()]


def kinds(report: VerifyReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def verify(bench: Bench) -> VerifyReport:
    return bench.open().verify([bench.key.public])


def test_a_sound_store(three: Bench) -> None:
    report = verify(three)
    assert (report.is_sound, report.segments, report.findings) == (True, 3, ())
    assert report.bytes == sum(len(content) for name, content in three.files().items() if name.startswith("2"))


def test_every_flipped_byte_is_found(bench: Bench) -> None:
    bench.fill([record(udp("10.0.0.1", 1, "10.0.0.2", 53, bytes(20)), 10**9 + at) for at in range(3)])
    (name,) = names(bench)
    for path in (bench.path / f"{name}.idx.age", bench.path / f"{name}.pcap.zst.age", bench.path / "catalogue.age"):
        content = path.read_bytes()
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
            try:
                report = verify(bench)
            except StoreError:
                continue
            assert any(finding.file == path.name for finding in report.findings), (path.name, at)
        path.write_bytes(content)
    assert verify(bench).is_sound


def test_damage_names_file_and_offset(three: Bench) -> None:
    path = three.path / f"{names(three)[1]}.pcap.zst.age"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    (finding,) = verify(three).findings
    assert (finding.kind, finding.file) == ("damaged", path.name)
    assert finding.offset is not None
    assert f"{path.name}: damaged: a chunk fails its authentication at byte {finding.offset:,}" in str(finding)


def test_a_missing_data_file(three: Bench) -> None:
    name = names(three)[0]
    (three.path / f"{name}.pcap.zst.age").unlink()
    assert [str(finding) for finding in verify(three).findings] == [
        f"damaged: {name}.pcap.zst.age: damaged: its data file is missing"
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_missing_segment(number: int, three: Bench) -> None:
    name = names(three)[number]
    for path in three.path.glob(f"{name}.*"):
        path.unlink()
    assert kinds(verify(three)) == ["missing"]


def test_swapped_files(three: Bench) -> None:
    first, second, _third = names(three)
    swap(three.path / f"{first}.pcap.zst.age", three.path / f"{second}.pcap.zst.age")
    assert kinds(verify(three)) == ["damaged", "damaged"]
    swap(three.path / f"{first}.idx.age", three.path / f"{second}.idx.age")
    report = verify(three)
    assert kinds(report)[:2] == ["damaged", "damaged"]
    assert "holds the index of" in str(report.findings[0])


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("x"))
    other.rename(one)
    one.with_name("x").rename(other)


def test_a_segment_of_another_node(three: Bench) -> None:
    """Anybody can encrypt to a recipient: only the signature tells."""
    other = Bench(three.path, three.me, NodeKey.from_key(Ed25519PrivateKey.generate()), sources=7)
    other.fill()
    (finding,) = verify(three).findings
    assert (finding.kind, finding.message.split()[-4:]) == ("unknown", ["is", "not", "trusted", "here"])
    assert three.open().verify([three.key.public, other.key.public]).is_sound
    assert three.open().verify([]).is_sound


def test_a_forged_index(three: Bench) -> None:
    """Re-encrypted with one byte of the signed part changed."""
    name = names(three)[0]
    path = three.path / f"{name}.idx.age"
    rewrite(path, three, lambda main: main.replace(b'"node":"node-a"', b'"node":"node-b"'))
    assert kinds(verify(three)) == ["forged", "swapped", "swapped"]


def rewrite(path: Path, bench: Bench, change: object) -> None:
    from kubeshark.core_capture.store.segments._index import HEAD_BYTES, inflate, join, split_head

    with AgeReader(path, [bench.me]) as age:
        plain = age.read(0, age.size)
    main_bytes, _extras = split_head(plain, len(plain), path.name)
    main = inflate(plain[HEAD_BYTES : HEAD_BYTES + main_bytes], 1 << 20, path.name)
    with path.open("wb") as file:
        out = AgeWriter(file, [bench.me.recipient])
        out.write(join(change(main), plain[HEAD_BYTES + main_bytes :]))  # type: ignore[operator]
        out.finish()


def test_a_segment_written_twice_into_the_chain(three: Bench, tmp_path: Path) -> None:
    """The store was copied and both copies went on."""
    shutil.copytree(three.path, tmp_path / "copy")
    three.fill(records([udp("10.0.0.9", 1, "10.0.0.2", 53)]))
    copy = Bench(tmp_path / "copy", three.me, three.key, sources=20)
    copy.fill(records([udp("10.0.0.8", 1, "10.0.0.2", 53)], start_ns=10**18))
    for path in copy.path.glob("20010909*"):
        shutil.copy(path, three.path)
    assert kinds(verify(three)) == ["swapped"]


def test_a_catalogue_that_lies(three: Bench) -> None:
    other = Bench(three.path.with_name("other"), three.me, three.key)
    other.fill()
    from kubeshark.core_capture.store.catalogue._catalogue import load_catalogue, save_catalogue

    (theirs,) = load_catalogue(other.backend, [three.me], listed=9)
    ours = list(load_catalogue(three.backend, [three.me], listed=9))
    lie = type(theirs)(ours[0].info, ours[0].chain, ours[0].sha256, theirs.summary)
    save_catalogue(three.backend, [lie, *ours[1:]], [three.me.recipient])
    (finding,) = verify(three).findings
    assert (finding.kind, finding.file) == ("swapped", "catalogue.age")


def test_a_damaged_state(three: Bench) -> None:
    (three.path / "store.json").write_text("{")
    assert kinds(verify(three)) == ["damaged"]
    with pytest.raises(StoreError, match=r"store\.json"):
        three.writer()


def test_leftovers_are_noted(three: Bench) -> None:
    (three.path / ".tmp-x").write_bytes(b"")
    report = verify(three)
    assert report.is_sound
    assert report.findings == (Finding("note", ".tmp-x", ".tmp-x was left by a writer that died"),)


def test_batches_that_break_their_promise(bench: Bench) -> None:
    items = records(frames())
    with bench.writer() as writer, pytest.raises(ValueError, match="whole records"):
        writer.add(batch(items[:3], ordinals=range(4)))
        writer.finish()
    assert Store.open(bench.path, identities=[bench.me]).segments() == []


def test_every_damaged_stretch_is_named(bench: Bench) -> None:
    import random

    noise = random.Random(5)
    packets = [udp("10.0.0.1", 1, "10.0.0.2", 53, noise.randbytes(1400)) for _ in range(600)]
    bench.fill(records(packets), segment_bytes=8 << 20)
    (path,) = bench.path.glob("2*.pcap.zst.age")
    sound = path.read_bytes()
    header = sound.index(b"\n---") + 1
    base = sound.index(b"\n", header) + 1 + 16
    chunk = (1 << 16) + 16
    content = bytearray(sound)
    for number in (0, 3, 4, 9):
        content[base + number * chunk + 77] ^= 1
    path.write_bytes(content)
    found = verify(bench).findings
    assert [(finding.kind, finding.offset) for finding in found] == [
        ("damaged", base + number * chunk) for number in (0, 3, 9)
    ]
    assert str(found[1]).endswith(f"at byte {base + 3 * chunk:,} ({2 * chunk:,} bytes)")
    path.write_bytes(sound[: base + 5 * chunk])
    (cut,) = verify(bench).findings
    assert (cut.offset, "is cut" in cut.message) == (base + 5 * chunk, True)
    path.write_bytes(sound[: base + 5 * chunk + 100])
    (cut,) = verify(bench).findings
    assert cut.offset == base + 5 * chunk
    index = path.with_name(path.name.replace(".pcap.zst", ".idx"))
    index.write_bytes(b"?")
    assert {finding.file for finding in verify(bench).findings} >= {index.name, path.name}


def test_progress(three: Bench) -> None:
    seen: list[tuple[int, int]] = []
    report = three.open().verify([], on_progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _total in seen] == sorted(done for done, _total in seen)
    assert seen[-1] == (report.bytes, report.bytes)
    assert len(seen) == 3
