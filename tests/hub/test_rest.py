"""The endpoints beside lists and entries, over a real port: what they answer is what the library says."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dpkt
import pytest

from tests.hub._serving import Hub, serving


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of its own: its store is changed here."""
    home = tmp_path_factory.mktemp("own")
    with serving(home / "store", root, home) as found:
        yield found


def entries(hub: Hub, kfl: str = "", **more: Any) -> list[dict[str, Any]]:
    answer = hub.get(f"/api/v1/query?{urlencode({'kfl': kfl, 'limit': 100_000, 'form': 'entry', **more})}")
    return [json.loads(line) for line in answer.body.splitlines()]


def path(name: str, **parameters: Any) -> str:
    return f"/api/v1/{name}?{urlencode(parameters)}"


# filters


def test_check_says_what_is_wrong_and_where(hub: Hub) -> None:
    assert hub.json(path("query/check", kfl="http && status_code >= 500"))["ok"]
    wrong = hub.json(path("query/check", kfl="http &&\n  ststus_code == 5"))
    assert (wrong["ok"], wrong["line"], wrong["column"]) == (False, 2, 3)
    old = hub.json(path("query/check", kfl="http and response.status == 500"))
    assert old["text"] == "http && status_code == 500"
    assert old["notices"]


def test_counts_and_histograms_add_up(hub: Hub) -> None:
    found = entries(hub, "http || dns")
    assert hub.json(path("query/count", kfl="http || dns"))["entries"] == len(found) > 0
    histogram = hub.json(path("query/histogram", kfl="http || dns", buckets=7))
    expected = Counter(entry["protocol"]["abbr"].partition("/")[0] for entry in found)  # HTTP/2 is HTTP
    assert {name: sum(counts) for name, counts in histogram["series"].items()} == dict(expected)
    assert {len(counts) for counts in histogram["series"].values()} == {7}
    by_status = hub.json(path("query/histogram", kfl="http", by="status"))["series"]
    ok = entries(hub, "http && status_code >= 200 && status_code < 300 && !error")
    assert sum(by_status["2xx"]) == len(ok)


def test_a_histogram_of_a_window_counts_what_the_window_holds(hub: Hub) -> None:
    times = sorted(entry["startTime"] for entry in entries(hub))
    since, until = times[len(times) // 4], times[len(times) // 2]
    histogram = hub.json(path("query/histogram", since=since, until=until, buckets=3))
    assert histogram["entries"] == sum(since <= each <= until for each in times)
    assert sum(map(sum, histogram["series"].values())) == histogram["entries"]


def test_values_are_the_most_frequent_ones(hub: Hub) -> None:
    expected = Counter(entry["request"]["method"] for entry in entries(hub, "http && !error"))
    found = hub.json(path("query/values", variable="method", kfl="http && !error"))
    assert {each["value"]: each["entries"] for each in found["values"]} == dict(expected)
    assert hub.get(path("query/values", variable="nonsense")).status == 404


def test_pages_of_lines_say_where_to_go_on(hub: Hub) -> None:
    first = hub.get(path("query", limit=5, with_cursor=True)).body.splitlines()
    cursor = json.loads(first[-1])["cursor"]
    rest = hub.get(path("query", limit=100_000, cursor=cursor)).body.splitlines()
    ids = [json.loads(line)["id"] for line in [*first[:-1], *rest]]
    assert ids == [entry["id"] for entry in entries(hub)]


def test_completion_knows_the_language(hub: Hub) -> None:
    language = hub.json("/api/v1/kfl")
    assert {"name": "status_code", "type": "int", "section": "http", "heavy": False} in language["variables"]
    assert "inCidr" in {each["name"] for each in language["functions"]}
    assert "http" in {each["flag"] for each in hub.json("/api/v1/protocols")}


# one entry


@pytest.fixture(scope="module")
def posted(hub: Hub) -> dict[str, Any]:
    return next(entry for entry in entries(hub, 'http && method == "POST"') if entry["response"])


def test_bytes_packets_and_stream_agree(hub: Hub, posted: dict[str, Any]) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    request = hub.get(f"{base}/raw?half=request")
    assert request.body.startswith(b"POST ")
    assert len(request.body) == posted["requestSize"]
    stream = hub.json(f"{base}/stream")
    sent = b"".join(b64decode(piece["data"]) for piece in stream["pieces"] if not piece["from_server"])
    assert request.body in sent
    packets = hub.json(f"{base}/packets")
    mine = [packet for packet in packets if packet["of_entry"]]
    carried = b""
    for packet in mine:
        data = hub.get(f"{base}/packets/{packet['number']}").body
        assert len(data) == packet["captured"]
        if not packet["from_server"]:
            carried += data[packet["payload_start"] : packet["payload_end"]]
    assert request.body in carried
    assert hub.get(f"{base}/packets/{len(packets)}").status == 404
    assert hub.json(f"{base}/packets?first=1&limit=2") == packets[1:3]
    assert not hub.json(f"{base}/stream?limit=10")["complete"]


def test_its_connection_is_a_capture(hub: Hub, posted: dict[str, Any], tmp_path: Path) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    answer = hub.get(f"{base}/pcap")
    assert answer.headers["content-type"] == "application/x-pcapng"
    (file := tmp_path / "stream.pcapng").write_bytes(answer.body)
    with file.open("rb") as opened:
        assert len(list(dpkt.pcapng.Reader(opened))) == len(hub.json(f"{base}/packets"))


def test_datagrams_have_packets_too(hub: Hub) -> None:
    entry = entries(hub, 'dns && transport == "udp"')[0]
    packets = hub.json(f"/api/v1/entries/{entry['id']}/packets")
    assert sum(packet["of_entry"] for packet in packets) == 2  # question and answer


def test_neighbours_are_those_of_the_stream(hub: Hub, posted: dict[str, Any]) -> None:
    same = [entry["id"] for entry in entries(hub) if entry["stream"] == posted["stream"]]
    found = hub.json(f"/api/v1/entries/{posted['id']}/neighbours")
    assert found["ids"] == same
    at = same.index(posted["id"])
    assert found["previous"] == (same[at - 1] if at else None)
    assert found["next"] == (same[at + 1] if at + 1 < len(same) else None)


def test_other_renderers_can_be_chosen(hub: Hub, posted: dict[str, Any]) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    offered = hub.json(f"{base}/renderers")
    assert [each["name"] for each in offered] == ["http", "generic"]
    assert [each["chosen"] for each in offered] == [True, False]
    plain = hub.json(f"{base}?renderer=generic")["representation"]
    assert plain != hub.json(base)["representation"]
    assert hub.get(f"{base}?renderer=redis").status == 404


# aggregates


@pytest.mark.parametrize("group", ["host", "pod", "service", "workload", "node", "namespace"])
def test_the_map_adds_up_the_entries(hub: Hub, group: str) -> None:
    found = entries(hub, "http")
    answer = hub.json(path("map", kfl="http", group=group))
    assert sum(edge["calls"] for edge in answer["edges"]) == answer["entries"] == len(found)
    assert sum(edge["bytes"] for edge in answer["edges"]) == sum(entry["size"] for entry in found)
    failed = [entry for entry in found if entry["error"] or (entry["response"] or {"status": 0})["status"] >= 400]
    assert sum(edge["errors"] for edge in answer["edges"]) == len(failed)
    for edge in answer["edges"]:
        of_edge = entries(hub, f"http && {edge['kfl']}")
        assert len(of_edge) == edge["calls"]
        assert edge["latency_us"]["p50"] <= edge["latency_us"]["p99"] <= edge["latency_us"]["max"]
    assert hub.json(path("map", kfl="http", group="host", limit=1))["hidden_edges"] >= 0


def test_the_map_compares_two_times(hub: Hub) -> None:
    times = sorted(round(entry["timestamp"] * 1_000_000) for entry in entries(hub, "http"))
    first, middle, last = times[0], times[len(times) // 2], times[-1] + 10**9
    answer = hub.json(
        path("map", kfl="http", since=middle, until=last, against_since=first, against_until=middle, group="host")
    )
    assert (answer["entries"] + answer["before_entries"]) == len(times)
    assert sum(edge["before"]["calls"] for edge in answer["edges"]) == answer["before_entries"] > 0
    for edge in answer["edges"]:
        expected = {(True, False): "new", (False, True): "gone"}.get((edge["calls"] > 0, edge["before"]["calls"] > 0))
        assert edge["change"] == expected or (expected is None and edge["change"] in ("changed", "same"))
    backwards = path("map", since=last, until=first, against_since=first, against_until=middle)
    assert hub.get(backwards).status == 400


def test_the_map_of_layer_4_adds_up_connections(hub: Hub) -> None:
    answer = hub.json(path("map", layer=4))
    assert answer["entries"] == len(entries(hub, "conn"))


# captures


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


def test_an_import_is_reported_with_what_could_not_be_read(hub: Hub, root: Path) -> None:
    shop = (root / "examples" / "captures" / "shop.pcapng.zst").read_bytes()
    before = hub.json("/api/v1/info")["packets"]
    answer = hub.ask("POST", "/api/v1/imports?name=half", shop[: len(shop) // 2])
    report = json.loads(answer.body)
    assert (report["state"], report["bytes_received"]) == ("done", len(shop) // 2)
    assert any("ends early" in problem for problem in report["problems"])
    assert hub.json("/api/v1/info")["packets"] == before + report["packets"] > before
    assert "half" in {capture["name"] for capture in hub.json("/api/v1/captures")}
    assert hub.json(f"/api/v1/imports/{report['id']}") == report
    refused = hub.ask("POST", "/api/v1/imports?name=../../x", b"this is no capture")
    assert refused.status == 422
    assert json.loads(refused.body)["error"].startswith("x: is neither pcap nor pcapng")


def test_an_import_can_be_stopped_and_a_client_may_go_away(hub: Hub, root: Path) -> None:
    with (root / "examples" / "captures" / "sample.pcapng").open("rb") as file:
        data = file.read()
    for how in ("stop", "leave"):
        connection = http.client.HTTPConnection(hub.address, hub.port, timeout=60)
        connection.putrequest("POST", f"/api/v1/imports?name={how}")
        connection.putheader("Authorization", f"Bearer {hub.token}")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        connection.send(data[: len(data) // 2])
        deadline = time.monotonic() + 60
        running = []
        while not (running and running[0]["bytes_received"]) and time.monotonic() < deadline:
            running = [each for each in hub.json("/api/v1/imports") if each["name"] == how]
        (job,) = running
        assert (job["state"], job["bytes_total"]) == ("running", len(data))
        if how == "stop":
            assert hub.ask("DELETE", f"/api/v1/imports/{job['id']}").status == 200
        connection.close()
        while job["state"] == "running" and time.monotonic() < deadline:
            job = hub.json(f"/api/v1/imports/{job['id']}")
        assert job["state"] == "cancelled"
    assert hub.ask("POST", "/api/v1/imports?name=next", data).status == 200  # nothing is locked


def test_no_upload_lies_on_disk_in_the_clear(hub: Hub, root: Path) -> None:
    data = (root / "examples" / "captures" / "sample.pcapng").read_bytes()
    hub.ask("POST", "/api/v1/imports?name=secret", data)
    for file in (each for each in Path(hub.home).rglob("*") if each.is_file()):
        assert b"robots.txt" not in file.read_bytes(), file


def test_snapshots_come_and_go(hub: Hub) -> None:
    wanted = {"name": "incident", "since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    assert hub.ask("POST", "/api/v1/snapshots", wanted).status == 201
    assert [each["name"] for each in hub.json("/api/v1/snapshots")] == ["incident"]
    pruned = json.loads(hub.ask("POST", "/api/v1/store/prune", {"max_bytes": 0}).body)
    assert pruned["dry_run"] and pruned["segments"] == []
    assert hub.ask("DELETE", "/api/v1/snapshots/incident").status == 200
    assert hub.ask("DELETE", "/api/v1/snapshots/incident").status == 404
    would = json.loads(hub.ask("POST", "/api/v1/store/prune", {"max_bytes": 0}).body)
    assert would["segments"] == [each["name"] for each in hub.json("/api/v1/segments")]
    assert hub.ask("POST", "/api/v1/store/prune", {}).status == 400
    assert json.loads(hub.ask("POST", "/api/v1/store/verify").body)["sound"]


def test_one_capture_is_deleted(hub: Hub) -> None:
    capture = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000") + (
        b"\0" * 8 + b"\x2a\0\0\0" * 2 + bytes(42)
    )
    assert hub.ask("POST", "/api/v1/imports?name=doomed.pcap", capture).status == 200
    before = hub.json("/api/v1/captures")
    (doomed,) = (each for each in before if each["name"] == "doomed.pcap")
    wanted = {"capture": {"name": "doomed.pcap", "sha256": doomed["sha256"]}}
    would = json.loads(hub.ask("POST", "/api/v1/store/prune", wanted).body)
    assert (would["dry_run"], would["packets"]) == (True, 1)
    assert hub.json("/api/v1/captures") == before
    window = {"name": "keep", "since": "1970-01-01T00:00:00Z", "until": "1970-01-02T00:00:00Z"}
    assert hub.ask("POST", "/api/v1/snapshots", window).status == 201
    kept = json.loads(hub.ask("POST", "/api/v1/store/prune", wanted | {"dry_run": False}).body)
    assert (kept["segments"], list(kept["kept_by"])) == ([], ["keep"])
    hub.ask("DELETE", "/api/v1/snapshots/keep")
    done = json.loads(hub.ask("POST", "/api/v1/store/prune", wanted | {"dry_run": False}).body)
    assert done["packets"] == 1
    assert hub.json("/api/v1/captures") == [each for each in before if each != doomed]
    assert hub.ask("POST", "/api/v1/store/prune", wanted).status == 404
    assert hub.ask("POST", "/api/v1/store/prune", wanted | {"max_bytes": 0}).status == 400
    audit = (hub.home / ".kubeshark/hub/audit.jsonl").read_text()
    assert '"action": "delete capture"' in audit
    assert json.loads(hub.ask("POST", "/api/v1/store/verify").body)["sound"]


# the rest


def test_figures_are_prometheus(hub: Hub) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(hub.get("/metrics").body.decode())}
    assert families["kubeshark_queries"].samples[0].value > 0
    assert families["kubeshark_store_packets"].samples[0].value == hub.json("/api/v1/info")["packets"]


def test_plugins_and_health(hub: Hub) -> None:
    builtin = [each for each in hub.json("/api/v1/plugins") if each["builtin"]]
    assert {"dissect"} <= {hook for each in builtin for hook in each["hooks"]}
    assert hub.json("/api/v1/health")["ok"]
    assert hub.json("/api/v1/jobs") == []
    for method, name in (("GET", "nobody"), ("POST", "nobody/enable"), ("DELETE", "nobody")):
        assert hub.ask(method, f"/api/v1/plugins/{name}").status == 404


def test_a_package_is_shown_then_installed_and_used(hub: Hub, root: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "shout").mkdir()
    (folder / "plugin.toml").write_text(
        'id = "shout"\nversion = "1.0.0"\nabi = 1\nlanguage = "js"\nentry = "main.js"\nhooks = ["filter"]\n'
        '[permissions]\nenv = ["SHOUT"]\n[[filters]]\nname = "is_loud"\nreads = ["method"]\n'
    )
    (folder / "main.js").write_text("kubeshark.plugin({ filters: { is_loud: (_, method) => method === 'POST' } });")
    command = [sys.executable, "-m", "kubeshark", "plugin", "pack", folder, "-o", package := tmp_path / "shout.ksp"]
    subprocess.run(command, env={"HOME": str(hub.home), "PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    data = package.read_bytes()
    sheet = json.loads(hub.ask("POST", "/api/v1/plugins", data).body)
    assert (sheet["id"], sheet["missing"], sheet["installed"]) == ("shout", {"env": ["SHOUT"]}, False)
    assert sheet["doubt"]
    assert hub.get("/api/v1/plugins/shout").status == 404  # looked at, not installed
    asked = {"install": True, "digest": sheet["digest"], "grant": "env=SHOUT"}
    assert hub.ask("POST", path("plugins", **asked), data).status == 409  # nobody trusted signed it
    agreed = path("plugins", **asked, allow_unsigned=True)
    assert hub.ask("POST", agreed.replace(sheet["digest"], "0" * 64), data).status == 422  # not what was shown
    installed = json.loads(hub.ask("POST", agreed, data).body)
    assert installed["installed"]
    assert hub.json("/api/v1/plugins/shout")["granted"] == {"env": ["SHOUT"]}
    expected = len(entries(hub, 'http && method == "POST"'))
    assert hub.json(path("query/count", kfl="http && is_loud()"))["entries"] == expected > 0
    assert hub.json("/api/v1/plugins/shout")["calls"] > 0
    assert hub.ask("POST", "/api/v1/plugins/shout/disable").status == 200
    assert not hub.json(path("query/check", kfl="is_loud()"))["ok"]
    assert hub.ask("POST", "/api/v1/plugins/shout/enable").status == 200
    assert hub.json(path("query/check", kfl="is_loud()"))["ok"]
    assert hub.ask("PUT", "/api/v1/plugins/shout/settings", {"nothing": 1}).status == 400
    assert hub.ask("DELETE", "/api/v1/plugins/shout").status == 204
    for wrong in (b"", b"PK\x03\x04" + bytes(100), data[:-1], data + b"x"):
        assert hub.ask("POST", "/api/v1/plugins", wrong).status in (400, 422)


def test_rules_are_tried_before_they_are_set(hub: Hub) -> None:
    rule = {"kind": "header", "match": "user-agent"}
    trial = {"rules": [rule], "kfl": "http"}
    tried = json.loads(hub.ask("POST", "/api/v1/settings/redaction/try", trial).body)
    assert 0 < tried["hidden_in"] <= tried["looked_at"]
    for wrong in ({"kind": "pattern", "match": "("}, {"kind": "pattern", "match": ".*"}, {"kind": "x", "match": "y"}):
        assert hub.ask("PUT", "/api/v1/settings", {"redaction": [wrong]}).status in (400, 422)
    assert hub.ask("PUT", "/api/v1/settings", {"redaction": [rule]}).status == 200
    assert hub.json("/api/v1/settings")["rules"] == [{**rule, "value": "[redacted]"}]
    assert hub.ask("PUT", "/api/v1/settings", {"redaction": None}).status == 200
    assert len(hub.json("/api/v1/settings")["rules"]) > 5
