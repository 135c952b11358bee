"""Redaction: what is named is gone from everything that can be seen of an entry."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import Enrichment, EntryView, MessageKind, Redaction, hookimpl
from kubeshark.pipeline import Entry
from kubeshark.pipeline.enrichment._redact import RedactionError, redact, withhold
from tests.pipeline._plugins import Foreign, with_plugins
from tests.pipeline._traffic import Capture, Connection, find

BODY = {
    "user": {"name": "ann", "password": 'p"w\N{SNOWMAN}d'},
    "cards": [{"number": 4111111111111111}, {"number": "5500"}],
}


def post(body: bytes, head: bytes = b"") -> Entry:
    capture = Capture()
    start = b"POST /pay?next=%2Fhome HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    request = start + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    Connection(capture).open().ask(request).answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + b"done")
    return found(capture, "http")


class Looking(Foreign):
    """Changes nothing; where entries are enriched, a query makes them in full."""

    @hookimpl
    def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
        return [None] * len(entries)


def found(capture: Capture, kfl: str) -> Entry:
    with with_plugins(looking=Looking()) as plugins:
        (entry,) = find(capture, kfl, plugins)
    return entry


def seen(entry: Entry) -> str:
    """Everything that can be seen of an entry, as one text."""
    names = [name for name in entry.facts.origin.variables if name not in ("has_pcap",)]
    variables = {name: entry.get(name) for name in names}
    everything = [variables, entry.wrapper(), [entry.raw(kind) for kind in MessageKind]]
    return json.dumps(everything, default=lambda value: value.decode("latin-1"), ensure_ascii=False)


def hide(entry: Entry, *redactions: Redaction) -> str:
    redact(entry, redactions)
    return seen(entry)


def body_of(entry: Entry) -> Any:
    return json.loads(entry.get("request_body"))


def test_a_header_is_gone_everywhere() -> None:
    entry = post(b"{}", b"Authorization: Bearer abc.def\r\nX-Copy: <abc.def>\r\nCookie: sid=abc.def; a=1\r\n")
    assert "abc.def" in seen(entry)
    left = hide(entry, Redaction('request.headers["authorization"]'), Redaction(text="abc.def"))
    assert "abc.def" not in left
    assert entry.get("request.headers")["authorization"] == "[redacted]"
    assert entry.get("host") == "h"


def test_a_place_in_a_body_is_gone_and_the_rest_stays() -> None:
    entry = post(json.dumps(BODY).encode())
    left = hide(entry, Redaction("request.postData.text.user.password"), Redaction("request_body.cards.*.number"))
    assert body_of(entry) == {
        "user": {"name": "ann", "password": "[redacted]"},
        "cards": [{"number": "[redacted]"}, {"number": "[redacted]"}],
    }
    assert json.loads(entry.to_dict()["request"]["postData"]["text"]) == body_of(entry)
    for secret in ('p"w', r"p\"w", "4111111111111111", "5500"):
        assert secret not in left
    assert entry.raw(MessageKind.REQUEST) == b""
    assert entry.raw(MessageKind.RESPONSE) == b""
    assert entry.size(MessageKind.REQUEST) > 100


def test_a_body_that_is_no_json_is_gone_as_a_whole() -> None:
    entry = post(b"user=ann&password=hunter2")
    assert "hunter2" not in hide(entry, Redaction("request.postData.text.password", value="-"))
    assert entry.get("request_body") == "-"


def test_copies_in_other_spellings_are_gone() -> None:
    secret = "a b/c+\N{LATIN SMALL LETTER E WITH ACUTE}"
    basic = base64.b64encode(f"ann:{secret}".encode())
    url_safe = base64.urlsafe_b64encode(f">>?{secret}".encode()).rstrip(b"=")
    body = json.dumps({"a": secret, "b": "a%20b%2Fc%2B%C3%A9", "c": "a+b%2Fc%2B%C3%A9", "d": url_safe.decode()})
    entry = post(body.encode(), b"Authorization: Basic " + basic + b"\r\n")
    assert basic.decode() in seen(entry)
    left = hide(entry, Redaction(text=secret))
    for spelling in (
        secret,
        json.dumps(secret)[1:-1],
        "a%20b%2Fc%2B%C3%A9",
        "a+b%2Fc",
        basic.decode(),
        url_safe.decode(),
    ):
        assert spelling not in left


def test_variables_keep_their_types() -> None:
    entry = post(b"{}")
    hide(entry, Redaction("status_code"), Redaction("request.headers"), Redaction("path_segments"), Redaction("host"))
    assert (entry.get("status_code"), entry.get("request.headers"), entry.get("path_segments")) == (0, {}, [])
    assert entry.get("host") == "[redacted]"


def test_short_texts_are_replaced_as_whole_values_only() -> None:
    entry = post(b'{"pin":"12","port":"127"}')
    hide(entry, Redaction("request_body.pin"))
    assert body_of(entry) == {"pin": "[redacted]", "port": "127"}


def test_what_is_not_there_changes_nothing() -> None:
    entry = post(b'{"a":1}')
    nothing = Redaction('request.headers["x"]'), Redaction("response.nothing.here"), Redaction("redis_key")
    assert redact(entry, nothing) is False
    assert body_of(entry) == {"a": 1}
    assert entry.raw(MessageKind.REQUEST) != b""


def test_the_error_of_an_entry_tells_nothing() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"GET /s3cret HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\ncut")
    entry = found(capture, "http || error")
    hide(entry, Redaction(text="s3cret"))
    assert "s3cret" not in seen(entry)


@pytest.mark.parametrize("path", ["src.ip", "timestamp", "http", "protocol", "src.port", "conn_state", "id"])
def test_what_the_index_answers_cannot_be_hidden(path: str) -> None:
    with pytest.raises(RedactionError, match="index answers"):
        redact(post(b"{}"), [Redaction(path)])


@pytest.mark.parametrize("path", ["", ".", 'request.headers["x', "nothing", "request..url", "[]", "request[*"])
def test_a_bad_path_is_an_error(path: str) -> None:
    with pytest.raises(RedactionError):
        redact(post(b"{}"), [Redaction(path or "..")])


def test_containers_stay_what_they_are() -> None:
    entry = post(b"{}")
    places = ("request.headers", "request.cookies", "request.pathSegments", "response.cookies")
    redact(entry, [Redaction(place) for place in places])
    request, response = entry.to_dict()["request"], entry.to_dict()["response"]
    assert (request["headers"], request["cookies"], request["pathSegments"], response["cookies"]) == ({}, {}, [], {})


def test_withheld_leaves_addresses() -> None:
    entry = post(json.dumps(BODY).encode())
    withhold(entry, "because")
    assert "4111111111111111" not in seen(entry)
    assert "/pay" not in seen(entry)
    assert (entry.get("http"), entry.get("dst.port"), entry.get("error_message")) == (True, 80, "withheld: because")


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=3, max_size=12)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(secret=SECRETS, around=JSONS, prefix=st.text(max_size=3))
def test_a_secret_in_a_body_is_never_seen(secret: str, around: Any, prefix: str) -> None:
    body = {"secret": secret, "copy": [prefix + secret, {"deep": secret}], "around": around}
    entry = post(json.dumps(body).encode())
    redact(entry, [Redaction("request_body.secret", value="")])
    left = entry.get("request_body")
    kept = json.loads(left)
    assert kept["secret"] == ""
    assert secret not in kept["copy"][0]
    assert secret not in kept["copy"][1]["deep"]
