"""The file of marks: small, signed, and believed of whom it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store import NodeKey, Scheduled
from kubeshark.core_capture.store.keys._signing import encode_signed
from kubeshark.core_capture.store.places._names import SCHEDULED
from kubeshark.core_capture.store.segments._marks import MAX_FILE_BYTES, Marks, last_marked, load_marks
from kubeshark.errors import Damaged
from tests.core_capture.store._bench import Bench

NIGHTLY = Scheduled(("nightly",), keep_s=30 * 86_400, as_store=False)


def test_neighbours_are_one_line(bench: Bench) -> None:
    marks = Marks(bench.open().files, bench.key)
    for number in (*range(1, 500), 501):
        marks.note(number, NIGHTLY)
    content = bench.backend.read(SCHEDULED, MAX_FILE_BYTES).data
    assert len(content) < 600
    found = load_marks(bench.backend, {bench.key.public})
    assert (len(found), found[499], 500 in found, found[501]) == (500, NIGHTLY, False, NIGHTLY)
    assert last_marked(bench.backend, bench.key) == 501


def test_nobody_else_is_believed(bench: Bench) -> None:
    Marks(bench.open().files, bench.key).note(1, NIGHTLY)
    other = NodeKey.generate()
    with pytest.raises(Damaged, match="is not signed by the node whose segments"):
        load_marks(bench.backend, {other.public})
    assert last_marked(bench.backend, other) == 0
    path = Path(bench.path) / SCHEDULED
    path.write_bytes(path.read_bytes().replace(b"nightly", b"nightlx"))
    with pytest.raises(Damaged, match="is not signed by the node it names"):
        load_marks(bench.backend, {bench.key.public})


@pytest.mark.parametrize(
    "body",
    [
        {"stretches": [[1, 2, {"schedules": ["a"], "keep_s": -1}]]},
        {"stretches": [[0, 2, {"schedules": ["a"]}]]},
        {"stretches": [[1, 10**14, {"schedules": ["a"]}]]},
        {"stretches": [[1, 2, {"schedules": ["a" * 101]}]]},
        {"stretches": [[1, 2, {"schedules": ["a"], "keep_s": 10**12}]]},
        {"stretches": [[1, 2, {"schedules": ["a"] * 101}]]},
        {"stretches": [[1, 2, None]]},
        {"stretches": 3},
        {"stretches": [], "version": 2},
    ],
)
def test_files_that_say_what_cannot_be(bench: Bench, body: object) -> None:
    bench.open()
    bench.backend.replace(SCHEDULED, encode_signed(body, bench.key))
    with pytest.raises(Damaged):
        load_marks(bench.backend, {bench.key.public})
