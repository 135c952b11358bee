"""Becomes a container's process: as a runtime does, from `unshare --mount --pid --fork`; reads JSON, see `_kubelet.py`.

The image is the lower layer of an overlay, so that nothing is written to it; a read-only root is that of the manifest.
There is no seccomp profile and no cgroup around it.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CAPABILITIES = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12,
    "NET_RAW": 13, "IPC_LOCK": 14, "SYS_CHROOT": 18, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24,
}  # fmt: skip
"""linux/capability.h, of those that manifests name."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def mount_all(given: dict[str, Any]) -> Path:
    """Return the root file system as the container sees it."""
    scratch = Path(given["scratch"])
    mount("-t", "tmpfs", "tmpfs", scratch)
    upper, work, root = (scratch / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={given['root']},upperdir={upper},workdir={work}", root)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    (root / "dev" / "shm").mkdir()
    mount("-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs", root / "dev" / "shm")
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    for source, target, is_read_only in given["binds"]:
        at = within(root, target)
        if Path(source).is_dir():
            at.mkdir(parents=True, exist_ok=True)
        else:
            at.parent.mkdir(parents=True, exist_ok=True)
            at.touch()
        mount("--bind", source, at)
        if is_read_only:
            mount("-o", "remount,bind,ro", at)
    if given["read_only_root"]:
        mount("-o", "remount,ro", root)
    return root


def within(root: Path, target: str) -> Path:
    """Return where a path of the container lies: /var/run is a link that means the container's /run."""
    at = root
    for part in Path(target).parts[1:]:
        at /= part
        if at.is_symlink():
            at = within(root, str(Path("/", at.parent.relative_to(root), at.readlink())))
    return at


def shed(kept: list[str]) -> None:
    """Drop capabilities from the bounding set: what is executed next has no others."""
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {CAPABILITIES[name] for name in kept}
    for number in range(64):
        if number not in numbers and libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            assert libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())


def become(given: dict[str, Any]) -> None:
    root = mount_all(given)
    os.chroot(root)
    os.chdir("/")
    shed(given["capabilities"])
    os.setgroups(given["groups"])
    os.setresgid(*[given["gid"]] * 3)
    os.setresuid(*[given["uid"]] * 3)
    if given["no_new_privileges"]:
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execvpe(given["command"][0], given["command"], given["environment"])


if __name__ == "__main__":
    become(json.loads(Path(sys.argv[1]).read_text()))
