"""Fuzzes the readers of capture files: nothing but InputError may escape, whatever the bytes.

python tests/fuzz/fuzz_files.py [libFuzzer options] [CORPUS...]     with atheris
python tests/fuzz/fuzz_files.py CORPUS...                           without: mutates each file a few hundred times
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from kubeshark.core_capture.files import PcapngWriter, open_capture
from kubeshark.errors import InputError

MUTATIONS = 300
MAX_FILE = 64 << 10  # enough for every kind of block, and quick


def TestOneInput(data: bytes) -> None:
    try:
        reader = open_capture(io.BytesIO(data), batch_bytes=8192)
    except InputError:
        return
    for batch in reader:
        assert batch.count > 0
        assert all(extra.interface < len(reader.metadata.interfaces) for extra in batch.extras.values())
    PcapngWriter(io.BytesIO(), reader.metadata).close()


def mutations(data: bytes, seed: int, count: int = MUTATIONS) -> Iterator[bytes]:
    """Yield `data` with bytes flipped, numbers made extreme, pieces cut out, doubled or cut off; always the same."""
    choose = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(choose.randint(1, 4)):
            at = choose.randrange(len(changed) + 1)
            match choose.randrange(5):
                case 0:
                    changed[at : at + 1] = bytes([choose.randrange(256)])
                case 1:
                    extreme = choose.choice([0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, len(data)])
                    changed[at & ~3 : (at & ~3) + 4] = extreme.to_bytes(4, choose.choice(["little", "big"]))
                case 2:
                    del changed[at : at + choose.randint(1, 40)]
                case 3:
                    changed[at:at] = changed[at : at + choose.randint(1, 200)]
                case 4:
                    del changed[at:]
        yield bytes(changed)


def main() -> None:
    try:
        import atheris
    except ImportError:
        for name in sys.argv[1:]:
            for path in sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)]:
                for data in mutations(path.read_bytes()[:MAX_FILE], seed=0) if path.is_file() else ():
                    TestOneInput(data)
        return
    atheris.instrument_all()
    atheris.Setup(sys.argv, TestOneInput)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
