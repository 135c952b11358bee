"""What a cluster says of its objects, as it changes: names for the store, and the inventory for firewall policies.

While the cluster cannot be reached everything stays as it was last: policies are kept to what is known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from kubeshark.cluster import Change, Cluster, Watch
from kubeshark.core_capture.store import JoinedStore, Store, default_node
from kubeshark.errors import KubesharkError
from kubeshark.firewall.policies._inventory import Namespace, NodeInfo, Pod, inventory_of, read_object
from kubeshark.hub.nodes._fleet import Fleet
from kubeshark.hub.nodes._pods import ChosenPods
from kubeshark.pipeline.names._cluster_names import NAMED_KINDS
from kubeshark.pipeline.names._watched_names import WatchedNames

__all__ = ["KubeWatch"]

PLACED = ("Pod", "Namespace", "Node")
KINDS = (*NAMED_KINDS, "Namespace")

PODS = "which pods there are"
"""What workers wait for while a hub begins."""

SETTLE_S = 0.1
"""Changes this close together reach policies as one."""

NAMES_S = 1.0
RETRY_S = 10.0
SHARE_S = 60.0
"""Between two copies of names into archives: each is a request that costs."""

WRITE_SHARE = 10
"""Between two writes of names lies this often the time one takes: a large file is not written all the time."""


class KubeWatch:
    """Watches a cluster from `__enter__` to `__exit__`."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        fleet: Fleet,
        log: Callable[[str], None],
        pods: ChosenPods | None = None,
    ) -> None:
        """From now on workers are told nothing before pods are known. `pods` hear of them as well."""
        fleet.wait_for(PODS)
        self.problems: dict[str, str] = {}  # by kind, while it cannot be watched
        self.changes = 0  # heard of so far, lists included
        self._cluster, self._store, self._fleet, self._log = cluster, store, fleet, log
        self._pods = pods
        self._names = WatchedNames()
        self._things: dict[tuple[str, str], Pod | NodeInfo | Namespace] = {}
        self._listed: set[str] = set()
        self._written = -1  # changes of names that are in the store; -1: none, not even those before us were looked at
        self._is_replaced = False  # the inventory is not what `_things` say
        self._is_placed, self._is_named, self._ends = (threading.Event() for _ in range(3))
        self._lock = threading.Lock()
        self._watch = Watch(cluster, KINDS, self._changed, self._told)
        self._threads = [
            threading.Thread(target=self._place, name="kubeshark-kube-inventory", daemon=True),
            threading.Thread(target=self._keep, name="kubeshark-kube-names", daemon=True),
        ]
        self._said = ""
        self._shared_s, self._must_share, self._not_shared = -SHARE_S, False, ""

    def __enter__(self) -> Self:
        self._watch.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.__exit__()
        self._ends.set()
        self._wake()
        for thread in self._threads:
            thread.join(5)  # names that wait are written

    def states(self) -> dict[str, bool]:
        """Say of each kind whether it is watched now."""
        with self._lock:
            return {kind: kind in self._listed and kind not in self.problems for kind in KINDS}

    # ---- called by threads of the watch ----

    def _changed(self, kind: str, changes: list[Change]) -> None:
        odd = 0
        with self._lock:
            for change in changes:
                try:
                    self._take(kind, change)
                except (KeyError, TypeError, AttributeError, ValueError):
                    odd += 1
            self.changes += len(changes)
            self._listed.add(kind)
        if kind == "Pod" and self._pods is not None:
            self._pods.take(changes)
        if odd:
            self._log(f"{self._cluster.host} says of {odd:,} objects of kind {kind} what cannot be read: left out")
        self._wake()

    def _wake(self) -> None:
        self._is_placed.set()
        self._is_named.set()

    def _take(self, kind: str, change: Change) -> None:
        if kind in PLACED:
            key = kind, change.uid
            thing = None if change.object is None else read_object(kind, change.object)
            before = self._things.pop(key, None) if thing is None else self._things.get(key)
            if thing is not None:
                self._things[key] = thing
            self._is_replaced |= thing != before
        if kind in NAMED_KINDS:
            self._names.take(kind, change.uid, change.object, change.seen_ns, is_late=change.is_late)

    def _told(self, kind: str, problem: str) -> None:
        with self._lock:
            was_well = not self.problems
            self.problems.pop(kind, None)
            if problem:
                self.problems[kind] = problem
            is_well = not self.problems
        if was_well and not is_well:
            self._log(f"the cluster is not watched ({kind}: {problem}): names and addresses stay as they are")
        elif is_well and not was_well:
            self._log("the cluster is watched again")

    # ---- threads that pass on: policies do not wait for a file ----

    def _place(self) -> None:
        while self._wait(self._is_placed, SETTLE_S):
            with self._lock:
                if not self._is_replaced or not self._listed.issuperset(PLACED):
                    continue  # half of a cluster is no inventory: policies would be wrong
                self._is_replaced = False
                things = list(self._things.values())
            self._fleet.set_inventory(inventory_of(things, self._fleet.inventory))
            self._fleet.know(PODS)

    def _keep(self) -> None:
        gap_s = SETTLE_S
        while self._wait(self._is_named, gap_s, SHARE_S if self._must_share else None):
            gap_s = self._write()
            self._share()
        self._write()
        self._share(at_once=True)

    def _wait(self, wakes: threading.Event, gap_s: float, most_s: float | None = None) -> bool:
        """Wait for a gap, then for a change, for so long at most; say whether there is more to do."""
        self._ends.wait(gap_s)
        wakes.wait(most_s)
        wakes.clear()
        return not self._ends.is_set()

    def _write(self) -> float:
        """Write names if there are new ones; return how long not to write again, in seconds."""
        began = time.monotonic()
        with self._lock:
            if self._written == self._names.changes or not self._listed.issuperset(NAMED_KINDS):
                return NAMES_S
            changes, wanted = self._names.changes, self._names.to_write()
        try:
            self._store.change_names(lambda known: wanted.merged(known, time.time_ns()))
        except (KubesharkError, OSError) as error:
            with self._lock:
                self._names.put_back(wanted)
            if str(error) != self._said:
                self._log(f"names of the cluster cannot be kept: {error}")
            self._said = str(error)
            if not self._ends.is_set():
                self._is_named.set()
            return RETRY_S
        self._said, self._written, self._must_share = "", changes, True
        return max(NAMES_S, WRITE_SHARE * (time.monotonic() - began))

    def _share(self, *, at_once: bool = False) -> None:
        """Copy new names into the archives that the hub reads, now and then."""
        now_s = time.monotonic()
        if not self._must_share or not isinstance(self._store, JoinedStore):
            return
        if not at_once and now_s - self._shared_s < SHARE_S:
            return
        self._shared_s = now_s
        try:
            self._store.share_names(default_node())
        except (KubesharkError, OSError) as error:  # tried again when the next copy is due
            if str(error) != self._not_shared:
                self._log(f"names of the cluster are not copied into the archive: {error}")
            self._not_shared = str(error)
        else:
            self._not_shared, self._must_share = "", False
