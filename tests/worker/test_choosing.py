"""What is captured at which moment: by what a hub named, and by schedules, on simulated clocks."""

from __future__ import annotations

import threading
from ipaddress import ip_address

import msgspec
import pytest

from kubeshark.core_capture.live import PacketChoice
from kubeshark.core_capture.store import Scheduled
from kubeshark.settings import Duration, Schedule, Windows
from kubeshark.worker._choosing import LEASE_S, Choice, Choosing, Chosen, Selection, SelectionError

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def selection(*addresses: str, node: str = "node-1", **counts: int) -> Selection:
    return Selection(node, list(addresses), **counts)


def test_pods_that_a_hub_names() -> None:
    lease = Clock()
    choosing = Choosing("node-1", selects=True, lease_clock=lease)
    assert choosing.now() == Choice([], [""])
    assert choosing.said(0) == Chosen("no hub has named pods yet", pods=0)
    choosing.select(selection("10.0.0.2", "2001:db8::1", "10.0.0.2", pods=2, waiting=1, sharing=3))
    assert choosing.now() == Choice(["10.0.0.2", "2001:db8::1"], [""])
    assert choosing.now().packets() == PacketChoice(frozenset(map(ip_address, ("10.0.0.2", "2001:db8::1"))))
    assert choosing.said(1) == Chosen("", pods=2, addresses=2, left_out=1, waiting=1, sharing=3)
    choosing.select(selection())
    assert choosing.said(0) == Chosen("no pod on this node is selected", pods=0)
    assert choosing.now() == Choice([], [""])


def test_pods_whose_processes_probes_may_read() -> None:
    lease = Clock()
    choosing = Choosing("node-1", selects=True, lease_clock=lease)
    choosing.select(Selection("node-1", ["10.0.0.2"], ["uid-2", "uid-1", "uid-2"], pods=2))
    assert choosing.now() == Choice(["10.0.0.2"], [""], ["uid-1", "uid-2"])
    assert choosing.now().packets().pods == {"uid-1", "uid-2"}
    lease.now += LEASE_S + 1
    assert choosing.now().packets().pods == frozenset()
    for uid in ("", "../x", "x" * 65):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(Selection("node-1", [], [uid])), type=Selection)


def test_what_no_hub_repeats_ends() -> None:
    lease = Clock()
    choosing = Choosing("node-1", selects=True, lease_clock=lease)
    choosing.select(selection("10.0.0.2", pods=1))
    for _ in range(10):
        lease.now += LEASE_S
        choosing.select(selection("10.0.0.2", pods=1))
    lease.now += LEASE_S
    assert choosing.now().addresses == ["10.0.0.2"]
    lease.now += 1
    assert choosing.now().addresses == []
    assert choosing.said(0) == Chosen("no hub has named pods for 300 s", pods=0)


def test_windows() -> None:
    clock = Clock()
    schedules = [
        Schedule(name="night", cron="0 0 2 * * *", duration=Duration("1h"), filter="port 80"),
        Schedule(name="all", cron="0 30 2 * * *", duration=Duration("1h")),
    ]
    choosing = Choosing("node-1", schedules=Windows(schedules, "Europe/Berlin"), clock=clock)
    seen = []
    for hour in (0.0, 0.99, 1.0, 1.5, 2.0, 2.5, 24.99, 25.0):  # UTC, in January
        clock.now = hour * 3600
        seen.append(choosing.now().filters)
    assert seen == [[], [], ["port 80"], ["port 80", ""], [""], [], [], ["port 80"]]
    clock.now = 0.0
    said = Chosen("no schedule has its time before 1970-01-01 02:00:00 CET", until=3600.0)
    assert choosing.said(0) == said
    clock.now = 3600.0
    assert choosing.said(0) == Chosen("", ["night"], until=5400.0)
    with pytest.raises(SelectionError, match="--hub-selects"):
        choosing.select(selection("10.0.0.2"))


def test_both() -> None:
    clock = Clock()
    schedules = Windows([Schedule(name="night", cron="0 0 2 * * *", duration=Duration("1h"), filter="port 80")])
    choosing = Choosing("node-1", selects=True, schedules=schedules, clock=clock)
    choosing.select(selection("10.0.0.2", pods=1))
    assert choosing.now() == Choice(["10.0.0.2"], [])
    said = choosing.said(0)
    assert said is not None and said.why.startswith("no schedule has its time before 1970-01-01 02:00:00 UTC")
    clock.now = 2 * 3600
    assert choosing.now() == Choice(["10.0.0.2"], ["port 80"], scheduled=Scheduled(("night",)))


def test_always_everything_says_nothing() -> None:
    choosing = Choosing("node-1")
    assert choosing.now() == Choice(None, [""])
    assert choosing.now().packets() == PacketChoice()
    assert choosing.said(0) is None


def test_who_waits_hears_of_a_change_and_of_a_window() -> None:
    clock = Clock()
    choosing = Choosing(
        "node-1",
        selects=True,
        schedules=Windows([Schedule(name="night", cron="0 0 2 * * *", duration=Duration("1h"))]),
        clock=clock,
    )
    heard = threading.Event()

    def wait() -> None:
        choosing.wait(60)
        heard.set()

    threading.Thread(target=wait, daemon=True).start()
    while not heard.wait(0.05):
        choosing.select(selection("10.0.0.2" if choosing.now().addresses == [] else "10.0.0.3"))
    clock.now = 2 * 3600 - 0.01
    choosing.wait(60)  # not so long


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (selection("10.0.0.2", node="node-2"), "these pods are of node node-2, this is node-1"),
        (selection("10.0.0.256"), "'10.0.0.256' is no address"),
        (selection("10.0.0.0/8"), "'10.0.0.0/8' is no address"),
    ],
)
def test_what_is_not_taken_changes_nothing(given: Selection, said: str) -> None:
    choosing = Choosing("node-1", selects=True)
    choosing.select(selection("10.0.0.2", pods=1))
    with pytest.raises(SelectionError, match=said):
        choosing.select(given)
    assert choosing.now().addresses == ["10.0.0.2"]
