"""Hostile packets: nothing escapes, what must hold holds, and memory stays bounded."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from pathlib import Path

import pytest

from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.reference import ReferenceCore, _limits
from kubeshark.core_capture.reference._link import LINK_TYPES
from tests.core_capture.reference._mutations import hostile_inputs, mutate
from tests.core_capture.reference._packets import RAW, ip, record, records, run, tcp

CORE = ReferenceCore()


@pytest.mark.parametrize("seed", range(4))
def test_mutated_packets(seed: int) -> None:
    for link_type, data in hostile_inputs(rounds=12, seed=seed):
        run(CORE, data, link_type)


def test_mutated_captures(captures: Path) -> None:
    chance = random.Random(5)
    for path in sorted((captures / "files").glob("PcapFlowLab__*")):
        with open_capture(path) as reader:
            for batch in reader:
                offsets = [*CORE.offsets(batch.data)[0].tolist(), len(batch.data)]
                packets = [batch.data[start + 16 : end] for start, end in itertools.pairwise(offsets)][:20]
                for _ in range(20):
                    run(CORE, records(*(mutate(packet, chance) for packet in packets)), batch.link_type)


@pytest.mark.parametrize("link_type", [*LINK_TYPES])
def test_noise(link_type: int) -> None:
    chance = random.Random(link_type)
    for _ in range(60):
        packets = [chance.randbytes(chance.randrange(120)) for _ in range(5)]
        run(CORE, records(*packets) + chance.randbytes(chance.randrange(40)), link_type)


def peak_of(data: bytes) -> int:
    """Bytes allocated at most while `data` is decoded and assembled, beyond `data`."""
    tracemalloc.start()
    try:
        decoded = CORE.decode(data, RAW)
        CORE.assemble(decoded, range(len(decoded.flows)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_sequence_numbers_do_not_allocate() -> None:
    segments = [tcp(b"x", chance * 0x1FFF_FFFF, "PA") for chance in range(200)]
    assert peak_of(records(*segments)) < 8 << 20


def test_fragments_do_not_allocate() -> None:
    """Last fragments at the very end of many datagrams: a datagram costs what was captured of it, not 64 KiB."""
    pieces = [ip(bytes(8), 17, identification=number % 65536, fragment=0x1FFE) for number in range(5000)]
    assert peak_of(records(*pieces)) < 16 << 20


def test_tiny_fragments_take_no_quadratic_time() -> None:
    """8,190 pieces of 8 bytes, backwards, most of them behind the end: none of them may look at all the others."""
    pieces = [ip(bytes(8), 17, identification=7, fragment=0x2000 | offset) for offset in range(8190, 0, -1)]
    run(CORE, records(*pieces[:-3000], ip(bytes(8), 17, identification=7, fragment=3001), *pieces[-3000:]), RAW)


def test_the_deepest_nesting() -> None:
    packet = ip(b"", 4, length=0)[:20] * 3000
    decoded, _ = run(CORE, record(packet), RAW)
    assert len(decoded.flows) == 1
    assert _limits.MAX_IP_DEPTH == 8
