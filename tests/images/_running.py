"""Programs of an image, run from its root file system as its configuration says, in a network of their own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADDRESS = "10.213.9.2"
"""Of the namespace that images run in; the tests have the other end of the cable."""


@dataclass(frozen=True)
class Image:
    """A built image: its mounted root, its configuration, and its bill of materials."""

    name: str
    version: str
    root: Path
    config: dict[str, Any]
    bill: dict[str, Any]


@contextmanager
def cable() -> Iterator[str]:
    """Make a network namespace at ADDRESS; yield its name."""
    name, near = f"ksi{os.getpid() % 100_000}", f"ksi{os.getpid() % 100_000}v"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "10.213.9.1/24", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "addr", "add", f"{ADDRESS}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def running(
    image: Image, namespace: str, data: Path, *arguments: str, log: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the entry point with a read-only root, `data` as /mnt and a fresh /tmp, as the user that the image names."""
    at = shlex.quote(str(image.root))
    user = image.config["User"]
    given = {**dict(each.split("=", 1) for each in image.config["Env"]), **environment}
    command = [*(f"{key}={value}" for key, value in given.items()), *image.config["Entrypoint"], *arguments]
    script = f"""
        mount --bind {at} {at}
        mount --rbind /dev {at}/dev
        mount -t proc proc {at}/proc
        mount -t tmpfs tmpfs {at}/tmp
        mount --bind {shlex.quote(str(data))} {at}/mnt
        mount -o remount,bind,ro {at}
        exec chroot --groups= --userspec={user} {at} env -i {shlex.join(command)}
    """
    inside = ["ip", "netns", "exec", namespace, "unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    with log.open("wb") as said, subprocess.Popen(inside, stdout=said, stderr=said) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def until(done: Callable[[], Any], log: Path) -> Any:
    """Return the first true answer; OSError counts as none. Fails with what the program said."""
    for _ in range(300):
        try:
            if found := done():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"it did not come up: {log.read_text()}")


def image(root: Path, line: str, environment: dict[str, str]) -> Image:
    """Return what a line of scripts/images.sh is about: NAME VERSION SIZE SBOM."""
    name, version, _, bill = line.split()

    def ask(what: str) -> str:
        command = [root / "scripts" / "images.sh", what, name]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    return Image(name, version, Path(ask("root")), json.loads(ask("config")), json.loads(Path(bill).read_text()))


def missing_tools() -> list[str]:
    """Return Debian's packages that are needed and not there."""
    packages = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "skopeo": "skopeo", "ip": "iproute2"}
    return [package for program, package in packages.items() if shutil.which(program) is None]
