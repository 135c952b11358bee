"""Statements, parameters and results of databases as sections."""

from __future__ import annotations

from kubeshark.pipeline.renderers._database_sections import numbered, result_table, statement


def test_result_is_drawn_as_text() -> None:
    (section,) = result_table("Rows", [{"name": "id"}, {"name": "name"}], [["1", "one\ntwo"], ["22", None]], 2)
    assert section.title == "Rows"
    assert section.body.split("\n") == ["id | name", "---+--------", "1  | one two", "22 | NULL"]


def test_result_that_was_cut_says_so() -> None:
    (section,) = result_table("Rows", [{"name": "a"}], [["x" * 100]], 7)
    assert section.title == "Rows (1 of 7)"
    assert section.body.split("\n")[2] == "x" * 59 + "…"


def test_rows_without_columns_and_nothing_at_all() -> None:
    (section,) = result_table("Rows", [], [["a"], ["b", {"c": 1}]])
    assert section.body.split("\n") == ["a", 'b | {"c": 1}']
    assert result_table("Rows", [], []) == ()
    (section,) = result_table("Rows", [{"name": "a"}], [])
    assert section.body.split("\n") == ["a", "-"]


def test_parameters_are_numbered() -> None:
    assert numbered([1, "x", None, [2]]) == {"1": 1, "2": "x", "3": "NULL", "4": "[2]"}


def test_statement() -> None:
    (section,) = statement("select 1", "mysql_query")
    assert (section.type, section.body, section.mime_type, section.selector) == (
        "code",
        "select 1",
        "application/sql",
        "mysql_query",
    )
    assert statement("", "mysql_query") == ()
