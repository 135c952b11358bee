"""Files of a store that ask for more than they bring: whoever may write to a folder must not take its readers' memory.

The attacker knows the store's recipients, so that all of it is encrypted as it should be; only signed files it cannot
make.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard

from kubeshark.core_capture.store import AgeWriter, Store
from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from tests.bombs._bounded import take

pytestmark = pytest.mark.timeout(600)

MIB = 300  # a query of a small store, numpy included, takes some 110
CPU_S = 8


def repeated(head: bytes, unit: bytes, count: int, tail: bytes = b"") -> bytes:
    """Return a zstd frame of this; its content may be much larger than memory should be."""
    out = zstandard.ZstdCompressor(level=1).compressobj(size=len(head) + len(unit) * count + len(tail))
    many = unit * 65_536
    whole, rest = divmod(count, 65_536)
    parts = [out.compress(head), *(out.compress(many) for _ in range(whole)), out.compress(unit * rest + tail)]
    return b"".join([*parts, out.flush()])


def catalogue_of(text: tuple[bytes, bytes, int, bytes]) -> bytes:
    head, unit, count, tail = text
    length = len(head) + len(unit) * count + len(tail)
    return repeated(b"KSHKCAT2" + struct.pack("<I", length) + head, unit, count, tail)


CATALOGUES: dict[str, Callable[[], bytes]] = {
    "a gigabyte of zeros": lambda: repeated(b"KSHKCAT2", bytes(64), 1 << 24),
    "half a billion numbers as JSON": lambda: catalogue_of((b'{"meta":{"rows":{"packets":[0', b",0", 1 << 28, b"]}}}")),
    "a million columns": lambda: catalogue_of((b'{"columns":[', b'["a","<u8",[0],""],', 1 << 24, b"]}")),
    "as much as a small store's may be": lambda: repeated(b"KSHKCAT2", bytes(64), (16 << 20) // 64 - 1),
}


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Path:
    folder = tmp_path / "store"
    assert take("import", root / "examples" / "captures" / "sample.pcapng", "--store", folder).code == 0
    return folder


def seal(store: Path, name: str, content: bytes) -> None:
    recipients = [identity.recipient for identity in Store.open(store).identities]
    with (store / name).open("wb") as file:
        out = AgeWriter(file, recipients)
        for at in range(0, len(content), 1 << 20):
            out.write(content[at : at + (1 << 20)])
        out.finish()


@pytest.mark.parametrize("kind", CATALOGUES)
def test_a_catalogue_takes_no_more_than_its_store_is_worth(kind: str, store: Path) -> None:
    seal(store, "catalogue.age", CATALOGUES[kind]())
    found = take("query", "dns", "--store", store, "--limit", "3", "--output", "jsonl")
    assert (found.code, found.stderr) == (0, "")  # the indexes say the same
    assert found.peak_mib < MIB, found
    assert found.cpu_s < CPU_S, found
    told = take("store", "verify", "--store", store)
    assert told.code == 3
    assert "Traceback" not in told.stderr
    assert told.peak_mib < MIB, told


@pytest.mark.parametrize("which", ["*.idx.age", "*.pcap.zst.age", "catalogue.age"])
def test_an_endless_age_header_is_given_up(which: str, store: Path) -> None:
    """A header is read up to its limit, not to the end of the file."""
    (path,) = store.glob(which)
    line = b"-> X25519 " + b"A" * 43 + b"\n" + b"B" * 43 + b"\n"
    with path.open("wb") as file:
        file.write(b"age-encryption.org/v1\n" + line * (4 * MAX_HEADER_BYTES // len(line)))
        file.truncate(8 << 30)  # sparse: eight gigabytes that are nowhere
    found = take("query", "dns", "--store", store, "--output", "jsonl")
    assert "Traceback" not in found.stderr
    assert found.code == (0 if which == "catalogue.age" else 3), found
    assert found.peak_mib < MIB, found
    assert found.cpu_s < CPU_S, found


def test_a_seek_table_is_not_believed(store: Path) -> None:
    """Our readers go by the index; the table is for others, and compared with it."""
    (path,) = store.glob("*.pcap.zst.age")
    opened = Store.open(store)
    (info,) = opened.segments()
    with opened.open_segment(info.name) as segment:
        packets = bytes(segment.select(None))
        plain = bytes(segment._data.read(0, segment._data.size))
    frames = 0x0FFF_FFFF
    footer = struct.pack("<IBI", frames, 0, 0x8F92_EAB1)
    seal(store, path.name, plain[: -len(footer)] + footer)  # 268 million frames
    found = take("query", "", "--store", store, "--output", "jsonl")
    assert found.code == 3, found  # its last tag is not the one that the index names
    assert found.peak_mib < MIB, found
    assert packets


def test_metadata_of_an_index_is_bounded(store: Path) -> None:
    (path,) = store.glob("*.idx.age")
    text = msgspec.json.encode({"meta": {}, "columns": []})
    main = repeated(b"KSHKIDX1" + struct.pack("<I", 1 << 30) + text, b" ", (1 << 30) - len(text))
    head = struct.pack("<IIII", 0x184D2A50, 8, len(main), 0)
    seal(store, path.name, head + main)
    found = take("query", "dns", "--store", store)
    assert found.code in (1, 3), found
    assert "Traceback" not in found.stderr
    assert found.cpu_s < CPU_S, found
    assert found.peak_mib < 1_400, found  # its one GiB is inflated: what a segment of the shortest packets needs
