"""The process that enforces: it holds the links, watches the clock and the devices, and answers on a socket.

Requests and answers are one JSON document a line, over a UNIX socket in a folder of mode 0700; only the user that
runs it is served. What is enforced is one set of policies (`_set.py`), kept in state.json beside it: a new process goes
on with it. Where a hub enforces, sets are taken as it signed them, from the disk too.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kubeshark._durable import replace_synced
from kubeshark.errors import KubesharkError, UsageError
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.enforcement._enforcer import BPFFS, Enforcer, FailMode
from kubeshark.firewall.kernel._attach import Mechanism
from kubeshark.firewall.kernel._netlink import LinkWatch
from kubeshark.firewall.kernel._plane import Plane
from kubeshark.firewall.kernel._xdp import XdpChoice
from kubeshark.firewall.names._name_follower import NameFollower
from kubeshark.firewall.names._resolver import Server, system_resolvers
from kubeshark.firewall.rules._rules import Direction, Exempt, Traffic
from kubeshark.firewall.sets._set import PolicySet, content_of, set_from
from kubeshark.firewall.sets._wire import Target

__all__ = ["Agent", "ask", "runtime_folder"]

MAX_REQUEST = 64 << 20
MAX_EVENTS = 10_000
"""Kept for those who ask; older ones are gone, and counted."""
TICK_S = 0.25
FOLLOW_SHARE = 4
"""Between two changes of addresses lies this often the time one takes: a subject that asks for many names takes a fifth
of a processor at most."""
_TCP = 6


def runtime_folder() -> Path:
    """Return where the socket and the state lie: $KUBESHARK_FIREWALL_RUN, else /run/kubeshark-firewall."""
    return Path(os.environ.get("KUBESHARK_FIREWALL_RUN") or "/run/kubeshark-firewall")


def ask(request: dict[str, Any], *, folder: Path | None = None, timeout_s: float = 60) -> dict[str, Any]:
    """Ask the process that enforces; FirewallError if there is none, or with what it says."""
    path = (folder or runtime_folder()) / "socket"
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(str(path))
        except OSError as error:
            raise FirewallError(
                "firewall: nothing is enforced here", hint='see "kubeshark firewall apply --enforce"'
            ) from error
        try:
            link.sendall(json.dumps(request).encode() + b"\n")
            link.shutdown(socket.SHUT_WR)
            answer = json.loads(_read_all(link))
        except (OSError, ValueError) as error:
            raise FirewallError(f"firewall: its process did not answer: {error or 'it ended'}") from error
    if "error" in answer:
        raise FirewallError(str(answer["error"]), hint=str(answer.get("hint", "")))
    return dict(answer)


def _read_all(link: socket.socket) -> bytes:
    pieces, size = [], 0
    while piece := link.recv(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_REQUEST:
            raise UsageError(f"firewall: a message of more than {MAX_REQUEST:,} bytes")
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A set as it came, and when: `given` is what is kept on the disk, signed where sets are signed."""

    given: dict[str, Any]
    document: dict[str, Any]
    set: PolicySet
    at: float  # seconds since 1970


class Agent:
    """Serves until it is told to stop, or gets SIGTERM."""

    def __init__(
        self,
        folder: Path,
        *,
        fail_mode: FailMode = "open",
        force: Mechanism | None = None,
        xdp: XdpChoice = "off",
        pins: Path = BPFFS / "kubeshark-firewall",
        unseal: Callable[[Any], dict[str, Any]] | None = None,
        own_port: int = 0,
        is_over: Callable[[], bool] = lambda: False,
        resolvers: Callable[[], Sequence[Server]] = system_resolvers,
    ) -> None:
        """`unseal`: sets come signed, and are opened by it. `own_port` is never cut. `is_over`: asked now and then."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o077:
            raise UsageError(f"{folder} is open to others", hint=f"chown to this user and chmod 700 {folder}")
        self.enforcer = Enforcer(fail_mode=fail_mode, force=force, xdp=xdp, pins=pins)
        self._names = NameFollower(folder, resolvers=resolvers)
        self._named_for: _Taken | None = None  # whose names are in force
        self._named_edition = 0
        self._follow_at = 0.0
        self._unseal, self._own_port, self._is_over = unseal, own_port, is_over
        self._now: _Taken | None = None
        self._before: _Taken | None = None
        self._reverted = 0  # the revision that was gone back from by the clock
        self._unable = ""  # why this machine enforces nothing
        self._trouble = ""  # why it does not enforce what it did before
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._sequence = 0
        self._stopping = False

    def run(self) -> None:
        path = self._folder / "socket"
        with contextlib.suppress(FirewallError):
            if ask({"do": "ping"}, folder=self._folder, timeout_s=2):
                raise UsageError("the firewall is run by another process already", hint="kubeshark firewall status")
        path.unlink(missing_ok=True)
        self._unable = _why_unable()
        self._restore()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        watch = LinkWatch()
        with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
            server.bind(str(path))
            path.chmod(0o600)
            server.listen(8)
            server.setblocking(False)
            selector.register(server, selectors.EVENT_READ)
            selector.register(watch, selectors.EVENT_READ)
            due, heard = 0.0, None
            while not self._stopping:
                if heard is not self._names.watch:
                    if heard is not None:
                        selector.unregister(heard)
                    if (heard := self._names.watch) is not None:
                        selector.register(heard, selectors.EVENT_READ)
                ready = {key.fileobj for key, _ in selector.select(TICK_S)}
                if self._is_over():
                    break
                if heard in ready:
                    self._names.hear(self.enforcer.sides())
                    self._follow_names()
                if watch in ready:
                    watch.drain()
                if watch in ready or time.monotonic() >= due:
                    due = time.monotonic() + TICK_S
                    self._tick()
                self._collect()
                if server in ready:
                    with contextlib.suppress(OSError):
                        link, _ = server.accept()
                        self._serve(link)
        watch.close()
        path.unlink(missing_ok=True)
        self._names.close()
        self.enforcer.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _tick(self) -> None:
        waited = self.enforcer.seconds_left is not None
        try:
            undone = self.enforcer.tick()
        except KubesharkError as error:
            undone = str(error)
        if waited and self.enforcer.seconds_left is None:
            self._reverted = self._now.set.revision if self._now else 0
            self._go_back()
        if undone:
            self._note({"verdict": "reverted", "message": undone, "time": time.time()})
            self._save()
        self._names.tick()
        self._follow_names()

    def _follow_names(self) -> None:
        """Have rules the addresses that their names have now."""
        if self._named_for is self._now and self._named_edition == self._names.edition:
            return
        began = time.monotonic()
        if began < self._follow_at:
            return
        if self._named_for is not self._now:  # gone back to what was before
            self._names.follow(self._now.set.targets if self._now else ())
        if self._now is not None:
            try:
                self.enforcer.follow(self._guarded(self._now.set.targets))
            except KubesharkError as error:  # the addresses before stay, and it is tried again when they change
                self._note({"verdict": "failed", "message": f"names are not followed: {error}", "time": time.time()})
        self._named()
        self._follow_at = time.monotonic() + FOLLOW_SHARE * (time.monotonic() - began)

    def _named(self) -> None:
        self._named_for, self._named_edition = self._now, self._names.edition

    def _go_back(self) -> None:
        self._now, self._before = self._before, None

    def _collect(self) -> None:
        for _, document in self.enforcer.events():
            self._note(document)

    def _note(self, document: dict[str, Any]) -> None:
        self._sequence += 1
        self._events.append({"sequence": self._sequence, **document})

    def _serve(self, link: socket.socket) -> None:
        with link:
            link.settimeout(10)
            try:
                credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if struct.unpack("3i", credentials)[1] not in (0, os.geteuid()):
                    return
                answer = self._do(json.loads(_read_all(link)))
            except KubesharkError as error:
                answer = {"error": error.message, "hint": error.hint}
            except (OSError, ValueError, TypeError, KeyError) as error:
                answer = {"error": f"firewall: {error!r:.300}"}
            with contextlib.suppress(OSError):
                link.sendall(json.dumps(answer).encode())

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        enforcer = self.enforcer
        match request.get("do"):
            case "ping":
                return {"pid": os.getpid()}
            case "put":
                return self._put(request)
            case "confirm":
                if request.get("issue") not in (None, self._issue):
                    raise UsageError(f"firewall: another set is enforced: issue {self._issue}")
                enforcer.confirm()
            case "rollback":
                enforcer.roll_back()
                self._go_back()
            case "remove":
                enforcer.remove()
                self._now = self._before = None
            case "stop":
                self._stopping = True
            case "status":
                return self._status()
            case "set":
                return {"set": self._now.document if self._now else None, "issue": self._issue}
            case "events":
                after = int(request.get("after", 0))
                found = [each for each in self._events if each["sequence"] > after][
                    : int(request.get("limit", MAX_EVENTS))
                ]
                first = self._sequence - len(self._events) + 1
                return {"events": found, "last": self._sequence, "missed": max(0, first - after - 1) if after else 0}
            case other:
                raise UsageError(f"firewall: {other!r} is nothing that can be asked for")
        self._save()
        return {"generation": enforcer.generation}

    @property
    def _issue(self) -> int:
        return self._now.set.issue if self._now else 0

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take a set in place of the one that is held; all of it or nothing."""
        taken = self._open(request, time.time())
        replaces = request.get("replaces")
        if replaces is not None and int(replaces) != self._issue:
            raise UsageError("firewall: the policies were changed meanwhile", hint="read them again, then change them")
        if self._now is not None and taken.document == self._now.document:  # its answer was lost, so it came again
            return {"generation": self.enforcer.generation, "ms": 0.0, "status": self._status()}
        if taken.set.issue <= self._issue:
            raise UsageError(f"firewall: a later set is enforced: issue {self._issue}")
        if self._unable and taken.set.targets:
            raise FirewallError(self._unable)
        waited = self.enforcer.seconds_left is not None
        began = time.perf_counter()
        self._names.follow((*taken.set.targets, *(self._now.set.targets if self._now else ())), waits=True)
        generation = self.enforcer.apply(
            self._guarded(taken.set.targets),
            confirm_within_s=taken.set.confirm_s,
            ttl_s={each.name: each.ttl_s for each in taken.set.policies},
            keeps=taken.set.keeps,
        )
        if not taken.set.keeps and not waited:  # what was never confirmed is nothing to go back to
            self._before = self._now
        self._now, self._reverted, self._trouble = taken, 0, ""
        self._names.follow(taken.set.targets)
        self._named()
        for name, why in taken.set.damage.items():
            self._note({"verdict": "not understood", "message": f"{name} is denied: {why}", "time": time.time()})
        self._save()
        return {"generation": generation, "ms": (time.perf_counter() - began) * 1e3, "status": self._status()}

    def _open(self, given: dict[str, Any], at: float) -> _Taken:
        if self._unseal is None:
            if "set" not in given:
                raise UsageError("firewall: this process takes sets that are not signed, and no others")
            document = given["set"]
        elif "envelope" not in given:
            hint = "change policies at the hub: kubeshark firewall apply --hub URL"
            raise UsageError("firewall: a hub says what is enforced on this machine", hint=hint)
        else:
            document = self._unseal(given["envelope"])
        kept: dict[str, Any] = {name: given[name] for name in ("set", "envelope") if name in given}
        return _Taken(kept, document, set_from(document), at)

    def _guarded(self, targets: tuple[Target, ...]) -> list[Target]:
        """Add addresses of names, and what no policy of a hub cuts: the port by which it speaks to this machine."""
        targets = self._names.with_addresses(targets)
        if not self._own_port:
            return list(targets)
        port = (Traffic(_TCP, self._own_port, self._own_port),)
        own = (Exempt("this worker", Direction.INGRESS, (), port),)
        return [
            target
            if target.is_pod
            else replace(target, rules=replace(target.rules, exempt=(*target.rules.exempt, *own)))
            for target in targets
        ]

    def _status(self) -> dict[str, Any]:
        now = self._now
        status = self.enforcer.status()
        for target in status["targets"]:
            target["names"] = self._names.status(target["name"])
        rules = [rule.policy for target in self.enforcer.targets for rule in target.rules.rules]
        policies = [
            {
                "name": each.name,
                "mode": each.mode,
                "version": each.version,
                "rules": rules.count(each.name),
                "ttlLeft": self.enforcer.ttl_left(each.name),
            }
            for each in (now.set.policies if now else ())
        ]
        return {
            "pid": os.getpid(),
            "issue": self._issue,
            "revision": now.set.revision if now else 0,
            "content": content_of(now.document) if now else "",
            "reverted": self._reverted,
            "unable": self._unable or self._trouble,
            "notUnderstood": dict(now.set.damage) if now else {},
            "policies": policies,
            "lastEvent": self._sequence,
            **status,
        }

    # ---- what outlives the process ----

    def _save(self) -> None:
        """Keep what is in force; what waits to be confirmed is not: a new process starts from what was before."""
        kept = self._now if self.enforcer.seconds_left is None else self._before
        document = {} if kept is None else {**kept.given, "at": kept.at}
        with replace_synced(self._folder / "state.json", self._folder / f".state.{os.getpid()}") as file:
            file.write(json.dumps(document).encode())

    def _restore(self) -> None:
        """Go on with what was kept; what cannot be read or enforced any more is said, and nothing is then enforced."""
        path = self._folder / "state.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not document:
                return
            taken = self._open(document, float(document["at"]))
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            self._complain(f"{path} is damaged: {error!r:.200}")
            return
        except KubesharkError as error:
            self._complain(f"{path}: {error.message}")
            return
        gone_s = max(0.0, time.time() - taken.at)
        ttl_s = {each.name: max(0.001, each.ttl_s - gone_s) for each in taken.set.policies if each.ttl_s}
        self._names.follow(taken.set.targets, waits=True)
        try:
            targets = self._guarded(taken.set.targets)
            if self.enforcer.fail_mode == "closed":
                self.enforcer.take_over(targets)
            self.enforcer.apply(targets, ttl_s=ttl_s)
        except KubesharkError as error:
            self._complain(f"what was enforced before is not enforced: {error.message}")
            return
        self._now = taken
        self._named()

    def _complain(self, text: str) -> None:
        self._note({"verdict": "failed", "message": text, "time": time.time()})
        self._trouble = text


def _why_unable() -> str:
    """Return why this machine cannot enforce, or nothing: the object, capabilities and kernel are tried."""
    try:
        with Plane.create() as plane:
            plane.program("ingress_at_ingress")
    except (KubesharkError, OSError) as error:
        return f"firewall: this machine cannot enforce: {error}"
    return ""
