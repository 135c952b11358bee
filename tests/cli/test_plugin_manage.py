"""Settings, switches, jobs and hooks of installed plugins, as a user types them: a real plugin in its sandbox."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kubeshark.cli import main


@pytest.fixture
def plugins(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "identity.age"))
    assert run("install", root / "tests" / "hosts" / "hooks" / "js", "--allow-unsigned") == 0
    capsys.readouterr()
    return tmp_path / "plugins"


def run(*arguments: str | Path) -> int:
    return main(["plugin", *map(str, arguments)])


def test_settings(plugins: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("set", "witness") == 0
    shown = capsys.readouterr().out
    assert 'word                 "secret"  (default)' in shown
    assert "what nobody may see" in shown
    assert run("set", "witness", "limit=-1") == 2
    assert "setting limit: -1 is less than 0" in capsys.readouterr().err
    assert run("set", "witness", "colour=red") == 2
    assert "no setting 'colour': there are word, limit, loud" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    assert run("set", "witness", "word=-", "limit=7", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"word": "from stdin", "limit": 7, "loud": False}
    assert run("run-job", "witness", "tick") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["word from stdin, limit 7", "started"]
    assert run("unset", "witness", "limit") == 0
    assert run("unset", "witness", "colour") == 2
    assert run("set", "nobody") == 2
    assert run("info", "witness", "--output", "json") == 0
    assert '"limit": 3' in capsys.readouterr().out
    assert (plugins / "state.json").stat().st_mode & 0o777 == 0o600


def test_settings_reach_a_query(plugins: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ("--fields", "url,tags,witness_word", "--limit", "1", "--output", "jsonl")
    assert run("set", "witness", "word=orders", "loud=yes") == 0
    capsys.readouterr()
    query = 'http && url.contains("redacted") && witness_seen'
    assert main(["dissect", str(sample), "--filter", query, *fields]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert (shown["tags"], shown["url"].startswith("/[redacted]")) == (["seen"], True)
    assert shown["witness_word"] == "orders"
    assert main(["dissect", str(sample), "--filter", 'url.contains("orders")', *fields]) == 0
    assert capsys.readouterr().out == ""


def test_settings_that_the_plugin_refuses_hide_the_content(
    plugins: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("set", "witness", "word=refuse") == 0
    capsys.readouterr()
    assert (
        main(["dissect", str(sample), "--filter", "http", "--fields", "url", "--output", "jsonl", "--limit", "2"]) == 3
    )
    done = capsys.readouterr()
    assert done.out == '{"url":""}\n' * 2
    assert "are shown without their content" in done.err
    assert "refuses its settings: that word is taken" in done.err
    assert run("list") == 0
    assert "quarantined" in capsys.readouterr().out
    assert run("enable", "witness") == 0
    assert run("list") == 0
    assert "quarantined" not in capsys.readouterr().out


def test_a_damaged_redactor_hides_the_content(plugins: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plugins / "witness" / "1.0.0" / "plugin.toml").write_text("id = 3")
    assert (
        main(["dissect", str(sample), "--filter", "http", "--fields", "url", "--output", "jsonl", "--limit", "1"]) == 3
    )
    done = capsys.readouterr()
    assert done.out == '{"url":""}\n'
    assert "plugin witness@1.0.0 in enrich" in done.err


def test_disable_and_enable(plugins: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ("--filter", "http", "--fields", "tags", "--output", "jsonl", "--limit", "1")
    assert run("disable", "witness") == 0
    assert "from now on they are shown as they are" in capsys.readouterr().err
    assert run("list") == 0
    assert capsys.readouterr().out.rstrip().endswith("disabled")
    assert main(["dissect", str(sample), *fields]) == 0
    assert json.loads(capsys.readouterr().out) == {"tags": []}
    assert run("enable", "witness") == 0
    capsys.readouterr()
    assert main(["dissect", str(sample), *fields]) == 0
    assert json.loads(capsys.readouterr().out) == {"tags": ["seen"]}
    assert run("disable", "nobody") == 2


def test_jobs(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run-job", "witness") == 0
    idle, tick = capsys.readouterr().out.splitlines()
    assert idle.split()[:7] == ["idle", "0", "0", "0", "1", "1", "*"]
    assert "next 20" in tick
    assert run("run-job", "witness", "tick") == 0
    assert "tick 1" in capsys.readouterr().out
    assert run("run-job", "witness", "never") == 2
    assert run("run-job", "nobody") == 2


def test_hooks(plugins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("hooks") == 0
    shown = capsys.readouterr().out
    assert "packet_filter    capture      1 plugins  Keep, drop or mark packets" in shown
    assert run("hooks", "start") == 0
    assert capsys.readouterr().out.rstrip().endswith("witness@1.0.0")
    assert run("hooks", "enrich", "--output", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["number"], row["shape"], row["plugins"]) == (5, "texts", ["witness@1.0.0"])
    assert run("hooks", "guess") == 2


def test_an_import_asks_packet_filters_and_tells_of_segments(
    plugins: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sample's packets are Ethernet that begins with neither 0xaa nor 0xdd: all are kept."""
    assert main(["import", str(sample), "--store", str(tmp_path / "store"), "--output", "json"]) == 0
    totals = json.loads(capsys.readouterr().out)
    assert (totals["packets"], totals["dropped"], totals["segments"]) == (1360, 0, 1)
