"""A KFL error points at its place, whatever the text holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl._errors import MAX_MESSAGE, PICTURE_WIDTH, KflError, line_and_column, text_error


def test_a_place_in_the_second_line() -> None:
    error = text_error("http &&\n  nope", 10, "unknown", hint="look")
    assert (error.line, error.column, error.hint) == (2, 3, "look")
    assert error.message == "line 2, column 3: unknown"
    assert error.picture == "  nope\n  ^"


def test_only_newlines_end_lines() -> None:
    assert line_and_column("a\r\v\u2028b", 4) == (1, 5)


@given(st.text(), st.integers(-5, 500), st.text())
def test_any_place_of_any_text(text: str, offset: int, message: str) -> None:
    error = text_error(text, offset, message, hint=message)
    assert isinstance(error, KflError)
    assert 1 <= error.line <= text.count("\n") + 1
    shown, caret = error.picture.split("\n")
    assert all(char.isprintable() for char in shown)
    assert len(shown) <= PICTURE_WIDTH
    assert caret.strip() == "^"
    assert len(caret) <= PICTURE_WIDTH + 1
    assert str(error).isprintable()
    assert len(error.hint) <= MAX_MESSAGE + 1


def test_a_long_line_is_shown_around_the_caret() -> None:
    error = text_error("a" * 500 + "X" + "b" * 500, 500, "here")
    shown, caret = error.picture.split("\n")
    assert shown[caret.index("^")] == "X"
