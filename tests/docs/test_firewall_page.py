"""The page about the firewall is executed: its commands and its program print what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store import default_node
from kubeshark.firewall import DocumentError, parse_policies


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "firewall.md").read_text("utf-8")


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return re.sub(rf"Z-{re.escape(default_node())}-(?=\d{{4}}-)", "Z-lab-", done.stdout).rstrip()


def test_commands_and_program(page: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(root / "examples")
    blocks = re.findall(r"<!-- tested -->\n```console\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, expected = command.partition("\n")
            name, *arguments = shlex.split(line)
            assert name == "kubeshark"
            assert run("-m", "kubeshark", *arguments, folder=tmp_path) == expected.rstrip(), line
    [(program, expected)] = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", page, re.DOTALL)
    assert run("-c", program, folder=tmp_path) == expected.rstrip()


def test_the_policy_is_that_of_the_example(page: str, root: Path) -> None:
    [policy] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert policy == (root / "examples" / "firewall" / "web.yaml").read_text()


def test_the_error_is_a_real_one(page: str, root: Path) -> None:
    said = re.search(r"kubeshark: (web\.yaml:.*)", page)
    assert said
    policy = (root / "examples" / "firewall" / "web.yaml").read_text()
    with pytest.raises(DocumentError) as refused:
        parse_policies(policy.replace("action: Audit", "action: Drop").encode(), "web.yaml")
    assert str(refused.value) == said[1]
