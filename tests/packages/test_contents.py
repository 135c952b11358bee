"""Names that a plugin may not have, whoever made folder or package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubeshark.errors import PluginRejected
from kubeshark.packages import _contents
from kubeshark.packages._contents import Names, content_digest, copy_files, folder_files, hash_file


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../escape", "leaves the plugin's folder"),
        ("lib/../../escape", "leaves the plugin's folder"),
        ("/etc/passwd", "leaves the plugin's folder"),
        ("lib//x", "leaves the plugin's folder"),
        ("./x", "leaves the plugin's folder"),
        ("", "is empty"),
        ("..\\escape", "has a character"),
        ("C:x", "has a character"),
        ("x.js:stream", "has a character"),
        ("nul\0byte", "has a character"),
        ("line\nbreak", "has a character"),
        ("right\u202eleft", "has a character"),
        ("e\u0301.js", "is not in Unicode's form NFC"),
        (".git/config", "is hidden, or of a tool"),
        ("node_modules/x.js", "is hidden, or of a tool"),
        ("CON", "not every system"),
        ("lib/aux.js", "not every system"),
        ("x.", "not every system"),
        ("x ", "not every system"),
        ("SHA256SUMS", "kept for the hashes"),
        ("sha256sums", "kept for the hashes"),
        ("x" * 1025, "too long"),
        ("/".join("x" * 33), "too deep"),
    ],
)
def test_hostile_names(name: str, reason: str) -> None:
    with pytest.raises(PluginRejected, match=reason):
        Names("demo").check(name)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a.js", "a.js", "is there twice"),
        ("a.js", "A.JS", "in case only"),
        ("straße.js", "STRASSE.js", "in case only"),
        ("lib", "lib/a.js", "a file and a folder"),
        ("lib/a.js", "LIB", "a file and a folder"),
    ],
)
def test_two_names_that_can_become_one_file(first: str, second: str, reason: str) -> None:
    names = Names("demo")
    names.check(first)
    with pytest.raises(PluginRejected, match=reason):
        names.check(second)


def test_absurd_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_contents, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.js").write_text("")
    with pytest.raises(PluginRejected, match="more than 3 files"):
        folder_files(tmp_path, "demo")
    names = Names("demo")
    with pytest.raises(PluginRejected, match="more than 3 files"):
        for number in range(4):
            names.check(f"{number}.js")


def test_a_folder_is_copied_without_what_is_hidden(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("lib/a.js", ".git/config", "node_modules/x/index.js", "__pycache__/a.pyc", "b.js"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    target.mkdir()
    hashes = copy_files(source, target, "demo")
    assert hashes == {name: hash_file(target / name) for name in ("b.js", "lib/a.js")}
    assert folder_files(target, "demo") == ["b.js", "lib/a.js"]


def test_links_special_files_and_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(PluginRejected, match="a is a link"):
        folder_files(tmp_path, "demo")
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    with pytest.raises(PluginRejected, match="a is neither file nor folder"):
        folder_files(tmp_path, "demo")
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_bytes(bytes(100))
    monkeypatch.setattr(_contents, "MAX_BYTES", 99)
    (tmp_path / "target").mkdir()
    with pytest.raises(PluginRejected, match="has more than"):
        copy_files(tmp_path, tmp_path / "target", "demo")


def test_the_digest_tells_names_and_contents_apart() -> None:
    base = {"a": "1" * 64, "b": "2" * 64}
    others = [{"a": "2" * 64, "b": "1" * 64}, {"a": "1" * 64}, {"a": "1" * 64, "c": "2" * 64}]
    assert content_digest(base) == content_digest(dict(reversed(base.items())))
    assert len({content_digest(files) for files in (base, *others)}) == 4
