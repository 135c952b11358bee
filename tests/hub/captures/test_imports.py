"""Uploads, over a real port: reported, stopped, never on disk in the clear."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

from tests.hub._serving import Hub


def test_an_import_is_reported_with_what_could_not_be_read(own_hub: Hub, root: Path) -> None:
    shop = (root / "examples" / "captures" / "shop.pcapng.zst").read_bytes()
    before = own_hub.json("/api/v1/info")["packets"]
    answer = own_hub.ask("POST", "/api/v1/imports?name=half", shop[: len(shop) // 2])
    report = json.loads(answer.body)
    assert (report["state"], report["bytes_received"]) == ("done", len(shop) // 2)
    assert any("ends early" in problem for problem in report["problems"])
    assert own_hub.json("/api/v1/info")["packets"] == before + report["packets"] > before
    assert "half" in {capture["name"] for capture in own_hub.json("/api/v1/captures")}
    assert own_hub.json(f"/api/v1/imports/{report['id']}") == report
    refused = own_hub.ask("POST", "/api/v1/imports?name=../../x", b"this is no capture")
    assert refused.status == 422
    assert json.loads(refused.body)["error"].startswith("x: is neither pcap nor pcapng")


def test_an_import_can_be_stopped_and_a_client_may_go_away(own_hub: Hub, root: Path) -> None:
    with (root / "examples" / "captures" / "sample.pcapng").open("rb") as file:
        data = file.read()
    for how in ("stop", "leave"):
        connection = http.client.HTTPConnection(own_hub.address, own_hub.port, timeout=60)
        connection.putrequest("POST", f"/api/v1/imports?name={how}")
        connection.putheader("Authorization", f"Bearer {own_hub.token}")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        connection.send(data[: len(data) // 2])
        deadline = time.monotonic() + 60
        running = []
        while not (running and running[0]["bytes_received"]) and time.monotonic() < deadline:
            running = [each for each in own_hub.json("/api/v1/imports") if each["name"] == how]
        (job,) = running
        assert (job["state"], job["bytes_total"]) == ("running", len(data))
        if how == "stop":
            assert own_hub.ask("DELETE", f"/api/v1/imports/{job['id']}").status == 200
        connection.close()
        while job["state"] == "running" and time.monotonic() < deadline:
            job = own_hub.json(f"/api/v1/imports/{job['id']}")
        assert job["state"] == "cancelled"
    assert own_hub.ask("POST", "/api/v1/imports?name=next", data).status == 200  # nothing is locked


def test_no_upload_lies_on_disk_in_the_clear(own_hub: Hub, root: Path) -> None:
    data = (root / "examples" / "captures" / "sample.pcapng").read_bytes()
    own_hub.ask("POST", "/api/v1/imports?name=secret", data)
    for file in (each for each in Path(own_hub.home).rglob("*") if each.is_file()):
        assert b"robots.txt" not in file.read_bytes(), file
