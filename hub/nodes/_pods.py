"""Which addresses of a node are those of selected pods now, told from the pods of a cluster as they change.

1. A pod that ended is captured for GRACE_S more: its connections end after it.
2. An address that another pod has by then is that pod's: it is not captured unless that one is selected.
3. Pods in the network of their node are not captured: their address is everybody's there.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from kubeshark.cluster import Change, PodChoice, Target, has_ended, target_of

__all__ = ["GRACE_S", "ChosenPods", "NodePods"]

GRACE_S = 10.0


@dataclass(slots=True)
class _Pod:
    uid: str
    target: Target
    is_chosen: bool
    ended: float | None = None  # when; None: it runs, or will


@dataclass(frozen=True, slots=True)
class NodePods:
    """What is captured on one node."""

    addresses: tuple[str, ...] = ()  # sorted
    pods: int = 0  # that have these
    waiting: int = 0  # selected, without an address yet
    sharing: int = 0  # selected, in the network of the node
    uids: tuple[str, ...] = ()  # of those that are captured, or will be: sorted


class ChosenPods:
    """Hears of pods, and says what is captured; from any thread."""

    def __init__(self, choice: PodChoice, clock: Callable[[], float] = time.monotonic) -> None:
        self._choice, self._clock = choice, clock
        self._pods: dict[str, _Pod] = {}
        self._by_node: dict[str, NodePods] = {}  # derived from these; nodes without a selected pod are not in it
        self._is_derived, self._grace_ends = False, math.inf
        self._lock = threading.Lock()
        self.is_listed = False  # whether all pods are known
        self.on_change: Callable[[], None] = lambda: None

    def take(self, changes: Sequence[Change]) -> None:
        """Take changes of pods, a whole list first."""
        now = self._clock()
        with self._lock:
            for change in changes:
                self._take(change, now)
            self._is_derived = False
            self.is_listed = True
        self.on_change()

    def _take(self, change: Change, now: float) -> None:
        known = self._pods.get(change.uid)
        if change.object is None:
            if known is not None and known.ended is None:
                known.ended = now
            return
        try:
            # the uid that the API server gave, never one that an annotation says: whoever makes a pod writes those
            pod = _Pod(change.uid, target_of(change.object), self._choice.chooses(change.object))
        except (KeyError, TypeError, AttributeError):
            return  # KubeWatch says so
        if has_ended(change.object):
            pod.ended = known.ended if known is not None and known.ended is not None else now
        self._pods[change.uid] = pod

    def of_node(self, node: str) -> NodePods:
        """Return what is captured there."""
        now = self._clock()
        with self._lock:
            if not self._is_derived or self._grace_ends < now:
                self._derive(now)
            return self._by_node.get(node, NodePods())

    def _derive(self, now: float) -> None:
        """Work out what is captured on every node: once a change, as every node asks every second."""
        self._pods = {uid: pod for uid, pod in self._pods.items() if pod.ended is None or pod.ended + GRACE_S >= now}
        self._grace_ends = min(
            (pod.ended + GRACE_S for pod in self._pods.values() if pod.ended is not None), default=math.inf
        )
        others: set[str] = set()
        chosen = defaultdict[str, list[_Pod]](list)
        for pod in self._pods.values():
            if pod.is_chosen:
                chosen[pod.target.node].append(pod)
            elif pod.ended is None and not pod.target.shares_node:
                others.update(pod.target.addresses)
        self._by_node = {node: _captured(pods, others) for node, pods in chosen.items()}
        self._is_derived = True


def _captured(chosen: Sequence[_Pod], others: Set[str]) -> NodePods:
    """Return what is captured of the selected pods of a node; `others` are addresses of those that are not selected."""
    own = [pod for pod in chosen if not pod.target.shares_node]
    running = [pod for pod in own if pod.ended is None]
    return NodePods(
        tuple(sorted({address for pod in own for address in pod.target.addresses} - others)),
        pods=sum(bool(pod.target.addresses) for pod in running),
        waiting=sum(not pod.target.addresses for pod in running),
        sharing=sum(pod.target.shares_node and pod.ended is None for pod in chosen),
        uids=tuple(sorted(pod.uid for pod in own)),
    )
