"""What filters and choices leave out in the kernel, on a cable where nothing but our packets is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kubeshark.core_capture.live import ANY, LiveOptions, LiveSource, PacketChoice
from kubeshark.core_capture.live._options import Counters, Reader
from kubeshark.core_capture.live._seen import leaves_out
from tests.core_capture.live._cable import FAR, NEAR, PORT, Sender, frame, ip, lay_cable


def until(source: LiveSource, is_so: Callable[[Counters], bool]) -> Counters:
    """Read until the counters of the one interface are so."""
    ends = time.monotonic() + 60
    while not is_so(one := source.counters()[0]):
        assert time.monotonic() < ends, one
        source.read(0.02)
    return one


def mixed(count: int) -> list[bytes]:
    """Return frames of which every fourth goes to another port."""
    frames = [frame(number) for number in range(count)]
    other = (PORT + 1).to_bytes(2, "big")
    return [each if number % 4 else each[:36] + other + each[38:] for number, each in enumerate(frames)]


@pytest.mark.parametrize("reader", ["ring", "socket"])
@pytest.mark.parametrize("interface", [FAR, ANY])
def test_what_a_filter_leaves_out_is_counted(sender: Sender, reader: Reader, interface: str) -> None:
    options = LiveOptions(filter=f"udp dst port {PORT}", direction="in")
    with LiveSource([interface], options, reader=reader) as source:
        sender.send(mixed(4000))
        one = until(source, lambda one: one.received + one.excluded >= 4000)
        assert (one.received, one.excluded) == (3000, 1000)
        source.stop()
        for _ in source:
            pass
        sender.send(mixed(100))  # of nobody's business any more
        assert source.counters()[0] == Counters(received=3000, delivered=3000, excluded=1000)
    assert source.counters()[0].excluded == 1000


def test_what_a_choice_leaves_out_is_counted(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions(choice=PacketChoice(filters=()), direction="in")) as source:
        sender.send(mixed(400))
        assert until(source, lambda one: one.excluded >= 400).received == 0
        source.choose(PacketChoice())
        sender.send(mixed(400))
        assert until(source, lambda one: one.received >= 400).excluded == 400


def test_an_interface_that_comes_back_is_counted_on(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions(filter=f"udp dst port {PORT}", direction="in")) as source:
        sender.send(mixed(40))
        until(source, lambda one: one.excluded >= 10)
        ip(f"link del {NEAR}")
        ends = time.monotonic() + 60
        notices: list[str] = []
        while not notices:  # that it is gone
            assert time.monotonic() < ends
            source.read(0.05)
            notices += source.take_notices()
        lay_cable()
        while not any(each == f"{FAR} is back" for each in notices):
            assert time.monotonic() < ends
            source.read(0.05)
            notices += source.take_notices()
        again = Sender()
        again.send(mixed(40))
        again.close()
        assert until(source, lambda one: one.received + one.excluded >= 80).received == 60


def test_nothing_is_counted_where_nothing_is_left_out(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions()) as source:
        sender.send(mixed(40))
        assert until(source, lambda one: one.received >= 40).excluded == 0
    assert not leaves_out(LiveOptions())
    assert not leaves_out(LiveOptions(filter="udp", fanout=1))
    assert leaves_out(LiveOptions(choice=PacketChoice(filters=())))
