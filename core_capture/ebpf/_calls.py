"""bpf(2) by ctypes: maps, programs, links, pins, trial runs. No libbpf, no BTF.

File descriptors are plain numbers here; who asked for one closes it. Structures are those of linux/bpf.h, zeros behind
what a call needs: an older kernel takes them as long as what it does not know is zero.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path
from typing import Final

from kubeshark.errors import KubesharkError

__all__ = ["EbpfError", "refused"]

_NUMBER: Final = {"x86_64": 321, "aarch64": 280}
_MEMBARRIER: Final = {"x86_64": 324, "aarch64": 283}
_ATTR_BYTES = 160
_LOG_BYTES = 1 << 20

HASH, ARRAY, PERCPU_ARRAY, LRU_HASH, LPM_TRIE, RINGBUF = 1, 2, 6, 9, 11, 27
NO_PREALLOC = 1
KPROBE, SCHED_CLS, TRACEPOINT, XDP, CGROUP_SOCK_ADDR = 2, 3, 5, 6, 18
CGROUP_CONNECT4, CGROUP_CONNECT6, XDP_DEVICE, TCX_INGRESS, TCX_EGRESS = 10, 11, 37, 46, 47
BEFORE = 1 << 3
"""Of a tcx link: in front of the programs that are there."""
_HAS_FRAGS = 1 << 5  # of an XDP program: frames may lie in pieces, as large ones do

_libc = ctypes.CDLL(None, use_errno=True)


class EbpfError(KubesharkError):
    """The kernel does not take a program, a map, or where it is to be attached."""


HINTS: Final = {
    errno.EPERM: "run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
    errno.ENOSYS: "the kernel has no bpf(2): it must be 5.12 or newer, with CONFIG_BPF_SYSCALL",
    errno.ENOMEM: "raise RLIMIT_MEMLOCK (ulimit -l), or free memory",
}


def refused(doing: str, number: int, detail: str = "") -> EbpfError:
    """Say in one line what failed, why, and what to do."""
    why = os.strerror(number) + (f" ({detail})" if detail else "")
    return EbpfError(f"eBPF: {doing}: {why}", hint=HINTS.get(number, ""))


def _call(command: int, attr: bytes) -> tuple[int, ctypes.Array[ctypes.c_char]]:
    machine = platform.machine()
    if machine not in _NUMBER:
        raise EbpfError(f"eBPF: not built for {machine}", hint=f"it runs on {' and '.join(_NUMBER)}")
    buffer = ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    done = _libc.syscall(_NUMBER[machine], command, buffer, _ATTR_BYTES)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done, buffer


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def _bytes(data: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(data, max(1, len(data)))


def create_map(kind: int, name: str, key_bytes: int, value_bytes: int, entries: int, flags: int = 0) -> int:
    try:
        attr = struct.pack("<7I16s", kind, key_bytes, value_bytes, entries, flags, 0, 0, name.encode()[:15])
        return _call(0, attr)[0]
    except OSError as error:
        raise refused(f"map {name} was not made", error.errno or 0) from error


def look_up(fd: int, key: bytes, value_bytes: int) -> bytes | None:
    key_at, value = _bytes(key), ctypes.create_string_buffer(value_bytes)
    try:
        _call(1, struct.pack("<IIQQQ", fd, 0, _address(key_at), _address(value), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return value.raw


def update(fd: int, key: bytes, value: bytes) -> None:
    key_at, value_at = _bytes(key), _bytes(value)
    _call(2, struct.pack("<IIQQQ", fd, 0, _address(key_at), _address(value_at), 0))


def delete(fd: int, key: bytes) -> None:
    """Delete a key, if it is there."""
    key_at = _bytes(key)
    try:
        _call(3, struct.pack("<IIQQQ", fd, 0, _address(key_at), 0, 0))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def next_key(fd: int, key: bytes | None, key_bytes: int) -> bytes | None:
    key_at, found = _bytes(key or b""), ctypes.create_string_buffer(key_bytes)
    try:
        _call(4, struct.pack("<IIQQQ", fd, 0, _address(key_at) if key is not None else 0, _address(found), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return found.raw


def update_all(fd: int, keys: list[bytes], values: list[bytes]) -> None:
    """Set many keys by one call; by one each where the kernel has no batches for the map (before 5.13)."""
    if not keys:
        return
    key_at, value_at = _bytes(b"".join(keys)), _bytes(b"".join(values))
    try:
        _call(26, struct.pack("<QQQQIIQQ", 0, 0, _address(key_at), _address(value_at), len(keys), fd, 0, 0))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, 524):  # 524: ENOTSUPP of the kernel alone
            raise
        for key, value in zip(keys, values, strict=True):
            update(fd, key, value)


def delete_all(fd: int, keys: list[bytes]) -> None:
    """Delete many keys, those that are there."""
    if not keys:
        return
    key_at = _bytes(b"".join(keys))
    try:
        _call(27, struct.pack("<QQQQIIQQ", 0, 0, _address(key_at), 0, len(keys), fd, 0, 0))
    except OSError:
        for key in keys:  # one that is missing ends a batch
            delete(fd, key)


def load_program(kind: int, name: str, code: bytes, expected: int = 0) -> int:
    """Load a program; what the verifier says of one that it refuses is in the error, its last line first."""
    code_at, licence = _bytes(code), _bytes(b"GPL\0")

    def attr(log: ctypes.Array[ctypes.c_char] | None) -> bytes:
        level, size, at = (0, 0, 0) if log is None else (1, _LOG_BYTES, _address(log))
        head = (kind, len(code) // 8, _address(code_at), _address(licence), level, size, at, 0)
        flags = _HAS_FRAGS if kind == XDP else 0
        return struct.pack("<IIQQIIQII16sII", *head, flags, name.encode()[:15], 0, expected)

    try:
        return _call(5, attr(None))[0]
    except OSError as error:
        if error.errno == errno.EPERM:
            raise refused(f"program {name} was not loaded", errno.EPERM) from error
        log = ctypes.create_string_buffer(_LOG_BYTES)
        try:
            return _call(5, attr(log))[0]
        except OSError as again:
            lines = log.value.decode(errors="replace").strip().splitlines()
            said = [line for line in lines if not line.startswith(("processed ", "verification time"))][-1:]
            raise refused(
                f"program {name} was not loaded", again.errno or 0, "verifier: " + said[0][:200] if said else ""
            ) from again


def link_tcx(program: int, interface: int, *, egress: bool) -> int:
    """Attach to a device, in front of everybody; raise OSError (EINVAL: a kernel before 6.6)."""
    kind = TCX_EGRESS if egress else TCX_INGRESS
    return _call(28, struct.pack("<IIIIIIQ", program, interface, kind, BEFORE, 0, 0, 0))[0]


def link_xdp(program: int, interface: int, flags: int) -> int:
    """Attach to a device as its one XDP program; `flags` says how (XDP_FLAGS_*). OSError EBUSY: there is one."""
    return _call(28, struct.pack("<IIII", program, interface, XDP_DEVICE, flags))[0]


def link_cgroup(program: int, cgroup: int, kind: int) -> int:
    return _call(28, struct.pack("<IIII", program, cgroup, kind, 0))[0]


def update_link(link: int, program: int) -> None:
    _call(29, struct.pack("<III", link, program, 0))


def pin(fd: int, path: Path) -> None:
    name = _bytes(os.fsencode(path) + b"\0")
    try:
        _call(6, struct.pack("<QII", _address(name), fd, 0))
    except OSError as error:
        hint = "mount -t bpf bpf /sys/fs/bpf" if error.errno in (errno.EPERM, errno.EINVAL, errno.ENOENT) else ""
        raise EbpfError(f"eBPF: {path} cannot be pinned: {os.strerror(error.errno or 0)}", hint=hint) from error


def open_pin(path: Path) -> int:
    name = _bytes(os.fsencode(path) + b"\0")
    return _call(7, struct.pack("<QII", _address(name), 0, 0))[0]


def try_run(program: int, packet: bytes, repeat: int = 1, mark: int = 0) -> tuple[int, bytes, int]:
    """Run a program on a packet; return (what it returned, the packet then, nanoseconds for each run)."""
    data, out = _bytes(packet), ctypes.create_string_buffer(len(packet) + 512)
    context = _bytes(struct.pack("<II", 0, 0) + struct.pack("<I", mark) + bytes(180)) if mark else None
    size = 192 if context is not None else 0
    attr = struct.pack("<IIIIQQIIIIQQ", program, 0, len(packet), len(out), _address(data), _address(out), repeat, 0,
                       size, 0, _address(context) if context is not None else 0, 0)  # fmt: skip
    _, answer = _call(10, attr)
    _, returned, _, length = struct.unpack_from("<IIII", answer.raw)
    duration = struct.unpack_from("<I", answer.raw, 36)[0]
    return returned if returned < 1 << 31 else returned - (1 << 32), out.raw[:length], duration


def wait_for_readers() -> None:
    """Return when every processor has left what it was running: nobody reads the idle slot any more."""
    machine = platform.machine()
    if _libc.syscall(_MEMBARRIER.get(machine, -1), 1, 0, 0) < 0:  # MEMBARRIER_CMD_GLOBAL waits for a grace period
        from time import sleep

        sleep(0.02)  # refused with nohz_full, and by some sandboxes


def possible_processors() -> int:
    """Return how many values a per-processor map holds for a key."""
    text = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip()
    return int(text.replace(",", "-").split("-")[-1]) + 1
