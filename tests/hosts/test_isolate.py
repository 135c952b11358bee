"""Finding the units that break a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.hosts._isolate import PartFailedError, isolate


@given(st.integers(0, 300), st.sets(st.integers(0, 299), max_size=8), st.integers(0, 2))
def test_exactly_the_bad_units_are_given_up(units: int, bad: set[int], naming: int) -> None:
    bad = {unit for unit in bad if unit < units}
    runs = 0

    def run(part: range) -> list[str]:
        nonlocal runs
        runs += 1
        guilty = [unit for unit in part if unit in bad]
        if guilty:
            # nobody is named, the guilty is named, or always the first
            raise PartFailedError("broke", (None, guilty[0] - part.start, 0)[naming])
        return [f"answer {unit}" for unit in part]

    answers, reason = isolate(units, run, lambda reason: f"gave up: {reason}")
    assert answers == ["gave up: broke" if unit in bad else f"answer {unit}" for unit in range(units)]
    assert reason == ("broke" if bad else "")
    assert runs <= 1 + len(bad) * 20 + 3


def test_one_bad_unit_of_256_takes_few_runs() -> None:
    parts: list[range] = []

    def run(part: range) -> list[int]:
        parts.append(part)
        if 77 in part:
            raise PartFailedError("broke")
        return list(part)

    isolate(256, run, lambda _: -1)
    assert len(parts) == 17


def test_a_whole_that_fails_and_parts_that_do_not() -> None:
    def run(part: range) -> list[int]:
        if len(part) == 4:
            raise PartFailedError("too much at once")
        return list(part)

    assert isolate(4, run, lambda _: -1) == ([0, 1, 2, 3], "too much at once")
