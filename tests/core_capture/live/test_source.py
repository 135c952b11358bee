"""Real packets in network namespaces: each one once, whole, and counted."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from kubeshark.core_capture import RecordBatch
from kubeshark.core_capture.live import ANY, Counters, LiveOptions, LiveSource, PacketChoice, _source
from kubeshark.core_capture.live._interfaces import look_up
from kubeshark.core_capture.live._options import Reader
from kubeshark.core_capture.live._ring import RingReader
from kubeshark.core_capture.live._socket import bind
from kubeshark.errors import CaptureError, UsageError
from tests.core_capture.live._cable import (
    FAR,
    NEAR,
    PORT,
    TAG_AD,
    TAG_Q,
    Sender,
    frame,
    ip,
    number_of,
    packets,
)

READERS: tuple[Reader, ...] = ("ring", "socket")
OURS = LiveOptions(filter=f"udp port {PORT}")


def captured(source: LiveSource, expected: int = 0) -> list[tuple[int, int, bytes]]:
    """Stop when the kernel has as many packets as are expected, and return everything that came."""
    settle(source, expected)
    source.stop()
    return packets(source)


def settle(source: LiveSource, expected: int) -> None:
    """Wait for packets that are sent, and under way on a busy machine."""
    ends = time.monotonic() + 60
    while sum(one.received for one in source.counters()) < expected:
        assert time.monotonic() < ends, f"{expected} packets did not come: {source.counters()}"
        time.sleep(0.005)


def wait_for(condition: Callable[[], bool], source: LiveSource) -> list[bytes]:
    """Read until something is so; return what came."""
    ends = time.monotonic() + 60
    found = []
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        if batch := source.read(0.05):
            found += [data for _, _, data in packets([batch])]
    return found


@pytest.mark.parametrize("reader", READERS)
def test_every_packet_once_in_order_with_its_time(sender: Sender, reader: Reader) -> None:
    before = time.time_ns()
    with LiveSource([FAR], OURS, reader=reader) as source:
        assert source.reader_name == reader
        sent = [frame(number, size=60 + number % 1400) for number in range(5000)]
        sender.send(sent)
        found = captured(source, 5000)
        assert [data for _, _, data in found] == sent
        times = [when for when, _, _ in found]
        assert times == sorted(times)
        assert before <= times[0] <= times[-1] <= time.time_ns()
        assert source.counters() == [Counters(received=5000, delivered=5000)]
        (interface,) = source.metadata.interfaces
        assert (interface.name, interface.link_type, interface.units_per_second) == (FAR, 1, 10**9)


@contextmanager
def stamped_on_arrival(sender: Sender) -> Iterator[None]:
    """Have the kernel stamp packets on arrival, which it does a little after it is asked to; until then, on reading."""
    with LiveSource([FAR], OURS, reader="ring") as ring, LiveSource([FAR], OURS, reader="socket") as plain:
        ends = time.monotonic() + 60
        while True:
            sender.send([frame(0)])
            [ours], [theirs] = (packets([batch for batch in [source.read(20)] if batch]) for source in (ring, plain))
            if ours[0] == theirs[0]:
                break
            assert time.monotonic() < ends
        yield


def test_both_readers_see_the_same(sender: Sender) -> None:
    """The plain reader is the ring's oracle: the same bytes, lengths and times of the same traffic."""
    options = LiveOptions(snaplen=200)
    for interfaces in ([FAR], [ANY]):
        with (
            stamped_on_arrival(sender),
            LiveSource(interfaces, options, reader="ring") as ring,
            LiveSource(interfaces, options, reader="socket") as plain,
        ):
            for number in range(300):
                tags = (b"", TAG_Q + b"\x00\x05", TAG_AD + b"\x20\x07", TAG_AD + b"\0\1" + TAG_Q + b"\0\2")[number % 4]
                sender.send([frame(number, size=50 + number * 4, tags=tags)])
            sender.send([bytes(14), bytes(12) + b"\x08\x06" + bytes(28), b"\xff" * 60])
            sender.send_offloaded(bytes(50_000), 1448)
            settle(plain, 304)
            ours, theirs = captured(ring, 304), captured(plain)
            assert [one[1:] for one in ours] == [one[1:] for one in theirs]
            assert [one[0] for one in ours] == [one[0] for one in theirs]
            assert len(ours) >= 304
            assert ring.counters() == plain.counters()


@pytest.mark.parametrize("reader", READERS)
def test_vlan_tags_are_where_they_were(sender: Sender, reader: Reader) -> None:
    sent = [
        frame(1),
        frame(2, tags=TAG_Q + b"\x60\x05"),
        frame(3, tags=TAG_AD + b"\x00\x64"),
        frame(4, tags=TAG_AD + b"\x00\x64" + TAG_Q + b"\x00\x07"),
    ]
    with LiveSource([FAR], reader=reader) as source:
        sender.send(sent)
        assert [data for _, _, data in captured(source, 4)] == sent


def test_a_filter_for_vlans(sender: Sender) -> None:
    frames = [frame(n, tags=TAG_Q + bytes([0, 5 + n % 2])) for n in range(10)] + [frame(10)]
    for expression, numbers in (("vlan 5", {0, 2, 4, 6, 8}), ("vlan and udp", set(range(10))), ("not vlan", {10})):
        with LiveSource([FAR], LiveOptions(filter=expression)) as source:
            sender.send(frames)
            found = captured(source, len(numbers))
        assert {number_of(data, 46 if data[12:14] == TAG_Q else 42) for _, _, data in found} == numbers, expression


@pytest.mark.parametrize("reader", READERS)
def test_packets_longer_than_a_frame(sender: Sender, reader: Reader) -> None:
    payload = os.urandom(60_000)
    with LiveSource([FAR], LiveOptions(filter=f"tcp port {PORT}"), reader=reader) as source:
        sender.send_offloaded(payload, 1448)
        ((_, original, data),) = captured(source, 1)
    assert original == len(data) == 54 + len(payload)
    assert data[54:] == payload


@pytest.mark.parametrize("reader", READERS)
def test_the_snap_length_cuts_and_says_so(sender: Sender, reader: Reader) -> None:
    sent = [frame(1, size=1000), frame(2, size=100), frame(3, size=1000, tags=TAG_Q + b"\0\5")]
    with LiveSource([FAR], LiveOptions(snaplen=128), reader=reader) as source:
        sender.send(sent)
        found = captured(source, 3)
        assert [data for _, _, data in found] == [one[:128] for one in sent]
        assert [original for _, original, _ in found] == [1000, 100, 1004]
        assert source.counters()[0].truncated == 2


def test_a_flood_into_a_small_ring_is_counted_exactly(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions(ring_bytes=4 << 20)) as source:
        sent = sender.send(frame(number, size=1400) for number in range(8000))
        found = captured(source, sent)
        (counters,) = source.counters()
    assert counters.received == sent
    assert counters.dropped > 0
    assert counters.delivered == len(found) == sent - counters.dropped
    numbers = [number_of(data) for _, _, data in found]
    assert numbers == sorted(set(numbers))


def test_a_flood_that_is_read_loses_nothing(sender: Sender) -> None:
    with LiveSource([FAR], OURS) as source:
        done = threading.Thread(target=lambda: sender.send(frame(n) for n in range(60_000)))
        done.start()
        found = []
        while done.is_alive() or len(found) < 60_000:
            batch = source.read(0.1)
            if batch is None and not done.is_alive():
                break
            if batch is not None:
                found += [number_of(data) for _, _, data in packets([batch])]
        done.join()
    assert found == list(range(60_000))


def test_what_comes_while_the_ring_is_read_goes_into_the_same_room(sender: Sender) -> None:
    memory = memoryview(bytearray(8 << 20))
    interface = look_up(FAR)
    reader = RingReader(interface, OURS)
    try:
        bind(reader.socket, interface)
        waiting = [[frame(number)] for number in range(3)]

        def again() -> bool:
            if not waiting:
                return False
            sender.send(waiting.pop(0))
            assert select.select([reader.socket], [], [], 20)[0], "the kernel hands over what it has"
            return True

        found = reader.read(lambda _link_type, _size: memory, again)
    finally:
        reader.close()
    assert found is not None
    data, count = found
    assert isinstance(data, memoryview)
    assert (count, data.obj) == (3, memory.obj)
    assert [each for _, _, each in packets([RecordBatch(1, data, range(3))])] == [frame(number) for number in range(3)]


def test_stop_ends_the_gathering(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_source, "GATHER_S", 3600.0)
    memory = memoryview(bytearray(8 << 20))

    def room(_link_type: int, _size: int) -> memoryview:
        return memory

    with LiveSource([FAR], OURS, reader="ring") as source:
        sender.send([frame(0)])
        first = source.read(20, room)
        assert first is not None
        assert first.count == 1, "it comes at once: nothing was read before it"
        sender.send([frame(1)])
        settle(source, 2)
        ending = threading.Timer(0.2, source.stop)
        ending.start()
        rest = source.read(3600, room)
        ending.join()
        assert rest is not None
        assert rest.ordinals == range(1, 2)
        assert packets(source) == []
        assert source.is_finished


def test_no_packet_gets_in_before_the_filter(sender: Sender) -> None:
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            sender.send([frame(1, port=PORT), frame(2, port=1)])

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for reader in READERS * 5:
            with LiveSource([FAR], OURS, reader=reader) as source:
                found = []
                while not found:
                    if batch := source.read(1.0):
                        found += packets([batch])
                found += [one for batch in (source.stop(), *source) if batch for one in packets([batch])]
                assert {number_of(data) for _, _, data in found} == {1}
    finally:
        stop.set()
        talker.join()


def test_direction(sender: Sender) -> None:
    other = Sender(FAR)
    for direction, numbers in (("in", [1]), ("out", [2]), ("both", [1, 2])):
        with LiveSource([FAR], LiveOptions(direction=direction)) as source:  # type: ignore[arg-type]
            sender.send([frame(1)])
            other.send([frame(2)])
            assert [number_of(data) for _, _, data in captured(source, len(numbers))] == numbers
    other.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("interface", ["lo", ANY])
def test_loopback_gives_each_packet_once(sender: Sender, interface: str, reader: Reader) -> None:
    with (
        LiveSource([interface], OURS, reader=reader) as source,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        for number in range(100):
            udp.sendto(struct.pack(">Q", number), ("127.0.0.1", PORT))
        found = captured(source, 100)
    before = 42 if interface == "lo" else 48
    assert [number_of(data, before) for _, _, data in found] == list(range(100))


@pytest.mark.parametrize("reader", READERS)
def test_any_gives_cooked_packets_of_all(sender: Sender, reader: Reader) -> None:
    with LiveSource([ANY], OURS, reader=reader) as source:
        sender.send([frame(7), frame(8, tags=TAG_Q + b"\x00\x05")])
        found = [data for _, _, data in captured(source, 3)]
        assert source.metadata.interfaces[0].link_type == 276
    header = struct.Struct(">HHIHBB8s")
    seen = {}
    for data in found:
        protocol, reserved, index, hardware, kind, length, address = header.unpack_from(data)
        assert (reserved, hardware, length, address) == (0, 1, 6, b"\x02\0\0\0\0\x01\0\0")
        seen[socket.if_indextoname(index), kind, protocol] = data[20:]
    assert seen[FAR, 3, 0x0800] == frame(7)[14:]
    assert seen[NEAR, 4, 0x0800] == frame(7)[14:]
    assert seen[FAR, 3, 0x8100] == frame(8, tags=TAG_Q + b"\x00\x05")[14:]


def test_a_link_layer_filter_on_any_says_why_not(sender: Sender) -> None:
    with pytest.raises(UsageError, match=r"link-layer|ethernet|wrong"):
        LiveSource([ANY], LiveOptions(filter="ether[0] = 2"))


@pytest.mark.parametrize("reader", READERS)
def test_a_tunnel_gives_raw_ip(sender: Sender, reader: Reader) -> None:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
    ip("link set tun7 up")
    with LiveSource(["tun7"], OURS, reader=reader) as source:
        assert source.metadata.interfaces[0].link_type == 101
        os.write(tun, frame(5)[14:])
        assert [data for _, _, data in captured(source, 1)] == [frame(5)[14:]]
    os.close(tun)


def test_several_interfaces_in_one_source(sender: Sender) -> None:
    other = Sender(FAR)
    with LiveSource([FAR, NEAR], LiveOptions(filter=OURS.filter, direction="in")) as source:
        sender.send([frame(1)] * 10)
        other.send([frame(2)] * 20)
        settle(source, 30)
        source.stop()
        batches = list(source)
        assert len(packets(batches)) == 30
        by_interface = {FAR: 0, NEAR: 0}
        for batch in batches:
            interfaces = {batch.extras[at].interface if at in batch.extras else 0 for at in range(batch.count)}
            assert len(interfaces) == 1
            by_interface[source.metadata.interfaces[interfaces.pop()].name] += batch.count
        assert by_interface == {FAR: 10, NEAR: 20}
        assert [one.delivered for one in source.counters()] == [10, 20]
    other.close()


def test_fanout_shares_the_packets(sender: Sender) -> None:
    options = LiveOptions(filter=OURS.filter, fanout=77)
    with LiveSource([FAR], options) as one, LiveSource([FAR], options) as two:
        sender.send(frame(number) for number in range(2000))
        while sum(member.counters()[0].received for member in (one, two)) < 2000:
            time.sleep(0.005)
        ours, theirs = captured(one), captured(two)
    assert ours
    assert theirs
    assert sorted(number_of(data) for _, _, data in ours + theirs) == list(range(2000))
    flows = [{data[34:36] for _, _, data in found} for found in (ours, theirs)]
    assert not flows[0] & flows[1], "a flow's packets stay together"


@pytest.mark.parametrize("reader", READERS)
def test_an_interface_goes_down_and_comes_back(sender: Sender, reader: Reader) -> None:
    notices: list[str] = []

    def noticed(text: str) -> bool:
        notices.extend(source.take_notices())
        return any(text in notice for notice in notices)

    with LiveSource([FAR], OURS, reader=reader) as source:
        sender.send([frame(1)])
        ip(f"link set {FAR} down")
        assert [number_of(data) for data in wait_for(lambda: noticed("is down"), source)] in ([], [1])
        ip(f"link set {FAR} up")
        wait_for(lambda: noticed(f"{FAR} is back"), source)
        sender.send([frame(2)])
        assert [number_of(data) for _, _, data in captured(source, 2)][-1] == 2
    assert len(notices) == 2


@pytest.mark.parametrize("reader", READERS)
def test_an_interface_is_removed_and_made_anew(sender: Sender, reader: Reader) -> None:
    notices: list[str] = []

    def noticed(text: str) -> bool:
        notices.extend(source.take_notices())
        return any(text in notice for notice in notices)

    with LiveSource([FAR], OURS, reader=reader) as source:
        ip(f"link del {FAR}")
        wait_for(lambda: noticed("is gone"), source)
        ip(f"link add {NEAR} type veth peer name {FAR}")
        ip(f"link set {FAR} up")
        ip(f"link set {NEAR} up")
        wait_for(lambda: noticed(f"{FAR} is back"), source)
        again = Sender()
        again.send([frame(3)])
        assert [number_of(data) for _, _, data in captured(source, 1)] == [3]
        again.close()
    assert len(notices) == 2


@pytest.mark.parametrize("reader", READERS)
def test_an_idle_interface_stops_at_once(sender: Sender, reader: Reader) -> None:
    with LiveSource([FAR], OURS, reader=reader) as source:
        assert source.read(0.0) is None
        timer = threading.Timer(0.2, source.stop)
        timer.start()
        began = time.monotonic()
        assert source.read(60) is None
        assert source.is_finished
        assert time.monotonic() - began < 30, "of 60"
        timer.join()
        assert source.read(60) is None


def test_a_signal_handler_may_stop(sender: Sender) -> None:
    with LiveSource([FAR], OURS) as source:
        before = signal.signal(signal.SIGALRM, lambda *_: source.stop())
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            assert list(source) == []
        finally:
            signal.signal(signal.SIGALRM, before)


def test_what_is_wrong_is_said(sender: Sender) -> None:
    for interfaces, options, message in (
        ([], LiveOptions(), "no interface"),
        (["nope9"], LiveOptions(), f"no interface 'nope9'.*{FAR}"),
        (["x" * 40], LiveOptions(), "no interface"),
        ([FAR, FAR], LiveOptions(), "twice"),
        ([FAR], LiveOptions(filter="tcp port"), "'tcp port' is wrong: .*syntax error"),
        ([FAR], LiveOptions(snaplen=0), "snap length"),
        ([FAR], LiveOptions(fanout=70_000), "fanout"),
    ):
        with pytest.raises(UsageError, match=message):
            LiveSource(interfaces, options)


def test_closing_twice_and_stopping_afterwards_is_fine(sender: Sender) -> None:
    source = LiveSource([FAR])
    source.close()
    source.close()
    source.stop()
    assert source.read(1) is None


def test_an_adapter_without_time_stamps_says_so(sender: Sender) -> None:
    with pytest.raises(CaptureError, match=f"{FAR} has no time stamps of its adapter: ") as raised:
        LiveSource([FAR], LiveOptions(clock="adapter"))
    assert "the host's clock" in str(raised.value)


def _from(address: int, number: int) -> bytes:
    """Return a frame from 10.1.0.0 + address."""
    one = bytearray(frame(number))
    one[26:30] = (IPv4Address("10.1.0.0") + address).packed
    return bytes(one)


def _pods(*numbers: int) -> frozenset[IPv4Address]:
    return frozenset(IPv4Address("10.1.0.0") + number for number in numbers)


@pytest.mark.parametrize("interface", [FAR, ANY])
@pytest.mark.parametrize("reader", READERS)
def test_a_choice_by_address_changes_live_and_loses_nothing_of_others(
    sender: Sender, reader: Reader, interface: str
) -> None:
    """Address 1 is chosen throughout, 2 to 41 come and go while its packets are under way."""
    options = LiveOptions(filter=f"udp port {PORT}", direction="in", choice=PacketChoice(frozenset()))
    with LiveSource([interface], options, reader=reader) as source:
        sender.send(_from(1, number) for number in range(50))
        assert source.choose(PacketChoice(_pods(1)))
        changes = 0

        def change() -> None:
            nonlocal changes
            while not done.is_set():
                changes += 1
                assert source.choose(PacketChoice(_pods(1, *range(2, 2 + changes % 40))))

        done = threading.Event()
        changing = threading.Thread(target=change)
        changing.start()
        try:
            for number in range(3000):
                sender.send([_from(1, number), _from(99, number)])
        finally:
            done.set()
            changing.join()
        settle(source, 3000)
        assert source.choose(PacketChoice(_pods(2)))
        sender.send([_from(1, 5000), _from(2, 5001)])
        numbers = [number_of(data, len(data) - 22) for _, _, data in captured(source, 3001)]
    assert changes > 20
    assert numbers == [*range(3000), 5001]
    assert all(one.dropped == 0 for one in source.counters())


def test_filters_of_a_choice_are_beside_that_of_the_options(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions(filter="udp", choice=PacketChoice(filters=()))) as source:
        ports = (53, 80, 123)
        rounds: tuple[tuple[tuple[str, ...], int], ...] = (
            ((), 0),
            (("port 53", "port 80"), 2),
            (("port 123",), 1),
            (("port 53", ""), 3),
            ((), 0),
        )
        expected = 0
        for filters, passing in rounds:
            assert source.choose(PacketChoice(filters=filters))
            sender.send(frame(number, port=port) for number, port in enumerate(ports))
            expected += passing
            settle(source, expected)
        with pytest.raises(UsageError, match=r"'.*port nowhere.*' is wrong"):
            source.choose(PacketChoice(filters=("port nowhere",)))
        assert len(captured(source, expected)) == expected


def test_a_choice_that_comes_after_the_end_changes_nothing(sender: Sender) -> None:
    with LiveSource([FAR], OURS) as source:
        source.stop()
        assert source.read(0.1) is None
        assert source.choose(PacketChoice())
        sender.send([frame(1)])
        assert packets(source) == []


def test_more_addresses_than_the_kernel_has_room_for(sender: Sender) -> None:
    with LiveSource([FAR], OURS) as source:
        assert source.choose(PacketChoice(_pods(*range(0, 2000, 2))))
        assert not source.choose(PacketChoice(_pods(*range(0, 20_000, 2))))
        sender.send([_from(number, number) for number in (2, 3, 1998, 2000)])  # what was chosen before still is
        settle(source, 2)
        assert [number_of(data) for _, _, data in captured(source, 2)] == [2, 1998]
