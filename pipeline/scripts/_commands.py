"""What scripts queue, done in order: console, jobs, actions, metrics, messages to others. A failure is a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubeshark.hosts.broker import FileError, ServiceError
from kubeshark.hosts.broker._http import HttpError
from kubeshark.pipeline.scripts._isolate import HOOK_S, Role

if TYPE_CHECKING:
    from kubeshark.pipeline.scripts._runtime import Scripts

__all__ = ["Commands"]

TTL_S = 3600
MAX_POLICIES = 1000


class Commands:
    """The commands of one `Scripts`."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._do: dict[str, Callable[..., None]] = {
            "console": self._console,
            "console.clear": lambda script, role: scripts.say(script, role, "clear", ""),
            "lost": lambda script, role, reason: scripts.say(script, role, "error", f"isolate replaced: {reason}"),
            "job": scripts.clock.schedule,
            "job.gone": scripts.clock.remove,
            "job.began": scripts.clock.began,
            "job.done": scripts.clock.ended,
            "job.skipped": scripts.clock.skipped,
            "jobs.remove": self._forget,
            "jobs.removeAll": lambda script, role: self._forget(script, role, None),
            "jobs.run": self._run,
            "jobs.runAll": lambda script, role: self._run(script, role, None),
            "scheduler": lambda script, role, runs: scripts.clock.pause(script, role, paused=not runs),
            "hub.action": self._action,
            "hub.blockPod": self._block,
            "prometheus.metric": scripts.metrics.set,
            "prometheus.vector": self._vector,
            "vendor.slack": lambda script, role, *values: scripts.answers(script, role).vendors.slack(*values),
            "vendor.influxdb": lambda script, role, *values: scripts.answers(script, role).vendors.influxdb(*values),
            "vendor.elastic": lambda script, role, *values: scripts.answers(script, role).vendors.elastic(*values),
        }

    def do(self, role: Role, script: str, name: str, values: list[Any]) -> None:
        """Do one command."""
        if not any(each.id == script for each in self._scripts.scripts):
            return
        command = self._do.get(name)
        if command is None:
            return
        try:
            command(script, role, *values)
        except (ValueError, FileError, ServiceError, HttpError) as error:
            self._scripts.say(script, role, "error", f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 (arguments of the wrong type, a network that fails: the author is told)
            self._scripts.say(script, role, "error", f"{name}: {type(error).__name__}: {str(error)[:300]}")

    def _console(self, script: str, role: Role, level: str, text: str, time_ms: float) -> None:
        self._scripts.say(script, role, "error" if level == "error" else "log", str(text), int(time_ms))

    def _forget(self, script: str, role: Role, tag: str | None) -> None:
        """A script removed jobs: its other roles do, too."""
        for isolate in self._scripts.others(script):
            if isolate.role != role:
                isolate.call({"do": "forget", "id": script, "tag": tag}, HOOK_S, script)

    def _run(self, script: str, _role: Role, tag: str | None) -> None:
        """Run on every node; in threads of their own, as if they were due."""
        for job in self._scripts.clock.jobs(script):
            if tag in (None, job.tag):
                self._scripts.clock.run_now(job)

    def _action(self, script: str, _role: Role, action: str, value: Any) -> None:
        request = {"do": "event", "id": script, "hook": "onHubAction", "values": [action, value]}
        for isolate in self._scripts.others(script, "hub"):
            if isolate.loaded(script, "onHubAction"):
                isolate.call(request, HOOK_S, script)

    def _vector(self, script: str, role: Role, name: Any, text: Any, kind: Any, value: Any, labels: Any = None) -> None:
        self._scripts.metrics.set(script, role, name, text, kind if kind in (1, 2) else None, value, labels)

    def _block(self, script: str, role: Role, pod: Any, namespace: Any) -> None:
        """Note a policy; who runs the firewall applies those of `Scripts.policies`."""
        answers = self._scripts.answers(script, role)
        answers.needs("firewall")
        enforces = "enforce" in answers.script.grants["firewall"]
        policy = {
            "name": f"script-{answers.script.title}-{namespace}-{pod}",
            "pod": str(pod),
            "namespace": str(namespace),
            "directions": ["ingress", "egress"],
            "action": "Deny" if enforces else "Audit",
            "ttl_s": TTL_S,
            "script": script,
        }
        policies = self._scripts.policies
        others = [each for each in policies if each["name"] != policy["name"]]
        policies[:] = [*others[-MAX_POLICIES:], policy]
