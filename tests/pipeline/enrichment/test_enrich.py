"""The enrich stage: before filters, in order of priority, and closed where a plugin fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubeshark.extension_api import Enrichment, EnrichSpec, EntryView, Redaction, hookimpl
from tests.pipeline._plugins import Foreign, failure, with_plugins
from tests.pipeline._traffic import Capture, Connection, dns, find, make_query

SECRET = b"GET /a?token=s3cret HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\n\r\n"


class Enriching(Foreign):
    """Does to each entry what it is told."""

    def __init__(self, answer: Callable[[EntryView], Enrichment | None], **spec: Any) -> None:
        super().__init__()
        self.answer = answer
        self.spec = EnrichSpec(**spec)
        self.seen: list[str] = []

    @hookimpl
    def enriches(self) -> EnrichSpec:
        return self.spec

    @hookimpl
    def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
        self.seen += [str(entry.get("url")) for entry in entries]
        return [self.answer(entry) for entry in entries]


def capture() -> Capture:
    made = Capture()
    Connection(made).open().ask(SECRET).answer()
    Connection(made, client_port=40_001).open().ask(SECRET.replace(b"s3cret", b"other!")).answer()
    return made


def hiding(**spec: Any) -> Enriching:
    return Enriching(lambda _: Enrichment(redactions=(Redaction(text="s3cret"),)), **spec)


FILTERS = (
    'url.contains("s3cret")',
    'request.headers["authorization"] == "Bearer s3cret"',
    'query_string["token"] == "s3cret"',
    'path == "/a" && url.matches("s3c.et")',
)


@pytest.mark.parametrize("kfl", FILTERS)
def test_a_filter_is_no_oracle(kfl: str) -> None:
    assert len(find(capture(), kfl)) == 1
    with with_plugins(hide=hiding()) as plugins:
        assert find(capture(), kfl, plugins) == []
        assert len(find(capture(), "http", plugins)) == 2


def test_columns_are_redacted_too() -> None:
    with with_plugins(hide=hiding()) as plugins:
        shown = [
            value
            for run in make_query(capture().segments(), "http", plugins).runs(["url"])
            for value in run.column("url")
        ]
        (entry, _) = make_query(capture().segments(), "http", plugins)
    assert shown == ["/a?token=[redacted]", "/a?token=other!"]
    assert entry.get("url") == shown[0]


def test_drop_annotate_tag() -> None:
    def answer(entry: EntryView) -> Enrichment | None:
        if "other" in str(entry.get("url")):
            return Enrichment(drop=True)
        return Enrichment(tags=("pii", "pii"), variables={"x_length": len(str(entry.get("url")))})

    with with_plugins(x=Enriching(answer, variables={"x_length": "int"})) as plugins:
        (entry,) = find(capture(), 'x_length > 10 && "pii" in tags', plugins)
        assert find(capture(), 'url.contains("other")', plugins) == []
        document = entry.to_dict()
    assert (document["tags"], document["annotations"]) == (["pii"], {"x_length": 15})
    assert "s3cret" in document["request"]["url"]


def test_ids_are_those_without_it() -> None:
    ids = [entry.id for entry in find(capture(), "http")]
    with with_plugins(x=Enriching(lambda entry: Enrichment(drop="other" not in str(entry.get("url"))))) as plugins:
        assert [entry.id for entry in find(capture(), "http", plugins)] == ids[1:]


def test_lower_priorities_run_first() -> None:
    first, second = hiding(priority=1), Enriching(lambda _: None, priority=2)
    with with_plugins(b=second, a=first) as plugins:
        find(capture(), "http", plugins)
    assert first.seen == ["/a?token=s3cret", "/a?token=other!"]
    assert second.seen == ["/a?token=[redacted]", "/a?token=other!"]


def test_only_the_protocols_it_wants() -> None:
    made = capture()
    made.add(dns(1))
    made.add(dns(1, answer=True))
    wants = Enriching(lambda _: None, protocols=("dns",))
    with with_plugins(x=wants) as plugins:
        find(made, "", plugins)
    assert len(wants.seen) == 1


@pytest.mark.parametrize(
    ("policy", "shown"), [("withhold", []), ("drop", []), ("keep", ["/a?token=s3cret", "/a?token=other!"])]
)
def test_what_is_out_knows_its_own_packets_no_more(policy: str, shown: list[str]) -> None:
    """Its dissector is not asked either: they are somebody else's then, and what it hides would be shown."""
    away = Enriching(raising, protocols=("mine",), on_failure=policy)
    away.is_out = True
    with with_plugins(x=away) as plugins:
        assert [entry.get("url") for entry in find(capture(), "http", plugins) if entry.get("url")] == shown


def test_connections_pass_it_too() -> None:
    with with_plugins(
        x=Enriching(lambda entry: Enrichment(drop=bool(entry.get("conn") or entry.get("flow"))))
    ) as plugins:
        assert len(find(capture(), "conn || flow || http")) > 2
        assert len(find(capture(), "conn || flow || http", plugins)) == 2


def raising(_: EntryView) -> Enrichment:
    raise ValueError("oops")


def crashing(_: EntryView) -> Enrichment:
    raise failure("was ended by SIGSEGV")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (raising, "raised ValueError"),
        (crashing, "was ended by SIGSEGV"),
        (lambda _: Enrichment(failure="took longer than 100 ms"), "took longer than 100 ms"),
        (lambda _: Enrichment(variables={"undeclared": 1}), "sets undeclared, which it does not declare"),
        (lambda _: Enrichment(redactions=(Redaction("src.ip"),)), "src.ip cannot be redacted"),
        (lambda _: Enrichment(redactions=(Redaction("request.headers[oops"),)), "is not a path"),
        (lambda _: Enrichment(redactions=(Redaction("no_such.thing"),)), "is no variable"),
    ],
)
def test_failing_closes(answer: Any, reason: str) -> None:
    with with_plugins(x=Enriching(answer)) as plugins:
        query = make_query(capture().segments(), "http", plugins)
        entries = list(query)
        assert find(capture(), 'url != ""', plugins) == []
        documents = [entry.to_dict() for entry in entries]
    assert len(entries) == 2
    for entry, document in zip(entries, documents, strict=True):
        assert (entry.get("url"), entry.get("request.headers"), entry.raw(0)) == ("", {}, b"")  # type: ignore[arg-type]
        assert "s3cret" not in str(document)
        assert (document["src"]["port"], document["request"], document["requestSize"] > 0) == (
            str(entry.src.port),
            {},
            True,
        )
        assert document["error"]["msg"].startswith("withheld: plugin x@1.0.0 ")
    (problem,) = query.problems
    assert "2 entries are shown without their content" in str(problem)
    assert reason in str(problem)
    assert (query.stats.redacted, query.stats.dropped, query.stats.withheld) == (0, 0, 2)


@pytest.mark.parametrize(("policy", "shown"), [("drop", 0), ("keep", 2)])
def test_another_policy(policy: str, shown: int) -> None:
    with with_plugins(x=Enriching(raising, on_failure=policy)) as plugins:
        query = make_query(capture().segments(), 'url.contains("token")', plugins)
        assert len(list(query)) == shown
        assert len(query.problems) == 1


def test_too_few_answers_are_a_failure() -> None:
    class Short(Enriching):
        @hookimpl
        def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
            return []

    with with_plugins(x=Short(lambda _: None)) as plugins:
        assert find(capture(), 'url != ""', plugins) == []
