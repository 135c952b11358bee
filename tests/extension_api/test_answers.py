"""JSON answers of plugins: whatever the bytes are, AnswerError or something checked."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Enrichment, Redaction, VariableType
from kubeshark.extension_api._answers import AnswerError, Report, parse_cells, parse_enrichment, parse_report

VARIABLES: dict[str, VariableType] = {"x_n": "int", "x_t": "string", "x_l": "list", "x_m": "map", "x_d": "double"}


def said(**answer: Any) -> bytes:
    return json.dumps(answer).encode()


def test_nothing_to_say() -> None:
    assert parse_enrichment(b"", VARIABLES) is None
    assert parse_enrichment(b"{}", VARIABLES) == Enrichment()
    assert parse_cells(b"") is None
    assert parse_report(b"") == Report()


def test_an_enrichment() -> None:
    redact = [{"path": "url", "value": "*"}, {"text": "abc"}]
    values = {"x_n": 1, "x_t": "t", "x_l": ["a"], "x_m": {"a": "b"}, "x_d": 1}
    found = parse_enrichment(said(drop=False, tags=["a"], set=values, redact=redact), VARIABLES)
    assert found == Enrichment(False, ("a",), values, (Redaction("url", value="*"), Redaction(text="abc")))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"{", "not an enrichment"),
        (b"\xff", "not an enrichment"),
        (b"[" * 100_000, "not an enrichment"),
        (said(redacted=[]), "unknown field"),
        (said(tags=[""]), "tags"),
        (said(tags=["x"] * 65), "tags"),
        (said(set={"y": 1}), "'y' is not declared"),
        (said(set={"x_n": "1"}), "x_n is declared int"),
        (said(set={"x_n": 1 << 63}), "fit"),
        (said(set={"x_l": [1]}), "x_l is declared list"),
        (said(redact=[{}]), "one of path and text"),
        (said(redact=[{"path": "a", "text": "b"}]), "one of path and text"),
        (said(redact=[{"path": "a"}] * 1001), "redactions"),
    ],
)
def test_a_wrong_enrichment(answer: bytes, reason: str) -> None:
    with pytest.raises(AnswerError, match=reason):
        parse_enrichment(answer, VARIABLES)


def test_cells_and_reports() -> None:
    cells = parse_cells(said(method="GET", statusQuery="status == 1", status=1))
    assert cells is not None
    assert (cells["method"], cells["methodQuery"], cells["status"]) == ("GET", "", 1)
    assert parse_report(said(error="no\x1b[0m", log=["a\nb"])) == Report("no [0m", ("a b",))
    for parse in (parse_cells, parse_report):
        with pytest.raises(AnswerError):
            parse(said(status="many"))


@given(st.binary(max_size=200))
def test_any_bytes(answer: bytes) -> None:
    for parse in (lambda text: parse_enrichment(text, VARIABLES), parse_cells, parse_report):
        with suppress(AnswerError):
            parse(answer)
