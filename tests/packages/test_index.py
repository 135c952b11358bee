"""A plugin index is somebody's JSON: checked, bounded, and no source of trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._index import IndexEntry, default_index, find, load_index, matches, write_index

DIGEST = "sha256:" + "a" * 64
ENTRY = {"id": "demo", "version": "1.0.0", "language": "js", "source": "demo.ksp", "digest": DIGEST}


def write(path: Path, *entries: dict[str, Any]) -> str:
    path.write_text(json.dumps({"format": 1, "plugins": [ENTRY | entry for entry in entries]}))
    return str(path)


def test_sources_lie_beside_the_index(tmp_path: Path) -> None:
    index = write(tmp_path / "index.json", {}, {"source": "oci://host/demo:1"}, {"source": "https://host/x.ksp"})
    assert [entry.source for entry in load_index(index)] == [
        str(tmp_path / "demo.ksp"),
        "oci://host/demo:1",
        "https://host/x.ksp",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "../x"},
        {"version": "one"},
        {"digest": "a" * 64},
        {"digest": "sha256:short"},
        {"digest": "md5:" + "a" * 64},
        {"signer": "somebody"},
        {"source": "http://host/x.ksp"},
        {"source": "file:///etc/passwd"},
        {"hooks": "dissect"},
    ],
)
def test_entries_are_checked(entry: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PluginRejected, match="is no plugin index"):
        load_index(write(tmp_path / "index.json", entry))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "plugins": []}', '{"plugins": []}', "[" * 100_000, '{"x":' + "[" * 100_000]
)
def test_what_is_no_index(text: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(PluginRejected, match="is no plugin index"):
        load_index(str(tmp_path / "index.json"))


def test_the_index_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBESHARK_PLUGIN_INDEX", raising=False)
    with pytest.raises(UsageError, match="no plugin index is named"):
        default_index()
    monkeypatch.setenv("KUBESHARK_PLUGIN_INDEX", "x.json")
    assert default_index() == "x.json"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_index(str(tmp_path / "x.json"))


def test_the_newest_that_runs_here(tmp_path: Path) -> None:
    versions = ("1.9.0", "1.10.0", "2.0.0-rc.1")
    index = write(tmp_path / "i", *({"version": version} for version in versions), {"version": "3.0.0", "abi": 2})
    entries = load_index(index)
    assert find(entries, "demo").version == "1.10.0"
    assert find(entries, "demo", "2.0.0-rc.1").version == "2.0.0-rc.1"
    with pytest.raises(PluginRejected, match="made for ABI 2, and this is 1"):
        find(entries, "demo", "3.0.0")
    with pytest.raises(UsageError, match=r"no demo 4\.0\.0: there are 1\.9\.0, 1\.10\.0"):
        find(entries, "demo", "4.0.0")
    with pytest.raises(UsageError, match="no plugin 'other'"):
        find(entries, "other")


def test_words() -> None:
    entry = IndexEntry("demo", "1.0.0", "js", "x", DIGEST, ["dissect"], "Shows Fruit")
    assert all(matches(entry, words) for words in ((), ("fruit",), ("DEMO", "js", "dissect")))
    assert not matches(entry, ("fruit", "render"))


def test_writing_replaces_the_same_version(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    first = IndexEntry("b", "1.0.0", "js", "x", DIGEST)
    write_index(path, [first, IndexEntry("a", "1.0.0", "js", "x", DIGEST)])
    write_index(path, [IndexEntry("b", "1.0.0", "js", "y", DIGEST), IndexEntry("b", "0.9.0", "js", "z", DIGEST)])
    assert [(entry.id, entry.version, Path(entry.source).name) for entry in load_index(str(path))] == [
        ("a", "1.0.0", "x"),
        ("b", "0.9.0", "z"),
        ("b", "1.0.0", "y"),
    ]
    path.write_text("[]")
    with pytest.raises(UsageError, match="is no plugin index"):
        write_index(path, [first])
