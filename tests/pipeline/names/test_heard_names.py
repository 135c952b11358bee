"""Names that DNS answers told: whose, from when on, and which answers tell nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubeshark.core_capture.store import Identity, NameRecord
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.names import _heard_names
from kubeshark.pipeline.names._heard_names import FIELDS, HEARD, heard_names

A, B = "192.0.2.7", "2001:db8::7"


def answer(
    time: int, question: str, *answers: str, kind: str = "A", names: list[str] | None = None
) -> dict[str, list[Any]]:
    """One response, as a batch."""
    questions = [question] if question else []
    row = (time, questions, [kind] if question else [], list(answers), names or [question] * len(answers))
    return {name: [value] for name, value in zip(FIELDS, row, strict=True)}


def told(*batches: dict[str, list[Any]], known: tuple[NameRecord, ...] = ()) -> list[tuple[str, str, int, int | None]]:
    records, _ = heard_names(batches, known)
    assert {record.kind for record in records} <= {"host"}
    return [(record.name, record.addresses[0], record.since_ns, record.until_ns) for record in records]


def test_a_name_holds_until_another_one_is_told() -> None:
    found = told(answer(30, "b.example", A), answer(10, "a.example", A), answer(20, "a.example", A, B))
    assert found == [("a.example", A, 10, 30), ("a.example", B, 20, None), ("b.example", A, 30, None)]


def test_the_name_that_was_asked_for_and_not_its_alias() -> None:
    assert told(answer(1, "www.example.", "edge.example", A, names=["www.example", "edge.example"])) == [
        ("www.example", A, 1, None)
    ]
    assert told(answer(1, "", A, names=["printer.local"])) == [("printer.local", A, 1, None)]


def test_what_tells_nothing() -> None:
    assert told(answer(1, "a.example", A, kind="TXT")) == []
    assert told(answer(1, "a" * 254, A)) == []
    assert told(answer(1, "a.example", "alias.example", "999.1.1.1")) == []
    assert told(answer(1, ".", A)) == []


def test_what_somebody_wrote_down_stays() -> None:
    mine = NameRecord(kind="host", name="db", addresses=(A,), since_ns=0)
    assert told(answer(1, "a.example", A), known=(mine,)) == []
    ended = NameRecord(kind="host", name="db", addresses=(A,), since_ns=0, until_ns=9)
    assert len(told(answer(1, "a.example", A), known=(ended,))) == 1


def test_too_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(_heard_names, "MAX_HEARD", 3)
    records, count = heard_names([answer(at, f"{at}.example", A) for at in range(10)])
    assert ([record.since_ns for record in records], count) == ([7, 8, 9], 10)


def test_of_a_capture(root: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store", identities=[Identity.generate()]) as pipeline:
        pipeline.import_file(root / "examples" / "captures" / "sample.pcapng")
        records, _ = heard_names(pipeline.query(HEARD).batches(FIELDS))
        assert {record.name for record in records} >= {"shop.example.test", "www.example.test", "api.example.test"}
        assert not list(pipeline.query('http && dst.dns == "shop.example.test"'))
        pipeline.store.change_names(lambda _: records)
        found = list(pipeline.query('http && dst.dns == "shop.example.test"'))
        assert found
        assert {entry.dst.ip for entry in found} <= {address for each in records for address in each.addresses}
        assert {entry.get("dst.name") for entry in found} == {"shop.example.test"}
