from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline.scripts._config import ScriptsConfig, parse_config, read_config

TEXT = b"""
active = ["Count"]
timezone = "Europe/Berlin"
rawMetricNames = true
[env]
REGION = "eu-west-1"
LIMIT = 5
DRY = false
[filter]
Count = "http"
"""


def test_every_key_is_read() -> None:
    config = parse_config(TEXT)
    assert (config.active, config.timezone, config.raw_metric_names) == (["Count"], "Europe/Berlin", True)
    assert config.environment == {"REGION": "eu-west-1", "LIMIT": "5", "DRY": "false"}
    assert config.filter == {"Count": "http"}


def test_without_a_file_everything_runs(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml") == ScriptsConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"activ = []", "unknown field"),
        (b"[env]\nA = []", "got `array`"),
        (b"timezone = 'Nowhere/Town'", "no time zone 'Nowhere/Town'"),
        (b"x = ", "Invalid value"),
    ],
)
def test_a_mistake_is_one_line(text: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_config(text, "scripts.toml")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("scripts.toml: ")
