"""All scripts of one process: in both roles, with their jobs, files, metrics and console.

Invariants:

1. Nothing here raises for what a script did; `status` and the console tell it.
2. What scripts queued is done in order, by one thread at a time, never inside a call of theirs.
3. Packets in the clear, the network, the firewall: only for who was granted them.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from kubeshark.core_capture import RecordBatch
from kubeshark.errors import UsageError
from kubeshark.hosts.js.scripts._process import Command
from kubeshark.pipeline.enrichment._redact import withhold
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._time import rfc3339
from kubeshark.pipeline.kfl import VARIABLES, Variables
from kubeshark.pipeline.plugins._state import plugins_folder
from kubeshark.pipeline.scripts._answers import Answers
from kubeshark.pipeline.scripts._clock import Clock, ScriptJob
from kubeshark.pipeline.scripts._commands import Commands
from kubeshark.pipeline.scripts._config import ScriptsConfig, read_config
from kubeshark.pipeline.scripts._console import Console, ConsoleLine
from kubeshark.pipeline.scripts._encode import BATCH, batches, encode_document
from kubeshark.pipeline.scripts._files import ScriptFiles
from kubeshark.pipeline.scripts._isolate import HOOK_S, JOB_S, Isolate, Role, RoleState
from kubeshark.pipeline.scripts._kfl import ScriptFilters
from kubeshark.pipeline.scripts._metrics import ScriptMetrics
from kubeshark.pipeline.scripts._packets import SeenStreams, packets_of
from kubeshark.pipeline.scripts._queried import take
from kubeshark.pipeline.scripts._queue import CommandQueue
from kubeshark.pipeline.scripts._script import Script, find_scripts, read_script
from kubeshark.pipeline.scripts._vendors import Vendors

__all__ = ["ROLES", "Scripts"]

ROLES: tuple[Role, ...] = ("worker", "hub")
DATA = ".data"
NO_SENSE = b'{"error":"the question makes no sense"}'


class Scripts:
    """A context manager. `start` loads the scripts; without it each is loaded when first called."""

    def __init__(
        self,
        scripts: Sequence[Script],
        config: ScriptsConfig | None = None,
        *,
        roles: Sequence[Role] = ROLES,
        folder: Path | None = None,
        variables: Variables = VARIABLES,
        console: Console | None = None,
        targets: Callable[[], Any] = lambda: {"targets": [], "excluded": []},
    ) -> None:
        """`folder` holds what scripts write, by id; default: below plugins.dir."""
        self.config = config or ScriptsConfig()
        self.console = console or Console()
        self.metrics = ScriptMetrics()
        self.streams = SeenStreams()
        self.filters = ScriptFilters(variables)
        self.policies: list[dict[str, Any]] = []  # what scripts asked of the firewall
        self.problems: list[str] = []
        self.targets = targets
        self._folder = folder or plugins_folder() / DATA
        self._run_id = secrets.token_hex(4)
        self._files: dict[str, ScriptFiles] = {}
        self._answers: dict[tuple[str, Role], Answers] = {}
        self._file_locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._logging = threading.local()
        self._seen: dict[str, str] = {}  # text of changed files that were tried
        self._filter_text = {
            script.id: self.config.filter.get(script.id) or self.config.filter.get(script.title, "")
            for script in scripts
        }
        for script in scripts:
            self._check_filter(script)
        self.isolates: list[Isolate] = [
            self._isolate(role, members) for members in self._grouped(scripts) for role in roles
        ]
        self.clock = Clock(
            lambda: self.isolates, self._run_job, self.config.timezone, look=self._look, ticked=self.settle
        )
        self._queue = CommandQueue(Commands(self).do, self.say)

    @classmethod
    def configured(cls, config: ScriptsConfig | None = None, **options: Any) -> Self:
        """Return the installed scripts and those of the configured folders. UsageError for a bad scripts.toml.

        `config`: instead of that file.
        """
        config = config or read_config()
        scripts, problems = find_scripts(config)
        found = cls(scripts, config, **options)
        found.problems += problems
        return found

    @property
    def scripts(self) -> list[Script]:
        return list({script.id: script for isolate in self.isolates for script in isolate.scripts}.values())

    def start(self, *, clock: bool = True) -> Self:
        """Load every script; with `clock`, jobs and timers run from now on."""
        for isolate in self.isolates:
            isolate.start()
        self.settle()
        if clock:
            self.clock.start()
        return self

    def states(self) -> list[RoleState]:
        return [state for isolate in self.isolates for state in isolate.states.values()]

    def has(self, hook: str, role: Role) -> bool:
        """Say whether a script of this role has a hook."""
        return bool(self._having(hook, role))

    def jobs(self) -> list[ScriptJob]:
        return self.clock.jobs()

    # --- hooks ---

    def on_batch(self) -> Callable[[RecordBatch], None] | None:
        """Return what to give batches of packets to; None if no script wants packets."""
        return (lambda batch: self.packets(packets_of(batch))) if self.has("onPacketCaptured", "worker") else None

    def packets(self, infos: Sequence[tuple[int, int, int, bool]]) -> None:
        """onPacketCaptured: (time in ns since 1970, captured bytes, original bytes, is a fragment)."""
        callers = self._having("onPacketCaptured", "worker")
        for start in range(0, len(infos) if callers else 0, 4 * BATCH):
            items = [
                [rfc3339(time_ns), captured, length, captured < length, fragmented]
                for time_ns, captured, length, fragmented in infos[start : start + 4 * BATCH]
            ]
            for isolate, script in callers:
                isolate.call({"do": "packets", "id": script, "items": items}, HOOK_S, script)
        self.settle()

    def captured(self, entries: Sequence[Entry]) -> None:
        """onItemCaptured, in this order, for every script whose filter matches."""
        self.streams.add(entries)
        callers = self._having("onItemCaptured", "worker")
        encoded: dict[int, bytes] = {}
        for isolate, script in callers:
            text = self._filter_text.get(script, "")
            mine = [entry for entry in entries if not text or self.filters.match(text, entry.variables)]
            items = [self._encoded(entry, encoded) for entry in mine]
            for start, stop in batches(items):
                self._items(isolate, script, "onItemCaptured", mine[start:stop], items[start:stop], "")
        self.settle()

    def queried(self, entries: Sequence[Entry], kfl: str) -> list[Entry]:
        """onItemQueried; return the entries that are left, changed in place. Entries must be made in full.

        An entry that a script could not look at, because its isolate failed, is shown without its content.
        """
        left = list(entries)
        self.streams.add(left)
        for isolate, script in self._having("onItemQueried", "hub", given_up=True):
            state = isolate.states[script]
            errors = state.errors
            items = [self._encoded(entry, {}) for entry in left]
            gone: set[int] = set()
            seen: set[int] = set()
            for start, stop in batches(items):
                part = left[start:stop]
                answers = self._items(isolate, script, "onItemQueried", part, items[start:stop], kfl)
                if not isinstance(answers, list) or len(answers) != len(part):
                    continue
                seen.update(map(id, part))
                gone.update(id(entry) for entry, answer in zip(part, answers, strict=True) if not take(entry, answer))
            for entry in left:
                if id(entry) not in seen:
                    withhold(entry, f"script {script} failed in onItemQueried")
            if len(seen) < len(left):
                self._failed(script, "withholds entries", state.problem or state.note)
            if state.errors > errors:
                self._failed(script, "throws in onItemQueried", "its console says where")
            left = [entry for entry in left if id(entry) not in gone]
        self.settle()
        return left

    def event(self, hook: str, values: Sequence[Any], role: Role | None = None, script: str = "") -> None:
        """Any other hook: onHubAction, onPodEvent, onLogCall."""
        for isolate, name in self._having(hook, role):
            if script in ("", name):
                isolate.call({"do": "event", "id": name, "hook": hook, "values": list(values)}, HOOK_S, name)
        self.settle()

    def pod_event(self, event: str, pod: Mapping[str, Any]) -> None:
        """ADDED, MODIFIED or DELETED, and the pod as the API gives it."""
        self.event("onPodEvent", [event, pod])

    def log_call(self, level: str, message: str, **fields: Any) -> None:
        """A log record of ours; one that this very hook causes goes to no script."""
        if getattr(self._logging, "busy", False):
            return
        self._logging.busy = True
        try:
            record = {"time": rfc3339(time.time_ns()), "level": level, "message": message, **fields}
            self.event("onLogCall", [level, json.dumps(record)])
        finally:
            self._logging.busy = False

    # --- what users do ---

    def run_job(self, script: str, tag: str) -> int:
        """Run a job now, wherever it is; return how many there were."""
        jobs = [job for job in self.clock.jobs(script) if job.tag == tag]
        for job in jobs:
            self._run_job(job)
        return len(jobs)

    def reload(self, script: Script) -> None:
        """Load a changed script; where it does not load any more, the old one goes on and the failure is noted."""
        for at, isolate in enumerate(self.isolates):
            if script.id not in isolate.states:
                continue
            members = [script if each.id == script.id else each for each in isolate.scripts]
            fresh = self._isolate(isolate.role, members)
            fresh.start()
            before, after = isolate.states[script.id], fresh.states[script.id]
            if after.problem and not before.problem:
                before.note = f"the changed file {after.problem}: the old one goes on"
                before.script = isolate.states[script.id].script
                fresh.close()
                self.say(script.id, isolate.role, "error", before.note)
                continue
            for member in members:
                self.metrics.forget(member.id)
            self.isolates[at] = fresh
            isolate.close()
        self.settle()

    def settle(self) -> None:
        """Do what scripts have queued; returns at once where another thread is at it."""
        self._queue.settle()

    def close(self) -> None:
        """End every process; twice is fine."""
        self.settle()
        self.clock.close()
        for isolate in self.isolates:
            isolate.close()
        for files in self._files.values():
            files.close()
        self._files.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- for the commands ---

    def say(self, script: str, role: Role, level: str, text: str, time_ms: int | None = None) -> None:
        title = next((each.title for each in self.scripts if each.id == script), script)
        at = time.time_ns() // 1_000_000 if time_ms is None else time_ms
        self.console.add(ConsoleLine(at, script, title, role, level, text))

    def answers(self, script: str, role: Role) -> Answers:
        key = script, role
        if key not in self._answers:
            found = next(each for each in self.scripts if each.id == script)
            node = socket.gethostname() if role == "worker" else "hub"
            vendors = Vendors(found.grants, self.config.environment, node, lambda: self.files(script), self._run_id)
            self._answers[key] = Answers(
                found,
                self.filters,
                self.streams,
                lambda: self.files(script),
                vendors,
                self.targets,
                self._file_locks[script],
            )
        return self._answers[key]

    def files(self, script: str) -> ScriptFiles:
        if script not in self._files:
            self._files[script] = ScriptFiles(self._folder / script, self.streams.pcap)
        return self._files[script]

    def others(self, script: str, role: Role | None = None) -> Iterator[Isolate]:
        """Yield the isolates that a script runs in, in one role or every."""
        for isolate, name in list(self._all()):
            if name == script and role in (None, isolate.role):
                yield isolate

    # --- inside ---

    def _all(self) -> Iterator[tuple[Isolate, str]]:
        for isolate in list(self.isolates):
            for script in isolate.scripts:
                yield isolate, script.id

    def _having(self, hook: str, role: Role | None, *, given_up: bool = False) -> list[tuple[Isolate, str]]:
        """Return who has a hook; with `given_up`, those too that are not called any more."""
        found = []
        for isolate, script in self._all():
            if role in (None, isolate.role):
                isolate.start()
                if isolate.loaded(script, hook) or (given_up and hook in isolate.states[script].hooks):
                    found.append((isolate, script))
                elif given_up and (problem := isolate.states[script].problem):
                    self._failed(script, "is left out", problem)
        return found

    def _failed(self, script: str, what: str, reason: str) -> None:
        problem = f"script {script} {what}: {reason}" if reason else f"script {script} {what}"
        if problem not in self.problems:
            self.problems.append(problem)

    def _items(
        self, isolate: Isolate, script: str, hook: str, entries: Sequence[Entry], items: Sequence[bytes], kfl: str
    ) -> Any:
        head = json.dumps({"do": "items", "id": script, "hook": hook, "filter": kfl})[:-1].encode()
        answers = self.answers(script, isolate.role)
        with isolate.lock:  # queries run side by side, and what is asked meanwhile is about these entries
            answers.items = [entry.variables for entry in entries]
            try:
                answer = isolate.call(head + b',"items":[' + b",".join(items) + b"]}", HOOK_S, script)
            finally:
                answers.items = []
        return answer.result if answer else None

    @staticmethod
    def _encoded(entry: Entry, known: dict[int, bytes]) -> bytes:
        key = id(entry)
        if key not in known:
            known[key] = encode_document(entry.to_dict())
        return known[key]

    def _grouped(self, scripts: Iterable[Script]) -> list[list[Script]]:
        groups: dict[str, list[Script]] = {}
        for script in scripts:
            group = self.config.group.get(script.id) or self.config.group.get(script.title)
            groups.setdefault(f"group {group}" if group else f"script {script.id}", []).append(script)
        return list(groups.values())

    def _isolate(self, role: Role, scripts: list[Script]) -> Isolate:
        node = socket.gethostname() if role == "worker" else "hub"
        return Isolate(role, node, scripts, self.config.environment, self._ask, self._done)

    def _ask(self, isolate: Isolate, question: bytes) -> bytes:
        """Answer what an isolate asks, for a script of its own: it may say whatever it likes."""
        try:
            asked = json.loads(question)
            script, name, values = asked["script"], asked["name"], list(asked["values"])
        except (ValueError, KeyError, TypeError):
            return NO_SENSE
        if not isinstance(script, str) or script not in isolate.states:
            return NO_SENSE
        return self.answers(script, isolate.role).answer(str(name), values)

    def _done(self, isolate: Isolate, commands: Sequence[Command]) -> None:
        own = (command for command in commands if command[0] in isolate.states)  # it may claim to be another script
        self._queue.extend(isolate.role, own)
        if isolate.timer_at is not None:
            self.clock.poke()

    def _run_job(self, job: ScriptJob) -> None:
        for isolate in self.others(job.script, job.role):
            isolate.call({"do": "job", "id": job.script, "tag": job.tag}, JOB_S, job.script)
        self.settle()

    def _look(self) -> None:
        """Do what was left, and look once whether a script's file changed."""
        self.settle()
        if not self.config.watch_scripts:
            return
        for script in self.scripts:
            if script.path is None:
                continue
            try:
                fresh = read_script(script.path, script.grants, script.id)
            except UsageError:
                continue  # an editor renames what it saves
            if fresh.text != script.text and self._seen.get(script.id) != fresh.text:
                self._seen[script.id] = fresh.text
                self.reload(fresh)

    def _check_filter(self, script: Script) -> None:
        text = self._filter_text[script.id]
        try:
            self.filters.compile(text)
        except ValueError as error:
            raise UsageError(f"scripts.toml: filter of {script.title}: {error}") from error
