"""Damaged copies of every kind of file: nothing but InputError escapes, and no copy takes long."""

from __future__ import annotations

import gzip
import importlib.util
import time
from pathlib import Path
from types import ModuleType

import pytest
import zstandard

COPY_LIMIT_S = 2.0


@pytest.fixture(scope="module")
def fuzz(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_files", root / "tests" / "fuzz" / "fuzz_files.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seeds(pcap, pcapng) -> list[bytes]:
    """One small file of each kind."""
    packets = [(number, number, b"packet" * number, 300) for number in range(20)]
    found = [pcap(packets, order=order, magic=magic) for order in "<>" for magic in (0xA1B2C3D4, 0xA1B23C4D)]
    found.append(pcap(packets, magic=0xA1B2CD34, trailer=b"modified"))
    for order in "<>":
        file = pcapng(order).section((4, b"app")).interface(1, 0, (2, b"eth0"), (9, b"\x09")).interface(113, 50)
        for number in range(8):
            file.packet(number << 40, b"packet" * number, (1, b"comment"), interface=number % 2)
        file.block(3, file.pack("I", 5) + b"abcde\0\0\0")
        file.block(2, file.pack("HHIIII", 0, 5, 0, 9, 2, 60) + b"ab\0\0" + file.ended((1, b"old")))
        file.block(4, file.options((1, b"\x0a\0\0\1host\0")) + file.ended() + file.ended((1, b"names")))
        file.block(5, file.pack("III", 0, 1, 2) + file.ended((4, bytes(8))))
        file.block(10, file.pack("II", 0x544C534B, 4) + b"keys")
        found.append(file.data + file.data)
    found += [gzip.compress(found[0], mtime=0), zstandard.compress(found[-1])]
    return found


def test_damaged_copies(fuzz: ModuleType, seeds: list[bytes]) -> None:
    for seed, data in enumerate(seeds):
        for copy in fuzz.mutations(data, seed, count=200):
            started = time.process_time()
            fuzz.TestOneInput(copy)
            assert time.process_time() - started < COPY_LIMIT_S
