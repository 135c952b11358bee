"""What lists show of many rows is what each entry says, and columns say it without a dissection where they can."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture import load_core
from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline import CELLS, LINE, SIZE, Pipeline
from tests.pipeline._plugins import Foreign, with_plugins
from tests.pipeline._traffic import make_query
from tests.pipeline.tables._rows import query, traffic

pytestmark = pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core: apt-get install gcc")


def shown(pipeline: Pipeline, name: str) -> list[Any]:
    return [value for run in pipeline.query().runs([name]) for value in run.column(name)]


def test_a_row_is_what_its_entry_says(tmp_path: Path, root: Path) -> None:
    """Of every protocol in the examples, scanned or not; connections too."""
    with Pipeline.open(tmp_path / "store") as pipeline:
        for name in ("sample.pcapng", "shop.pcapng.zst"):
            pipeline.import_file(root / "examples" / "captures" / name)
        entries = list(pipeline.query())
        rows = [entry.row() for entry in entries]
        assert len({row["proto"]["abbr"] for row in rows}) > 10
        cells = [(row["method"], row["status"], row["summary"]) for row in rows]
        assert [tuple(each) for each in shown(pipeline, CELLS)] == cells
        errors = [entry.error.message if entry.error else "" for entry in entries]
        abbrs = [row["proto"]["abbr"] for row in rows]
        lines = [(abbr, error, *each) for abbr, error, each in zip(abbrs, errors, cells, strict=True)]
        assert [tuple(each) for each in shown(pipeline, LINE)] == lines
        assert shown(pipeline, SIZE) == [row["size"] for row in rows]


def test_rows_of_columns_need_no_dissection(dissected: list[int]) -> None:
    runs = list(query("http").runs([CELLS]))
    assert [tuple(cells) for run in runs for cells in run.column(CELLS)] == [
        ("GET", 200, "/a"),
        ("GET", 503, "/a"),
        ("GET", 0, "/a"),
        ("GET", 200, "/a"),
    ]
    assert dissected == []


class _Shouting(Foreign):
    """A plugin that summarizes what it likes of any protocol: it has to be asked about each entry."""

    @hookimpl
    def summarize(self, entry: EntryView) -> Mapping[str, Any] | None:
        if entry.get("status_code") != 503:
            return None
        return {"method": "!", "methodQuery": "", "summary": "!!", "summaryQuery": "", "status": 1, "statusQuery": ""}


def test_a_plugins_summary_comes_before_columns() -> None:
    with with_plugins(shouting=_Shouting()) as plugins:
        runs = list(make_query(traffic().segments(), "http", plugins).runs([CELLS]))
    assert [tuple(cells) for run in runs for cells in run.column(CELLS)][:2] == [("GET", 200, "/a"), ("!", 1, "!!")]


class _OfItsOwn(_Shouting):
    """As an installed plugin with a protocol is."""

    summarizes = "fruit"


def test_a_plugin_with_a_protocol_is_not_asked_about_others(dissected: list[int]) -> None:
    with with_plugins(shouting=_OfItsOwn()) as plugins:
        runs = list(make_query(traffic().segments(), "http", plugins).runs([CELLS]))
    assert [tuple(cells) for run in runs for cells in run.column(CELLS)][:2] == [("GET", 200, "/a"), ("GET", 503, "/a")]
    assert dissected == []
