"""The served store, over a real port: who may ask, what is answered."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlencode

from kubeshark import Pipeline
from tests.core_capture.store._servers import Server
from tests.hub._serving import Hub, serving


def test_a_store_in_a_bucket_answers_as_one_on_disk(
    hub: Hub, moto_s3: Server, url: str, root: Path, tmp_path: Path
) -> None:
    with serving(url, root, tmp_path, **moto_s3.environment()) as other:
        assert query(other, kfl="http") == query(hub, kfl="http") != []
        assert json.loads(other.get("/api/v1/info").body)["path"] == url


def query(hub: Hub, **parameters: str) -> list[dict[str, object]]:
    answer = hub.get(f"/api/v1/query?{urlencode(parameters)}")
    assert answer.status == 200
    return [json.loads(line) for line in answer.body.splitlines()]


def test_rows_entries_and_representation(hub: Hub) -> None:
    rows = query(hub, kfl="http && status_code >= 400")
    entries = query(hub, kfl="http && status_code >= 400", form="entry")
    assert [row["id"] for row in rows] == [entry["id"] for entry in entries] != []
    wrapper = json.loads(hub.get(f"/api/v1/entries/{rows[0]['id']}").body)
    assert wrapper["data"] == entries[0]
    assert wrapper["base"] == rows[0]
    assert wrapper["representation"]["request"]


def test_without_token_nothing_is_answered(hub: Hub) -> None:
    for path in ("/", "/api/v1/info", "/api/v1/query", "/static/page.js", "/api/v1/openapi.json"):
        assert hub.get(path, token="").status == 401
        assert hub.get(path, token="wrong").status == 401


def test_the_token_moves_into_a_cookie(hub: Hub) -> None:
    answer = hub.get(f"/?token={hub.token}", token="")
    assert answer.status == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert hub.token not in answer.headers["location"]
    assert hub.get("/", token="", Cookie=cookie.split(";")[0]).status == 200


def test_a_foreign_host_name_is_refused(hub: Hub) -> None:
    assert hub.get("/", Host=f"evil.example:{hub.port}").status == 421


def test_every_answer_has_the_security_headers(hub: Hub) -> None:
    for path in ("/", "/api/v1/info", "/nothing"):
        answer = hub.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_bad_filters_say_where(hub: Hub) -> None:
    answer = hub.get("/api/v1/query?kfl=http%20%26%26")
    assert answer.status == 400
    document = json.loads(answer.body)
    assert document["line"] == 1
    assert document["column"] > 0


def test_unknown_entries_are_not_found(hub: Hub) -> None:
    assert hub.get("/api/v1/entries/20000101T000000Z-x-0001-0-0").status == 404
    assert hub.get("/api/v1/entries/nonsense").status == 400


def test_limits(hub: Hub) -> None:
    assert len(query(hub, limit="2")) == 2
    assert hub.get("/api/v1/query?limit=-1").status == 422
    assert hub.get(f"/api/v1/query?kfl={'x' * 20_000}").status in (400, 414, 422, 431)


def test_info_tells_totals(hub: Hub) -> None:
    info = json.loads(hub.get("/api/v1/info").body)
    assert info["packets"] > 0


def test_page_loads_only_from_its_own_origin(hub: Hub) -> None:
    page = hub.get("/").body.decode()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)


def test_library_use_needs_no_server(tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        assert list(pipeline.query("")) == []


def test_a_client_that_goes_away_leaves_the_next_one_an_answer(hub: Hub) -> None:
    request = (
        f"GET /api/v1/query HTTP/1.1\r\nHost: {hub.address}:{hub.port}\r\nAuthorization: Bearer {hub.token}\r\n\r\n"
    )
    for patience_s in (0.0, 0.05, 0.2):
        with socket.create_connection((hub.address, hub.port)) as gone:
            gone.sendall(request.encode())
            time.sleep(patience_s)
    assert len(query(hub, kfl="http")) > 10


def test_a_body_in_chunks_that_is_too_large_is_refused_as_such(hub: Hub) -> None:
    chunks = (b" " * 300_000 for _ in range(4))
    answer = hub.ask("PUT", "/api/v1/settings", chunks, **{"Content-Type": "application/json"})
    assert answer.status == 413
    assert "larger" in json.loads(answer.body)["error"]
