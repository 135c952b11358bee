"""XDP in front of the other hooks of a network card: what Deny refuses ends before it becomes a packet of the stack.

1. Off unless asked for, and never on a pod's device: on a veth pair it costs three quarters of what passes (DESIGN 9).
2. It judges by the same maps, and changes nothing in them but counters; what it lets through is judged again behind it.
3. It shares no device: where another XDP program is, ours is refused. A link holds it, so it dies with the process.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Literal

from kubeshark.core_capture.ebpf import EbpfError, _calls
from kubeshark.firewall._errors import FirewallError, firewall_failed
from kubeshark.firewall.kernel._devices import XdpMode, is_card, is_ethernet, xdp_on
from kubeshark.firewall.kernel._plane import Plane

__all__ = ["XdpChoice", "XdpHook", "attach_xdp", "wants_xdp"]

XdpChoice = Literal["off", "auto", "native", "generic"]
"""`auto`: native, on network cards whose driver can. The others: on every device, and in this way or not at all."""

PROGRAM = "ingress_at_xdp"
_FLAGS = {"generic": 1 << 1, "native": 1 << 2}
_TAKEN = (errno.EBUSY, errno.EEXIST)
_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, 524)  # 524: ENOTSUPP of the kernel alone


@dataclass(slots=True)
class XdpHook:
    mode: XdpMode
    link: int  # -1 once it is detached

    def detach(self) -> None:
        os.close(self.link)
        self.link = -1


def wants_xdp(choice: XdpChoice, device: str, index: int) -> bool:
    """Say whether a device that is no pod's gets XDP; one without Ethernet frames never does."""
    if choice == "off" or not is_ethernet(device):
        return False
    return choice != "auto" or is_card(index)


def attach_xdp(plane: Plane, device: str, index: int, choice: XdpChoice) -> XdpHook | None:
    """Attach to a device; None where `auto` finds a driver that cannot. FirewallError: another is there, or refused."""
    mode: Literal["native", "generic"] = "generic" if choice == "generic" else "native"
    if (there := xdp_on(index)) is not None:
        raise _taken(device, f" ({there[0]}, id {there[1]})")
    try:
        program = plane.program(PROGRAM)
    except EbpfError as error:
        raise FirewallError(
            f"firewall: XDP is not to be had: {error.message}", hint="it needs kernel 5.18; go without --xdp"
        ) from error
    try:
        return XdpHook(mode, _calls.link_xdp(program, index, _FLAGS[mode]))
    except OSError as error:
        if error.errno in _TAKEN:
            raise _taken(device) from error
        if error.errno in _CANNOT and choice == "auto":
            return None
        raise firewall_failed(f"{device} was not attached by XDP ({mode})", error.errno or 0) from error


def _taken(device: str, which: str = "") -> FirewallError:
    return FirewallError(
        f"firewall: another XDP program is on {device}{which}",
        hint=f"remove it (ip link set {device} xdp off, or the program that holds it), or go without --xdp",
    )
