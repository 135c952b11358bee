"""Where programs are attached to functions and system calls: perf_event_open(2), closed to detach."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from pathlib import Path
from typing import Final

from kubeshark.core_capture.ebpf._calls import EbpfError, refused

__all__ = ["attach_tracepoint", "attach_uprobe", "tracing_folder"]

_NUMBER: Final = {"x86_64": 298, "aarch64": 241}
_UPROBE = Path("/sys/bus/event_source/devices/uprobe")
_TRACING = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
_SIZE = 72  # PERF_ATTR_SIZE_VER1: up to config2
_CLOEXEC = 8
_SET_BPF, _ENABLE = 0x4004_2408, 0x2400  # PERF_EVENT_IOC_*

_libc = ctypes.CDLL(None, use_errno=True)


def attach_uprobe(program: int, file: Path, offset: int, *, at_return: bool) -> int:
    """Run `program` where a function of a file begins or returns, in every process; return what to close.

    `offset` is in bytes of the file. Raises EbpfError.
    """
    try:
        kind = int((_UPROBE / "type").read_text(encoding="ascii"))
        bit = int((_UPROBE / "format" / "retprobe").read_text(encoding="ascii").partition(":")[2])
    except (OSError, ValueError) as error:
        raise EbpfError("eBPF: the kernel has no uprobes", hint="it must be built with CONFIG_UPROBE_EVENTS") from error
    path = ctypes.create_string_buffer(os.fsencode(file))
    try:
        return _open(program, kind, (1 << bit) if at_return else 0, ctypes.addressof(path), offset)
    except OSError as error:
        raise refused(f"no probe in {file}", error.errno or 0) from error


def tracing_folder() -> Path | None:
    """Return where the kernel shows its tracepoints, None where it does not."""
    return next((folder for folder in _TRACING if (folder / "events").is_dir()), None)


def attach_tracepoint(program: int, name: str) -> int:
    """Run `program` at a tracepoint, "syscalls/sys_enter_read" for one; return what to close. Raises EbpfError."""
    folder = tracing_folder()
    try:
        number = int((folder / "events" / name / "id").read_text(encoding="ascii")) if folder else 0
    except (OSError, ValueError):
        number = 0
    if number:
        try:
            return _open(program, _TRACEPOINT, number, 0, 0)
        except OSError as error:
            raise refused(f"no probe at {name}", error.errno or 0) from error
    hint = "mount -t tracefs tracefs /sys/kernel/tracing, and be root"
    raise EbpfError(f"eBPF: there is no tracepoint {name}", hint=hint)


def _open(program: int, kind: int, config: int, config1: int, config2: int) -> int:
    """One event on one processor: the kernel runs the program wherever it happens."""
    machine = platform.machine()
    if machine not in _NUMBER:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    packed = struct.pack("<IIQQQQQIIQQ", kind, _SIZE, config, 0, 0, 0, 0, 0, 0, config1, config2)
    attr = ctypes.create_string_buffer(packed, _SIZE)
    fd = _libc.syscall(_NUMBER[machine], attr, -1, 0, -1, ctypes.c_ulong(_CLOEXEC))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        fcntl.ioctl(fd, _SET_BPF, program)
        fcntl.ioctl(fd, _ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return int(fd)
