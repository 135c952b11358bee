"""Documents from outside: positions in every error, and hostile ones end at once."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubeshark._document import MAX_BYTES, DocumentError, Listing, Mapping, Scalar, read_documents
from kubeshark.errors import KubesharkError
from tests.firewall._policies import SHOP


def test_nodes_know_where_they_are() -> None:
    [node] = read_documents(b"a: 1\nb:\n  - 'x'\n", "f.yaml")
    assert isinstance(node, Mapping)
    (_, one), (_, listing) = node.fields
    assert isinstance(one, Scalar) and (one.text, one.is_quoted, one.place.line, one.place.column) == ("1", False, 1, 4)
    assert isinstance(listing, Listing) and isinstance(listing.items[0], Scalar) and listing.items[0].is_quoted


def test_documents_of_one_file_and_empty_ones() -> None:
    assert len(read_documents(b"---\na: b\n---\n---\nc: d\n", "f")) == 2
    assert read_documents(b'{"a": [1, "b"]}', "f.json")


HOSTILE = {
    "no UTF-8": (b"ok: 1\n  \xff", "f:2:3: not UTF-8"),
    "deep": (b"[" * 400_000, "f:1:"),
    "bomb": (b"a: &a [x]\nb: [*a, *a]\n", "f:1:4: anchors"),
    "alias alone": (b"b: *a\n", "aliases are not taken"),
    "too large": (b"x" * (MAX_BYTES + 1), "at most 524,288"),
    "many": (b"- [1,2,3,4,5]\n" * 30_000, "more than 60,000 values"),
    "wide": (b"{" + b"a" * (MAX_BYTES - 2) + b"}", "f:1:"),
    "tag": (b"!!python/object/apply:os.system ['ls']", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
    "null byte": (b"a: \x00", "not YAML"),
    "not YAML": (b"a: b: c", "f:1:5: not YAML"),
    "twice": (b"a: 1\na: 2\n", "f:2:1: 'a' is given twice"),
    "a list as name": (b"? [a]\n: b", "a field's name is a text"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_at_once(name: str) -> None:
    data, said = HOSTILE[name]
    began = time.process_time()
    if name == "wide":
        read_documents(data, "f")  # one long name is harmless
    else:
        with pytest.raises(DocumentError) as refused:
            read_documents(data, "f")
        assert said in str(refused.value)
        assert len(str(refused.value)) < 300
    assert time.process_time() - began < 5  # of CPU: ten times what it takes, and no more for what is larger


@given(st.binary(max_size=200) | st.text("{}[]:,-&*!|>'\"#%@ \n\tabc01", max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        read_documents(data, "f")
    except KubesharkError as error:
        assert error.exit_code == 2


def test_the_reader_in_python_says_the_same_of_smaller_files(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_documents(SHOP.encode(), "f")
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert read_documents(SHOP.encode(), "f") == whole
    with pytest.raises(DocumentError, match="at most 131,072 without libyaml"):
        read_documents(b"x" * 140_000, "f")
