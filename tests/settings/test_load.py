from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark._document import MAX_BYTES
from kubeshark.errors import UsageError
from kubeshark.settings import Settings, keys, load
from kubeshark.settings._ignored import NOT_READ


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "kubeshark.yaml"
    file.write_text("tap:\n  regex: cart\n  namespaces: [shop]\nstore:\n  path: /from/file\n  url: s3://from/file\n")
    return file


def test_without_anything_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = load(environ={})
    assert loaded.settings == Settings() and set(loaded.sources.values()) == {"default"} and loaded.path is None
    assert not loaded.is_given("tap.regex")


def test_who_wins_and_who_is_named(file: Path) -> None:
    environ = {"KUBESHARK_STORE": "/from/environment", "KUBESHARK_IDENTITY": "/id.age"}
    flags = {"store.path": "/from/flag", "tap.regex": "flag"}
    loaded = load(file, environ, ["tap.regex=set"], flags)
    store = loaded.settings.store
    assert (loaded.settings.tap.regex, store.path, store.url) == ("set", "/from/flag", "")
    assert loaded.settings.tap.namespaces == ("shop",)
    sources = loaded.sources
    assert sources["tap.regex"] == "--set" and sources["store.path"] == "flag"
    assert sources["tap.namespaces"] == f"{file}:3"
    assert sources["store.identityFile"] == "environment KUBESHARK_IDENTITY"
    assert sources["tap.tls"] == "default" and loaded.is_given("tap.regex") and loaded.path == file
    assert load(file, {}).settings.store.url == "s3://from/file"
    assert load(file, {"KUBESHARK_STORE": "s3://e/x"}).settings.store.url == "s3://e/x"


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    for text, said in (
        (b"a: 1\n---\nb: 2\n", "one document"),
        (b"- a\n", "must be a mapping, this is a list"),
        (b"\xff", "not UTF-8"),
    ):
        file.write_bytes(text)
        with pytest.raises(UsageError, match=said):
            load(file, {})
    file.write_bytes(b"#" * (MAX_BYTES + 10))
    with pytest.raises(UsageError, match="at most"):
        load(file, {})
    file.write_bytes(b"# nothing but a comment\n")
    assert load(file, {}).settings == Settings()


def test_warnings_come_along(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("tap: {regexp: a}\n")
    assert load(file, {}, ["license=x"]).warnings == (
        f"{file}:1: tap.regexp is unknown and ignored: did you mean tap.regex?",
        "--set license has no effect here",
    )


def test_known_keys_that_nothing_reads_are_said(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("tap:\n  strictPorts: true\n  enabledDissectors: []\n  misc: {tcpFlowTimeout: 1200}\n")
    loaded = load(file, environ={}, overrides=["tap.misc.trafficSampleRate=10", "tap.misc.detectDuplicates=false"])
    assert loaded.warnings == (
        f"{file}:2: tap.strictPorts has no effect here",
        "--set tap.misc.trafficSampleRate has no effect here",
    )


def test_they_are_keys() -> None:
    assert keys().keys() >= NOT_READ
