"""Rows answer as their entries would, and are dissected only when their columns do not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kubeshark.core_capture import load_core
from kubeshark.pipeline import Entry, Plugins
from kubeshark.pipeline.dissectors.web import http1
from kubeshark.pipeline.tables._lazy_entry import LazyEntry
from tests.pipeline._traffic import Capture, Connection, make_query
from tests.pipeline.tables._rows import query, traffic

pytestmark = pytest.mark.skipif(load_core().name != "native", reason="scanners need the C core: apt-get install gcc")


def summaries(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    return [(entry.get("url"), entry.get("status_code"), entry.get("src.port")) for entry in entries]


def test_columns_need_no_dissection(dissected: list[int]) -> None:
    found = list(query("http && status_code >= 500"))
    assert summaries(found) == [("/a", 503, 40_001)]
    assert [entry.id for entry in found] == ["s0-1-0"]
    assert (found[0].src.port, found[0].protocol.abbr, found[0].is_built) == (40_001, "HTTP", False)
    assert dissected == []


def test_what_no_column_knows_dissects_that_stream_once(dissected: list[int]) -> None:
    found = list(query("http && src.port == 40001"))
    assert all(isinstance(entry, LazyEntry) for entry in found)
    assert [entry.get("request.headers") for entry in found] == [{"host": "h"}] * 2
    assert dissected == [1]
    assert found[1].to_dict()["response"]["status"] == 200
    assert dissected == [1]


def test_a_filter_builds_only_what_its_cheap_terms_leave(dissected: list[int]) -> None:
    found = query('http && status_code == 503 && request.headers["host"] == "h"')
    assert summaries(list(found)) == [("/a", 503, 40_001)]
    assert dissected == [1]
    assert found.stats.built == 1


def test_half_an_exchange_says_why(dissected: list[int]) -> None:
    (lonely,) = query("http && status_code == 0")
    assert lonely.get("error_type") == "pair-not-found"
    assert dissected == [1]
    assert lonely.elapsed_ns == 0


def test_errors_are_counted_without_dissection(dissected: list[int]) -> None:
    """Half an exchange is one, but for a message that nobody answers."""
    run = list(query("http || dns").runs(["error", "status_code"]))
    errors = [failed for part in run for failed in part.column("error")]
    assert sorted(errors) == [False, False, False, True, True]  # the question to DNS has no answer, either
    assert dissected == []
    assert [entry.get("status_code") for entry in query("http && error")] == [0]


def test_connections_are_decided_by_their_transport() -> None:
    found = list(query("tcp_conn"))
    assert [entry.id for entry in found] == ["s0-0-conn", "s0-1-conn"]
    assert found[0].get("conn_l7_detected") == ["HTTP"]
    assert [entry.id for entry in query('conn && conn_l7_detected.exists(name, name == "DNS")')] == ["s0-2-conn"]


def test_runs_give_the_columns_of_the_entries_in_order() -> None:
    names = ("id", "timestamp", "url", "status_code", "dns_questions", "conn_state")
    wanted = [tuple(entry.get(name) for name in names) for entry in query("")]
    columns = [list(zip(*(run.column(name) for name in names), strict=True)) for run in query("").runs(names)]
    assert [row for rows in columns for row in rows] == wanted
    assert [row[1] for row in wanted] == sorted(row[1] for row in wanted)


@pytest.mark.usefixtures("_fresh_readers")
@pytest.mark.parametrize(("cuts", "second"), [((), "s0-1-1"), ((9,), "s1-1-0")])
def test_what_only_the_scanner_found_ends_no_query(
    monkeypatch: pytest.MonkeyPatch, cuts: Sequence[int], second: str
) -> None:
    def forgetful(protocol: Any, streams: Sequence[Any]) -> Any:
        found = real(protocol, streams)  # None: another protocol's
        return found and [messages[:1] for messages in found]

    real = http1.dissect
    forgetful.kubeshark_impl = http1.dissect.kubeshark_impl  # type: ignore[attr-defined]
    monkeypatch.setattr(http1, "dissect", forgetful)
    monkeypatch.setattr(http1, "read_rows", lambda *_: None)
    asked = query("http && src.port == 40001", cuts)
    documents = [entry.to_dict() for entry in asked]
    assert [document["id"] for document in documents] == ["s0-1-0", second]
    assert (documents[0]["request"]["path"], documents[0]["response"]) == ("/a", None)
    assert "dissector does not" in str(documents[1]["error"])
    (problem,) = asked.problems
    assert second in str(problem)
    assert problem.exit_code != 0


def test_an_unknown_variable_is_an_error() -> None:
    (entry, *_) = query("http")
    with pytest.raises(KeyError):
        entry.get("no_such_variable")


def test_documents_are_not_kept_and_come_again() -> None:
    (entry,) = [each for each in query("http") if isinstance(each, LazyEntry)][:1]
    whole = entry.to_dict()
    assert not entry.is_built
    body = entry.get("response_body")
    assert entry.is_built
    assert entry.to_dict() == whole
    assert entry.is_built  # somebody asked for more than the document
    assert body == entry.get("response_body")


def test_a_stream_goes_when_all_its_documents_were_made(dissected: list[int]) -> None:
    (piece,) = [piece for piece in query("http").pieces() if len(piece)]
    entries = [entry for entry in piece if isinstance(entry, LazyEntry)]
    found = entries[0]._found
    assert len({entry.src.port for entry in entries}) < len(entries)  # a stream has several
    documents = [entry.to_dict() for entry in entries]
    calls = len(dissected)
    assert calls == 2
    assert not list(found.existing())
    assert [entry.to_dict() for entry in entries] == documents
    assert len(dissected) == 2 * calls


def test_segments_of_paths_are_columns_and_say_what_the_entry_says(dissected: list[int]) -> None:
    capture = Capture()
    path = b"/v1/a%20b/17?x=/y"
    Connection(capture).open().ask(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n").answer()
    for kfl in ("path_segments[2] == '17'", "'a b' in path_segments"):
        (found,) = make_query(capture.segments(), f"http && {kfl}", Plugins())
        assert found.get("path_segments") == ["v1", "a b", "17"]
        assert dissected == []
        assert (
            found.to_dict()["request"]["pathSegments"]
            == found.whole().get("path_segments")
            == found.get("path_segments")
        )
        dissected.clear()


def test_no_variable_of_an_entry_depends_on_whether_it_was_built() -> None:
    first, again = (list(make_query(traffic().segments(), "", Plugins())) for _ in range(2))
    for entry, other in zip(first, again, strict=True):
        built = other.whole()
        built.build()
        for name in (*entry.protocol.variables, *entry.facts.origin.variables):
            assert entry.get(name) == built.get(name), name
