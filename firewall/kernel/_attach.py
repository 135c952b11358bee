"""Where programs are attached: devices by tcx or clsact, connect() by the root cgroup."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kubeshark.core_capture.ebpf import EbpfError, _calls
from kubeshark.firewall._errors import FirewallError, firewall_failed
from kubeshark.firewall.kernel._devices import is_ethernet
from kubeshark.firewall.kernel._netlink import add_filter, delete_filter
from kubeshark.firewall.kernel._plane import Plane
from kubeshark.firewall.kernel._xdp import XdpHook

__all__ = ["Hook", "attach_connect", "attach_device", "device_index", "pin_name"]

Mechanism = Literal["tcx", "clsact"]
_NOT_KNOWN = (errno.EINVAL, errno.EOPNOTSUPP)


@dataclass(slots=True)
class Hook:
    """Programs on a device or a cgroup. Descriptors of links keep them there; clsact filters stay by themselves."""

    kind: Literal["tcx", "clsact", "cgroup"]
    device: str = ""
    index: int = 0
    links: list[int] = field(default_factory=list)
    xdp: XdpHook | None = None

    @property
    def title(self) -> str:
        return self.kind if self.xdp is None else f"{self.kind}, XDP {self.xdp.mode}"

    def pin(self, folder: Path) -> None:
        """Keep the links beyond this process."""
        for number, link in enumerate(self.links):
            _calls.pin(link, folder / pin_name(self.device, number))
        if self.xdp is not None:
            _calls.pin(self.xdp.link, folder / pin_name(self.device, "xdp"))

    def detach(self) -> None:
        if self.xdp is not None:
            self.xdp.detach()
            self.xdp = None
        for link in self.links:
            os.close(link)
        self.links.clear()
        if self.kind == "clsact":
            for egress in (False, True):
                with contextlib.suppress(EbpfError):
                    delete_filter(self.index, egress=egress)


def pin_name(device: str, number: int | Literal["xdp"]) -> str:
    """A file's name for bpffs, which takes no dot."""
    return f"link-{device.replace('.', '%2e') or '%'}-{number}"


def device_index(name: str) -> int | None:
    """Return the number of a device; None if there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def attach_device(plane: Plane, name: str, *, is_veth_of_pod: bool = False, force: Mechanism | None = None) -> Hook:
    """Judge what a device carries. On the host's side of a pod's veth what comes in is the pod's egress."""
    index = device_index(name)
    if index is None:
        raise FirewallError(f"firewall: there is no device {name}", hint="see ip link")
    into, out = (
        ("egress_at_ingress", "ingress_at_egress") if is_veth_of_pod else ("ingress_at_ingress", "egress_at_egress")
    )
    if not is_ethernet(name):
        into, out = "ingress_at_ingress_l3", "egress_at_egress_l3"
    sides = ((plane.program(into), False), (plane.program(out), True))
    if force != "clsact":
        hook = Hook("tcx", name, index)
        try:
            for program, egress in sides:
                hook.links.append(_calls.link_tcx(program, index, egress=egress))
        except OSError as error:
            hook.detach()
            if force == "tcx" or error.errno not in _NOT_KNOWN:
                raise firewall_failed(f"{name} was not attached by tcx", error.errno or 0) from error
        else:
            return hook
    hook = Hook("clsact", name, index)
    try:
        for program, egress in sides:
            add_filter(index, program, egress=egress)
    except BaseException:
        hook.detach()
        raise
    return hook


def attach_connect(plane: Plane, cgroup: Path | None = None) -> Hook:
    """Refuse connect() of local processes at once where Reject would refuse the first packet."""
    where = cgroup or next(_cgroup2_mounts(), None)
    if where is None:
        raise FirewallError("firewall: no cgroup2 is mounted: connect() is not refused, its packets are")
    hook = Hook("cgroup")
    folder = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name, kind in (("connect4", _calls.CGROUP_CONNECT4), ("connect6", _calls.CGROUP_CONNECT6)):
            hook.links.append(_calls.link_cgroup(plane.program(name), folder, kind))
    except OSError as error:
        hook.detach()
        raise firewall_failed(f"connect() below {where} was not attached", error.errno or 0) from error
    finally:
        os.close(folder)
    return hook


def _cgroup2_mounts() -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            yield Path(left.split()[4])
