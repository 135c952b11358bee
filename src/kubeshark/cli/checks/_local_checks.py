"""Whether this machine can capture: what `kubeshark check` looks at without a cluster."""

from __future__ import annotations

import os
import platform
import re
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeshark.cluster import Check

__all__ = ["local_checks"]

OLDEST, TCX = (4, 19), (6, 6)
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13  # linux/capability.h


def local_checks(root: Path = Path("/"), release: str | None = None) -> list[Check]:
    """Return them in order. `root` is where /proc and /sys lie."""
    kernel = _kernel(release or platform.release())
    return [kernel, _btf(root), _cgroup(root), _capabilities(root), _rp_filter(root), _libpcap(), _key()]


def _kernel(release: str) -> Check:
    from kubeshark.cluster import Check

    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST:
        return Check("kernel", "fail", release, f"capturing needs {OLDEST[0]}.{OLDEST[1]} or later")
    how = "tcx" if version >= TCX else "clsact"
    return Check("kernel", "ok", f"{release}: the firewall attaches by {how}")


def _btf(root: Path) -> Check:
    from kubeshark.cluster import Check

    is_there = (root / "sys/kernel/btf/vmlinux").exists()
    return Check("BTF", "ok", f"{'is there' if is_there else 'is not there'}; it is not needed")


def _cgroup(root: Path) -> Check:
    from kubeshark.cluster import Check

    if (root / "sys/fs/cgroup/cgroup.controllers").exists():
        return Check("cgroup", "ok", "v2")
    return Check("cgroup", "warn", "v1: memory of plugins is bounded by rlimits alone", "boot with unified cgroups")


def _capabilities(root: Path) -> Check:
    from kubeshark.cluster import Check

    try:
        text = (root / "proc/self/status").read_text()
        held = int(re.search(r"^CapEff:\s*([0-9a-f]{1,16})$", text, re.MULTILINE)[1], 16)  # type: ignore[index]
    except (OSError, TypeError):
        return Check("capabilities", "warn", "cannot be read", "capturing needs CAP_NET_RAW")
    names = {"CAP_NET_RAW": CAP_NET_RAW, "CAP_NET_ADMIN": CAP_NET_ADMIN}
    lacking = [name for name, bit in names.items() if not held >> bit & 1]
    if lacking:
        said = f"{', '.join(lacking)} not held: this user captures from no interface here"
        return Check("capabilities", "warn", said, "run as root, or only import files and use clusters")
    return Check("capabilities", "ok", ", ".join(names))


def _rp_filter(root: Path) -> Check:
    """Packets are captured before it drops any: it is said for whoever looks for those."""
    from kubeshark.cluster import Check

    folder = root / "proc/sys/net/ipv4/conf"
    try:
        values = {each.parent.name: int(each.read_text()) for each in folder.glob("*/rp_filter")}
    except (OSError, ValueError):
        return Check("rp_filter", "ok", "cannot be read; captures see packets before it")
    everywhere = values.pop("all", 0)
    strict = sorted(name for name, value in values.items() if max(value, everywhere) == 1 and name != "default")
    if not strict:
        return Check("rp_filter", "ok", "drops nothing that has a way back")
    shown = ", ".join(strict[:5]) + (f" and {len(strict) - 5:,} more" if len(strict) > 5 else "")
    return Check("rp_filter", "ok", f"strict on {shown}: what it drops is captured all the same")


def _libpcap() -> Check:
    from kubeshark.cluster import Check

    if find_library("pcap"):
        return Check("libpcap", "ok", "filters of captures are compiled")
    return Check("libpcap", "warn", "is not there: captures take no filter", "apt-get install libpcap0.8")


def _key() -> Check:
    from kubeshark.cluster import Check
    from kubeshark.core_capture.store import identity_path

    path = identity_path()
    if not path.exists():
        return Check("identity", "ok", f"{path} will be made at first use")
    if not os.access(path, os.R_OK):
        return Check("identity", "fail", f"{path} cannot be read by this user", "chown it, mode 0600")
    if path.stat().st_mode & 0o077:
        return Check("identity", "warn", f"{path} can be read by others", f"chmod 600 {path}")
    return Check("identity", "ok", str(path))
