"""Which addresses of a node are those of selected pods now, told from the pods of a cluster as they change.

1. A pod that ended is captured for GRACE_S more: its connections end after it.
2. An address that another pod has by then is that pod's: it is not captured unless that one is selected.
3. Pods in the network of their node are not captured: their address is everybody's there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kubeshark.cluster import Change, PodChoice, Target, has_ended, target_of

__all__ = ["GRACE_S", "ChosenPods", "NodePods"]

GRACE_S = 10.0


@dataclass(slots=True)
class _Pod:
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


class ChosenPods:
    """Hears of pods, and says what is captured; from any thread."""

    def __init__(self, choice: PodChoice, clock: Callable[[], float] = time.monotonic) -> None:
        self._choice, self._clock = choice, clock
        self._pods: dict[str, _Pod] = {}
        self._lock = threading.Lock()
        self.is_listed = False  # whether all pods are known
        self.on_change: Callable[[], None] = lambda: None

    def take(self, changes: Sequence[Change]) -> None:
        """Take changes of pods, a whole list first."""
        now = self._clock()
        with self._lock:
            for change in changes:
                self._take(change, now)
            self.is_listed = True
        self.on_change()

    def _take(self, change: Change, now: float) -> None:
        known = self._pods.get(change.uid)
        if change.object is None:
            if known is not None and known.ended is None:
                known.ended = now
            return
        try:
            pod = _Pod(target_of(change.object), self._choice.chooses(change.object))
        except (KeyError, TypeError, AttributeError):
            return  # KubeWatch says so
        if has_ended(change.object):
            pod.ended = known.ended if known is not None and known.ended is not None else now
        self._pods[change.uid] = pod

    def of_node(self, node: str) -> NodePods:
        """Return what is captured there."""
        now = self._clock()
        with self._lock:
            for uid in [uid for uid, pod in self._pods.items() if pod.ended is not None and pod.ended + GRACE_S < now]:
                del self._pods[uid]
            others = {
                address
                for pod in self._pods.values()
                if pod.ended is None and not pod.is_chosen and not pod.target.shares_node
                for address in pod.target.addresses
            }
            chosen = [pod for pod in self._pods.values() if pod.is_chosen and pod.target.node == node]
        own = [pod for pod in chosen if not pod.target.shares_node]
        found = {address for pod in own for address in pod.target.addresses} - others
        running = [pod for pod in own if pod.ended is None]
        return NodePods(
            tuple(sorted(found)),
            pods=sum(bool(pod.target.addresses) for pod in running),
            waiting=sum(not pod.target.addresses for pod in running),
            sharing=sum(pod.target.shares_node and pod.ended is None for pod in chosen),
        )
