"""Names of segments, made and taken apart."""

from __future__ import annotations

import pytest

from kubeshark.core_capture.store._store import default_node
from kubeshark.core_capture.store.places._names import check_node, index_names, make_name, number_of, size_of
from kubeshark.errors import UsageError


def test_names() -> None:
    assert make_name(1_700_000_000_999_999_999, "node-a", 7) == "20231114T221320Z-node-a-0007"
    assert make_name(-1, "n", 123_456) == make_name(2**90, "n", 123_456) == "19700101T000000Z-n-123456"
    assert number_of(make_name(0, "a-b-1", 12)) == 12
    for wrong in ("", "x", "20231114T221320Z-node-a-007", "../20231114T221320Z-n-0001", "20231114T221320Z-n/a-0001"):
        assert number_of(wrong) is None


def test_nodes() -> None:
    assert check_node(default_node()) == default_node()
    for wrong in ("", "-a", "a b", "a/b", "x" * 64):
        with pytest.raises(UsageError, match="node name"):
            check_node(wrong)


def test_only_segments_are_listed() -> None:
    name = make_name(0, "n", 1)
    files = [f"{name}.idx.age", f".tmp-{name}.idx.age", f"{name}.pcap.zst.age", "x.idx.age", "catalogue.age"]
    assert index_names(files) == [name]
    assert size_of({f"{name}.idx.age": 3, f"{name}.pcap.zst.age": 40, "store.json": 500}, name) == 43
    assert size_of({}, name) == 0
