"""Downloads are those of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.hub._serving import Hub, path


def test_exports_are_those_of_the_command(hub: Hub) -> None:
    for format_, kfl in (("pcap", "dns"), ("pcapng", ""), ("har", "http"), ("pcap", "status_code >= 400")):
        answer = hub.get(path("export", format=format_, kfl=kfl))
        command = [sys.executable, "-m", "kubeshark", "export", kfl, "-o", "-", "--format", format_]
        home = {"HOME": str(hub.home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([*command, "--store", hub.store], env=home, capture_output=True, check=True)
        assert answer.body == done.stdout != b""
        assert "attachment" in answer.headers["content-disposition"]
    assert hub.get(path("export", kfl="nonsense &&")).status == 400


def test_a_selection_is_exported(hub: Hub, posted: dict[str, Any]) -> None:
    answer = hub.ask("POST", "/api/v1/export", {"ids": [posted["id"]], "format": "har"})
    assert [each["_id"] for each in json.loads(answer.body)["log"]["entries"]] == [posted["id"]]
    assert hub.ask("POST", "/api/v1/export", {"ids": ["20000101T000000Z-x-0001-0-0"]}).status == 404
