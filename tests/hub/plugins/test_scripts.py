"""Scripts of a hub: put there, listened to, taken away, by whoever may."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub._serving import Hub, serving
from tests.hub.test_views import token

SCRIPT = """// Tell
console.log("it is loaded");
jobs.schedule("tick", "* * * * * *", function () { console.log("a tick"); });
"""


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("scripts")
    with serving(home / "store", root, home) as found:
        yield found


def put(hub: Hub, name: str, text: Any = SCRIPT, **more: Any) -> tuple[int, Any]:
    answer = hub.ask("PUT", f"/api/v1/scripts/{name}", {"text": text}, **more)
    return answer.status, json.loads(answer.body)


def test_a_script_is_put_there_heard_and_taken_away(hub: Hub) -> None:
    assert hub.json("/api/v1/scripts") == {"scripts": [], "problems": [], "pushed": []}
    status, said = put(hub, "tell.js")
    assert status == 200, said
    assert said["pushed"] == ["tell.js"]
    assert {(row["id"], row["state"]) for row in said["scripts"]} == {("tell", "loaded")}
    ends = time.monotonic() + 60
    texts: set[str] = set()
    after = 0
    while texts != {"it is loaded", "a tick"}:
        assert time.monotonic() < ends
        found = hub.json(f"/api/v1/scripts/console?script=tell&after={after}")
        assert found["next"] >= after
        after = found["next"]
        texts |= {line["text"] for line in found["lines"]}
        time.sleep(0.1)
    assert hub.json("/api/v1/scripts/console?script=other")["lines"] == []
    audit = (hub.home / ".kubeshark" / "hub" / "audit.jsonl").read_text()
    assert '"push script"' in audit and "it is loaded" not in audit
    answer = hub.ask("DELETE", "/api/v1/scripts/tell.js")
    assert answer.status == 200
    assert json.loads(answer.body) == {"scripts": [], "problems": [], "pushed": []}
    assert hub.ask("DELETE", "/api/v1/scripts/tell.js").status == 404


def test_who_may_what(hub: Hub) -> None:
    viewer = token(hub, "viewer")
    operator = token(hub, "operator", "--role", "operator")
    scoped = token(hub, "shop", "--role", "admin", "--namespace", "shop")
    assert hub.get("/api/v1/scripts", token=viewer).status == 200
    assert hub.get("/api/v1/scripts/console", token=viewer).status == 403  # scripts say what redaction hides
    assert hub.get("/api/v1/scripts/console", token=operator).status == 200
    assert put(hub, "tell.js", token=operator)[0] == 403
    for path in ("scripts", "scripts/console"):
        assert hub.get(f"/api/v1/{path}", token=scoped).status == 403
    assert put(hub, "tell.js", token=scoped)[0] == 403
    assert hub.get("/api/v1/scripts", token="nobody").status == 401
    assert hub.json("/api/v1/scripts")["pushed"] == []


@pytest.mark.parametrize("name", ["tell.py", ".tell.js", "..%2ftell.js", "a" * 70 + ".js", "tell%00.js"])
def test_names_that_are_none(hub: Hub, name: str) -> None:
    assert put(hub, name)[0] in (400, 404, 405, 422)
    assert hub.json("/api/v1/scripts")["pushed"] == []


def test_a_script_that_is_wrong_says_so_and_goes(hub: Hub) -> None:
    assert put(hub, "wrong.js", "function (")[0] == 200  # it is there, and its state says what is wrong
    rows = hub.json("/api/v1/scripts")["scripts"]
    assert rows and all(row["state"] != "loaded" for row in rows)
    assert put(hub, "large.js", "x" * (600 << 10))[0] in (413, 422)
    assert hub.ask("DELETE", "/api/v1/scripts/wrong.js").status == 200
