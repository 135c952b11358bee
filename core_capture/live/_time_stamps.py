"""Whose clock stamps packets: what a network card says it can do, and having it do so."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from typing import Literal

from kubeshark.errors import CaptureError

__all__ = ["Stamps", "adapter_stamps", "use_adapter_clock"]

Stamps = Literal["all", "some", "none"]
"""Of the packets that come, which an adapter stamps if it is told to; some are those of clocks (PTP)."""

_SOL_PACKET, _TIMESTAMP = 263, 17
_ETHTOOL, _SET_TIMESTAMPING = 0x8946, 0x89B0  # SIOCETHTOOL, SIOCSHWTSTAMP
_GET_TS_INFO = 0x41  # ETHTOOL_GET_TS_INFO
_INFO = struct.Struct("=IIiI12xI12x")  # struct ethtool_ts_info: command, what can be, clock, tx types, rx filters
_RX_HARDWARE, _RAW_HARDWARE = 1 << 2, 1 << 6  # SOF_TIMESTAMPING_*
_FILTER_NONE, _FILTER_ALL = 0, 1  # HWTSTAMP_FILTER_*
_CONFIGURATION = struct.Struct("iii")  # struct hwtstamp_config: flags, tx type, rx filter


def adapter_stamps(name: str) -> Stamps:
    """Ask an interface; anybody may. What cannot be asked stamps none."""
    asked = ctypes.create_string_buffer(_INFO.pack(_GET_TS_INFO, 0, 0, 0, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        try:
            fcntl.ioctl(opened, _ETHTOOL, _request(name, asked))
        except (OSError, ValueError):
            return "none"
    return stamps_of(asked.raw[: _INFO.size])


def stamps_of(info: bytes) -> Stamps:
    """Read a `struct ethtool_ts_info`."""
    _command, able, _clock, _sent, filters = _INFO.unpack(info)
    if not able & _RX_HARDWARE or not able & _RAW_HARDWARE or not filters & ~(1 << _FILTER_NONE):
        return "none"
    return "all" if filters >> _FILTER_ALL & 1 else "some"


def use_adapter_clock(opened: socket.socket, name: str, *, has_ring: bool = True) -> None:
    """Have the network card stamp every packet; raise CaptureError where it cannot, or we may not ask it.

    Packets that are read without a ring bring the host's time alone.
    """
    if not has_ring:
        raise CaptureError(f"{name} has no time stamps of its adapter: the C core is not built", hint="run make setup")
    wanted = ctypes.create_string_buffer(_CONFIGURATION.pack(0, 0, _FILTER_ALL))
    try:
        fcntl.ioctl(opened, _SET_TIMESTAMPING, _request(name, wanted))
        opened.setsockopt(_SOL_PACKET, _TIMESTAMP, _RAW_HARDWARE)
    except OSError as error:
        hint = "run it as root once (it takes CAP_NET_ADMIN)" if error.errno == errno.EPERM else "use the host's clock"
        raise CaptureError(f"{name} has no time stamps of its adapter: {error.strerror}", hint=hint) from error
    check_answer(name, wanted.raw[: _CONFIGURATION.size])


def check_answer(name: str, configuration: bytes) -> None:
    """Raise CaptureError unless the driver does what it was asked: it may do less, and then says what."""
    _flags, _sent, done = _CONFIGURATION.unpack(configuration)
    if done != _FILTER_ALL:
        raise CaptureError(f"{name} has no time stamps of its adapter for every packet", hint="use the host's clock")


def _request(name: str, pointed_at: ctypes.Array[ctypes.c_char]) -> bytes:
    """Return a `struct ifreq`; raise ValueError for a name that no interface has."""
    encoded = name.encode()
    if len(encoded) >= 16:
        raise ValueError(name)
    return struct.pack("16sQ16x", encoded, ctypes.addressof(pointed_at))
