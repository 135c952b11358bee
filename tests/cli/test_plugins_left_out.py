"""Plugins and scripts that cannot do what they should: everything else is shown, and who it was is said, with rc 3."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from _command import kubeshark

MANIFEST = """
id = "reader"
version = "1.0.0"
abi = 1
language = "js"
entry = "reader.js"
hooks = ["{hook}"]
"""
HOOKS = {
    "filter": ('[[filters]]\nname = "read_it"\nreads = ["{name}"]\n', "filter() { return true; }"),
    "summarize": ('[summarize]\nreads = ["{name}"]\n', "summarize() { return { method: 'x' }; }"),
    "enrich": ('[enrich]\nreads = ["{name}"]\n', "enrich() { return null; }"),
}
PYTHON = """
from kubeshark.extension_api import Classifier, Message, MessageKind, ProtocolSpec, hookimpl

@hookimpl
def protocols():
    return [ProtocolSpec("odd", "ODD", "Odd", priority=0, classifiers=[Classifier("tcp", (8080, 80))])]

@hookimpl
def dissect(streams, protocol):
    def detail():
        raise SystemExit(7)
    return [[Message(MessageKind.EVENT, 0, 0, 1, detail=detail)] for _ in streams]

@hookimpl
def render(entry):
    raise RuntimeError("boom")
"""


@pytest.mark.parametrize(("hook", "name"), [("filter", "document"), ("summarize", "hots"), ("enrich", "hots")])
def test_a_variable_that_does_not_exist(hook: str, name: str, sample: Path, tmp_path: Path) -> None:
    source = tmp_path / "reader"
    source.mkdir()
    table, code = HOOKS[hook]
    (source / "plugin.toml").write_text(MANIFEST.format(hook=hook) + table.format(name=name))
    (source / "reader.js").write_text(f"kubeshark.plugin({{ {code} }});\n")
    environment = {"KUBESHARK_PLUGINS": str(tmp_path / "plugins")}
    assert kubeshark("plugin", "install", source, "--allow-unsigned", "--yes", **environment).returncode == 0
    done = kubeshark("dissect", sample, "--filter", "http", "--output", "jsonl", **environment)
    assert done.returncode == 3, done.stderr
    assert f"plugin reader@1.0.0: {hook} " in done.stderr and f"reads '{name}'" in done.stderr
    assert done.stderr.count("there is no such variable") == (2 if hook == "enrich" else 1)  # and what it cost
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows
    assert all("withheld" in str(row["error"]) for row in rows) == (hook == "enrich")
    if hook == "filter":
        done = kubeshark("dissect", sample, "--filter", "http && read_it()", **environment)
        assert done.returncode == 2
        assert "unknown filter read_it" in done.stderr or "unknown function read_it" in done.stderr
        assert "plugin reader@1.0.0: filter read_it() reads 'document'" in done.stderr


def test_show_and_follow_name_a_plugin_that_fails(sample: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "odd-1.0.dist-info").mkdir(parents=True)
    (package / "odd-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (package / "odd-1.0.dist-info" / "entry_points.txt").write_text("[kubeshark.plugins]\nodd = odd\n")
    (package / "odd.py").write_text(PYTHON)
    environment = {"PYTHONPATH": str(package)}
    store = ("--store", tmp_path / "store")
    assert kubeshark("import", sample, *store).returncode == 0
    asked = kubeshark("query", "odd", "--fields", "id", "--output", "jsonl", "--limit", "1", *store, **environment)
    entry_id = json.loads(asked.stdout)["id"]
    command = ("query", "odd", "--follow", "--since", "2000-01-01", "--limit", "1", "--output", "jsonl")
    followed = kubeshark(*command, *store, **environment)
    assert followed.returncode == 3 and "plugin odd in dissect: detail: " in followed.stderr, followed.stderr
    for form, hook in (
        ("json", "dissect: detail: raised SystemExit: 7"),
        ("text", "render: raised RuntimeError: boom"),
    ):
        done = kubeshark("show", entry_id, "--output", form, *store, **environment)
        assert done.returncode == 3, done.stderr
        assert done.stdout
        assert f"plugin odd in {hook}" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [("for (;;);", "withholds entries"), ("throw new Error('no')", "throws in onItemQueried"), ("}", "is left out")],
)
def test_a_script_that_fails_is_named(code: str, said: str, sample: Path, tmp_path: Path) -> None:
    scripts, store = tmp_path / "scripts", ("--store", tmp_path / "store")
    scripts.mkdir()
    (scripts / "odd.js").write_text(f"function onItemQueried(data) {{ {code} }}\n")
    (tmp_path / "scripts.toml").write_text(f'source = "{scripts}"\n')
    assert kubeshark("import", sample, *store).returncode == 0
    environment = {"KUBESHARK_SCRIPTS": str(tmp_path / "scripts.toml")}
    asked = kubeshark("query", "http", "--fields", "id", "--output", "jsonl", *store, **environment)
    entry_id = json.loads(asked.stdout.splitlines()[0])["id"]
    shown = kubeshark("show", entry_id, *store, **environment)
    exported = kubeshark("export", "http", "-o", tmp_path / "out.har", *store, **environment)
    for done in (asked, shown, exported):
        assert done.returncode == 3, done.stderr
        assert f"script odd {said}" in done.stderr, done.stderr
