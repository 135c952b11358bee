"""Queries for programs, over a real port: what they answer is what the library says."""

from __future__ import annotations

import json

from tests.hub._serving import Hub, entries, path


def test_check_says_what_is_wrong_and_where(hub: Hub) -> None:
    assert hub.json(path("query/check", kfl="http && status_code >= 500"))["ok"]
    wrong = hub.json(path("query/check", kfl="http &&\n  ststus_code == 5"))
    assert (wrong["ok"], wrong["line"], wrong["column"]) == (False, 2, 3)
    old = hub.json(path("query/check", kfl="http and response.status == 500"))
    assert old["text"] == "http && status_code == 500"
    assert old["notices"]


def test_pages_of_lines_say_where_to_go_on(hub: Hub) -> None:
    first = hub.get(path("query", limit=5, with_cursor=True)).body.splitlines()
    cursor = json.loads(first[-1])["cursor"]
    rest = hub.get(path("query", limit=100_000, cursor=cursor)).body.splitlines()
    ids = [json.loads(line)["id"] for line in [*first[:-1], *rest]]
    assert ids == [entry["id"] for entry in entries(hub)]
