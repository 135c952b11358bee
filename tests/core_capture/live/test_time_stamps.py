"""Whose clock: answers of drivers as the kernel gives them, and interfaces that have no adapter."""

from __future__ import annotations

import struct

import pytest

from kubeshark.core_capture.live import LiveOptions, LiveSource
from kubeshark.core_capture.live._time_stamps import adapter_stamps, check_answer, stamps_of
from kubeshark.errors import CaptureError
from tests.core_capture.live._cable import FAR, Sender, frame, packets
from tests.core_capture.live.test_source import captured

SOFTWARE = 1 << 1 | 1 << 3 | 1 << 4
HARDWARE = 1 << 0 | 1 << 2 | 1 << 6
PTP = 1 << 12


@pytest.mark.parametrize(
    ("able", "filters", "stamps"),
    [
        (SOFTWARE, 0, "none"),
        (SOFTWARE | HARDWARE, 0b11, "all"),
        (SOFTWARE | HARDWARE, 0b1 | PTP, "some"),
        (SOFTWARE | HARDWARE, 0b1, "none"),
        (SOFTWARE | 1 << 0 | 1 << 6, 0b11, "none"),
        (0, 0xFFFF_FFFF, "none"),
    ],
)
def test_what_a_driver_says(able: int, filters: int, stamps: str) -> None:
    made = struct.pack("=IIiI12sI12s", 0x41, able, 0, 0b11, b"", filters, b"")
    assert stamps_of(made) == stamps


def test_a_driver_that_does_less_than_it_was_asked() -> None:
    check_answer("eth0", struct.pack("iii", 0, 0, 1))
    with pytest.raises(CaptureError, match="for every packet"):
        check_answer("eth0", struct.pack("iii", 0, 0, 12))


def test_virtual_interfaces_have_the_host_s_clock(sender: Sender) -> None:
    assert adapter_stamps(FAR) == adapter_stamps("lo") == "none"
    assert adapter_stamps("gone0") == adapter_stamps("a name that is too long") == "none"


def test_the_best_there_is_and_it_is_said(sender: Sender) -> None:
    with LiveSource([FAR], LiveOptions(clock="best", filter="udp port 9999")) as source:
        (notice,) = source.take_notices()
        assert notice.startswith(f"{FAR} has no time stamps of its adapter: ")
        assert notice.endswith("; they are the host's")
        sender.send([frame(0)])
        assert len(captured(source, 1)) == 1
        assert source.counters()[0].stamped == 0
        assert packets(source) == []


def test_the_reader_in_python_has_the_host_s_alone(sender: Sender) -> None:
    with pytest.raises(CaptureError, match="the C core is not built"):
        LiveSource([FAR], LiveOptions(clock="adapter"), reader="socket")
