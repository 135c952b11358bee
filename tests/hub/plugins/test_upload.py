"""A package sent by a browser: shown first, then installed, and only what was shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.hub._serving import Hub, entries, path


def test_a_package_is_shown_then_installed_and_used(own_hub: Hub, root: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "shout").mkdir()
    (folder / "plugin.toml").write_text(
        'id = "shout"\nversion = "1.0.0"\nabi = 1\nlanguage = "js"\nentry = "main.js"\nhooks = ["filter"]\n'
        '[permissions]\nenv = ["SHOUT"]\n[[filters]]\nname = "is_loud"\nreads = ["method"]\n'
    )
    (folder / "main.js").write_text("kubeshark.plugin({ filters: { is_loud: (_, method) => method === 'POST' } });")
    command = [sys.executable, "-m", "kubeshark", "plugin", "pack", folder, "-o", package := tmp_path / "shout.ksp"]
    subprocess.run(command, env={"HOME": str(own_hub.home), "PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    data = package.read_bytes()
    sheet = json.loads(own_hub.ask("POST", "/api/v1/plugins", data).body)
    assert (sheet["id"], sheet["missing"], sheet["installed"]) == ("shout", {"env": ["SHOUT"]}, False)
    assert sheet["doubt"]
    assert own_hub.get("/api/v1/plugins/shout").status == 404  # looked at, not installed
    asked = {"install": True, "digest": sheet["digest"], "grant": "env=SHOUT"}
    assert own_hub.ask("POST", path("plugins", **asked), data).status == 409  # nobody trusted signed it
    agreed = path("plugins", **asked, allow_unsigned=True)
    assert own_hub.ask("POST", agreed.replace(sheet["digest"], "0" * 64), data).status == 422  # not what was shown
    installed = json.loads(own_hub.ask("POST", agreed, data).body)
    assert installed["installed"]
    assert own_hub.json("/api/v1/plugins/shout")["granted"] == {"env": ["SHOUT"]}
    expected = len(entries(own_hub, 'http && method == "POST"'))
    assert own_hub.json(path("query/count", kfl="http && is_loud()"))["entries"] == expected > 0
    assert own_hub.json("/api/v1/plugins/shout")["calls"] > 0
    assert own_hub.ask("POST", "/api/v1/plugins/shout/disable").status == 200
    assert not own_hub.json(path("query/check", kfl="is_loud()"))["ok"]
    assert own_hub.ask("POST", "/api/v1/plugins/shout/enable").status == 200
    assert own_hub.json(path("query/check", kfl="is_loud()"))["ok"]
    assert own_hub.ask("PUT", "/api/v1/plugins/shout/settings", {"nothing": 1}).status == 400
    assert own_hub.ask("DELETE", "/api/v1/plugins/shout").status == 204
    for wrong in (b"", b"PK\x03\x04" + bytes(100), data[:-1], data + b"x"):
        assert own_hub.ask("POST", "/api/v1/plugins", wrong).status in (400, 422)
