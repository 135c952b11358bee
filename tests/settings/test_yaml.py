"""What is written reads back as the same settings, and the same settings are the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.settings import Settings, load, to_yaml
from kubeshark.settings._load import build


def back(text: str, folder: Path) -> Settings:
    file = folder / "f.yaml"
    file.write_text(text)
    loaded = load(file, {})
    assert loaded.warnings == ()
    return loaded.settings


def test_defaults_read_back(tmp_path: Path) -> None:
    for text in (to_yaml(Settings()), to_yaml(Settings(), commented=False)):
        assert back(text, tmp_path) == Settings()
        assert yaml.safe_load(text)["tap"]["regex"] == ".*"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: ":" not in text  # s3://user:password@ is refused, and tested elsewhere
)


@given(texts, st.lists(texts, max_size=20), st.dictionaries(texts, texts, max_size=3))
def test_any_text_reads_back(
    tmp_path_factory: pytest.TempPathFactory, text: str, many: list[str], named: dict[str, str]
) -> None:
    values: dict[str, Any] = {"tap.regex": text, "tap.namespaces": tuple(many), "scripting.env": named}
    values["tap.tolerations.hub"] = ({"key": text, "n": 3, "on": True, "none": None, "list": many},)
    settings = build(values)
    folder = tmp_path_factory.getbasetemp()
    again = back(to_yaml(settings), folder)
    assert again == settings
    assert to_yaml(again) == to_yaml(settings)
    assert yaml.safe_load(to_yaml(settings))["tap"]["regex"] == text  # other readers see the same


def test_only_some_keys_and_their_sources() -> None:
    settings = build({"tap.regex": "cart|stock", "tap.storageLimit": "20Gi"})
    text = to_yaml(
        settings, only=["tap.regex", "tap.storageLimit"], sources={"tap.regex": "f:1", "tap.storageLimit": "flag"}
    )
    assert text == (
        "tap:\n"
        "  # Pods to capture: a regular expression (RE2) that their names contain.\n"
        '  regex: "cart|stock"  # f:1\n'
        "  # Captures kept on a node; the oldest segments go first.\n"
        '  storageLimit: "20Gi"  # flag\n'
    )


def test_values_that_may_be_secrets_are_masked() -> None:
    text = to_yaml(build({"scripting.env": {"TOKEN": "hunter2"}}), masked=True, only=["scripting.env"])
    assert "hunter2" not in text and 'TOKEN: "***"' in text


def test_nothing_is_an_empty_mapping() -> None:
    assert to_yaml(Settings(), only=[]) == "{}\n"
