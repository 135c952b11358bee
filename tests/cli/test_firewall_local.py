"""What the commands ask of the process that enforces: the rest of a set is kept. Traffic: tests/firewall/test_agent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli import _firewall_local as local
from kubeshark.errors import UsageError
from tests.firewall._policies import EVERYBODY, policy

RULES = f"  ingress: [{{name: none, action: Deny, from: {EVERYBODY}}}]"


class Process:
    """In place of the one that enforces."""

    def __init__(self) -> None:
        self.held: dict[str, Any] | None = None

    def ask(self, request: dict[str, Any], **_: object) -> dict[str, Any]:
        issue = self.held["issue"] if self.held else 0
        if request["do"] == "set":
            return {"set": self.held, "issue": issue}
        if request["do"] == "put":
            assert request["replaces"] == issue
            self.held = request["set"]
            return {"generation": 1, "ms": 1.0, "status": {"targets": []}}
        policies = [
            {"name": each["name"], "ttlLeft": each["ttl"] or None}
            for each in (self.held or {"policies": []})["policies"]
        ]
        return {"issue": issue, "failMode": "open", "policies": policies, "targets": []}


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    made = Process()
    monkeypatch.setattr("kubeshark.firewall.enforcement._agent.ask", made.ask)
    return made


def options(*files: Path, **more: Any) -> argparse.Namespace:
    given = dict.fromkeys(("inventory", "attach", "ttl", "confirm_within")) | {
        "file": [],
        "address": [],
        "interface": [],
    }
    given |= {"enforce": False, "default_deny": False, "replace": False, "fail_mode": "open", "xdp": "off"}
    return argparse.Namespace(**{**given, "files": [str(file) for file in files], **more})


def test_apply_keeps_the_others_and_what_they_were_compiled_with(process: Process, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("# why\n" + policy(RULES, name=name, subject="{host: true}"))
    local.apply(options(tmp_path / "a.yaml", interface=["eth7"], ttl="1h", confirm_within="0"))
    answer = local.apply(options(tmp_path / "b.yaml", enforce=True))
    assert answer.confirm_s == 60 and process.held is not None
    assert {each["name"]: (each["ttl"], each["text"][:5]) for each in process.held["policies"]} == {
        "a": (3600, "# why"), "b": (0, "# why"),
    }  # fmt: skip
    [host] = process.held["targets"]
    assert host["devices"] == ["eth7"] and {rule["policy"] for rule in host["rules"]} == {"a", "b"}
    local.delete("a")
    assert [each["name"] for each in process.held["policies"]] == ["b"]
    with pytest.raises(UsageError, match="no policy 'a'"):
        local.delete("a")
    local.apply(options(tmp_path / "a.yaml", replace=True, confirm_within="0"))
    assert [each["name"] for each in process.held["policies"]] == ["a"]
