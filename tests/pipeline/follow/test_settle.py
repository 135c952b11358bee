"""What entries of a connection that goes on wait for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kubeshark.core_capture import load_core
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.follow._settle import Wait, settle
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.reading._segments import Begins
from kubeshark.pipeline.reading._select import Damage, select
from tests.pipeline._traffic import OK, Capture, Connection, dns


def waits(capture: Capture, *, with_conn: bool = False) -> dict[str, Wait]:
    """Return what each entry waits for, by its protocol and number."""
    (segment,) = capture.segments()
    plugins = Plugins()
    dissector = Dissector(load_core(), plugins, [], Origin("file", "", plugins.variables, plugins.display))
    begins = Begins(segment, np.arange(len(segment.flows)))
    table = dissector.entries(select(load_core(), begins, Damage()), with_conn=with_conn)
    state = settle(table)
    for entry, wait, end_ns in zip(table, state.waits.tolist(), state.end_ns.tolist(), strict=True):
        last = max((timed.end_ns for timed in entry.messages()), default=0)
        assert end_ns == last, (entry.id, wait)
    keys = [f"{entry.protocol.name} {entry.entry_id.number}" for entry in table]
    return dict(zip(keys, map(Wait, state.waits.tolist()), strict=True))


def talk(capture: Capture) -> Connection:
    return Connection(capture).open()


def exchange(capture: Capture) -> None:
    talk(capture).ask().answer()


def unanswered(capture: Capture) -> None:
    talk(capture).ask()


def late(capture: Capture) -> None:
    """Ten seconds pass without the response."""
    connection = talk(capture).ask()
    capture.wait(11)
    connection.ask()


def cut(capture: Capture) -> None:
    talk(capture).ask().answer(OK[:-1])


def unknown(capture: Capture) -> None:
    Connection(capture, port=4_444).open().ask(b"\x01\x02\x03").answer(b"\x04\x05\x06")


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        (exchange, {"http 0": Wait.NOTHING}),
        (unanswered, {"http 0": Wait.OVER}),
        (late, {"http 0": Wait.GROWTH, "http 1": Wait.OVER}),
        (cut, {"http 0": Wait.DOUBT}),
        (unknown, {"tcp 0": Wait.GROWTH, "tcp 1": Wait.GROWTH}),
    ],
)
def test_what_an_entry_waits_for(traffic: Callable[[Capture], None], expected: dict[str, Wait]) -> None:
    capture = Capture()
    traffic(capture)
    assert waits(capture) == expected


def test_datagrams_wait_for_their_answers() -> None:
    capture = Capture()
    capture.add(dns(1))
    assert waits(capture) == {"dns 0": Wait.OVER}
    capture.add(dns(1, answer=True))
    assert waits(capture) == {"dns 0": Wait.NOTHING}


def test_a_connection_is_told_when_it_is_over() -> None:
    capture = Capture()
    talk(capture).ask().answer()
    (wait,) = (wait for key, wait in waits(capture, with_conn=True).items() if key.endswith(" conn"))
    assert wait is Wait.OVER
