"""HAR exports: what browsers' tools read, with secrets only where they were asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from kubeshark.extension_api import Enrichment, EntryView, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.exports._har import write_har
from tests.pipeline._plugins import Foreign, with_plugins
from tests.pipeline._traffic import Capture, Connection, dns, make_query

LOGIN = (
    b"POST /login?next=%2F HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer t0ken-of-mine\r\n"
    b"Cookie: id=c00kie-1; a=b\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"
    + b'{"again":"t0ken-of-mine"}'[:24]
)
WELCOME = (
    b"HTTP/1.1 200 OK\r\nSet-Cookie: id=c00kie-2; HttpOnly\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 2\r\n\r\nhi"
)
SECRETS = ("t0ken-of-mine", "c00kie-1", "c00kie-2")


def har(kfl: str = "", *, with_secrets: bool = False) -> tuple[dict[str, Any], str, tuple[int, int]]:
    capture = Capture()
    connection = Connection(capture).open().ask(LOGIN).answer(WELCOME)
    capture.add(dns(1))
    connection.ask()
    out = io.BytesIO()
    counts = write_har(make_query(capture.segments(), kfl, Plugins()), out, with_secrets=with_secrets)
    return json.loads(out.getvalue())["log"], out.getvalue().decode(), counts


def test_exchanges_become_entries_and_the_rest_is_counted() -> None:
    log, _, (written, skipped) = har()
    assert (log["version"], log["creator"]["name"]) == ("1.2", "kubeshark")
    assert (written, len(log["entries"])) == (2, 2)
    assert skipped == 3  # a question, and two connections
    login, lonely = log["entries"]
    assert login["request"]["url"] == "http://shop.test/login?next=%2F"
    assert login["request"]["queryString"] == [{"name": "next", "value": "/"}]
    assert login["request"]["postData"]["mimeType"] == "application/json"
    assert login["response"]["content"] == {"size": 2, "mimeType": "text/plain", "text": "hi"}
    assert [each["value"] for each in login["response"]["headers"] if each["name"] == "X-A"] == ["1", "2"]
    assert login["time"] == login["timings"]["wait"] == 1.0
    assert (lonely["response"]["status"], lonely["request"]["url"]) == (0, "http://h/a")
    assert lonely["comment"].startswith("pair-not-found")


def test_secrets_are_redacted_wherever_they_stand() -> None:
    _, text, _ = har()
    assert not [secret for secret in SECRETS if secret in text]
    assert "[redacted]" in text
    _, text, _ = har(with_secrets=True)
    assert all(secret in text for secret in SECRETS)


def test_nothing_that_matches_is_still_a_har() -> None:
    log, _, counts = har("redis")
    assert (log["entries"], counts) == ([], (0, 0))


def test_a_withheld_exchange_says_so_and_nothing_else() -> None:
    """A plugin that redacts and fails: what it has not seen is in no export."""

    class Failing(Foreign):
        @hookimpl
        def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
            return [Enrichment(failure="is unwell")] * len(entries)

    capture = Capture()
    Connection(capture).open().ask(LOGIN).answer(WELCOME)
    out = io.BytesIO()
    with with_plugins(failing=Failing()) as plugins:
        assert write_har(make_query(capture.segments(), "http", plugins), out, with_secrets=True) == (1, 0)
    (entry,) = json.loads(out.getvalue())["log"]["entries"]
    assert (entry["request"]["method"], entry["response"]["status"]) == ("", 0)
    assert "is unwell" in entry["comment"]
    assert not [secret for secret in SECRETS if secret in out.getvalue().decode()]
