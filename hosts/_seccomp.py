"""Our own seccomp filter: an allow-list of system calls, assembled here, loaded without libseccomp.

Whatever is not listed kills the process. The program checks the architecture first, and on x86-64 refuses the x32
numbers, so that no number means something else than we think. Sources: seccomp(2), linux/seccomp.h, linux/filter.h,
the tables asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["ALLOW", "Condition", "Rule", "assemble", "load", "syscall_number"]


class Condition(NamedTuple):
    """Allow the call if `argument & mask == value`; arguments are compared in 64 bits."""

    argument: int
    mask: int
    value: int


class Rule(NamedTuple):
    """What to do with one system call: allow it if any condition holds (always if there is none), else `otherwise`."""

    conditions: tuple[Condition, ...] = ()
    errno: int = 0  # other than 0: never allow, answer this error


ALLOW = Rule()

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

# name: (x86_64, aarch64); None where the architecture lacks it
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "brk": (12, 214),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, None),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "ioctl": (16, 29),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
    "pkey_mprotect": (329, 288),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "tgkill": (234, 131),
    "uname": (63, 160),
    "write": (1, 64),
}


def syscall_number(name: str, machine: str = "") -> int | None:
    """Return a call's number on this (or that) machine, None where it does not exist."""
    return _NUMBERS[name][_column(machine or platform.machine())]


def _column(machine: str) -> int:
    if machine not in _AUDIT_ARCH:
        raise OSError(f"no system call table for {machine}: plugins in C, Go and JavaScript need x86_64 or aarch64")
    return 0 if machine == "x86_64" else 1


_LD, _JEQ, _JGE, _AND, _RET = 0x20, 0x15, 0x35, 0x54, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JGE|K, ALU|AND|K, RET|K
_RET_KILL, _RET_ALLOW, _RET_ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_AT_NUMBER, _AT_ARCH, _AT_ARGUMENTS = 0, 4, 16  # struct seccomp_data


def assemble(rules: Mapping[str, Rule], machine: str = "") -> bytes:
    """Return the filter program (struct sock_filter each 8 bytes) for these rules."""
    machine = machine or platform.machine()
    column = _column(machine)
    program: list[tuple[int, int, int, int]] = [
        (_LD, 0, 0, _AT_ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        (_RET, 0, 0, _RET_KILL),
        (_LD, 0, 0, _AT_NUMBER),
    ]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32_BIT), (_RET, 0, 0, _RET_KILL)]
    for name, rule in rules.items():
        number = _NUMBERS[name][column]
        if number is None:
            continue
        body = list(_body(rule))
        program.append((_JEQ, 0, len(body), number))
        program += body
    program.append((_RET, 0, 0, _RET_KILL))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _body(rule: Rule) -> Iterable[tuple[int, int, int, int]]:
    """Yield what follows a matched number; every path ends in a return."""
    if rule.errno:
        yield (_RET, 0, 0, _RET_ERRNO | rule.errno)
        return
    for argument, mask, value in rule.conditions:
        low = _AT_ARGUMENTS + 8 * argument
        yield (_LD, 0, 0, low)
        yield (_AND, 0, 0, mask & 0xFFFFFFFF)
        yield (_JEQ, 0, 4, value & 0xFFFFFFFF)
        yield (_LD, 0, 0, low + 4)
        yield (_AND, 0, 0, mask >> 32)
        yield (_JEQ, 0, 1, value >> 32)
        yield (_RET, 0, 0, _RET_ALLOW)
    yield (_RET, 0, 0, _RET_KILL if rule.conditions else _RET_ALLOW)


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1


def load(program: bytes) -> None:
    """Put the filter on every thread of this process, for ever. Needs no_new_privs. OSError if the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = _SockFprog(len(program) // 8, ctypes.addressof(buffer))
    number = syscall_number("seccomp")
    result = libc.syscall(number, _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(prog))
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"seccomp filter refused: {os.strerror(errno)}")
