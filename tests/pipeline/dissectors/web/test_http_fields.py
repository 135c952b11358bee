"""Header fields: the lines of HTTP/1 in C and in Python, repeated, folded and foreign ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web import _http_fields
from kubeshark.pipeline.dissectors.web._http_fields import Fields, fields_of, read_fields
from kubeshark.pipeline.tables._objects import native

needs_native = pytest.mark.skipif(
    native is None, reason="needs the objects in C: apt-get install gcc python3-dev, then make setup"
)

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"Host: h", b"host:i", b"Set-Cookie: a=b", b"A" * 65 + b": x", b": no name", b"no colon", b" fold"]
        ),
        st.binary(max_size=12),
        st.text("aA:-_ \t\r\x0b\x1f\xa0\u0130", max_size=8).map(str.encode),
    ),
    max_size=6,
)


def in_python(block: bytes) -> Fields:
    return fields_of(_http_fields._pairs(block))


def test_names_are_shown_as_first_spelt_and_known_in_lower_case() -> None:
    assert read_fields(b"Host:  h \r\nX-A:\r\nno colon\n\r\n") == (
        {"Host": "h", "X-A": "", "no colon": ""},
        {"host": "h", "x-a": "", "no colon": ""},
    )


def test_what_comes_twice_is_a_list_under_the_first_spelling() -> None:
    fields = read_fields(b"A: 1\r\nb: 2\r\na: 3\r\nCookie: x\r\ncookie: y\r\n\r\n")
    assert fields.shown == {"A": ["1", "3"], "b": "2", "Cookie": ["x", "y"]}
    assert fields.by_name == {"a": "1,3", "b": "2", "cookie": "x; y"}
    assert (fields.values("a"), fields.values("b"), fields.values("c")) == (["1", "3"], ["2"], [])


def test_folded_and_foreign_lines() -> None:
    assert read_fields(b"A: 1\r\n 2\r\n\r\n").shown == {"A": "1 2"}
    assert read_fields(b"\xc3\x89: \xc3\xa9\r\nb: \xff\r\n\r\n").shown == {"É": "é", "b": "ÿ"}


@needs_native
@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r\r\n"]), st.booleans())
def test_what_is_plain_for_c_is_the_same_in_python(lines: list[bytes], ends: bytes, is_ended: bool) -> None:
    assert native is not None
    block = ends.join(lines) + (2 * ends if is_ended else b"")
    found = native.fields(block)
    assert found is None or Fields._make(found) == in_python(block)


@needs_native
@given(st.dictionaries(st.text("abcXYZ-", min_size=1, max_size=9), st.text("az 09;=", max_size=20)))
def test_ordinary_lines_are_plain(fields: dict[str, str]) -> None:
    assert native is not None
    names = {name.lower(): name for name in fields}
    block = b"".join(f"{name}: {fields[name]}\r\n".encode() for name in names.values()) + b"\r\n"
    found = native.fields(block)
    assert found is not None
    assert list(found[0].items()) == [(name, fields[name].strip(" ")) for name in names.values()]
    assert list(found[1]) == list(names)


@needs_native
def test_many_names_and_equal_ones() -> None:
    assert native is not None
    for number in range(2000):
        block = b"X-%d: %d\r\nHost: h\r\n\r\n" % (number, number)
        assert native.fields(block) == (
            {f"X-{number}": str(number), "Host": "h"},
            {f"x-{number}": str(number), "host": "h"},
        )


@needs_native
def test_every_document_gets_maps_of_its_own() -> None:
    assert native is not None
    shown, by_name = native.fields(b"a: 1\r\n\r\n")
    assert shown == by_name and shown is not by_name


@needs_native
def test_what_is_no_buffer_is_refused() -> None:
    assert native is not None
    with pytest.raises(TypeError):
        native.fields("a: b")


def test_without_c_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_fields, "native", None)
    assert read_fields(b"A: 1\r\n\r\n") == ({"A": "1"}, {"a": "1"})
