"""Fuzzes whatever reads a store's files: nothing but a KubesharkError may escape, whatever the bytes.

The first byte chooses a reader of TARGETS, the rest is what it reads. Where the real reader sees age and zstd, the
bytes are packed in them first: else no mutation would get behind their checksums.

python tests/fuzz/fuzz_store.py CORPUS [libFuzzer options]     with atheris; CORPUS gets seeds from a store made here
python tests/fuzz/fuzz_store.py                                without: mutates each seed a few hundred times
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import zstandard

from kubeshark.core_capture import load_core
from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store import Identity, NodeKey, SourceInfo, Store
from kubeshark.core_capture.store._limits import MAX_INDEX_BYTES
from kubeshark.core_capture.store.catalogue._catalogue import entry_of, load_catalogue
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.keys import _passphrase
from kubeshark.core_capture.store.keys._age_header import parse_end, parse_header
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.segments._extras import decode_extras
from kubeshark.core_capture.store.segments._index import HEAD_BYTES, decode_main, inflate, join, split_head
from kubeshark.core_capture.store.segments._reader import IndexFile, SegmentReader
from kubeshark.core_capture.store.segments._salvage import salvage
from kubeshark.core_capture.store.upkeep._snapshots import load_snapshots
from kubeshark.errors import KubesharkError

ME = Identity.generate()
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-store-"))
MUTATIONS = 200
MAX_PACKETS = 1 << 16


def seal(path: Path, content: bytes) -> bytes:
    """Write an age file; return the tag of its last chunk."""
    with path.open("wb") as file:
        out = AgeWriter(file, [ME.recipient])
        out.write(content)
        return out.finish().tag


def make_store() -> tuple[Path, str]:
    """Make a store of one segment with everything in it; return where, and the segment's name."""
    records = bytearray()
    for number in range(200):
        port = (4000 + number % 7).to_bytes(2, "big")
        body = port + b"\x00\x35" + (28).to_bytes(2, "big") + bytes(2) + number.to_bytes(20, "big")
        head = (
            b"\x45\x00"
            + (48).to_bytes(2, "big")
            + bytes(4)
            + b"\x40\x11"
            + bytes(2)
            + bytes([10, 0, 0, 1, 10, 0, 0, 2])
        )
        frame = bytes(12) + b"\x08\x00" + head + body
        times = (1_700_000_000 + number % 5).to_bytes(4, "little") + (number * 7 % 1000).to_bytes(4, "little")
        records += times + len(frame).to_bytes(4, "little") * 2 + frame
    path = FOLDER / "seed"
    store = Store.open(path, identities=[ME], create=True)
    source = SourceInfo("seed.pcap", sha256="aa" * 32, size=len(records))
    with store.writer([ME.recipient], source=source, node="n", key=NodeKey.generate()) as writer:
        writer.add(RecordBatch(1, bytes(records), range(200), {}))
        writer.finish()
    return path, store.segments()[0].name


SEED_STORE, NAME = make_store()
SEED_INDEX = IndexFile(LocalBackend(SEED_STORE), NAME, [ME])
with AgeReader(SEED_STORE / f"{NAME}.pcap.zst.age", [ME]) as _age:
    SEED_DATA = _age.read(0, _age.size)
with AgeReader(SEED_STORE / f"{NAME}.idx.age", [ME]) as _age:
    SEED_INDEX_PLAIN = _age.read(0, _age.size)
with AgeReader(SEED_STORE / "catalogue.age", [ME]) as _age:
    SEED_CATALOGUE = _age.read(0, _age.size)
SEED_EXTRAS = SEED_INDEX_PLAIN[HEAD_BYTES + split_head(SEED_INDEX_PLAIN, len(SEED_INDEX_PLAIN), "")[0] :]


def age_header(data: bytes) -> None:
    parse_end(data, "f")
    parse_header(data, "f")


def age_file(data: bytes) -> None:
    path = FOLDER / "file.age"
    path.write_bytes(data)
    for truncated in (True, False):
        with AgeReader(path, [ME], truncated=truncated) as age:
            with suppress(KubesharkError):
                age.read(0, age.size)
            age.damaged()


def index(data: bytes) -> None:
    found = decode_main(data, NAME)
    flows = found.flows
    entry_of(found.meta, flows, "")
    with suppress(KubesharkError):
        assert len(flows.range_starts) == len(flows.clustered.records) == len(flows)
    assert len(found.blocks.first_ns) == len(found.blocks.last_ns) == len(found.blocks)
    assert len(flows.rows) == len(flows)


def index_file(data: bytes) -> None:
    main, extras = split_head(data[:HEAD_BYTES], len(data), NAME)
    inflate(data[HEAD_BYTES : HEAD_BYTES + main], MAX_INDEX_BYTES, NAME)
    decode_extras(data[HEAD_BYTES + main :][:extras], NAME, packets=200, first_ordinal=0)


def extras(data: bytes) -> None:
    frame = zstandard.ZstdCompressor(level=1).compress(data)
    decode_extras(frame, NAME, packets=200, first_ordinal=0)


def catalogue(data: bytes) -> None:
    seal(FOLDER / "catalogue.age", zstandard.ZstdCompressor(level=1).compress(data))
    load_catalogue(LocalBackend(FOLDER), [ME], listed=2)


def data_file(data: bytes) -> None:
    """The segment's data with an index that is bound to it."""
    folder = FOLDER / "segment"
    folder.mkdir(exist_ok=True)
    data = (data + bytes(len(SEED_DATA)))[: len(SEED_DATA)]
    tag = seal(folder / f"{NAME}.pcap.zst.age", data)
    meta = SEED_INDEX.index.meta.data
    main = SEED_INDEX.main.replace(meta.last_tag.encode(), tag.hex().encode()).replace(
        f'"file_key":"{meta.file_key}"'.encode(), b'"file_key":""' + b" " * len(meta.file_key)
    )
    seal(folder / f"{NAME}.idx.age", join(main, SEED_EXTRAS))
    with suppress(KubesharkError):
        salvage(folder / f"{NAME}.pcap.zst.age", [ME], load_core())
    files = LocalBackend(folder)
    with SegmentReader(files, IndexFile(files, NAME, [ME]), [ME]) as segment:
        with suppress(KubesharkError):
            assert len(segment.select(None)) > 0
        segment.check_data(load_core())


def torn_data(data: bytes) -> None:
    seal(FOLDER / "torn", data)
    assert salvage(FOLDER / "torn", [ME], load_core()).packets <= MAX_PACKETS


def state(data: bytes) -> None:
    (FOLDER / "store.json").write_bytes(data)
    load_state(LocalBackend(FOLDER))


def snapshots(data: bytes) -> None:
    seal(FOLDER / "snapshots.age", data)
    load_snapshots(LocalBackend(FOLDER), [ME])


def passphrase(data: bytes) -> None:
    if _passphrase.is_protected(data):
        with patch.object(_passphrase, "_stretch", lambda *_: bytes(32)):  # scrypt is made to be slow
            _passphrase.unprotect(data, lambda: "", "f")


def _seeds() -> dict[str, list[bytes]]:
    snapshot = b'{"name":"a","since_ns":1,"until_ns":2,"created":""}'
    key = b'{"public_key":"%s","signature":"%s","body":{"snapshots":[' + snapshot + b"]}}"
    protected = _passphrase.protect(b"# secret", "", work_factor=1)
    return {
        "age_header": [(SEED_STORE / "catalogue.age").read_bytes()],
        "age_file": [(SEED_STORE / f"{NAME}.idx.age").read_bytes()],
        "index": [SEED_INDEX.main],
        "index_file": [SEED_INDEX_PLAIN],
        "extras": [inflate(SEED_EXTRAS, MAX_INDEX_BYTES, "")],
        "catalogue": [inflate(SEED_CATALOGUE, MAX_INDEX_BYTES, "")],
        "data_file": [SEED_DATA],
        "torn_data": [SEED_DATA, SEED_DATA[: len(SEED_DATA) // 2]],
        "state": [(SEED_STORE / "store.json").read_bytes()],
        "snapshots": [key % (b"ab" * 32, b"cd" * 64)],
        "passphrase": [protected],
    }


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        age_header, age_file, index, index_file, extras, catalogue, data_file, torn_data, state, snapshots, passphrase,
    )
}  # fmt: skip
SEEDS = _seeds()


def TestOneInput(data: bytes) -> None:
    if data:
        target = list(TARGETS.values())[data[0] % len(TARGETS)]
        with suppress(KubesharkError):
            target(data[1:])


def inputs() -> Iterator[bytes]:
    for number, name in enumerate(TARGETS):
        for seed in SEEDS[name]:
            yield bytes([number]) + seed


def main() -> None:
    try:
        import atheris
    except ImportError:
        spec = importlib.util.spec_from_file_location("fuzz_files", Path(__file__).with_name("fuzz_files.py"))
        assert spec is not None
        assert spec.loader is not None
        files = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(files)
        for seed in inputs():
            for changed in files.mutations(seed[1:], seed=0, count=MUTATIONS):
                TestOneInput(seed[:1] + changed)
        return
    for number, seed in enumerate(inputs()):
        (Path(sys.argv[1]) / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup(sys.argv, TestOneInput)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
