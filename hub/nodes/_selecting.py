"""Tells every worker the addresses of the selected pods on its node, once a second and at once after a change.

What is sent is always the whole of it: late, restarted and cut off workers need nothing else. While the cluster is not
watched nothing is sent, and workers end by themselves what they were told (`worker/_choosing.py`): addresses may be
others' by then.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.places._worker_client import WorkerClient
from kubeshark.errors import KubesharkError
from kubeshark.hub.nodes._pods import ChosenPods

__all__ = ["Selecting"]

TELL_S = 1.0
OK, NOT_ITS_TASK, OTHER = 200, 404, 409


@dataclass(slots=True, eq=False)
class _Worker:
    tls: TlsFiles
    client: WorkerClient
    node: str = ""  # "" until it said it
    problem: str = ""
    told: tuple[bytes, float] = (b"", 0.0)  # the latest selection, and when
    wakes: threading.Event = field(default_factory=threading.Event)
    has_left: bool = False


class Selecting:
    """Tells workers from `__enter__` to `__exit__`; `workers` says who is there now, by URL, with what certificate."""

    def __init__(
        self,
        pods: ChosenPods,
        workers: Callable[[], Mapping[str, TlsFiles]],
        is_watched: Callable[[], bool],
        log: Callable[[str], None],
    ) -> None:
        self._pods, self._workers, self._is_watched, self._log = pods, workers, is_watched, log
        self._known: dict[str, _Worker] = {}
        self._ends = threading.Event()
        pods.on_change = self.wake

    def __enter__(self) -> Self:
        threading.Thread(target=self._look, name="kubeshark-selecting", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.wake()

    def wake(self) -> None:
        for worker in list(self._known.values()):
            worker.wakes.set()

    def _look(self) -> None:
        """Have a thread for each worker that there is: one that hangs keeps no other from being told."""
        while not self._ends.is_set():
            wanted = self._workers()
            for url in [url for url, worker in self._known.items() if wanted.get(url) != worker.tls]:
                worker = self._known.pop(url)
                worker.has_left = True
                worker.wakes.set()
            for url, tls in wanted.items():
                if url not in self._known:
                    worker = self._known[url] = _Worker(tls, WorkerClient(url, tls))
                    threading.Thread(
                        target=self._keep, args=(url, worker), name="kubeshark-selecting-worker", daemon=True
                    ).start()
            self._ends.wait(TELL_S)

    def _keep(self, url: str, worker: _Worker) -> None:
        while not (self._ends.is_set() or worker.has_left):
            worker.wakes.clear()
            problem = self.tell(worker)
            if problem and problem != worker.problem:
                self._log(f"worker {worker.node or url} is not told which pods are selected: {problem}")
            worker.problem = problem
            worker.wakes.wait(TELL_S)
        worker.client.close()

    def tell(self, worker: _Worker) -> str:
        """Tell one worker; return why that cannot be, "" if it was, or is not to be."""
        if not self._pods.is_listed or not self._is_watched():
            return ""  # the watch says so itself
        try:
            if not worker.node:
                status, said = worker.client.exchange("GET", "selection")
                if status != OK:
                    return "" if status == NOT_ITS_TASK else _said(said)
                worker.node = str(said["node"])[:253]
            body, now = self._body(worker.node), time.monotonic()
            if worker.told[0] == body and now < worker.told[1] + TELL_S * 0.9:
                return ""  # woken by pods of other nodes
            status, said = worker.client.exchange("PUT", "selection", body)
            worker.told = (body, now) if status == OK else (b"", 0.0)
        except Away:
            return ""  # the list of workers says so
        except (KubesharkError, KeyError, TypeError) as error:
            return f"its answer cannot be used: {error!s:.200}"
        if status in (NOT_ITS_TASK, OTHER):
            worker.node = ""  # another worker has its address now
        return "" if status == OK else _said(said)

    def _body(self, node: str) -> bytes:
        found = self._pods.of_node(node)
        return json.dumps(
            {
                "node": node,
                "addresses": found.addresses,
                "uids": found.uids,
                "pods": found.pods,
                "waiting": found.waiting,
                "sharing": found.sharing,
            }
        ).encode()


def _said(answer: Any) -> str:
    text = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    return "".join(each for each in text[:500] if each.isprintable()) or "it said nothing that can be used"
