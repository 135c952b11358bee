"""What a worker gives up above its limits, by a clock that is turned by hand."""

from __future__ import annotations

from kubeshark.worker._governor import MIB, CaptureMemory, Governor, Rates, memory_of_capture, resident_bytes


class Clock:
    def __init__(self) -> None:
        self.now = self.cpu = 0.0
        self.memory = 0

    def governor(self, memory_bytes: int = 0, cpu: float = 0.0) -> Governor:
        return Governor(memory_bytes, cpu, lambda: self.now, lambda: self.cpu, lambda: self.memory)

    def passes(self, seconds: float, cpu: float = 0.0) -> None:
        self.now, self.cpu = self.now + seconds, self.cpu + cpu


def test_no_limits_refuse_nothing() -> None:
    clock = Clock()
    governor = clock.governor()
    clock.memory = 1 << 60
    clock.passes(1, cpu=64)
    assert governor.refuses() == ""


def test_memory_and_what_follows_when_it_falls() -> None:
    clock = Clock()
    governor = clock.governor(memory_bytes=100)
    clock.memory = 101
    assert governor.refuses() == ""  # looked at twice a second, not at every request
    clock.passes(0.5)
    assert governor.refuses() == "its memory is used up"
    clock.memory = 99
    clock.passes(0.5)
    assert governor.refuses() == ""


def test_processors() -> None:
    clock = Clock()
    governor = clock.governor(cpu=0.5)
    clock.passes(1, cpu=0.6)
    assert governor.refuses() == "its share of the processor is used up"
    clock.passes(1, cpu=0.4)
    assert governor.refuses() == ""


def test_memory_is_measured() -> None:
    assert 1 << 20 < resident_bytes() < 1 << 40


def test_rates_by_client() -> None:
    clock = Clock()
    rates = Rates(burst=3, per_second=2, most_clients=2, clock=lambda: clock.now)
    assert [rates.take("a") for _ in range(4)] == [True, True, True, False]
    assert rates.take("b")
    clock.passes(0.5)
    assert [rates.take("a") for _ in range(2)] == [True, False]
    assert rates.take("c")  # now b is forgotten, the longest unheard of
    assert [rates.take("b") for _ in range(4)] == [True, True, True, False]


def test_a_capture_fits_into_its_memory() -> None:
    assert memory_of_capture(0, 1) == memory_of_capture(1 << 40, 1) == CaptureMemory(32 * MIB, 8, 64 * MIB)
    for limit in (128, 160, 200, 256, 400):
        for interfaces in (1, 2, 4):
            share = memory_of_capture(limit * MIB, interfaces)
            assert share.ring_bytes >= 4 * MIB
            held = share.held_segments + 2
            assert 96 * MIB + share.ring_bytes * interfaces + held * share.segment_bytes <= limit * MIB
    assert memory_of_capture(400 * MIB, 1).held_segments == 5
    assert memory_of_capture(1, 3) == CaptureMemory(MIB, 3, 4 * MIB)  # the least that works
