"""A plugin that misbehaves costs its own messages: the query ends with everything else, and names it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from _command import kubeshark

MANIFEST = """
id = "faulty"
version = "1.0.0"
abi = 1
language = "js"
entry = "faulty.js"
hooks = ["dissect"]

[protocol]
name = "faulty"
abbr = "FAULTY"
long_name = "A protocol that goes wrong"
ports = [11300]

[[classifiers]]
transport = "tcp"
ports = [11300]

[limits]
batch_ms = 300
memory_mb = 64
"""
FAULTS = {
    "loops": "for (;;) {}",
    "throws": "throw new Error('no')",
    "allocates": "const all = []; for (;;) all.push(new ArrayBuffer(1 << 24))",
    "recurses": "const f = () => f() + 1; f()",
    "lies about offsets": "out.message({kind: 'request', start: 5, end: 1 << 30}); return 1 << 30",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_query_finishes_and_the_plugin_is_named(fault: str, sample: Path, tmp_path: Path) -> None:
    source, plugins = tmp_path / "faulty", tmp_path / "plugins"
    source.mkdir()
    (source / "plugin.toml").write_text(MANIFEST)
    (source / "faulty.js").write_text(f"kubeshark.plugin({{ dissect(item, out) {{ {FAULTS[fault]}; return 0; }} }});\n")
    environment = {"KUBESHARK_PLUGINS": str(plugins)}
    fields = ("--fields", "id,protocol", "--output", "jsonl")
    without = kubeshark("dissect", sample, *fields, **environment)
    installed = kubeshark("plugin", "install", source, "--allow-unsigned", "--yes", **environment)
    assert installed.returncode == 0, installed.stderr
    done = kubeshark("dissect", sample, *fields, **environment)
    assert done.returncode == 3, done.stderr
    assert "faulty@1.0.0" in done.stderr
    assert "Traceback" not in done.stderr

    def others(text: str) -> list[dict[str, str]]:
        rows = [json.loads(line) for line in text.splitlines()]
        return [row for row in rows if row["protocol"] in ("HTTP", "DNS", "ICMP")]

    assert others(done.stdout) == others(without.stdout) != []
