"""What scripts send, against servers on this machine: a real S3 server, HTTP servers that keep what they get."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubeshark.pipeline.scripts._files import ScriptFiles
from kubeshark.pipeline.scripts._vendors import Vendors
from tests.core_capture.store._servers import ACCESS, BUCKET, SECRET, Server
from tests.pipeline.scripts._bench import entry, http, loaded, said, script

Heard = list[tuple[str, bytes, dict[str, str]]]


class Handler(BaseHTTPRequestHandler):
    heard: Heard

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.heard.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        port = self.server.server_address[1]
        reply: dict[str, Any] = {"ok": True, "choices": [{"message": {"content": "an answer"}}]}
        if "getUpload" in self.path:
            reply |= {"upload_url": f"http://127.0.0.1:{port}/upload", "file_id": "F1"}
        data = json.dumps(reply).encode()
        self.send_response(500 if "fail" in self.path else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, Heard]]:
    heard: Heard = []
    made = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Handler,), {"heard": heard}))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", heard
    made.shutdown()
    made.server_close()
    thread.join()


def vendors(tmp_path: Path, url: str, **environment: str) -> Vendors:
    files = ScriptFiles(tmp_path / "files", lambda _: b"")
    files.write("report.txt", "contents")
    return Vendors({"hosts": [url.removeprefix("http://")]}, environment, "lab-2", lambda: files, "run1", lambda: 1.5e9)


def test_influxdb_gets_a_point(tmp_path: Path, web: tuple[str, Heard]) -> None:
    url, heard = web
    vendors(tmp_path, url).influxdb(url, "tok", "o", "b", "m x", {"f": 1, "t": 'a"b', "y": True}, {"k": "v,w"})
    [(path, body, headers)] = heard
    assert path == "/api/v2/write?org=o&bucket=b&precision=ns"
    assert body == b'm\\ x,k=v\\,w f=1.0,t="a\\"b",y=true 1500000000000000000'
    assert headers["authorization"] == "Token tok"


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({"api_key": "k", "username": "u"}, "ApiKey k"),
        ({"service_token": "s"}, "Bearer s"),
    ],
)
def test_elastic_gets_a_document(
    tmp_path: Path, web: tuple[str, Heard], credentials: dict[str, str], expected: str
) -> None:
    url, heard = web
    vendors(tmp_path, url).elastic(url, "idx", {"a": 1}, **credentials)
    [(path, body, headers)] = heard
    assert (path, json.loads(body), headers["authorization"]) == ("/idx/_doc", {"a": 1}, expected)


def test_slack_messages_and_files(tmp_path: Path, web: tuple[str, Heard]) -> None:
    url, heard = web
    mine = vendors(tmp_path, url, SLACK_API_URL=f"{url}/api")
    mine.slack(f"{url}/hook", "pre", "text", "#fff")
    mine.slack_bot("tok", "C1", "pre", "text", "#fff", {"field": 5}, {"report.txt": "report.txt"})
    paths = [path for path, _, _ in heard]
    calls = ["chat.postMessage", "files.getUploadURLExternal", "files.completeUploadExternal"]
    assert paths == ["/hook", f"/api/{calls[0]}", f"/api/{calls[1]}", "/upload", f"/api/{calls[2]}"]
    [attachment] = json.loads(heard[1][1])["attachments"]
    assert [field["title"] for field in attachment["fields"]] == ["field", "Timestamp"]
    assert heard[3][1] == b"contents"
    with pytest.raises(ValueError, match="was answered 500"):
        mine.slack(f"{url}/fail")


def test_a_prompt_is_answered(tmp_path: Path, web: tuple[str, Heard]) -> None:
    url, heard = web
    assert vendors(tmp_path, url, OPENAI_BASE_URL=url).prompt("key", "question", 5) == "an answer"
    assert json.loads(heard[0][1])["max_tokens"] == 5


def test_a_form_is_encoded(tmp_path: Path, web: tuple[str, Heard]) -> None:
    url, heard = web
    assert vendors(tmp_path, url).webhook_form("POST", url, {"a": "b c", "d": ["1", "2"]})["status"] == 200
    assert heard[0][1] == b"a=b+c&d=1&d=2"


def test_a_bucket_in_both_orders_and_cleared(tmp_path: Path, server: Server) -> None:
    mine = vendors(tmp_path, server.endpoint, AWS_ENDPOINT_URL=server.endpoint)
    location = mine.s3_put(BUCKET, "report.txt", "us-east-1", ACCESS, SECRET)
    assert location.startswith(f"{server.endpoint}/{BUCKET}/lab-2_") and location.endswith("_run1/report.txt")
    mine.files().write("other.txt", "two")
    mine.s3_put("us-east-1", ACCESS, SECRET, BUCKET, "other.txt")
    import obstore

    obstore.put(server.bucket(), "somebody/else", b"x")
    names = {path.rpartition("/")[2]: data for path, data in server.objects("").items()}
    assert names["report.txt"] == b"contents" and names["other.txt"] == b"two"
    mine.s3_clear("us-east-1", ACCESS, SECRET, BUCKET)
    left = set(server.objects(""))
    assert "somebody/else" in left and not any(path.startswith("lab-2_") for path in left)


def test_a_bucket_needs_its_host_and_keys(tmp_path: Path) -> None:
    mine = vendors(tmp_path, "http://a.example")
    with pytest.raises(ValueError, match=r'permission "hosts: b\.s3\.eu-west-1\.amazonaws\.com" not granted'):
        mine.s3_put("b", "report.txt", "eu-west-1", "k", "s")
    mine = vendors(tmp_path, "http://a.example", AWS_ENDPOINT_URL="http://a.example")
    with pytest.raises(ValueError, match=r'permission "cloud" not granted'):
        mine.s3_put("b", "report.txt", "eu-west-1")
    with pytest.raises(ValueError, match=r'"hosts: storage\.googleapis\.com" not granted'):
        mine.gcs_put("b", "report.txt", {})


def test_19_a_snapshot_goes_to_a_bucket(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    granted = script("19", pcap=["yes"], hosts=[server.endpoint.removeprefix("http://")])
    env = {"BUCKET": BUCKET, "KEY": ACCESS, "SECRET": SECRET, "AWS_ENDPOINT_URL": server.endpoint}
    with loaded(tmp_path, granted, env=env) as scripts:
        monkeypatch.setattr(scripts.streams, "pcap", lambda streams: f"{len(streams)} streams".encode())
        scripts.captured([entry(http()), entry(http())])
        for job in scripts.jobs():
            if job.tag == "upload":
                scripts._run_job(job)
        lines = said(scripts)
        assert len(lines) == 2 and lines[0] == lines[1] and lines[0].startswith(f"{server.endpoint}/{BUCKET}/"), lines
        assert server.objects("")[lines[0].removeprefix(f"{server.endpoint}/{BUCKET}/")] == b"2 streams"
        assert scripts.run_job(granted.id, "clear") == 1
        assert not any("_" in path and path.endswith(".pcap") for path in server.objects(""))
