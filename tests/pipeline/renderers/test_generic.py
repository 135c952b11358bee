"""What a protocol without a renderer of its own looks like."""

from __future__ import annotations

import json

from kubeshark.extension_api import TableRow
from kubeshark.pipeline.renderers import generic

from ._entries import FakeEntry


def test_variables_then_json(entries: dict[str, FakeEntry]) -> None:
    shown = generic.render(entries["plugin"])
    assert shown
    table, code = shown.request
    assert table.rows == (
        TableRow("toy_verb", 'G"ET', "toy_verb"),
        TableRow("toy_object", "a\n\u202e", "toy_object"),
        TableRow("toy_count", -3, "toy_count"),
        TableRow("toy_ok", False, "toy_ok"),
        TableRow("toy_share", 0.5),
        TableRow("toy_tags", "a, b"),
        TableRow('toy_map[k"]', "v\\", 'toy_map["k\\""]'),
        TableRow("toy_payload", "1 bytes"),
    )
    assert json.loads(code.body)["toy_count"] == -3


def test_variables_are_shown_once(entries: dict[str, FakeEntry]) -> None:
    shown = generic.render(entries["dns"])
    assert shown
    assert [section.type for section in shown.request + shown.response] == ["table", "code", "code"]
