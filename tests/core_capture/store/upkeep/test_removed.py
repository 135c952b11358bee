"""Records of removed segments: signed, joined, and never by accident."""

from __future__ import annotations

from msgspec.structs import replace

from kubeshark.core_capture.store import NodeKey
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.upkeep._removed import is_genuine, with_removed

KEY, OTHER = NodeKey.generate(), NodeKey.generate()
CHAIN = [(Chain(n, f"{n - 1:064x}" if n else "", KEY.public), f"{n:064x}") for n in range(6)]


def spans(records: list) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    return [(record.first, record.last) for record in records]


def test_neighbours_are_joined_in_any_order() -> None:
    records = with_removed([], [CHAIN[4], CHAIN[0], CHAIN[1]], "pruned", KEY)
    assert spans(records) == [(0, 1), (4, 4)]
    records = with_removed(records, [CHAIN[2], CHAIN[3]], "pruned", KEY)
    assert spans(records) == [(0, 4)]
    (record,) = records
    assert is_genuine(record)
    assert (record.previous, record.sha256) == ("", f"{4:064x}")
    assert with_removed(records, [], "pruned", KEY) == records


def test_what_does_not_follow_is_not_joined() -> None:
    records = with_removed([], [CHAIN[0], (replace(CHAIN[1][0], previous="ff"), "aa")], "pruned", KEY)
    assert spans(records) == [(0, 0), (1, 1)]
    assert spans(with_removed(with_removed([], CHAIN[:1], "pruned", KEY), CHAIN[1:2], "recovered", KEY)) == [
        (0, 0),
        (1, 1),
    ]


def test_twice_the_same_is_once() -> None:
    records = with_removed([], CHAIN[:1], "pruned", KEY)
    again = with_removed(records, CHAIN[:1], "pruned", KEY)
    assert spans(again)[0] == (0, 0)
    assert all(map(is_genuine, again))


def test_forged_records_stay_forged() -> None:
    (record,) = with_removed([], CHAIN[:1], "pruned", KEY)
    for forged in (replace(record, first=3), replace(record, signature="00"), replace(record, by="zz"[:0])):
        assert not is_genuine(forged)
        assert not all(map(is_genuine, with_removed([forged], CHAIN[1:2], "pruned", KEY)))


def test_others_records_are_left_alone() -> None:
    theirs = with_removed([], CHAIN[:1], "pruned", OTHER)
    assert theirs[0] in with_removed(theirs, CHAIN[1:2], "pruned", KEY)
