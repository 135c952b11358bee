"""What holds for every renderer and every entry."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from kubeshark.extension_api import HOOKS, Representation, Section, build_manager
from kubeshark.pipeline.renderers import BUILTINS, to_text
from kubeshark.pipeline.renderers._kfl_text import literal

from ._entries import FakeEntry

PLUGINS = [import_module(name) for name in BUILTINS]
RENDERERS = [plugin for plugin in PLUGINS if hasattr(plugin, "render")]  # others only make rows
CELLS = {"method", "methodQuery", "summary", "summaryQuery", "status", "statusQuery"}
PARTS = ("request", "response", "event", "data")


def representations(entry: FakeEntry) -> list[Representation]:
    return [shown for renderer in RENDERERS if (shown := renderer.render(entry=entry))]


def sections(shown: Representation) -> list[Section]:
    return [section for part in PARTS for section in getattr(shown, part)]


def test_they_are_plugins() -> None:
    manager = build_manager(HOOKS)
    for name, renderer in zip(BUILTINS, PLUGINS, strict=True):
        manager.register(renderer, name)
    assert manager.get_hookcallers(RENDERERS[0])


def test_every_cell_has_a_filter_that_selects_its_entry(any_entry: FakeEntry) -> None:
    rows: list[dict[str, Any]] = [row for renderer in PLUGINS if (row := renderer.summarize(entry=any_entry))]
    assert rows
    for row in rows:
        assert row.keys() == CELLS
        for cell in ("methodQuery", "summaryQuery", "statusQuery"):
            assert not row[cell] or any_entry.is_selected_by(row[cell]), row[cell]


def test_every_selector_compiles_and_selects_its_entry(any_entry: FakeEntry) -> None:
    for shown in representations(any_entry):
        for section in sections(shown):
            rows = [(row.selector, row.value) for row in section.rows if row.selector]
            if section.selector and section.type == "body":
                rows.append((section.selector, section.body))
            for selector, value in rows:
                assert value is not None
                assert any_entry.is_selected_by(f"{selector} == {literal(value)}"), selector


def test_text_cannot_steer_a_terminal(any_entry: FakeEntry) -> None:
    for shown in representations(any_entry):
        text = to_text(shown)
        assert all(character.isprintable() or character == "\n" for character in text), repr(text)


def test_the_generic_renderer_gives_way(entries: dict[str, FakeEntry]) -> None:
    for name, entry in entries.items():
        best = max(representations(entry), key=lambda shown: shown.priority)
        assert best.priority == (0 if name == "plugin" else 10)
        assert sections(best)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http", ("POST", 'path == "/a\\"\\\\\\u001b[2J"', 404)),
        ("http response", ("", "", 404)),
        ("dns", ("TXT", '"a\\"\\\\\\\\\\\\027\\\\..test" in dns_questions', 3)),
        ("icmp error", ("3", 'icmp_description == "Destination Unreachable: port unreachable"', 0)),
        ("tcp", ("", "", 0)),
        ("conn", ("open", "", 0)),
        ("plugin", ('G"ET', 'toy_object == "a\\n\\u202e"', 0)),
    ],
)
def test_rows(entries: dict[str, FakeEntry], name: str, expected: tuple[str, str, int]) -> None:
    row = [row for renderer in PLUGINS if (row := renderer.summarize(entry=entries[name]))][-1]
    assert (row["method"], row["summaryQuery"], row["status"]) == expected
