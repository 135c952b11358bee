"""The redactor example: what it hides is gone from queries, whatever it is asked by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginCrashed
from kubeshark.pipeline import Entry
from kubeshark.pipeline.plugins._trial import Trial
from tests.pipeline._traffic import Capture, Connection

HEAD = b"POST /pay?token=a%2Fb%20c&x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "examples" / "plugins" / "js" / "redactor"


@pytest.fixture
def trial(folder: Path) -> Iterator[Trial]:
    with Trial(folder) as loaded:
        yield loaded


def entry_of(trial: Trial, folder: Path, body: bytes, head: bytes = b"", kfl: str = "http") -> list[Entry]:
    capture = Capture()
    request = HEAD + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    Connection(capture).open().ask(request).answer(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=s3ss10n\r\nContent-Length: 0\r\n\r\n"
    )
    path = folder / "a.pcap"
    path.write_bytes(capture.pcap())
    return list(trial.entries(path, kfl))


def shown(entry: Entry) -> str:
    names = entry.facts.origin.variables
    return json.dumps([entry.wrapper(), {name: entry.get(name) for name in names}], default=repr)


def test_headers_keys_and_query_strings(trial: Trial, tmp_path: Path) -> None:
    body: dict[str, Any] = {"user": "ann", "auth": {"password": "hunter2", "copies": ["hunter2"]}, "token": 123456}
    head = b"Authorization: Bearer b34r3r\r\nX-Api-Key: k3yk3y\r\n"
    (entry,) = entry_of(trial, tmp_path, json.dumps(body).encode(), head)
    text = shown(entry)
    for secret in ("hunter2", "b34r3r", "k3yk3y", "s3ss10n", "123456", "a%2Fb%20c", "a/b c"):
        assert secret not in text
    assert json.loads(entry.get("request_body"))["user"] == "ann"
    assert entry.get("tags") == ["redacted"]
    assert set(entry.get("redactor_found")) == {"key", "query"}
    assert (entry.get("method"), entry.get("status_code"), entry.get("path")) == ("POST", 200, "/pay")


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        (b"card=4111 1111 1111 1111&x=1", "4111 1111 1111 1111"),
        (b'{"n":"4111111111111111"}', "4111111111111111"),
        (b'{"n":4111111111111111}', "4111111111111111"),
        (b"user=ann&password=p%26w%20d", "p%26w%20d"),
        (b'{"password":"cut off', "cut off"),
    ],
)
def test_forms_cards_and_broken_bodies(trial: Trial, tmp_path: Path, body: bytes, secret: str) -> None:
    (entry,) = entry_of(trial, tmp_path, body)
    assert secret not in shown(entry)


def test_numbers_that_are_no_cards_stay(trial: Trial, tmp_path: Path) -> None:
    (entry,) = entry_of(trial, tmp_path, b'{"order":"4111111111111112","phone":"555 0100"}')
    assert json.loads(entry.get("request_body")) == {"order": "4111111111111112", "phone": "555 0100"}


def test_no_filter_finds_out(trial: Trial, tmp_path: Path) -> None:
    body = b'{"password":"hunter2"}'
    assert len(entry_of(trial, tmp_path, body, kfl='request_body.contains("password")')) == 1
    for kfl in (
        'request_body.contains("hunter2")',
        'request_body.json("password") == "hunter2"',
        'url.contains("a%2F")',
    ):
        assert entry_of(trial, tmp_path, body, kfl=kfl) == []


def test_its_settings(folder: Path, tmp_path: Path) -> None:
    with Trial(folder, {"keys": ["user"], "headers": [], "cards": False}) as trial:
        (entry,) = entry_of(trial, tmp_path, b'{"user":"annabel","password":"hunter2"}')
        assert json.loads(entry.get("request_body")) == {"user": "[redacted]", "password": "hunter2"}
    with pytest.raises(PluginCrashed, match="is no name of a header"):
        Trial(folder, {"headers": ['a"b']})
