"""The filter program, run by a model of the kernel's BPF machine, on both architectures."""

from __future__ import annotations

import platform
import struct

import pytest

from kubeshark.hosts._sandbox import READ_ONLY, THREADS
from kubeshark.hosts._seccomp import ALLOW, Condition, Rule, assemble, syscall_number

KILL, ALLOWED, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """Run the program on a struct seccomp_data, as kernel/seccomp.c does."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", struct.unpack("<i", struct.pack("<I", number))[0], arch, 0, *values)
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = at = 0
    while True:
        code, if_true, if_false, k = instructions[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_only_what_is_listed_is_allowed(machine: str) -> None:
    program = assemble({"read": ALLOW, "clone3": Rule(errno=38), "poll": ALLOW}, machine)
    arch = ARCHITECTURES[machine]
    allowed = {number for number in range(600) if verdict(program, arch, number) == ALLOWED}
    assert allowed == {syscall_number("read", machine), syscall_number("poll", machine)} - {None}
    assert verdict(program, arch, 435) == ERRNO | 38
    assert verdict(program, arch, 0x40000000) == KILL  # x32
    for other in (set(ARCHITECTURES.values()) - {arch}) | {0x40000003}:
        assert verdict(program, other, syscall_number("read", machine) or 0) == KILL


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_conditions_look_at_all_64_bits(machine: str) -> None:
    rule = Rule((Condition(1, 0xF, 3), Condition(0, 0xFFFFFFFF_FFFFFFFF, 1 << 40)))
    program, arch = assemble({"read": rule}, machine), ARCHITECTURES[machine]
    number = syscall_number("read", machine) or 0
    assert verdict(program, arch, number, 0, 0xF3) == ALLOWED
    assert verdict(program, arch, number, 1 << 40, 0) == ALLOWED
    assert verdict(program, arch, number, 1 << 41, 4) == KILL
    assert verdict(program, arch, number, (1 << 40) + 1, 0) == KILL


def test_files_are_read_only_and_clones_are_threads() -> None:
    program = assemble({"openat": READ_ONLY, "clone": THREADS["clone"]}, "x86_64")
    arch = ARCHITECTURES["x86_64"]
    openat, clone = syscall_number("openat", "x86_64") or 0, syscall_number("clone", "x86_64") or 0
    assert verdict(program, arch, openat, 3, 0, 0o2000000) == ALLOWED  # O_CLOEXEC
    for flags in (0o1, 0o2, 0o100, 0o1000):
        assert verdict(program, arch, openat, 3, 0, flags) == KILL
    assert verdict(program, arch, clone, 0x3D0F00) == ALLOWED  # pthread_create
    assert verdict(program, arch, clone, 0x1200011) == KILL  # fork


def test_other_machines_are_refused() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        assemble({"read": ALLOW}, "riscv64")
    assert platform.machine() in ARCHITECTURES
