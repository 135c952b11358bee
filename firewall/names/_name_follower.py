"""Keeps the names of rules true: asks resolvers on a thread, hears the answers that subjects get, remembers on disk.

What is remembered lies beside the policies, in a folder that is its process's alone: a new process goes on with the
addresses of the one before, also while no resolver answers.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubeshark._durable import replace_synced
from kubeshark.errors import KubesharkError
from kubeshark.firewall.names._dns_watch import DnsWatch, Side
from kubeshark.firewall.names._names import NameBook
from kubeshark.firewall.names._resolver import Found, Server, ask_resolvers, system_resolvers
from kubeshark.firewall.sets._wire import Target

__all__ = ["NameFollower"]

FIRST_S = 1.0
"""How long a change waits for the first answers: a rule that accepts a name would cut off who uses it until then."""

SAVE_S = 5.0
MAX_BYTES = 64 << 20


class NameFollower:
    """Belongs to the thread of its process; another one asks. `edition` rises when rules have other addresses."""

    def __init__(self, folder: Path, *, resolvers: Callable[[], Sequence[Server]] = system_resolvers) -> None:
        self._path = folder / "names.json"
        self._resolvers = resolvers
        self._book = NameBook()
        self._asked: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[dict[str, Found]] = queue.SimpleQueue()
        self._waits = False  # for what was asked
        self._thread: threading.Thread | None = None
        self._watch: DnsWatch | None = None
        self._deaf = ""  # why answers of subjects are not heard
        self._saved = 0  # the edition that is on the disk
        self._save_at = 0.0
        self._load()

    @property
    def edition(self) -> int:
        return self._book.edition

    @property
    def watch(self) -> DnsWatch | None:
        """What becomes readable when a subject is answered; None where no rule has a name."""
        return self._watch

    def follow(self, targets: Sequence[Target], *, waits: bool = False) -> None:
        """Follow the names of these targets' rules, and no others; `waits`: a moment for those that are new."""
        self._book.follow(targets)
        if self._book.targets and self._watch is None:
            try:
                self._watch, self._deaf = DnsWatch(), ""
            except KubesharkError as error:
                self._deaf = str(error)
        elif not self._book.targets and self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._ask() and waits:
            self._take(FIRST_S)

    def with_addresses(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Return targets whose rules have the addresses of their names, too."""
        return self._book.with_addresses(targets)

    def hear(self, sides: Mapping[str, Side]) -> None:
        """Take the answers that subjects got; `sides`: whose packets the devices of this machine carry."""
        if self._watch is None:
            return
        trusted = {address for address, _ in self._resolvers()}
        for seen in self._watch.read(sides, trusted):
            answer = seen.answer
            self._book.heard(seen.target, answer.names, answer.addresses, answer.ttl_s)

    def tick(self) -> None:
        """Do what is due: ask, take what was answered, let end what is over, remember."""
        self._take(0)
        self._book.tick()
        self._ask()
        if self._saved != self.edition and time.monotonic() >= self._save_at:
            self._save_at = time.monotonic() + SAVE_S
            self.save()

    def status(self, target: str) -> list[dict[str, Any]]:
        """Return a row for each name of a target's rules."""
        rows = self._book.status(target)
        for row in rows:
            if row["name"].startswith("*.") or not row["problem"]:
                row["problem"] = row["problem"] or self._deaf
        return rows

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        if self._saved != self.edition:
            self.save()

    # ---- resolvers ----

    def _ask(self) -> bool:
        """Hand names that are due to the thread, one batch at a time; say whether there is one on its way."""
        if not self._waits and (names := self._book.due()):
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kubeshark-firewall-names", daemon=True)
                self._thread.start()
            self._waits = True
            self._asked.put(names)
        return self._waits

    def _take(self, wait_s: float) -> None:
        try:
            found = self._answers.get(timeout=wait_s) if wait_s else self._answers.get_nowait()
        except queue.Empty:
            return
        self._waits = False
        self._book.resolved(found)

    def _run(self) -> None:
        while True:
            names = self._asked.get()
            try:
                found = ask_resolvers(names, self._resolvers())
            except Exception as error:  # noqa: BLE001 - a thread that ended would leave every name as it is, unseen
                found = {name: Found(problem=f"it cannot be asked for: {error!r:.200}") for name in names}
            self._answers.put(found)

    # ---- on disk ----

    def save(self) -> None:
        """Remember what is known; what cannot be written is tried again with the next change."""
        document = self._book.dump(time.time())
        try:
            with replace_synced(self._path, self._path.with_name(f".names.{os.getpid()}")) as file:
                file.write(json.dumps(document).encode())
        except OSError:
            return
        self._saved = self.edition

    def _load(self) -> None:
        try:
            with self._path.open("rb") as file:
                self._book.load(json.loads(file.read(MAX_BYTES)), time.time())
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # it is a memory, no more
            self._book = NameBook()
