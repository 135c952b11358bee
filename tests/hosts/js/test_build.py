"""Checking a script: it loads in the sandbox, and does what its manifest says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts.js._build import check


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "examples" / "plugins" / "js" / "beanstalkd", tmp_path / "plugin")
    return tmp_path / "plugin"


def test_a_good_script_passes(folder: Path) -> None:
    check(folder, read_manifest(folder))


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("kubeshark.plugin({ dissect, filters });", r"registers the hooks 0x50, plugin.toml declares 0x158"),
        ("kubeshark.plugin({ probe, dissect, render });", r"filters.beanstalkd_failed is missing"),
        ("", r"registers the hooks 0x0"),
        ("oops", r"beanstalkd.js:\d+:1: ReferenceError: oops is not defined"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, end: str, message: str) -> None:
    script = folder / "beanstalkd.js"
    script.write_text(script.read_text().replace("kubeshark.plugin({ probe, dissect, filters, render });", end))
    with pytest.raises(PluginError, match=message):
        check(folder, read_manifest(folder))
