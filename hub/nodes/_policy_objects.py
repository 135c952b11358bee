"""FirewallPolicy objects of a cluster as policies of the hub: taken as they change, with what became of them told back.

1. The hub has one list of policies. Those that are objects are changed in the cluster and nowhere else.
2. An object that cannot be accepted changes nothing: of one that was, what was accepted before stays in force.
3. What was undone (nobody confirmed, rolled back, its time is over) is not done again until the object says another
   thing: its generation is remembered, in the object's status, too.
4. Workers are told nothing before all objects were listed once: a hub that begins would take their policies away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

import yaml

from kubeshark._document import DocumentError
from kubeshark.cluster import KINDS, Change, Cluster, Watch
from kubeshark.errors import ClusterError, KubesharkError, UsageError
from kubeshark.firewall import Kept, NewPolicy, Policy, PolicyOwned, compile_policies, parse_policies
from kubeshark.firewall.policies._policy import API_VERSION, KIND
from kubeshark.hub.access._audit import Audit
from kubeshark.hub.nodes._fleet import Fleet

__all__ = ["PolicyObjects"]

OBJECTS = "which policies the cluster has"
SETTLE_S = 0.1
LOOK_S = 2.0
"""How often it is looked at how nodes fare, and at what was not accepted for somebody else's sake."""

MAX_MESSAGE = 1_000
MAX_NODES = 50  # that a status names

Reason = Literal["Accepted", "Invalid", "Conflict", "RolledBack", "Expired"]
UNDONE: tuple[Reason, ...] = ("RolledBack", "Expired")
SAYS: Mapping[Reason, str] = {
    "RolledBack": "it was rolled back, or nobody confirmed it in time: change it to have it again",
    "Expired": "its ttl is over: change it to have it again",
}


@dataclass(slots=True)
class _Object:
    """One object, and what became of its present generation."""

    document: dict[str, Any]
    text: str = ""  # as a policy of the hub
    policy: Policy | None = None
    reason: Reason | None = None  # None: not looked at yet
    errors: list[str] = field(default_factory=list)
    accepted_at: float | None = None
    written: dict[str, Any] = field(default_factory=dict)  # its status as we wrote it last

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.document["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.document["metadata"].get("generation", 0))

    def turn(self, reason: Reason, error: str = "") -> None:
        self.reason, self.errors = reason, [error[:MAX_MESSAGE]] if error else []


class PolicyObjects:
    """Keeps a fleet to the objects of a cluster from `__enter__` to `__exit__`."""

    def __init__(self, cluster: Cluster, fleet: Fleet, audit: Audit, log: Callable[[str], None]) -> None:
        """From now on workers are told nothing before objects are known."""
        fleet.wait_for(OBJECTS)
        self.problem = ""  # why objects cannot be watched now
        self._cluster, self._fleet, self._audit, self._log = cluster, fleet, audit, log
        self._objects: dict[str, _Object] = {}  # by uid
        self._is_listed = False
        self._lock = threading.Lock()
        self._wakes, self._ends = threading.Event(), threading.Event()
        self._watch = Watch(cluster, (KIND,), self._changed, self._told)
        self._thread = threading.Thread(target=self._keep, name="kubeshark-policy-objects", daemon=True)
        self._said = ""

    def __enter__(self) -> Self:
        self._watch.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.__exit__()
        self._ends.set()
        self._wakes.set()
        self._thread.join(5)

    # ---- called by a thread of the watch ----

    def _changed(self, _kind: str, changes: list[Change]) -> None:
        with self._lock:
            for change in changes:
                self._take(change)
            self._is_listed = True
        self._wakes.set()

    def _take(self, change: Change) -> None:
        document = change.object
        if document is None or document["metadata"].get("deletionTimestamp"):
            self._objects.pop(change.uid, None)
            return
        known = self._objects.get(change.uid)
        if known is not None and known.generation == int(document["metadata"].get("generation", 0)):
            known.document = document
            return
        made = _Object(document)
        try:
            made.text = _text_of(document)
            [made.policy] = parse_policies(made.text.encode(), made.name)
        except DocumentError as error:  # its place is that in our own text: the path is what its author knows
            made.turn("Invalid", f"{error.path}: {error.reason}" if error.path else error.reason)
        except (UsageError, yaml.YAMLError, ValueError) as error:
            made.turn("Invalid", str(error))
        status = document.get("status")
        if isinstance(status, dict) and status.get("observedGeneration") == made.generation:
            made.accepted_at = _seconds(status.get("acceptedAt"))
            if made.policy is not None and status.get("reason") in UNDONE:
                reason: Reason = "Expired" if status["reason"] == "Expired" else "RolledBack"
                made.turn(reason, SAYS[reason])
        self._objects[change.uid] = made

    def _told(self, _kind: str, problem: str) -> None:
        if bool(problem) != bool(self.problem):
            self._log(
                f"FirewallPolicy objects are not watched, policies stay as they are: {problem}"
                if problem
                else "FirewallPolicy objects are watched again"
            )
        self.problem = problem

    # ---- the thread that takes them over ----

    def _keep(self) -> None:
        while not self._ends.is_set():
            self._wakes.wait(LOOK_S)
            self._wakes.clear()
            self._ends.wait(SETTLE_S)
            if self._ends.is_set() or not self._is_listed:
                continue
            try:
                self._converge()
                self._report()
            except (KubesharkError, OSError) as error:
                if str(error) != self._said:
                    self._log(f"FirewallPolicy objects cannot be taken over: {error}")
                self._said = str(error)
            else:
                self._said = ""

    def _converge(self) -> None:
        """Bring the hub's list to what objects say, as one change; each by itself where together they cannot be."""
        with self._lock:
            objects = sorted(self._objects.values(), key=lambda each: each.name)
        store = self._fleet.store
        kept = {each.policy.name: each for each in store.all()}
        wanted = [each for each in objects if self._is_due(each, kept.get(each.name))]
        there = {each.name for each in objects}
        gone = [name for name, each in kept.items() if each.owner and name not in there]
        if (wanted or gone) and not self._change(wanted, gone):
            self._change([], gone)
            for each in wanted:
                self._change([each], [])
        self._fleet.know(OBJECTS)

    def _is_due(self, made: _Object, kept: Kept | None) -> bool:
        """Say whether an object is to be put, and what became of it if not."""
        if made.policy is None or made.reason in UNDONE:
            return False
        if kept is not None and not kept.owner:
            made.turn(
                "Conflict", f"the hub keeps a policy {made.name} of its own: kubeshark firewall delete {made.name}"
            )
            return False
        if kept is not None and kept.owner == made.uid and kept.text == made.text:
            made.turn("Accepted")
            made.accepted_at = made.accepted_at or time.time()
            return False
        if made.reason == "Accepted":  # it was put, and is not what is in force
            is_over = made.policy.ttl_s and time.time() >= (made.accepted_at or 0) + made.policy.ttl_s - 1
            reason: Reason = "Expired" if is_over else "RolledBack"
            made.turn(reason, SAYS[reason])
            return False
        if self._left_s(made) == 0:
            made.turn("Expired", SAYS["Expired"])
            return False
        return True

    @staticmethod
    def _left_s(made: _Object) -> float | None:
        """Return how long the object's policy stays; None: as long as it says."""
        ttl_s = made.policy.ttl_s if made.policy else 0
        if not ttl_s or made.accepted_at is None:
            return None
        return max(0.0, made.accepted_at + ttl_s - time.time())

    def _change(self, wanted: list[_Object], gone: list[str]) -> bool:
        """Put objects and forget those that are gone; say whether that could be. Each that could not says why."""
        if not (wanted or gone):
            return True
        store, inventory = self._fleet.store, self._fleet.inventory
        put = [NewPolicy(each.text, ttl_s=self._left_s(each), owner=each.uid) for each in wanted]

        def check(policies: list[Policy]) -> None:
            compile_policies(policies, inventory, follows_names=True)

        try:
            rows = self._fleet.change(
                lambda: store.change(put, [(name, None) for name in gone], check=check, is_owner=True)
            )
        except UsageError as error:
            if len(wanted) == 1 and not gone:
                wanted[0].turn("Conflict" if isinstance(error, PolicyOwned) else "Invalid", str(error))
            return False
        nodes = {row["node"]: row["state"] for row in rows}
        for each in wanted:
            each.turn("Accepted")
            each.accepted_at = each.accepted_at or time.time()
            self._audit.note(None, "take policy object", policy=each.name, generation=each.generation, nodes=nodes)
        for name in gone:
            self._audit.note(None, "policy object is gone", policy=name, nodes=nodes)
        return True

    # ---- what is written back ----

    def _report(self) -> None:
        with self._lock:
            objects = list(self._objects.values())
        for each in objects:
            if each.reason is None:
                continue
            status = self._status(each)
            if status == each.written:
                continue
            body = {"status": {**status, "conditions": _conditions(status, each.document.get("status"))}}
            path = f"{KINDS[KIND].path('', each.name)}/status"
            try:
                self._cluster.json("PATCH", path, body=body, content="application/merge-patch+json")
            except ClusterError as error:
                if error.status != 404:
                    raise
            each.written = status

    def _status(self, made: _Object) -> dict[str, Any]:
        """Return the status of an object but for its conditions."""
        kept = self._fleet.store.get(made.name)
        is_in_force = kept is not None and kept.owner == made.uid
        nodes = [node.row() for node in self._fleet.nodes] if is_in_force else []
        others = [row for row in nodes if row["state"] != "enforced"]
        at = made.accepted_at
        return {
            "observedGeneration": made.generation,
            "accepted": made.reason == "Accepted",
            "reason": made.reason,
            "errors": list(made.errors),
            "acceptedAt": None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "enforced": f"{len(nodes) - len(others)}/{len(nodes)}",
            "nodes": [{name: str(row[name])[:500] for name in ("node", "state", "why")} for row in others[:MAX_NODES]],
        }


def _text_of(document: Mapping[str, Any]) -> str:
    """Return an object as a policy is written, without what the API server and its clients add."""
    metadata = {"name": document["metadata"]["name"]}
    if labels := document["metadata"].get("labels"):
        metadata["labels"] = labels
    written = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": document.get("spec")}
    text: str = yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text


def _conditions(status: Mapping[str, Any], before: Any) -> list[dict[str, Any]]:
    """Return conditions as Kubernetes has them; one that is as it was keeps its time."""
    is_everywhere = status["enforced"] not in ("0/0",) and not status["nodes"]
    others = ", ".join(f"{row['node']} {row['state']}" for row in status["nodes"][:5])
    made = [
        ("Accepted", status["accepted"], status["reason"], "; ".join(status["errors"])),
        ("Enforced", is_everywhere, "Enforced" if is_everywhere else "NotEverywhere", others or status["enforced"]),
    ]
    known = {each.get("type"): each for each in (before or {}).get("conditions") or ()}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        {
            "type": kind,
            "status": str(bool(holds)),
            "reason": reason,
            "message": message,
            "lastTransitionTime": known[kind]["lastTransitionTime"]
            if known.get(kind, {}).get("status") == str(bool(holds)) and "lastTransitionTime" in known[kind]
            else now,
            "observedGeneration": status["observedGeneration"],
        }
        for kind, holds, reason, message in made
    ]


def _seconds(text: Any) -> float | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
