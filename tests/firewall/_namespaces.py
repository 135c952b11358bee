"""Two network namespaces joined by a veth pair: real packets of the kernel's own stacks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Pair", "pair"]

T = TypeVar("T")
V4 = socket.AF_INET
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Pair:
    """`near` is judged: its device is `eth0`, 10.77.0.1 and fd77::1. `far` talks to it from 10.77.0.2 and fd77::2."""

    near: str
    far: str

    def within(self, name: str, do: Callable[[], T]) -> T:
        """Call in a namespace, on a thread of its own: the rest of the process stays where it is."""
        result: list[Any] = []

        def enter() -> None:
            fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
            try:
                assert _libc.setns(fd, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
                result.append((do(), None))
            except BaseException as error:  # noqa: BLE001 - handed to who asked
                result.append((None, error))
            finally:
                os.close(fd)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        value, error = result[0]
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    def open(self, name: str, family: int = V4, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket stays in the namespace that it was made in."""
        made = self.within(name, lambda: socket.socket(family, kind, protocol))
        made.settimeout(2)
        return made

    def listen(self, port: int, family: int = V4) -> socket.socket:
        made = self.open(self.near, family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        made.listen(16)
        return made

    def connect(self, port: int, family: int = V4, timeout_s: float = 2) -> socket.socket:
        made = self.open(self.far, family)
        made.settimeout(timeout_s)
        try:
            made.connect(("fd77::1" if family == socket.AF_INET6 else "10.77.0.1", port))
        except BaseException:
            made.close()
            raise
        return made


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    made = Pair(f"ksfw-n{os.getpid()}", f"ksfw-f{os.getpid()}")
    try:
        for name in (made.near, made.far):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        join(made)
        yield made
    finally:
        for name in (made.near, made.far):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def join(made: Pair) -> None:
    """Make the veth pair; again after it was removed."""
    ip("-n", made.near, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", made.far)
    for name, last in ((made.near, "1"), (made.far, "2")):
        ip("-n", name, "address", "add", f"10.77.0.{last}/24", "dev", "eth0")
        ip("-n", name, "address", "add", f"fd77::{last}/64", "dev", "eth0", "nodad")
        ip("-n", name, "link", "set", "eth0", "up")
