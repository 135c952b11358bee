"""The compatibility suite: scripts as users write them, and what they must do (docs/plugins/scripts.md)."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kubeshark.core_capture.files import open_capture
from kubeshark.pipeline import FileDissection, Plugins
from kubeshark.pipeline.scripts import Scripts, _runtime
from kubeshark.pipeline.scripts._clock import ScriptJob
from kubeshark.pipeline.scripts._isolate import HOOK_S

from ._bench import dns, entry, http, loaded, said, script, tcp


def run(scripts: Scripts, tag: str, role: str = "worker") -> None:
    """Let a job run now."""
    for job in jobs(scripts, tag):
        if job.role == role:
            scripts._run_job(job)


def jobs(scripts: Scripts, tag: str = "") -> list[ScriptJob]:
    return [job for job in scripts.jobs() if tag in ("", job.tag)]


def captured(scripts: Scripts, *documents: dict[str, Any]) -> None:
    scripts.captured([entry(document) for document in documents])


def test_01_packets_are_counted_in_batches(tmp_path: Path) -> None:
    with loaded(tmp_path, script("01")) as scripts:
        scripts.packets([(1_700_000_000_000_000_000 + n, 100, 150, False) for n in range(2500)])
        run(scripts, "packet-count")
        run(scripts, "packet-count")
        assert said(scripts) == ["packets 2500 KB 375.000", "packets 0 KB 0.000"]
        assert jobs(scripts)[0].runs == 2


def test_02_verdicts_colour_the_rows(sample: Path) -> None:
    with Scripts([script("02")], roles=("hub",)) as scripts, dissection(sample, "http", scripts) as found:
        rows = [(entry.get("status_code"), entry.row(), entry.to_dict()) for entry in found]
    assert {status // 100 for status, _, _ in rows} >= {2, 4, 5}
    for status, row, document in rows:
        assert row["failed"] == document["failed"] == (status >= 500)
        assert row["passed"] == document["passed"] == (200 <= status < 300)


def test_03_a_throw_costs_one_call(tmp_path: Path) -> None:
    with loaded(tmp_path, script("03")) as scripts:
        captured(scripts, http(200), http(None), http(404), http(None), http(200), http(None))
        run(scripts, "tell")
        [state] = scripts.states()
        assert state.errors == 3
        [error] = said(scripts, level="error")  # once for each message
        assert error.startswith("onItemCaptured: TypeError: Cannot read properties of null (reading 'status') 4:")
        assert said(scripts, level="log") == ['{"200":2,"404":1}']


def test_04_env_is_the_configured_one_and_frozen(tmp_path: Path) -> None:
    with loaded(tmp_path, script("04"), env={"A": "x", "B": 2, "C": True}) as scripts:
        assert said(scripts) == ['{"A":"x","B":"2","C":"true"}', "true undefined undefined", "3"]


def test_05_empty_hooks_load(tmp_path: Path) -> None:
    with loaded(tmp_path, script("05"), roles=("worker", "hub")) as scripts:
        captured(scripts, http(), dns("a.example"))
        assert [state.hooks for state in scripts.states()] == [
            ("onPacketCaptured", "onItemCaptured", "onItemQueried"),
            ("onPacketCaptured", "onItemCaptured", "onItemQueried"),
        ]
        assert said(scripts) == []


def test_06_kfl_is_ours_both_languages(tmp_path: Path) -> None:
    with loaded(tmp_path, script("06")) as scripts:
        captured(scripts, http(500), dns("a.example"))
        assert said(scripts) == [
            "true true true true false 1:7 true true false",
            "true false false false true 1:7 false true false",
        ]


def test_07_mean_and_deviation_start_anew(tmp_path: Path) -> None:
    with loaded(tmp_path, script("07")) as scripts:
        captured(scripts, *(http(path="/a", elapsedTime=time) for time in (1, 2, 6)), http(path="/b", elapsedTime=4))
        run(scripts, "anomaly")
        captured(scripts, http(path="/b", elapsedTime=8))
        run(scripts, "anomaly")
        assert said(scripts) == ["/a 3.00 2.16", "/b 4.00 0.00", "/b 8.00 0.00"]


def test_08_top_five_and_clear_on_the_hub_only(tmp_path: Path) -> None:
    with loaded(tmp_path, script("08"), roles=("worker", "hub")) as scripts:
        names = "fbaaeebccdb"
        captured(scripts, *(dns(f"{name}.example") for name in names))
        run(scripts, "dns-top", "hub")
        assert said(scripts) == []  # cleared
        run(scripts, "dns-top")
        plain = [text.replace("\x1b[31m", "").replace("\x1b[0m", "") for text in said(scripts)]
        assert plain == ["b.example 3", "a.example 2", "c.example 2", "e.example 2", "d.example 1"]


def test_09_workers_send_the_hub_joins(tmp_path: Path) -> None:
    with loaded(tmp_path, script("09"), roles=("worker", "hub")) as scripts:
        captured(scripts, dns("a.example"), dns("b.example"), dns("a.example"))
        run(scripts, "send")
        captured(scripts, dns("a.example"))
        run(scripts, "send")
        assert said(scripts, "hub") == [
            'false 2 {"a.example":2,"b.example":1}',
            'false 2 {"a.example":3,"b.example":1}',
        ]
        assert said(scripts, "worker") == []


def test_10_a_throw_at_load_ends_one_role(tmp_path: Path) -> None:
    with loaded(tmp_path, script("10"), roles=("worker", "hub")) as scripts:
        captured(scripts, http(), http())
        worker, hub = scripts.states()
        assert (worker.problem, hub.problem) == ("", "did not load: not on the hub 3:3")
        assert said(scripts, "worker") == ["1", "2"]


def test_11_return_ends_loading(tmp_path: Path) -> None:
    with loaded(tmp_path, script("11")) as scripts:
        captured(scripts, http())
        assert (jobs(scripts), said(scripts), scripts.states()[0].problem) == ([], ["seen"], "")


def test_12_a_report_in_yaml(tmp_path: Path) -> None:
    with loaded(tmp_path, script("12")) as scripts:
        captured(scripts, http(None), http(200), http(None))
        run(scripts, "errors")
        assert said(scripts) == ["pair-not-found:\n  count: 2\n  messages:\n  - no response\n"]


def test_13_metrics_with_labels_and_a_restart(tmp_path: Path) -> None:
    with loaded(tmp_path, script("13")) as scripts:
        captured(scripts, http(), http(elapsedTime=9))
        text = scripts.metrics.render(raw_names=True)
        labels = 'script="s13-latency",node="worker"'
        assert f'kubeshark_script_latency_ms{{{labels},from="cart",to="stock"}} 9' in text
        assert f'requests_total{{{labels},from="cart",to="stock"}} 2' in text.splitlines()
        assert "# TYPE kubeshark_script_requests_total counter" in text
        assert f"kubeshark_script_time{{{labels}}} 14" in text
        assert f'kubeshark_script_pairs{{{labels},quote="a\\"b\\\\c"}} 1' in text
        assert said(scripts, level="log") == ["ok", "ok"]
        assert said(scripts, level="error") == ["prometheus.metric: 'bad name' is no name of a metric"] * 2
        scripts.reload(replace(scripts.scripts[0], text=scripts.scripts[0].text + "\n"))
        assert scripts.metrics.render() == ""
        captured(scripts, http())
        assert f'kubeshark_script_requests_total{{{labels},from="cart",to="stock"}} 1' in scripts.metrics.render()


def test_14_external_addresses(tmp_path: Path) -> None:
    def to(ip: str, process: str = "") -> dict[str, Any]:
        document = http()
        document["dst"]["ip"], document["src"]["processName"] = ip, process
        return document

    with loaded(tmp_path, script("14")) as scripts:
        captured(scripts, to("10.1.2.3"), to("203.0.113.7", "curl"), to("fd00::1"), to("2001:db8::1"), to("::1"))
        assert said(scripts) == ["curl -> 203.0.113.7", "unknown process -> 2001:db8::1"]


def test_15_blocking_needs_permission(tmp_path: Path) -> None:
    document = dns("evil.example")
    document["src"]["pod"] = {"metadata": {"name": "cart-1"}}
    for grants, expected, action in (
        ({}, 'refused: permission "firewall" not granted', None),
        ({"firewall": ["audit"]}, "asked for", "Audit"),
        ({"firewall": ["enforce"]}, "asked for", "Deny"),
    ):
        with loaded(tmp_path, script("15", **grants)) as scripts:
            captured(scripts, dns("good.example"), document)
            assert said(scripts) == [expected]
            policies = [(each["name"], each["action"], each["ttl_s"]) for each in scripts.policies]
            title = "Blocks a pod that talks to a listed name"
            assert policies == ([(f"script-{title}-shop-cart-1", action, 3600)] if action else [])


def test_16_pods_with_both_spellings(tmp_path: Path) -> None:
    def pod(app: str) -> dict[str, Any]:
        return {
            "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": app}, "annotations": {}},
            "spec": {"nodeName": "lab-2"},
            "status": {"podIP": "10.0.0.9", "hostIP": "192.0.2.1", "phase": "Running"},
        }

    with loaded(tmp_path, script("16")) as scripts:
        scripts.pod_event("ADDED", pod("shop"))
        scripts.pod_event("DELETED", pod("other"))
        assert said(scripts) == ["ADDED shop/cart-1 cart-1 lab-2 10.0.0.9 Running metadata,spec,status"]


def test_17_log_records_without_recursion(tmp_path: Path) -> None:
    with loaded(tmp_path, script("17")) as scripts:
        scripts.console.listen(lambda line: scripts.log_call("error", f"caused by {line.text}"))
        scripts.log_call("info", "quiet")
        scripts.log_call("warning", "a segment is damaged", segment="s1")
        assert said(scripts) == ["warning a segment is damaged s1"]


def test_18_a_recorder_keeps_entries_and_packets(tmp_path: Path, sample: Path) -> None:
    recorder = script("18", pcap=["yes"])
    with Scripts([recorder], roles=("worker",), folder=tmp_path) as scripts:
        scripts.start(clock=False)
        with dissection(sample, "http", scripts) as found:
            entries = []
            for each in found:
                if not entries:
                    scripts.isolates[0].timer_at = None
                entries.append(each)
                if len(entries) == 1:  # all were captured; the packets are still there
                    import time

                    time.sleep(1.0)
                    scripts.isolates[0].tick()
                    scripts.settle()
        streams = {each.facts.stream for each in entries}
        assert said(scripts) == [f"recorded {len(streams)} .tar.gz"]
    [archive] = tmp_path.glob("*/kubeshark_*.tar.gz")
    with tarfile.open(archive) as packed:
        names = packed.getnames()
        assert {f"{stream}.pcap" for stream in streams} < set(names)
        assert sum(name.endswith("_entry.json") for name in names) == len({e.to_dict()["entryFile"] for e in entries})
        member = packed.extractfile(f"{min(streams)}.pcap")
        assert member
        with open_capture(io.BytesIO(member.read()), name="x") as reader:
            assert sum(batch.count for batch in reader) > 3
    assert [path.name for path in archive.parent.iterdir() if path.is_dir()] == []


def test_18_packets_need_permission(tmp_path: Path) -> None:
    with loaded(tmp_path, script("18")) as scripts:
        captured(scripts, http())
        assert said(scripts)[0].startswith('onItemCaptured: Error: permission "pcap" not granted')
        assert not list(tmp_path.rglob("*.pcap"))


class Hook(BaseHTTPRequestHandler):
    """Answers what its path says, and remembers."""

    heard: list[tuple[str, str, bytes, dict[str, str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.heard.append((self.command, self.path, body, {k.lower(): v for k, v in self.headers.items()}))
        status = int(self.path.strip("/")) if self.path.strip("/").isdecimal() else 200
        reply = b'{"SequenceNumber":"1","ShardId":"shard-0"}' if "x-amz-target" in self.headers else b"heard"
        self.send_response(status)
        self.send_header("X-Reply", "yes")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    heard: list[Any] = []
    server = HTTPServer(("127.0.0.1", 0), type("Mine", (Hook,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    server.server_close()
    thread.join()


def test_20_a_webhook_needs_its_host(tmp_path: Path, hook: tuple[str, list[Any]]) -> None:
    url, heard = hook
    place = url.removeprefix("http://")
    with loaded(tmp_path, script("20"), env={"HOOK": f"{url}/200"}) as scripts:
        captured(scripts, http(path="/pay"))
        assert said(scripts) == [f'webhook: permission "hosts: {place}" not granted']
        assert heard == []
    granted = script("20", hosts=[place])
    for path, expected in (
        ("200", ["200 yes heard"]),
        ("500", ["500 yes heard", "webhook: the hook is unwell"]),
    ):
        with loaded(tmp_path, granted, env={"HOOK": f"{url}/{path}"}) as scripts:
            captured(scripts, http(path="/"), http(path="/pay"))
            assert said(scripts) == expected
    assert [(method, path, headers["x-script"]) for method, path, _, headers in heard] == [
        ("POST", "/200", "20"),
        ("POST", "/500", "20"),
    ]
    with loaded(tmp_path, script("20", hosts=["127.0.0.1:1"]), env={"HOOK": "http://127.0.0.1:1/"}) as scripts:
        captured(scripts, http(path="/pay"))
        [line] = said(scripts)
        assert line.startswith("webhook: ") and "not granted" not in line


def test_21_har_batches_by_the_other_spelling(tmp_path: Path, hook: tuple[str, list[Any]]) -> None:
    url, heard = hook
    granted = script("21", hosts=[url.removeprefix("http://")])
    with loaded(tmp_path, granted, env={"AWS_ENDPOINT_URL": url}) as scripts:
        captured(scripts, http(201, "/a"), dns("a.example"), http(None), http(), http(), http())
        assert said(scripts) == ["1.2 3 http://stock:80/a 201", "shard-0"]
    [(_, path, body, headers)] = heard
    assert path == "/"
    assert json.loads(body)["StreamName"] == "stream"
    assert headers["x-amz-target"] == "Kinesis_20131202.PutRecord"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")


def test_22_raw_tcp_and_http(tmp_path: Path) -> None:
    with loaded(tmp_path, script("22")) as scripts:
        captured(scripts, tcp("GET /raw HTTP/1.1\r\n\r\n"), tcp("PUT /x"), http(), tcp(""))
        run(scripts, "tell")
        assert said(scripts) == ["raw /raw", "1 1"]


def test_23_limits_arguments_failures(tmp_path: Path) -> None:
    with loaded(tmp_path, script("23")) as scripts:
        assert said(scripts, level="log") == ["TypeError", "three,shaky,once,wrong true"]
        assert said(scripts, level="error")[0].startswith("job: 'every now and then' is no schedule")
        assert [job.tag for job in jobs(scripts)] == ["three", "shaky", "once"]
        before = len(said(scripts))
        for _ in range(4):
            run(scripts, "three")
        for _ in range(2):
            run(scripts, "shaky")
        run(scripts, "once")
        three = [line for n in (1, 2, 3) for line in (f'three {n} x {{"y":1}}', "passed three * * * * * * 3")]
        assert said(scripts)[before:] == [
            *three,
            "passed shaky @every 30s 0",
            "failed shaky @every 30s 0 Error: second",
            "async end",
            "passed once @hourly 0",
        ]
        [shaky] = jobs(scripts)
        assert (shaky.runs, shaky.failures, shaky.last_error) == (2, 1, "Error: second")


def test_24_redaction_reaches_everything(sample: Path) -> None:
    with dissection(sample, "http", None) as found:
        plain = [json.dumps(entry.to_dict()) for entry in found]
        hosts = {entry.get("host") for entry in found.plugins and []}
    assert any("example.test" in text for text in plain) and not hosts
    with Scripts([script("24")], roles=("hub",)) as scripts, dissection(sample, "http", scripts) as found:
        count = 0
        for each in found:
            count += 1
            document = each.to_dict()
            texts = json.dumps([document["request"], document["response"]])
            shown = json.dumps([each.wrapper()["representation"], each.row()], default=str)
            if document["protocol"]["name"] != "http":
                continue
            for half in ("request", "response"):
                assert each.get(f"{half}.headers").get("host", "[gone]") == "[gone]"
                assert each.get(f"{half}.cookies") in ({}, each.get(f"{half}.cookies") if half == "response" else {})
            assert each.get("host") in ("", "[gone]")
            assert each.get("response_body") in ("", "[gone]")
            assert each.raw(0) == each.raw(1) == b""  # type: ignore[arg-type]
            for secret in ("set-cookie: s", "<html"):
                assert secret not in texts.lower() and secret not in shown.lower()
        assert count == len(plain)


HOSTILE = {
    "loop": "took more than 100 ms",
    "regex": "took more than 100 ms",
}


def test_25_each_hostile_act_is_contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "data" / "outside"
    good = replace(script("10"), id="good")
    with loaded(tmp_path, script("25"), good, roles=("worker",)) as scripts:
        hostile = scripts.states()[0]
        with monkeypatch.context() as impatient:
            impatient.setattr(_runtime, "HOOK_S", HOOK_S)
            for count, (act, reason) in enumerate(HOSTILE.items(), 1):
                captured(scripts, http(path=act))
                assert hostile.replaced == count and reason in hostile.note, act
        captured(scripts, *(http(path=act) for act in ("recursion", "path", "absolute", "memory")))
        errors = [line for line in said(scripts, level="error") if line.startswith("onItemCaptured")]
        assert "Maximum call stack" in errors[0]
        assert "'../outside' leaves the script's folder" in errors[1] and "'/tmp/outside' leaves" in errors[2]
        assert "Array buffer allocation failed" in errors[3]
        captured(scripts, *(http(path=act) for act in ("prototype", "globals", "prototype")))
        assert said(scripts, level="log")[-1:] != [] and "tampered" in said(scripts)
        replaced = hostile.replaced
        with monkeypatch.context() as impatient:
            impatient.setattr(_runtime, "HOOK_S", HOOK_S)
            captured(scripts, http(path="lines"))
        assert hostile.replaced == replaced + 1 and not hostile.problem
        numbers = [line for line in said(scripts, level="log") if line.isdecimal()]
        assert (
            numbers == [str(n) for n in range(1, len(numbers) + 1)] and len(numbers) == 10
        )  # the other script missed nothing
    assert not outside.exists() and not Path("/tmp/outside").exists()


def test_26_archives_of_what_matches(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, bytes] = {}

    def put(self: Any, bucket: str, path: str, *_: object) -> str:
        kept[path] = self.files().bytes_of(path)
        return f"https://{bucket}.example/{path}"

    monkeypatch.setattr("kubeshark.pipeline.scripts._vendors.Vendors.s3_put", put)
    collector = script("26", pcap=["yes"])
    with Scripts([collector], roles=("worker",), folder=tmp_path, config=_config(BUCKET="b")) as scripts:
        with dissection(sample, "http", scripts) as found:
            list(found)
        assert not scripts.states()[0].problem and not said(scripts, level="error")
    queries = set()
    for name, data in kept.items():
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            inside = {member: packed.extractfile(member) for member in packed.getnames()}
            assert sorted(inside)[1:] == ["content.json", "name_resolution_history.json"]
            content = json.load(inside["content.json"])  # type: ignore[arg-type]
            assert len(content["l4_streams"]) == 2 and content["pcap_file_name"] == min(inside)
            assert name.startswith(f"kfl_{content['kfl_index']}_kubeshark_{content['time']}")
            queries.add(content["kfl_query"])
            pcap = inside[content["pcap_file_name"]]
            assert pcap
            with open_capture(io.BytesIO(pcap.read()), name="x") as reader:
                assert sum(batch.count for batch in reader) >= 2
    assert queries == {"http", "dns"}
    log = next(tmp_path.rglob("kfl_progress.log")).read_text()
    assert " kfl_0 stream " in log and " kfl_1 2 streams https://b.example/kfl_1_kubeshark_" in log


def test_27_scripts_are_alone_unless_grouped(tmp_path: Path) -> None:
    two = script("27_one"), script("27_two")
    with loaded(tmp_path, *two) as scripts:
        captured(scripts, http())
        assert said(scripts) == ["one one 1 number", "two two 1 undefined"]
    group = {two[0].title: "g", two[1].id: "g"}
    with loaded(tmp_path, *two, group=group) as scripts:
        captured(scripts, http())
        assert said(scripts) == ["one two 2 number", "two two 2 number"]
        assert len(scripts.isolates) == 1


def test_28_a_reload_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    with loaded(tmp_path, script("28")) as scripts:
        [before] = scripts.scripts
        captured(scripts, http())
        scripts.reload(replace(before, text="// Reloaded\nvar version = ;"))
        captured(scripts, http())
        assert said(scripts, level="log") == ["version 1", "version 1"]
        assert scripts.states()[0].note == (
            "the changed file did not load: SyntaxError: Unexpected token ';' 2:15: the old one goes on"
        )
        scripts.reload(replace(before, text=before.text.replace("1;", "2;")))
        captured(scripts, http())
        assert said(scripts, level="log")[-1] == "version 2"


def test_the_order_of_items_is_kept_over_batches(tmp_path: Path) -> None:
    ordered = replace(script("28"), text="onItemCaptured = (data) => console.log(data.index);")
    with loaded(tmp_path, ordered) as scripts:
        captured(scripts, *(http(index=index) for index in range(1000)))
        assert said(scripts) == [str(index) for index in range(1000)]


def test_numbers_that_javascript_cannot_hold_are_texts(tmp_path: Path) -> None:
    shows = replace(script("28"), text="onItemCaptured = (d) => console.log(d.a, typeof d.a, d.b, d.c);")
    with loaded(tmp_path, shows) as scripts:
        captured(scripts, http(a=2**63 - 1, b=2**53, c='"1:12345678901234567890,é😀'))
        assert said(scripts) == ['9223372036854775807 string 9007199254740992 "1:12345678901234567890,é😀']


def test_a_script_cannot_speak_for_another(tmp_path: Path) -> None:
    """It may write to the shared memory and make up commands: only its own name is believed."""
    forged = json.dumps({"script": "granted", "name": "pcap.snapshot", "values": []})
    hostile = f"""
      const text = {json.dumps(forged)}, bytes = new Uint8Array(__out), flags = new Int32Array(__flags);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      Atomics.store(flags, 1, text.length); Atomics.store(flags, 0, 1);
      while (Atomics.load(flags, 0) !== 2) Atomics.wait(flags, 0, 1, 1);
      console.log(String.fromCharCode(...new Uint8Array(__in).subarray(0, flags[1])));
      Atomics.store(flags, 0, 0);
      __result = {{ toJSON: () => 1 }};
    """
    granted = replace(script("28", pcap=["yes"]), id="granted")
    with loaded(tmp_path, replace(script("28"), id="hostile", text=hostile), granted) as scripts:
        assert said(scripts) == ['{"error":"the question makes no sense"}']
        [isolate] = [each for each in scripts.isolates if "hostile" in each.states]
        scripts._done(
            isolate, [("granted", "console", ["log", "forged", 1]), ("hostile", "console", ["log", "own", 1])]
        )
        scripts.settle()
        assert {line.script for line in scripts.console.lines()} == {"hostile"}


def test_no_helper_connects_without_a_grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = """
      vendor.webhook("POST", "https://a.example/", "");  vendor.webhookForm("POST", "https://a.example/", {}, {});
      vendor.slack("https://a.example/", "", "", "");  vendor.slackBot("t", "c", "", "", "");
      vendor.influxdb("https://a.example", "t", "o", "b", "m", {a: 1});  vendor.elastic("https://a.example", "i", {});
      vendor.s3.put("b", "p", "r", "k", "s");  vendor.s3.clear("r", "k", "s", "b");
      vendor.gcs.put("b", "p", {});  vendor.gcs.clear("b", {});  vendor.kinesis.put("s", "p", "r", "k", "s");
      chatgpt.prompt("k", "p");  hub.blockPod("p", "n");  pcap.path("s");  pcap.snapshot()
    """
    acts = [call.strip() for call in calls.replace("\n", ";").split(";") if call.strip()]
    tries = "".join(f"try {{ {call}; console.log('done'); }} catch (e) {{ console.log(e.message); }}" for call in acts)
    attempts: list[Any] = []
    monkeypatch.setattr("socket.socket.connect", lambda *given: attempts.append(given))
    monkeypatch.setattr("socket.getaddrinfo", lambda *given, **_: attempts.append(given))
    with loaded(tmp_path, replace(script("28"), text=tries)) as scripts:
        lines = said(scripts)
    assert len(lines) == len(acts) == 15
    assert all(line.startswith('permission "') and line.endswith('" not granted') for line in lines), lines
    assert attempts == []


def _config(**env: str) -> Any:
    from kubeshark.pipeline.scripts import ScriptsConfig

    return ScriptsConfig(env=dict(env))


def dissection(sample: Path, kfl: str, scripts: Scripts | None) -> FileDissection:
    return FileDissection([str(sample)], kfl, plugins=Plugins(), scripts=scripts)


@pytest.fixture(scope="session")
def sample(root: Path) -> Path:
    return root / "examples" / "captures" / "sample.pcapng"
