"""A Python plugin that raises or answers nonsense loses the one item, and is named once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from kubeshark.extension_api import (
    Classifier,
    Enrichment,
    EnrichSpec,
    FilterSpec,
    JobSpec,
    Message,
    ProtocolSpec,
    Redaction,
    Representation,
    Section,
    hookimpl,
)
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.plugins import _registered
from tests.pipeline._plugins import Lines, Point
from tests.pipeline._traffic import Capture, Connection, find


def made(hook: str, function: Callable[..., Any], **others: Callable[..., Any]) -> SimpleNamespace:
    """Return a plugin that has hooks beside those of `Lines`, or in their place."""
    lines = Lines(Classifier("tcp", (80,)), priority=0)
    hooks = {"protocols": lines.protocols, "dissect": lines.dissect, **others, hook: hookimpl(function)}
    return SimpleNamespace(**hooks)


def capture() -> Capture:
    found = Capture()
    Connection(found).open().ask(b"bad\n").answer(b"no\n")
    Connection(found, client_port=40_001).open().ask(b"good\n").answer(b"yes\n")
    return found


def run(plugin: Any, kfl: str = "") -> tuple[list[Entry], list[str]]:
    with Plugins(local=[("mine", plugin)]) as plugins:
        entries = find(capture(), kfl, plugins)
        for entry in entries:
            entry.to_dict(), entry.row(), entry.representation(), entry.moments()
        return entries, [str(problem) for problem in plugins.take_problems()]


def raises(error: BaseException) -> Callable[..., Any]:
    def fail() -> Any:
        raise error

    return fail


FAILURES = [RuntimeError("boom"), SystemExit(7), MemoryError(), RecursionError(), AttributeError()]
DECLARING = {"protocols": ProtocolSpec, "filters": FilterSpec, "jobs": JobSpec, "enriches": EnrichSpec}


@pytest.mark.parametrize("hook", DECLARING)
@pytest.mark.parametrize(
    "answer", [*map(raises, FAILURES[:2]), lambda: None, lambda: ["x"], lambda: [object()]], ids=range(5)
)
def test_declarations(hook: str, answer: Callable[[], Any]) -> None:
    def enrich(entries: Sequence[Any]) -> list[None]:
        return [None] * len(entries)

    beside = {"enrich": hookimpl(enrich)} if hook == "enriches" else {}
    entries, problems = run(made(hook, lambda: answer(), **beside), "!tcp_conn")
    assert len(entries) > 1
    assert len(problems) == 1 and problems[0].startswith(f"plugin mine in {hook}: ")
    if beside:  # who cannot say what it hides hides all
        assert all("withheld" in str(entry.error_document()) for entry in entries)


def dissecting(change: Callable[[list[Message]], Any]) -> Any:
    lines = Lines(Classifier("tcp", (80,)), priority=0)

    def dissect(protocol: ProtocolSpec, streams: Sequence[Any]) -> list[Any]:
        found: list[Any] = [list(each) for each in lines.dissect(protocol, streams)]
        return [change(each) if each[0].fields["lines_text"] == "bad" else each for each in found]

    return made("dissect", dissect)


def setting(**values: Any) -> Callable[[list[Message]], Any]:
    def change(messages: list[Message]) -> list[Message]:
        for name, value in values.items():
            setattr(messages[0], name, value)
        return messages

    return change


@pytest.mark.parametrize(
    "change",
    [
        *[lambda _, error=error: raises(error)() for error in FAILURES],
        lambda _: None,
        lambda _: 5,
        lambda _: ["x"],
        setting(start=-5),
        setting(end=1 << 30),
        setting(start=3, end=1),
        setting(kind=7),
        setting(direction=9),
        setting(fields={"lines_text": 5}),
        setting(fields={"lines_text": None}),
        setting(fields={"status_code": "zz"}),
        setting(fields={"other": object()}),
        setting(fields=7),
        setting(key=5),
        setting(error=object()),
    ],
)
def test_what_dissect_fails_on_costs_the_stream(change: Callable[[list[Message]], Any]) -> None:
    entries, problems = run(dissecting(change), "!tcp_conn")
    assert [entry.get("lines_text") for entry in entries if entry.get("lines")] == ["good"]
    assert any(entry.get("tcp") for entry in entries)  # the other one as payload
    assert len(problems) == 1 and problems[0].startswith("plugin mine in dissect: ")


@pytest.mark.parametrize("answer", [None, [], [[]] * 5, 7])
def test_too_few_answers(answer: Any) -> None:
    entries, problems = run(made("dissect", lambda streams, protocol: answer), "!tcp_conn")
    assert len(entries) >= 2
    assert len(problems) == 1


def test_ctrl_c_is_nobodys_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(dissecting(lambda _: raises(KeyboardInterrupt())()))


CYCLE: dict[str, Any] = {}
CYCLE["a"] = CYCLE


@pytest.mark.parametrize(
    "detail",
    [
        *map(raises, FAILURES),
        lambda: 5,
        lambda: None,
        lambda: ({}, 5),
        lambda: ({}, {"x": object()}),
        lambda: ({}, CYCLE),
        lambda: ({"lines_text": 5}, {}),
    ],
)
@pytest.mark.parametrize("what", ["detail", "parts"])
def test_what_is_built_later(detail: Callable[[], Any], what: str) -> None:
    entries, problems = run(dissecting(setting(**{what: detail})), "lines")
    assert [entry.get("lines_text") for entry in entries] == ["bad", "good"]
    assert entries[0].to_dict()["request"] == {"lines_text": "bad"}
    assert len(problems) == 1 and problems[0].startswith(f"plugin mine in dissect: {what}: ")


def of_bad(entry: Any, answer: Callable[[], Any]) -> Any:
    return answer() if entry.get("lines_text") == "bad" else None


NONSENSE: list[Callable[[], Any]] = [*map(raises, FAILURES), lambda: "x", lambda: 5]


@pytest.mark.parametrize("answer", NONSENSE)
def test_filters(answer: Callable[[], Any]) -> None:
    def decide(filter: FilterSpec, arguments: Any, entries: Sequence[Any]) -> list[Any]:
        return [of_bad(entry, answer) or True for entry in entries]

    plugin = made("filter", decide, filters=hookimpl(lambda: [FilterSpec("good_ones")]))
    entries, problems = run(plugin, "lines && good_ones()")
    assert [entry.get("lines_text") for entry in entries] == ["good"]
    assert len(problems) == 1 and problems[0].startswith("plugin mine in filter: ")


@pytest.mark.parametrize("answer", [*NONSENSE, lambda: [1], lambda: {"method": 5}, lambda: {"colour": "x"}])
def test_cells(answer: Callable[[], Any]) -> None:
    entries, problems = run(made("summarize", lambda entry: of_bad(entry, answer)), "lines")
    assert len(entries) == 2
    assert len(problems) == 1 and problems[0].startswith("plugin mine in summarize: ")


def test_cells_that_are_not_set_are_empty() -> None:
    entries, problems = run(made("summarize", lambda entry: {"method": "x"}), "lines")
    assert (entries[0].row()["method"], entries[0].row()["status"], problems) == ("x", 0, [])


@pytest.mark.parametrize(
    "answer",
    [
        *NONSENSE,
        lambda: Representation("high"),  # type: ignore[arg-type]
        lambda: Representation(5, request=(Section("body", "t", body=object()),)),  # type: ignore[arg-type]
        lambda: Representation(5, request=(7,)),  # type: ignore[arg-type]
    ],
)
def test_representations(answer: Callable[[], Any]) -> None:
    entries, problems = run(made("render", lambda entry: of_bad(entry, answer)), "lines")
    assert "renderer failed" in [section.title for section in entries[0].representation().event]
    assert "renderer failed" not in [section.title for section in entries[1].representation().event]
    assert len(problems) == 1 and problems[0].startswith("plugin mine in render: ")


@pytest.mark.parametrize(
    "answer",
    [
        *NONSENSE,
        lambda: Enrichment(redactions="abc"),  # type: ignore[arg-type]
        lambda: Enrichment(redactions=(Redaction(),)),
        lambda: Enrichment(tags=(5,)),  # type: ignore[arg-type]
        lambda: Enrichment(variables=7),  # type: ignore[arg-type]
        lambda: Enrichment(variables={"status_code": "x"}),
    ],
)
def test_an_enricher_that_fails_withholds_the_one_entry(answer: Callable[[], Any]) -> None:
    plugin = made("enrich", lambda entries: [of_bad(entry, answer) for entry in entries])
    entries, problems = run(plugin, "lines")
    assert ["withheld" in str(entry.error_document()) for entry in entries] == [True, False]
    assert problems == []  # the stage says it


@pytest.mark.parametrize("error", [*FAILURES, ImportError("no module x")])
def test_what_cannot_be_loaded_is_left_out(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("bad", raises(error)), Point("good", lambda: made("jobs", lambda: ()))]
    monkeypatch.setattr(_registered, "python_plugins", lambda: points)
    with Plugins() as plugins:
        assert "lines" in plugins.variables
        (problem,) = plugins.take_problems()
    assert str(problem).startswith(f"plugin bad: cannot be loaded: raised {type(error).__name__}")


def test_one_name_for_two_packages_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("mine", lambda: made("jobs", lambda: ())) for _ in range(2)]
    monkeypatch.setattr(_registered, "python_plugins", lambda: points)
    with Plugins() as plugins:
        (problem,) = plugins.take_problems()
    assert str(problem) == "plugin mine: another plugin has this name: uninstall one of them"
