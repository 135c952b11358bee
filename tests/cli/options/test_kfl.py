"""tap.customMacros in the filters of commands, and what is wrong with them said before anything is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli._command import kubeshark

MACROS = "tap: {customMacros: {https: tls and (http or http2), refused: status_code == most, most: '404'}}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_filters_use_them(sample: Path) -> None:
    Path("kubeshark.yaml").write_text(MACROS)
    assert kubeshark("import", sample, "--store", "s").returncode == 0
    plain = kubeshark("query", "http && status_code == 404", "--store", "s", "--output", "jsonl").stdout
    assert plain.count("\n") > 0
    for jobs in ("1", "2"):
        done = kubeshark("query", "http && refused", "--store", "s", "--output", "jsonl", "--jobs", jobs)
        assert (done.returncode, done.stdout, done.stderr) == (0, plain, "")
    dissected = kubeshark("dissect", sample, "--filter", "http && refused", "--output", "jsonl").stdout
    assert len(dissected.splitlines()) == len(plain.splitlines())
    for kfl, name in (("http && status_code == 404", "plain.pcap"), ("http && refused", "macro.pcap")):
        assert kubeshark("export", kfl, "--store", "s", "-o", name).returncode == 0
    assert Path("macro.pcap").read_bytes() == Path("plain.pcap").read_bytes()
    assert json.loads(dissected.splitlines()[0])["response"]["status"] == 404


BAD = {
    "mine=nope == 1": "in macro mine: unknown variable nope",
    "mine=mine && dns": "macro mine uses itself",
    "dns=http": "macro dns has the name of a variable",
    "https=tls": "macro https has the name of a macro of KFL itself",
}


@pytest.mark.parametrize("macro", BAD)
def test_a_wrong_one_is_refused_before_anything_is_read(macro: str, sample: Path) -> None:
    done = kubeshark("dissect", sample, "--set", f"tap.customMacros.{macro}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"kubeshark: {BAD[macro]}")


def test_every_command_with_filters_refuses_it(sample: Path) -> None:
    kubeshark("import", sample, "--store", "s")
    for command in (("query",), ("export", "-o", "x.pcap"), ("serve", "--port", "0"), ("mcp",)):
        done = kubeshark(*command, "--store", "s", "--set", "tap.customMacros.mine=nope == 1")
        assert (done.returncode, done.stdout) == (2, ""), command
        assert done.stderr.startswith("kubeshark: in macro mine: unknown variable nope"), command
    assert not Path("x.pcap").exists()
