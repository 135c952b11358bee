"""Redaction by rule and views of namespaces: what is hidden is hidden everywhere, from filters too."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark import Pipeline
from kubeshark.errors import UsageError
from kubeshark.extension_api import Enrichment, EnrichSpec, EntryView, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.enrichment import _rules
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, MAX_FOUND, MAX_RULES, RedactionRule, rule_enricher
from tests.pipeline._plugins import with_plugins
from tests.pipeline._traffic import Capture, Connection, find
from tests.pipeline.enrichment.test_enrich import Enriching

COOKIE = "8f14e45f"


class Resolver:
    """Says which namespaces the ends lie in, as name resolution does."""

    @hookimpl
    def enriches(self) -> EnrichSpec:
        return EnrichSpec(variables={"src.namespace": "string", "dst.pod.namespace": "string"})

    @hookimpl
    def enrich(self, entries: Sequence[EntryView]) -> list[Enrichment | None]:
        names = {"10.77.0.101": "shop", "10.77.0.102": "desk"}
        return [
            Enrichment(
                variables={
                    "src.namespace": names.get(str(entry.get("src.ip")), ""),
                    "dst.pod.namespace": names.get(str(entry.get("dst.ip")), "servers"),
                }
            )
            for entry in entries
        ]


@pytest.fixture(scope="module")
def pipeline(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Plugins(local=[("resolver", Resolver())]) as plugins,
    ):
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with Pipeline.open(tmp_path_factory.mktemp("rules") / "store", plugins=plugins) as opened:
            opened.import_file(root / "examples" / "captures" / "sample.pcapng")
            yield opened


def everything(view: Pipeline, kfl: str = "") -> str:
    """All that a user can see of the matching entries."""
    found = view.query(kfl)
    return json.dumps([[entry.to_dict(), entry.wrapper(), dict(entry.variables)] for entry in found], default=str)


def with_rule(pipeline: Pipeline, kind: Any, match: str) -> Pipeline:
    return pipeline.restricted(rules=[RedactionRule(kind, match)])


def test_the_rules_that_come_with_it_hide_credentials(pipeline: Pipeline) -> None:
    credentials = {
        str(value)
        for entry in pipeline.query("http")
        for name, value in entry.get("request.headers").items()
        if name.lower() == "authorization"
    }
    assert credentials
    view = pipeline.restricted(rules=DEFAULT_RULES)
    shown = everything(view, "http")
    for secret in (*credentials, *(text.split()[-1] for text in credentials), COOKIE):
        assert secret in everything(pipeline, "http")
        assert secret not in shown
    assert shown.count('"method"') == everything(pipeline, "http").count('"method"')  # the rest is there


@pytest.mark.parametrize(
    "kfl",
    [
        f'request.headers["Cookie"].contains("{COOKIE}")',
        f'request.cookies["session"] == "{COOKIE}"',
        f'map_get(request.headers, "cookie", "").contains("{COOKIE[:4]}")',
        f'"{COOKIE}" in request.cookies',
        'field("request.headers.Authorization") != "" && request.headers["Authorization"].startsWith("B")',
    ],
)
def test_no_filter_finds_out_what_is_hidden(pipeline: Pipeline, kfl: str) -> None:
    assert list(pipeline.restricted(rules=DEFAULT_RULES).query(kfl)) == []


def test_columns_and_values_are_hidden_too(pipeline: Pipeline) -> None:
    view = with_rule(pipeline, "pattern", "catalogue")
    for fields in (["path"], ["url"], ["request.headers", "url"]):
        assert "catalogue" in json.dumps(list(pipeline.query("http").batches(fields)))
        assert "catalogue" not in json.dumps(list(view.query("http").batches(fields)))


def test_har_is_hidden_by_rules_even_with_its_own_redaction_off(pipeline: Pipeline) -> None:
    out = io.BytesIO()
    pipeline.restricted(rules=DEFAULT_RULES).export_har("http", out, with_secrets=True)
    assert COOKIE.encode() not in out.getvalue()
    assert b"robots.txt" in out.getvalue()


def test_one_entry_is_as_in_the_list(pipeline: Pipeline) -> None:
    view = pipeline.restricted(rules=DEFAULT_RULES)
    listed = next(iter(view.query("http && size(request.cookies) > 0")))
    alone = view.entry(listed.id)
    assert alone is not None
    assert alone.to_dict() == listed.to_dict()
    assert alone.is_redacted


def test_packets_are_not_exported_from_a_view(pipeline: Pipeline) -> None:
    for view in (pipeline.restricted(rules=DEFAULT_RULES), pipeline.restricted(namespaces=["shop"])):
        with pytest.raises(UsageError, match="cannot be redacted"):
            view.export("dns", io.BytesIO())
        with pytest.raises(UsageError, match="cannot be redacted"):
            view.export_entries(list(pipeline.query("dns", limit=1)), io.BytesIO(), format="pcapng")


@pytest.mark.parametrize(
    ("kind", "match", "hidden"),
    [
        ("header", "user-agent", "sample/1.0"),
        ("cookie", "theme", "dark"),
        ("cookie", "*", COOKIE),
        ("pattern", "robots[.]txt", "robots.txt"),
        ("key", "session", COOKIE),
    ],
)
def test_each_kind_hides_what_it_names(pipeline: Pipeline, kind: Any, match: str, hidden: str) -> None:
    def told(view: Pipeline) -> str:
        return json.dumps([entry.to_dict()["request"] for entry in view.query("http")])

    assert hidden in told(pipeline)
    assert hidden not in told(with_rule(pipeline, kind, match))


BODY = {"user": {"name": "ann", "password": "correct horse"}, "items": [{"pin": 123456}, {"pin": 999}], "n": 1}
POST = json.dumps(BODY).encode()
ASKED = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    ("kind", "match", "hidden"),
    [
        ("json", "user.password", "correct horse"),
        ("json", "items.*.pin", "123456"),
        ("json", "items.0.pin", "123456"),
        ("key", "PASSWORD", "correct horse"),
        ("key", "pin", "123456"),
        ("pattern", "[0-9]{6}", "123456"),
    ],
)
def test_json_bodies_are_hidden_by_place_and_by_key(kind: Any, match: str, hidden: str) -> None:
    made = Capture()
    Connection(made).open().ask(ASKED % (len(POST), POST)).answer()
    (clear,) = find(made, "http")
    assert hidden in json.dumps(clear.to_dict())
    ruler = rule_enricher([RedactionRule(kind, match)])
    with with_plugins(rules=Enriching(lambda entry: ruler.call(entries=[entry])[0])) as plugins:
        (entry,) = find(made, "http", plugins)
        assert hidden not in json.dumps([entry.to_dict(), entry.wrapper()])
        body = json.loads(entry.to_dict()["request"]["postData"]["text"])
        assert body["user"]["name"] == "ann"
        assert find(made, f'request_body.contains("{hidden}")', plugins) == []


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (b"application/json", b'{"user":"ann","password":"correct horse","rest":['),  # cut
        (b"application/json", b'\xef\xbb\xbf{"password":"correct horse"}'),
        (b"application/json", b'{"name":"Andr\xe9","password":"correct horse"}'),  # Latin-1: shown as base64
        (b"application/json", b'{"password":"correct horse",}'),
        (b"application/json", b"[" * 3000 + b'{"password":"correct horse"}' + b"]" * 3000),
        (b"application/json", b'{"n":' + b"1" * 5000 + b',"password":"correct horse"}'),
        (b"application/json", json.dumps({"inner": json.dumps({"password": "correct horse"})}).encode()),
        (b"application/x-ndjson", b'{"a":1}\n{"password":"correct horse"}\n'),
        (b"text/event-stream", b'data: {"password":"correct horse"}\n\n'),
        (b"application/x-www-form-urlencoded", b"user=ann&password=correct+horse"),
        (b"application/x-www-form-urlencoded", b"user=ann&password=correct%20horse&x=1"),
        (
            b"multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\ncorrect horse\r\n--b--\r\n',
        ),
    ],
)
def test_passwords_are_hidden_in_whatever_holds_them(media: bytes, body: bytes) -> None:
    made = Capture()
    asked = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
    Connection(made).open().ask(asked % (media, len(body), body)).answer()
    ruler = rule_enricher(DEFAULT_RULES)
    with with_plugins(rules=Enriching(lambda entry: ruler.call(entries=[entry])[0])) as plugins:
        (entry,) = find(made, "http", plugins)
        shown = json.dumps([entry.to_dict(), entry.wrapper(), dict(entry.variables)], default=str)
        assert "correct" not in shown
        assert "horse" not in shown
        assert base64.b64encode(b'password":"correct horse"').decode()[4:20] not in shown
        assert "/login" in shown
        assert find(made, 'request_body.contains("correct")', plugins) == []


def test_an_entry_full_of_secrets_is_withheld() -> None:
    made = Capture()
    body = json.dumps([{"password": f"secret{number}"} for number in range(2 * MAX_FOUND)]).encode()
    asked = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b"
    Connection(made).open().ask(asked % (len(body), body)).answer()
    ruler = rule_enricher(DEFAULT_RULES)
    with with_plugins(rules=Enriching(lambda entry: ruler.call(entries=[entry])[0])) as plugins:
        (entry,) = find(made, "", plugins)[:1]
        assert "secret1" not in json.dumps([entry.to_dict(), entry.wrapper()])


def test_half_a_surrogate_pair_costs_nothing() -> None:
    made = Capture()
    body = b'{"password":"correct","odd":"\\ud800"}'
    asked = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b"
    Connection(made).open().ask(asked % (len(body), body)).answer()
    ruler = rule_enricher(DEFAULT_RULES)
    with with_plugins(rules=Enriching(lambda entry: ruler.call(entries=[entry])[0])) as plugins:
        (entry,) = find(made, "http", plugins)
        text = entry.to_dict()["request"]["postData"]["text"]
        assert json.loads(text.encode().decode()) == {"password": "[redacted]", "odd": "\ud800"}


def test_bodies_that_are_not_json_stay_as_they_are() -> None:
    made = Capture()
    text = b"password correct horse"
    Connection(made).open().ask(ASKED % (len(text), text)).answer()
    ruler = rule_enricher([RedactionRule("json", "user.password"), RedactionRule("key", "password")])
    with with_plugins(rules=Enriching(lambda entry: ruler.call(entries=[entry])[0])) as plugins:
        (entry,) = find(made, "http", plugins)
        assert entry.to_dict()["request"]["postData"]["text"] == text.decode()


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("pattern", "("),
        ("pattern", ".*"),
        ("pattern", "a*"),
        ("header", " "),
        ("nonsense", "x"),
        ("json", "a..b"),
        ("key", "x" * 501),
    ],
)
def test_rules_that_cannot_be_meant(kind: Any, match: str) -> None:
    with pytest.raises(UsageError):
        RedactionRule(kind, match)
    with pytest.raises(UsageError, match="more than"):
        rule_enricher([RedactionRule("header", "a")] * (MAX_RULES + 1))


def test_a_view_of_namespaces_holds_what_touches_them(pipeline: Pipeline) -> None:
    all_ids = {entry.id for entry in pipeline.query("true || conn || flow")}
    of_shop = {
        entry.id
        for entry in pipeline.query("true || conn || flow")
        if "shop" in (entry.get("src.namespace"), entry.get("dst.pod.namespace"))
    }
    assert set() < of_shop < all_ids
    view = pipeline.restricted(namespaces=["shop"])
    assert {entry.id for entry in view.query("true || conn || flow")} == of_shop
    assert {entry.id for entry in pipeline.restricted(namespaces=["shop", "servers"]).query("")} <= all_ids
    assert {
        entry.id for entry in pipeline.restricted(namespaces=["sh?p", "x*"]).query("true || conn || flow")
    } == of_shop
    assert list(pipeline.restricted(namespaces=["hop", "*.shop"]).query("")) == []
    assert list(pipeline.restricted(namespaces=[]).query("")) == []
    assert list(pipeline.restricted(namespaces=[""]).query("")) == []  # what lies nowhere is nobody's
    hidden = next(iter(all_ids - of_shop))
    assert view.entry(hidden) is None
    assert sum(len(batch["id"]) for batch in view.query("true || conn || flow").batches(["id"])) == len(of_shop)


def test_closing_a_view_leaves_the_pipeline_open(pipeline: Pipeline) -> None:
    with pipeline.restricted(namespaces=["shop"]):
        pass
    assert list(pipeline.query("dns", limit=1))


STEADY = ["id", "protocol", "src.ip", "dst.port", "elapsed_time", "timestamp"]


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline whose plugins are those built in."""
    with pytest.MonkeyPatch.context() as patch, Plugins() as plugins:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with Pipeline.open(tmp_path_factory.mktemp("plain") / "store", plugins=plugins) as opened:
            opened.import_file(root / "examples" / "captures" / "sample.pcapng")
            yield opened


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the entries that rules looked at."""
    ids: list[str] = []
    real = _rules._Ruler.look_at

    def counting(ruler: Any, entry: Any) -> Any:
        ids.append(entry.id)
        return real(ruler, entry)

    monkeypatch.setattr(_rules._Ruler, "look_at", counting)
    return ids


def test_rules_look_at_nothing_where_nothing_can_be_hidden(plain: Pipeline, looked_at: list[str]) -> None:
    view = plain.restricted(rules=DEFAULT_RULES)
    for kfl in ("", "http || dns", 'dst.port == 6379 && src.ip != "10.0.0.1"', "http && elapsed_time > 100", "conn"):
        expected = [run.column(name) for run in plain.query(kfl).runs(STEADY) for name in STEADY]
        assert [run.column(name) for run in view.query(kfl).runs(STEADY) for name in STEADY] == expected
    assert looked_at == []


BRIEF = ["status_code", "error", "protocol", "timestamp", "id"]


@pytest.mark.parametrize("kfl", ["", "http", "http && status_code >= 400", "status_code in [200, 404, 1000]", "mysql"])
def test_a_status_is_a_number_that_is_too_short_to_hide(plain: Pipeline, looked_at: list[str], kfl: str) -> None:
    """The same answers as where every entry is looked at, and only those with long numbers are."""
    view = plain.restricted(rules=[*DEFAULT_RULES, RedactionRule("pattern", "404|200|1000|error")])
    fast = [run.column(name) for run in view.query(kfl).runs(BRIEF) for name in BRIEF]
    few = len(looked_at)
    slow = [run.column(name) for run in view.query(kfl).runs([*BRIEF, "path"]) for name in BRIEF]
    assert fast == slow
    long = sum(entry.get("status_code") >= 1000 for entry in plain.query(kfl))
    assert few == long or "1000" in kfl
    if kfl.startswith("http"):
        assert few == 0


def test_a_long_number_is_hidden_in_its_row(plain: Pipeline) -> None:
    code = next(entry.get("status_code") for entry in plain.query("status_code >= 1000"))
    view = plain.restricted(rules=[RedactionRule("pattern", str(code))])
    codes = [each for run in view.query("").runs(BRIEF) for each in run.column("status_code")]
    assert code not in codes
    assert codes == [entry.get("status_code") for entry in view.query("")]
    assert list(view.query(f"status_code == {code}")) == []


def test_rules_look_at_what_the_filter_leaves(plain: Pipeline, looked_at: list[str]) -> None:
    view = plain.restricted(rules=DEFAULT_RULES)
    ids = [entry.id for entry in plain.query("redis", limit=5)]
    assert [entry.id for entry in view.query("redis", limit=5)] == ids
    assert set(ids) <= set(looked_at)
    assert len(looked_at) < sum(map(len, plain.query("").runs([])))


@pytest.mark.parametrize("kfl", [f'request.cookies["session"] == "{COOKIE}"', "http && error", 'path == "/"'])
def test_what_may_be_hidden_is_hidden_before_it_is_asked_for(plain: Pipeline, looked_at: list[str], kfl: str) -> None:
    view = plain.restricted(rules=DEFAULT_RULES)
    found = list(view.query(kfl))
    assert len(looked_at) > len(found)
    assert COOKIE not in json.dumps([entry.to_dict() for entry in found])


@pytest.mark.parametrize("reads", [["path"], ["tags"], ["status_code", "path", "id"]])
def test_columns_that_may_be_hidden_are_looked_at(plain: Pipeline, looked_at: list[str], reads: list[str]) -> None:
    view = plain.restricted(rules=DEFAULT_RULES)
    entries = sum(map(len, view.query("http").runs(reads)))
    assert len(looked_at) == entries > 0


def test_columns_are_hidden_as_entries_are(plain: Pipeline) -> None:
    view = plain.restricted(rules=[RedactionRule("pattern", "robots")])
    paths = [path for run in view.query("http").runs(["path"]) for path in run.column("path")]
    assert paths == [entry.get("path") for entry in view.query("http")]
    assert any("[redacted]" in path for path in paths)


def test_where_rules_fail_nothing_is_told_that_a_rule_could_hide(
    plain: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short status is nobody's secret and is counted; everything else of the entry is withheld, long ones too."""

    def fails(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(_rules._Ruler, "look_at", fails)
    view = plain.restricted(rules=DEFAULT_RULES)
    statuses, codes = (
        [each for run in pipeline.query("").runs(BRIEF) for each in run.column("status_code")]
        for pipeline in (plain, view)
    )
    assert max(statuses) >= 1000
    assert codes == [0 if code >= 1000 else code for code in statuses]
    assert list(view.query("status_code >= 1000")) == []
    counted = view.query("http && status_code == 404")
    expected = [entry.id for entry in plain.query("http && status_code == 404")]
    assert [each for run in counted.runs(["id", "status_code"]) for each in run.column("id")] == expected != []
    for entry in view.query("http && status_code == 404"):
        assert entry.get("path") == entry.get("request_body") == ""
        assert entry.error is not None
        assert entry.is_redacted
        assert COOKIE not in json.dumps([entry.to_dict(), dict(entry.variables)], default=str)
    assert [entry for entry in view.query("http") if entry.get("path") or entry.get("request.headers")] == []
    assert list(view.query('path.startsWith("/")')) == []
