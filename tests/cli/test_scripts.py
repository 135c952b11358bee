"""Scripts from the command line: installed, run over captures, listed, listened to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli._command import kubeshark

COUNT = """// Count things
var counts = {};
function onItemCaptured(data) { counts[data.protocol.name] = (counts[data.protocol.name] || 0) + 1; }
function onItemQueried(data, filter) {
  if (data.protocol.name === "http" && data.response && data.response.status >= 500) return test.fail(data);
}
function onHubAction(action, object) { console.log("\\u001b[31mhub\\u001b[0m", action, object); }
setTimeout(function () { hub.action("counts", counts); }, 0);
jobs.schedule("tell", "* * * * * *", function () { console.log(utils.nodeName() === "hub", "ticks"); });
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {
        "KUBESHARK_PLUGINS": str(tmp_path / "plugins"),
        "KUBESHARK_IDENTITY": str(tmp_path / "identity"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def count(tmp_path: Path) -> Path:
    path = tmp_path / "Count Things.js"
    path.write_text(COUNT)
    return path


def test_a_script_is_installed_listed_and_marks_what_a_query_gives(
    tmp_path: Path, home: dict[str, str], count: Path, sample: Path
) -> None:
    done = kubeshark(
        "plugin", "install", count, "--allow-unsigned", "--grant", "host=a.example", "--grant", "pcap", **home
    )
    assert done.returncode == 0 and done.stdout.startswith("installed count-things 1."), done.stderr
    info = json.loads(kubeshark("plugin", "info", "count-things", "--output", "json", **home).stdout)
    assert info["hooks"] == ["onItemCaptured", "onItemQueried", "onHubAction"]
    assert info["grants"] == {"pcap": ["yes"], "hosts": ["a.example"]}
    assert kubeshark("scripts", **home).stdout == "count-things             Count things\n"

    store = tmp_path / "store"
    done = kubeshark("import", sample, "--store", store, "--scripts", **home)
    assert done.returncode == 0
    assert "Count things hub: true ticks" in done.stderr or "imported" in done.stdout
    done = kubeshark("query", "http && status_code >= 400", "--store", store, "--output", "jsonl", **home)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["response"]["status"] >= 500: row["failed"] for row in rows} == {True: True, False: False}
    kubeshark("plugin", "disable", "count-things", **home)
    done = kubeshark("query", "http && status_code >= 500", "--store", store, "--output", "jsonl", **home)
    assert done.stdout and '"failed":true' not in done.stdout


def test_dissect_and_run_call_the_hooks_once_for_each_entry(tmp_path: Path, home: dict[str, str], sample: Path) -> None:
    path = tmp_path / "once.js"
    path.write_text(
        "// Once\nvar ids = [], packets = 0, times = [], sorted = true;\n"
        "function onPacketCaptured(info) { packets++; }\n"
        "function onItemCaptured(d) { ids.push(d.id); if (d.startTime < times) sorted = false; times = d.startTime; }\n"
        "jobs.schedule('never', '0 0 0 1 1 *', function () {});\n"
        "function onItemQueried(data) { console.log(packets, ids.length, sorted); }\n"
    )
    done = kubeshark("dissect", sample, "--output", "jsonl", **home)
    entries = len(done.stdout.splitlines())
    path.write_text(
        path.read_text().replace("function onItemQueried(data) {", "setTimeout(function () {").rstrip()[:-1]
        + "}, 0);\n"
    )
    path.write_text(
        path.read_text().replace(
            "ids.push(d.id);",
            f"ids.push(d.id); if (ids.length === {entries}) console.log('all', packets, new Set(ids).size, sorted);",
        )
    )
    done = kubeshark("plugin", "run", sample, path, "--limit", "1", **home)
    assert done.returncode == 0, done.stderr
    assert f"Once worker: all 1360 {entries} true" in done.stdout
    assert "Once worker: onPacketCaptured, onItemCaptured" in done.stdout


def test_a_script_that_loads_nowhere_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    path = tmp_path / "bad.js"
    path.write_text("// Bad\nvar a = ;\n")
    done = kubeshark("plugin", "install", path, "--allow-unsigned", **home)
    assert done.returncode == 1
    assert done.stderr == "kubeshark: plugin bad: did not load: bad.js: SyntaxError: Unexpected token ';' 2:9\n"
    path.write_text("// Good\n")
    done = kubeshark("plugin", "install", path, "--allow-unsigned", "--grant", "paths=/etc", **home)
    assert done.returncode == 2 and "there is no permission 'paths' for scripts" in done.stderr


def test_a_bad_configuration_is_one_line(tmp_path: Path, home: dict[str, str], sample: Path) -> None:
    config = tmp_path / "scripts.toml"
    config.write_text("activ = []\n")
    done = kubeshark("dissect", sample, "--scripts", **home, KUBESHARK_SCRIPTS=str(config))
    assert done.returncode == 2 and re.fullmatch(r"kubeshark: .*scripts\.toml: .*activ.*\n", done.stderr)


def test_the_console_of_a_running_process_is_heard(
    tmp_path: Path, home: dict[str, str], count: Path, sample: Path
) -> None:
    assert "no process runs scripts" in kubeshark("console", "--no-follow", **home).stderr
    folder = tmp_path / "source"
    folder.mkdir()
    count.rename(folder / "count.js")
    config = tmp_path / "scripts.toml"
    config.write_text(f'source = "{folder}"\n')
    environment = {**home, "KUBESHARK_SCRIPTS": str(config)}
    store = tmp_path / "store"
    assert kubeshark("import", sample, "--store", store, **home).returncode == 0
    command = [sys.executable, "-m", "kubeshark", "serve", "--store", str(store), "--port", "0"]
    server = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        for _ in range(200):
            heard = kubeshark("console", "--no-follow", "--script", "Count things", **environment).stdout
            if "worker: false ticks" in heard and "hub: true ticks" in heard:
                break
            time.sleep(0.3)
        assert "hub: hub counts {}" in heard, heard  # without colours: this is no terminal
        assert "worker: false ticks" in kubeshark("plugin", "logs", "count", **environment).stdout
        listed = json.loads(kubeshark("scripts", "--output", "json", **environment).stdout)
        assert [row["role"] for row in listed["running"]] == ["worker", "hub"]
        assert listed["running"][0]["jobs"][0]["tag"] == "tell" and listed["running"][0]["jobs"][0]["runs"] > 0

        # a changed file is loaded, a broken one is not
        (folder / "count.js").write_text(COUNT.replace('"ticks"', '"tocks"'))
        for _ in range(200):
            if "tocks" in kubeshark("console", "--no-follow", **environment).stdout:
                break
            time.sleep(0.3)
        (folder / "count.js").write_text("var a = ;")
        for _ in range(200):
            listed = json.loads(kubeshark("scripts", "--output", "json", **environment).stdout)
            if any("the old one goes on" in row["note"] for row in listed["running"]):
                break
            time.sleep(0.3)
        assert all(row["state"] == "loaded" for row in listed["running"])
        assert "the changed file did not load: SyntaxError" in listed["running"][0]["note"]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def test_what_kubeshark_yaml_says_of_scripts_is_over_scripts_toml(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubeshark.cli.options._configured import configuration
    from kubeshark.cli.options._scripts_option import scripts_config

    monkeypatch.chdir(tmp_path)
    configuration.begin(None, [])
    assert scripts_config() is None
    toml = tmp_path / "scripts.toml"
    toml.write_text('timezone = "Europe/Berlin"\nsource = "there"\n')
    monkeypatch.setenv("KUBESHARK_SCRIPTS", str(toml))
    configuration.begin(None, ["scripting.env.TOKEN=x", "scripting.source=here", "scripting.active=one"])
    config = scripts_config()
    assert config is not None
    assert (config.timezone, config.source, config.active) == ("Europe/Berlin", "here", ["one"])
    assert config.env == {"TOKEN": "x"}
    configuration.begin(None, [])
