"""The sandbox of a plugin's child process: everything that is taken away before the plugin's first instruction.

Order matters and is the order of `confine`: limits, user and capabilities, no_new_privs, Landlock, seccomp. The
`Profile` of a language adds what its runtime needs. Calls of `loading` are allowed only until `seal`, which a child
runs when its plugin is loaded.

A hostile constructor could make `seal` a no-op with a filter of its own (never weaken ours): what `loading` allows must
therefore be harmless under Landlock, as opening files is.

Where the kernel has no Landlock, seccomp alone keeps a plugin from files and the network; a C plugin, whose loading
needs to open a file, is refused then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubeshark.hosts._landlock import restrict
from kubeshark.hosts._seccomp import ALLOW, Condition, Rule, assemble, load

__all__ = ["CPU_SECONDS", "READ_ONLY", "THREADS", "Profile", "confine", "die_with_parent", "seal"]

NOBODY = 65534
CPU_SECONDS = 3600
"""A back stop: the supervisor replaces a child long before."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_PR_SET_NAME, _PR_SET_VMA = 15, 0x53564D41
_CLONE_THREAD_FLAGS = 0x00010F00  # VM, FS, FILES, SIGHAND, THREAD: a thread, never a process

READ_ONLY = Rule((Condition(2, 0o3 | os.O_CREAT | os.O_TRUNC | os.O_TMPFILE, 0),))
"""For `openat`: no access mode but reading, nothing created."""

THREADS: Mapping[str, Rule] = {
    "clone": Rule((Condition(0, _CLONE_THREAD_FLAGS, _CLONE_THREAD_FLAGS),)),
    "clone3": Rule(
        errno=errno.ENOSYS
    ),  # its flags lie in memory, where a filter cannot look: glibc falls back to clone
    "set_robust_list": ALLOW,
    "rseq": ALLOW,
    "prctl": Rule((Condition(0, 0xFFFFFFFF, _PR_SET_NAME), Condition(0, 0xFFFFFFFF, _PR_SET_VMA))),
}
"""What a runtime needs to start threads, and no processes, after the sandbox is up."""

_COMMON: Mapping[str, Rule] = dict.fromkeys(
    (
        "brk",
        "clock_gettime",
        "close",
        "exit",
        "exit_group",
        "futex",
        "getpid",
        "getrandom",
        "gettid",
        "gettimeofday",
        "madvise",
        "mremap",
        "munmap",
        "read",
        "recvfrom",
        "restart_syscall",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sched_yield",
        "sendto",
        "sigaltstack",
        "write",
    ),
    ALLOW,
)
_STDIO: Mapping[str, Rule] = {
    # printf looks at its descriptor first: let it be told off, not killed. What it prints goes to /dev/null.
    "fstat": ALLOW,
    "ioctl": Rule(errno=errno.ENOTTY),
    "lseek": Rule(errno=errno.ESPIPE),
    "newfstatat": Rule(errno=errno.EACCES),
}
_NOT_EXECUTABLE = Rule((Condition(2, 4, 0),))  # no PROT_EXEC


@dataclass(frozen=True)
class Profile:
    """What one language's runtime needs beyond the common rules."""

    syscalls: Mapping[str, Rule] = field(default_factory=dict)
    loading: Mapping[str, Rule] = field(default_factory=dict)  # until the plugin is loaded
    jit: bool = False  # makes memory executable while it runs
    threads: bool = False  # starts threads after the sandbox is up; give THREADS in `syscalls` too
    limits_address_space: bool = True  # False: the runtime reserves more than it uses, limit its data instead
    overhead_mb: int = 0  # memory of the runtime itself, on top of the manifest's memory_mb
    open_files: int = 16
    needs_landlock: bool = False  # loading opens files


def confine(profile: Profile, memory_mb: int) -> None:
    """Confine this process, all its threads, for ever. Runtimes are initialised, the plugin is not loaded."""
    parent = os.getppid()
    _limit(profile, memory_mb)
    _drop_privileges()
    die_with_parent(parent)  # again: the kernel forgets it when credentials change
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if not restrict() and profile.needs_landlock:
        raise OSError("this kernel has no Landlock, which loading a C plugin safely needs (Linux 5.13 or newer)")
    code = {"mmap": ALLOW, "mprotect": ALLOW}
    load(assemble({**_COMMON, **_STDIO, **_own(), **code, "seccomp": ALLOW, **profile.syscalls, **profile.loading}))


def seal(profile: Profile) -> None:
    """Take away what only loading needed: files, new filters and, unless the runtime compiles, new code."""
    rule = ALLOW if profile.jit else _NOT_EXECUTABLE
    load(assemble({**_COMMON, **_STDIO, **_own(), "mmap": rule, "mprotect": rule, **profile.syscalls}))


def die_with_parent(parent: int) -> None:
    """Kill this process when `parent` (its parent's id, which must be single-threaded) ends."""
    _prctl(_PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(0)


def _own() -> dict[str, Rule]:
    """`abort()` may signal this process, nothing may signal another."""
    return {"tgkill": Rule((Condition(0, 0xFFFFFFFF, os.getpid()),))}


def _limit(profile: Profile, memory_mb: int) -> None:
    allowed = (memory_mb + profile.overhead_mb) << 20
    used = _status_kib("VmSize" if profile.limits_address_space else "VmData") << 10
    memory = resource.RLIMIT_AS if profile.limits_address_space else resource.RLIMIT_DATA
    for limit, value in (
        (memory, used + allowed),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_NOFILE, profile.open_files),
        (resource.RLIMIT_NPROC, 512 if profile.threads else 0),
        (resource.RLIMIT_STACK, 8 << 20),
    ):
        _, hard = resource.getrlimit(limit)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (ceiling, ceiling))


def _status_kib(key: str) -> int:
    # In bytes: a codec is a module, which the user that this process has become may not be able to read.
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123 (no pathlib in the child)
        for line in file:
            if line.startswith(key.encode() + b":"):
                return int(line.split()[1])
    return 0


def _drop_privileges() -> None:
    """Become nobody if root; give up every capability."""
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)  # glibc does it on every thread; capabilities go with it
        except PermissionError:
            pass  # a container's root without CAP_SETUID: it has no power to lose but its capabilities
        _prctl(_PR_SET_DUMPABLE, 1)  # else /proc/self belongs to root, and the C host cannot load from its own memfd
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    if libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} refused")
