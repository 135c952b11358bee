"""The page about Kubeshark scripts is executed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from kubeshark.pipeline.scripts._config import parse_config
from tests.docs.test_tutorial import run_all


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "plugins" / "scripts.md").read_text("utf-8")


def test_the_commands_run(page: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "identity"))
    [script] = re.findall(r"```js\n(.*?)```", page, re.DOTALL)
    (tmp_path / "count.js").write_text(script)
    shutil.copy(root / "examples" / "captures" / "sample.pcapng", tmp_path)
    [block] = re.findall(r"<!-- tested.*? -->\n```console\n(.*?)```", page, re.DOTALL)
    run_all(block, tmp_path)


def test_the_configuration_is_one(page: str) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config = parse_config(text.encode())
    assert config.environment == {"REGION": "eu-west-1"} and config.group == {"Counts entries": "counters"}
