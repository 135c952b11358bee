"""tap.globalFilter is added to everybody's filter, an administrator's too, and nothing goes around it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.hub._firewall import ask as ask_firewall
from tests.hub._firewall import example
from tests.hub._serving import Hub, ask_socket, serving
from tests.hub.mcp.test_http import ask
from tests.hub.test_views import token

__all__ = ["example"]  # a fixture


@pytest.fixture(scope="module")
def filtered(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("filtered")
    options = ("--set", "tap.customMacros.names=dns", "--set", "tap.globalFilter=names")
    with serving(home / "store", root, home, options=options) as found:
        yield found


def run(hub: Hub, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kubeshark", *arguments, "--store", str(hub.store)],
        env={"HOME": str(hub.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stored(hub: Hub, kfl: str) -> list[str]:
    """The ids of what is there: whoever holds the identity sees it."""
    return [json.loads(line)["id"] for line in run(hub, "query", kfl, "--output", "jsonl").stdout.splitlines()]


def ids(hub: Hub, kfl: str, as_whom: str | None = None) -> list[str]:
    body = hub.get(f"/api/v1/query?{urlencode({'kfl': kfl, 'limit': 10_000})}", token=as_whom).body
    return [json.loads(line)["id"] for line in body.splitlines()]


@pytest.mark.parametrize("role", ["", "viewer"])
def test_everybody_sees_that_alone(filtered: Hub, role: str) -> None:
    whom = token(filtered, f"some-{role}", "--role", role) if role else None
    names = stored(filtered, "dns")
    assert len(names) > 5 and len(stored(filtered, "http")) > 5
    assert ids(filtered, "http", whom) == []
    assert ids(filtered, "", whom) == ids(filtered, "dns", whom) == ids(filtered, "names", whom) == names
    for path in ("query/count", "query/histogram", "map", "timeline"):
        assert filtered.json(f"/api/v1/{path}?kfl=http", token=whom)["entries"] == 0, path
        assert filtered.json(f"/api/v1/{path}?kfl=", token=whom)["entries"] == len(names), path
    assert filtered.json("/api/v1/map?layer=4", token=whom)["entries"] == 0
    assert filtered.json("/api/v1/query/values?variable=method&kfl=http", token=whom)["values"] == []
    har = filtered.json("/api/v1/export?format=har&kfl=http", token=whom)
    assert har["log"]["entries"] == []
    with filtered.socket(token=whom) as socket:
        everything = ask_socket(socket, 1, "", columns=["id"])
        everything.to_the_end()
        assert sorted(everything.columns["id"]) == sorted(names)
        live = ask_socket(socket, 2, "http", columns=["id"], live=True)
        while live.read() != "live":
            pass
        assert live.columns.get("id", []) == []


def test_no_entry_is_found_by_its_name(filtered: Hub) -> None:
    hidden, shown = stored(filtered, "http")[0], stored(filtered, "dns")[0]
    for rest in ("", "/renderers", "/neighbours", "/raw", "/packets", "/packets/0", "/stream", "/pcap"):
        assert filtered.get(f"/api/v1/entries/{hidden}{rest}").status == 404, rest
        assert filtered.get(f"/api/v1/entries/{shown}{rest}").status == 200, rest
    for form in ("pcapng", "har"):
        chosen = {"ids": [hidden], "format": form}
        assert filtered.ask("POST", "/api/v1/export", chosen).status == 404


def test_packets_are_those_of_what_is_seen(filtered: Hub, tmp_path: Path) -> None:
    sizes = {}
    for kfl in ("", "dns", "http", 'src.ip != "1.2.3.4"'):
        answer = filtered.get(f"/api/v1/export?{urlencode({'kfl': kfl, 'format': 'pcap'})}")
        assert answer.status == 200
        sizes[kfl] = len(answer.body)
    assert sizes["http"] == 24  # the file's header
    assert 24 < sizes[""] == sizes["dns"] == sizes['src.ip != "1.2.3.4"']


def test_other_ways_to_what_was_recorded(filtered: Hub, example: dict[str, str]) -> None:
    trial = {"rules": [{"kind": "header", "match": "host"}], "kfl": "http"}
    assert json.loads(filtered.ask("POST", "/api/v1/settings/redaction/try", trial).body)["looked_at"] == 0
    simulated = ask_firewall(filtered, "POST", "simulate", example)[1]
    assert simulated["flows"] == len({each.rpartition("-")[0] for each in stored(filtered, "dns")})
    assert ask_firewall(filtered, "POST", "simulate", {**example, "kfl": "http"})[1]["flows"] == 0


def test_programs_that_read_by_mcp(filtered: Hub) -> None:
    hidden = stored(filtered, "http")[0]
    names, (count, rows, entry) = ask(
        filtered, filtered.token, ("count", {}), ("query", {"kfl": "http"}), ("entry", {"id": hidden})
    )
    assert count["by_protocol"] == {"DNS": count["entries"]}
    assert rows["rows"] == []
    assert entry.endswith(f": no entry {hidden}")
    assert "captures" not in names  # which adds up the whole store


@pytest.mark.parametrize("command", ["serve", "hub"])
def test_a_wrong_one_is_refused_at_start(filtered: Hub, command: str) -> None:
    done = run(filtered, command, "--port", "0", "--set", "tap.globalFilter=dns && nope == 1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kubeshark: tap.globalFilter: line 1, column 8: ")
