"""What a worker answers, over real TLS; and to who asks for what it should not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.worker._cluster import Pki, Running


@pytest.fixture
def http(worker: Running, pki: Pki) -> Iterator[httpx.Client]:
    context = pki.files("hub").context(ssl.Purpose.SERVER_AUTH)
    with httpx.Client(base_url=worker.url, verify=context, trust_env=False, timeout=20) as client:
        yield client


def segment(store: Path) -> Path:
    (found,) = store.glob("*.pcap.zst.age")
    return found


def test_listing_has_versions_and_is_sent_once(http: httpx.Client, store: Path) -> None:
    answer = http.get("/v1/files")
    listed = {each["name"]: each["size"] for each in answer.json()["files"]}
    assert listed == {path.name: path.stat().st_size for path in store.iterdir() if not path.name.startswith(".")}
    again = http.get("/v1/files", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_ranges(http: httpx.Client, store: Path) -> None:
    path, content = segment(store), segment(store).read_bytes()
    answer = http.get(f"/v1/files/{path.name}", headers={"range": "bytes=100-299"})
    assert (answer.status_code, answer.content) == (206, content[100:300])
    assert answer.headers["content-range"] == f"bytes 100-299/{len(content)}"
    etag = answer.headers["etag"]
    tail = http.get(f"/v1/files/{path.name}", headers={"range": f"bytes={len(content) - 5}-9999999", "if-match": etag})
    assert (tail.status_code, tail.content) == (206, content[-5:])
    behind = http.get(f"/v1/files/{path.name}", headers={"range": f"bytes={len(content)}-9999999"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(content)}")
    other = http.get(f"/v1/files/{path.name}", headers={"range": "bytes=0-1", "if-match": '"1-2-3"'})
    assert other.status_code == 412


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "",
        "bytes=-5",
        "bytes=5-",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "bytes=0-16777216",
        "bytes=0-99999999999999999999999",
        "bytes=٣-٤",
        "lines=0-1",
        "bytes=0-1 " + "x" * 5000,
    ],
)
def test_ranges_that_are_none(http: httpx.Client, store: Path, asked: str | None) -> None:
    headers: Any = {} if asked is None else {"range": asked.encode()}
    answer = http.get(f"/v1/files/{segment(store).name}", headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        ".lock",
        "notes",
        "x" * 4000,
        "store.json%00",
        "store.json/",
        "%ff%fe",
        "a%0d%0ab",
    ],
)
def test_paths_that_lead_nowhere(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/v1/files/{path}", headers={"range": "bytes=0-9"})
    assert answer.status_code == 404


def test_only_reading(http: httpx.Client, store: Path) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
        assert http.request(method, "/v1/files/store.json").status_code in (400, 405)
    with_body = http.request("GET", "/v1/files", content=b"x" * 100)
    assert with_body.status_code == 400
    assert (store / "store.json").exists()


def test_status(http: httpx.Client, worker: Running, store: Path) -> None:
    said = http.get("/v1/status").json()
    assert (said["node"], said["protocol"], said["segments"], said["refuses"]) == ("node-1", 1, 1, "")
    assert said["store_bytes"] == sum(path.stat().st_size for path in store.iterdir() if path.name[0] != ".")
    assert 0 < said["disk_free_bytes"] <= said["disk_bytes"]
    assert said["counters"]["requests"] == worker.service.counters.requests == 1


def test_above_its_limits_it_answers_status_alone(http: httpx.Client, worker: Running) -> None:
    worker.service.governor.memory_bytes = 1
    worker.service.governor._sampled = 0.0
    answer = http.get("/v1/files")
    assert (answer.status_code, answer.json()) == (503, {"error": "its memory is used up"})
    assert http.get("/v1/status").json()["refuses"] == "its memory is used up"


def test_too_many_requests(http: httpx.Client, worker: Running) -> None:
    worker.service.rates.burst = worker.service.rates.per_second = 3
    statuses = [http.get("/v1/status").status_code for _ in range(8)]
    assert statuses[:3] == [200] * 3
    assert 429 in statuses
