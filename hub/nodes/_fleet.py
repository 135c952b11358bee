"""The hub's side of enforcement: what each worker is to enforce, and that it does.

1. The policies of the store and the inventory give every node its set. Each worker has a thread that compares what the
   worker says it holds with that, and sends it what is missing: so late, restarted and cut off workers converge.
2. A change of policies or addresses wakes all threads at once. With `one by one` every node but the next is held back;
   if one fails the rest stay held until the next change.
3. Workers undo what nobody confirms by their own clocks. The first that says so makes the hub go back as a whole.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.places._worker_client import WorkerClient
from kubeshark.errors import KubesharkError, UsageError
from kubeshark.firewall import Compiled, Inventory, PolicyStore, compile_policies, load_inventory
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.rules._rules import Network
from kubeshark.firewall.sets._set import PolicySet, SetPolicy, content_of, set_to
from kubeshark.firewall.sets._signed import seal
from kubeshark.firewall.sets._targets import targets_of

__all__ = ["Fleet", "Node", "NodeState"]

PROBE_S = 1.0
LOOK_S = 0.2
"""How often the file of an inventory is looked at."""

NodeState = Literal["unknown", "enforced", "not enforced", "failed", "away", "held"]


@dataclass(slots=True, eq=False)
class Node:
    """One worker, and what it last said of its firewall."""

    url: str
    client: WorkerClient
    tls: TlsFiles  # its key signs what this worker is sent
    name: str = ""
    state: NodeState = "unknown"
    why: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    ms: float = 0.0  # of the latest change
    lock: threading.Lock = field(default_factory=threading.Lock)
    wakes: threading.Event = field(default_factory=threading.Event)

    def turn(self, state: NodeState, why: str = "") -> None:
        self.state, self.why = state, why

    def row(self) -> dict[str, Any]:
        return {
            "node": self.name or self.url,
            "url": self.url,
            "state": self.state,
            "why": self.why,
            "generation": self.said.get("generation", 0),
            "ms": round(self.ms, 1),
        }


class Fleet:
    """Keeps workers to the policies of a store from `__enter__` to `__exit__`."""

    def __init__(self, store: PolicyStore, log: Callable[[str], None]) -> None:
        self.store = store
        self.nodes: list[Node] = []
        self.listeners = 0  # who watch events now
        self.exempt: tuple[Network, ...] = ()  # of every inventory, besides
        self.awaits: frozenset[str] = frozenset()  # what must be known before workers are told anything
        self.problem = ""  # why what is to be enforced could not be compiled
        self._log = log
        self._runs = False
        self._inventory = Inventory()
        self._file: Path | None = None
        self._stamp: tuple[int, int] | None = None
        self._compiled: tuple[tuple[int, int], Compiled] | None = None
        self._edition = 0  # of the inventory
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._held: set[str] = set()
        self._ends = threading.Event()

    def take(self, workers: Mapping[str, TlsFiles]) -> None:
        """Keep these workers to the policies, by URL, each asked with its certificate; and no others."""
        with self._lock:
            known = {node.url: node for node in self.nodes if workers.get(node.url) == node.tls}
            self.nodes = [known.get(url) or Node(url, WorkerClient(url, tls), tls) for url, tls in workers.items()]
        if self._runs:
            for node in self.nodes:
                if node.url not in known:
                    self._watch(node)
        self.wake()

    # ---- who has which address ----

    @property
    def inventory(self) -> Inventory:
        return self._inventory

    def set_inventory(self, inventory: Inventory) -> None:
        """Resolve selectors by another inventory from now on."""
        inventory = replace(inventory, exempt=self.exempt)
        with self._lock:
            if inventory == self._inventory:
                return
            self._inventory, self._edition = inventory, self._edition + 1
        self.wake()

    def watch_inventory(self, file: Path) -> None:
        """Take the inventory from a file, and again whenever that is replaced; raise DocumentError, OSError."""
        self._file = file
        self._stamp = _stamp(file)
        self.set_inventory(load_inventory(file))

    def _look(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) in (None, self._stamp):
            return
        self._stamp = stamp
        try:
            self.set_inventory(load_inventory(self._file))
        except (KubesharkError, OSError) as error:  # half of it is written: what is known stays
            self._log(f"the inventory stays as it was: {error}")

    def wait_for(self, what: str) -> None:
        """Tell workers nothing before `know` says so."""
        self.awaits |= {what}

    def know(self, what: str) -> None:
        if what in self.awaits:
            self.awaits -= {what}
            self.wake()

    # ---- what is to be enforced ----

    def compiled(self) -> Compiled:
        """Return what the policies in force are compiled to; the last that could be, if these cannot: see `problem`."""
        with self._lock:
            key = self.store.revision, self._edition
            if self._compiled is None or self._compiled[0] != key:
                policies = [kept.policy for kept in self.store.all()]
                try:
                    found = compile_policies(policies, self._inventory, follows_names=True)
                except UsageError as error:
                    self.problem = str(error)
                    return self._compiled[1] if self._compiled else Compiled((), (), ())
                self._compiled, self.problem = (key, found), ""
            return self._compiled[1]

    def _wanted(self, node: str) -> dict[str, Any]:
        """Return a node's set as a document, without what makes one issue of it."""
        compiled = self.compiled()
        kept = self.store.all()
        targets, _ = targets_of(compiled, self._inventory, node=node)
        expires = {each.policy.name: each.expires_at for each in kept if each.expires_at is not None}
        policies = tuple(
            SetPolicy(each.policy.name, each.text, each.policy.mode, self.store.ttl_left(each) or 0) for each in kept
        )
        document = set_to(
            PolicySet(0, self.store.revision, policies, tuple(targets), context={"expires": expires} if expires else {})
        )
        return {**json.loads(json.dumps(document)), "node": node}

    # ---- changes ----

    def change(self, do: Callable[[], object], *, one_by_one: bool = False) -> list[dict[str, Any]]:
        """Change the policies of the store, then the workers; return a row for each: state, generation, milliseconds.

        With `one_by_one` the first that does not enforce them stops the rest, which are then "held".
        """
        with self._changing:
            before = set(self._held)
            self._held = {node.url for node in self.nodes} if one_by_one else set()
            try:
                do()
            except BaseException:
                self._held = before
                raise
            if not one_by_one:
                self._all(self.converge)
                return [node.row() for node in self.nodes]
            is_stopped = False
            for node in self.nodes:
                if is_stopped:
                    node.turn("held", "an earlier node failed")
                    continue
                self._held.discard(node.url)
                self.converge(node)
                is_stopped = node.state != "enforced"
            return [node.row() for node in self.nodes]

    def confirm(self) -> list[dict[str, Any]]:
        """Keep what waits to be confirmed, on all nodes."""
        return self.change(self.store.confirm)

    def roll_back(self) -> list[dict[str, Any]]:
        """Go back to the policies before, on all nodes."""
        return self.change(self.store.roll_back)

    def _all(self, do: Callable[[Node], None]) -> None:
        if self.nodes:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(do, self.nodes))

    # ---- workers ----

    def wake(self) -> None:
        for node in self.nodes:
            node.wakes.set()

    def converge(self, node: Node) -> None:
        """Ask a worker what it enforces, and send what it does not."""
        with node.lock:
            try:
                self._converge(node)
            except Away as error:
                node.turn("away", str(error))
            except KubesharkError as error:
                node.turn("failed", str(error))

    def _converge(self, node: Node) -> None:
        status, said = node.client.exchange("GET", "firewall")
        if status != 200 or not isinstance(said, dict):
            node.turn("not enforced", _said(said))
            return
        node.said, node.name = said, str(said.get("node", ""))[:253]
        if "issue" not in said:
            node.turn("not enforced", str(said.get("unable", ""))[:500])
            return
        if self.awaits:  # what a worker holds is better than half of what it should
            node.turn("held", f"not known yet: {', '.join(sorted(self.awaits))}")
            return
        store = self.store
        if store.seconds_left is not None and said.get("reverted") == store.revision:
            with suppress(UsageError):
                store.roll_back()
            self._log(f"{node.name} was not told to keep the policies in time: those before are enforced again")
            self.wake()
        wanted = self._wanted(node.name)
        if said.get("content") != content_of(wanted) and (wanted["policies"] or said.get("content")):
            if node.url in self._held:
                node.turn("held", "an earlier node failed")
                return
            said = self._send(node, wanted, said)
        elif said.get("confirmWithin") is not None and store.seconds_left is None:
            node.client.exchange("POST", f"firewall/confirm?issue={int(said['issue'])}")
        _turn(node, said, self.problem)

    def _send(self, node: Node, wanted: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        """Send a set; return the worker's status then. Raise FirewallError with what it refuses it for."""
        left = self.store.seconds_left
        self.store.issued(int(said["issue"]))
        document = {
            **wanted,
            "issue": self.store.next_issue(),
            "confirmWithin": 0 if left is None else max(left, 0.5),
            "keeps": said.get("revision") == wanted["revision"],
        }
        began = time.perf_counter()
        status, answer = node.client.exchange("PUT", "firewall", json.dumps(seal(document, node.tls)).encode())
        node.ms = (time.perf_counter() - began) * 1e3
        if status != 200:
            raise FirewallError(_said(answer))
        node.said = {"node": node.name, **answer["status"]}
        return node.said

    def __enter__(self) -> Self:
        self._runs = True
        for node in self.nodes:
            self._watch(node)
        threading.Thread(target=self._tick, name="kubeshark-firewall-clock", daemon=True).start()
        return self

    def _watch(self, node: Node) -> None:
        threading.Thread(target=self._keep, args=(node,), name="kubeshark-firewall", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.wake()

    def _keep(self, node: Node) -> None:
        while not self._ends.is_set() and node in self.nodes:
            node.wakes.clear()
            try:
                self.converge(node)
            except Exception as error:  # noqa: BLE001 - what a worker says must not end its thread
                node.turn("failed", f"its answer cannot be used: {error!r:.200}")
            node.wakes.wait(PROBE_S)

    def _tick(self) -> None:
        while not self._ends.wait(LOOK_S):
            self._look()
            try:
                done = self.store.tick()
            except OSError as error:
                self._log(f"policies cannot be kept: {error}")
                continue
            if done:
                self._log(done)
                self.wake()


def _turn(node: Node, said: dict[str, Any], problem: str) -> None:
    """Say how a node fares that holds what it should."""
    targets = [each for each in said.get("targets", ()) if isinstance(each, dict)]
    missing = [
        f"{each.get('name')}: {device}: {why}" for each in targets for device, why in each["notEnforced"].items()
    ]
    missing += [
        f"{name}: not understood there, and denied: {why}" for name, why in said.get("notUnderstood", {}).items()
    ]
    if said.get("unable") and said.get("policies"):
        node.turn("not enforced", str(said["unable"])[:500])
    elif missing:
        node.turn("not enforced", "; ".join(missing)[:500])
    elif problem:
        node.turn("failed", problem)
    else:
        node.turn("enforced")


def _said(answer: Any) -> str:
    text = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    return "".join(each for each in text[:500] if each.isprintable()) or "it said nothing that can be used"


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
