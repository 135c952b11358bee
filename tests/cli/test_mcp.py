"""kubeshark mcp: what it prints for people and clients, without serving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.cli import main


def test_the_tools_are_listed_without_a_store(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", "--list-tools"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"captures", "query", "entry", "service_map"} <= {line.split()[0] for line in lines}
    assert main(["mcp", "--list-tools", "--output", "json"]) == 0
    tools = json.loads(capsys.readouterr().out)
    assert len(tools) == len(lines)
    assert all(tool["annotations"]["readOnlyHint"] and tool["inputSchema"] for tool in tools)


def test_a_client_is_told_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBESHARK_IDENTITY", "/keys/identity.age")
    assert main(["mcp", "--mcp-config", "--store", "captures", "--no-redact"]) == 0
    entry = json.loads(capsys.readouterr().out)["mcpServers"]["kubeshark"]
    assert entry["args"][-4:] == ["mcp", "--store", str(tmp_path / "captures"), "--no-redact"]
    assert Path(entry["command"]).is_absolute()
    assert entry["env"] == {"KUBESHARK_IDENTITY": "/keys/identity.age"}
    assert main(["mcp", "--mcp-config", "--store", "s3://bucket/lab"]) == 0
    assert "s3://bucket/lab" in json.loads(capsys.readouterr().out)["mcpServers"]["kubeshark"]["args"]
