"""Plugins: what is installed, how it fares, switching it on and off, its settings, its jobs.

A change holds for what begins after it: the plugins are loaded anew, and those before end when nothing uses them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path
from msgspec import structs
from pydantic import BaseModel, Field

from kubeshark.extension_api._manifest import HOOK_NUMBERS
from kubeshark.extension_api._settings import check_settings, shown_settings
from kubeshark.hosts import PluginStatus
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.state._hub import Hub, State
from kubeshark.pipeline.plugins._installed import InstalledPlugin, installed_plugins, plugins_folder, uninstall
from kubeshark.pipeline.plugins._scheduler import run_job
from kubeshark.pipeline.plugins._state import Health, change_state

__all__ = ["reload", "router"]

router = APIRouter(prefix="/api/v1", tags=["plugins"])

Manager = Annotated[Principal, Depends(need("manage"))]
Reader = Depends(need("read"))
PluginKey = Annotated[str, Path(max_length=100)]
HOOK_NAMES = {number: name for name, number in HOOK_NUMBERS.items()}
RETIRE_S = 60.0
"""How long plugins that were replaced may still serve queries that began with them."""


class HookTiming(BaseModel):
    hook: str
    calls: int
    seconds: float


class PluginAnswer(BaseModel):
    id: str
    version: str
    language: str
    description: str = ""
    builtin: bool = False
    disabled: bool = False
    signed: bool = False
    digest: str = ""
    hooks: list[str] = []
    state: str = Field(description="running, stopped, quarantined, failed, disabled, broken")
    reason: str = Field(default="", description="why it is not used, or the last trouble it had")
    trouble_at: float = Field(default=0, description="seconds since 1970: of that trouble in this process; 0: none")
    asked: dict[str, list[str]] = Field(default={}, description="permissions its manifest asks for")
    granted: dict[str, list[str]] = {}
    calls: int = 0
    crashes: int = 0
    poison: int = 0
    starts: int = 0
    seconds: float = 0
    resident_bytes: int = 0
    timings: list[HookTiming] = []
    settings: dict[str, Any] = Field(default={}, description="secrets as ***")
    declared: list[dict[str, Any]] = Field(default=[], description="the settings there are")


class JobAnswer(BaseModel):
    plugin: str
    job: str
    cron: str
    next_ns: int = 0
    runs: int = 0
    failures: int = 0
    skipped: int = 0
    last_ns: int = 0
    last_s: float = 0
    last_error: str = ""


class JobRun(BaseModel):
    plugin: str
    job: str
    seconds: float
    error: str = Field(description='"" if it went well')


@router.get("/plugins", summary="Plugins with their state, hooks, timings and errors", dependencies=[Reader])
def plugins(hub: State) -> list[PluginAnswer]:
    running = {plugin.manifest.id: plugin.status for plugin in hub.pipeline.plugins.foreign}
    answers = [_answer(each, running.get(each.id)) for each in installed_plugins()]
    known = {answer.id for answer in answers}
    foreign = {plugin.name for plugin in hub.pipeline.plugins.foreign}
    by_name: dict[str, list[str]] = {}
    for hook in ("dissect", "enrich", "filter", "summarize", "render", "job", "packet_filter", "segment_sealed"):
        for name in hub.pipeline.plugins.implementers(hook):
            by_name.setdefault(name, []).append(hook)
    for name, hooks in sorted(by_name.items()):
        if name in foreign or name in known:
            continue
        is_builtin = name.startswith("kubeshark.pipeline.")
        answers.append(
            PluginAnswer(
                id=name.removeprefix("kubeshark.pipeline."),
                version="",
                language="python",
                builtin=is_builtin,
                hooks=hooks,
                state="running",
            )
        )
    return answers


@router.get("/plugins/{plugin_id}", summary="One installed plugin", dependencies=[Reader])
def plugin(hub: State, plugin_id: PluginKey) -> PluginAnswer:
    running = {each.manifest.id: each.status for each in hub.pipeline.plugins.foreign}
    return _answer(_installed(plugin_id), running.get(plugin_id))


@router.post("/plugins/{plugin_id}/enable", summary="Use a plugin again; forgets the trouble it had")
def enable(hub: State, principal: Manager, plugin_id: PluginKey) -> PluginAnswer:
    return _switch(hub, principal, plugin_id, disabled=False)


@router.post("/plugins/{plugin_id}/disable", summary="Leave a plugin installed and do not use it")
def disable(hub: State, principal: Manager, plugin_id: PluginKey) -> PluginAnswer:
    return _switch(hub, principal, plugin_id, disabled=True)


@router.put("/plugins/{plugin_id}/settings", summary="Change settings; null gives one its default again")
def settings(hub: State, principal: Manager, plugin_id: PluginKey, changes: dict[str, Any]) -> PluginAnswer:
    installed = _installed(plugin_id)
    if installed.manifest is None:
        raise HTTPException(409, f"plugin {plugin_id} cannot be read: {installed.problem}")
    specs = installed.manifest.setting_specs
    kept = {name: value for name, value in installed.state.settings.items() if changes.get(name, "") is not None}
    kept |= {name: value for name, value in changes.items() if value is not None}
    check_settings(specs, kept)  # UsageError says what would be right
    hub.audit.note(principal, "set plugin", plugin=plugin_id, keys=",".join(sorted(changes)))
    change_state(plugins_folder(), plugin_id, lambda state: structs.replace(state, settings=kept))
    reload(hub)
    return plugin(hub, plugin_id)


@router.delete("/plugins/{plugin_id}", summary="Remove a plugin", status_code=204)
def remove(hub: State, principal: Manager, plugin_id: PluginKey) -> None:
    _installed(plugin_id)
    hub.audit.note(principal, "remove plugin", plugin=plugin_id)
    uninstall(plugin_id)
    reload(hub)


@router.get("/jobs", summary="Plugins' jobs, with their next run", dependencies=[Reader, Depends(need_all)])
def jobs(hub: State) -> list[JobAnswer]:
    if hub.scheduler is not None:
        return [JobAnswer(**structs.asdict(status)) for status in hub.scheduler.status()]
    return [
        JobAnswer(plugin=each.plugin, job=each.spec.name, cron=each.spec.cron) for each in hub.pipeline.plugins.jobs
    ]


@router.post("/jobs/{plugin_name}/{job_name}/run", summary="Run a job now")
def run(hub: State, principal: Manager, plugin_name: PluginKey, job_name: PluginKey) -> JobRun:
    wanted = [
        each
        for each in hub.pipeline.plugins.jobs
        if plugin_name in (each.plugin, each.plugin.partition("@")[0]) and each.spec.name == job_name
    ]
    if not wanted:
        raise HTTPException(404, f"there is no job {job_name} of a plugin {plugin_name}")
    hub.audit.note(principal, "run job", plugin=plugin_name, job=job_name)
    began = time.monotonic()
    error = run_job(wanted[0], time.time_ns())
    return JobRun(plugin=wanted[0].plugin, job=job_name, seconds=time.monotonic() - began, error=error)


def reload(hub: Hub) -> None:
    """Use what is installed now; what was loaded before ends when no query uses it any more."""
    before = hub.pipeline.reload_plugins()
    if hub.on_reload is not None:
        hub.on_reload()

    def retire() -> None:
        deadline = time.monotonic() + RETIRE_S
        while hub.pool.running and time.monotonic() < deadline:
            time.sleep(0.2)
        if before is not None:
            before.close()

    threading.Thread(target=retire, name="kubeshark-retire", daemon=True).start()


def _switch(hub: Hub, principal: Principal, plugin_id: str, *, disabled: bool) -> PluginAnswer:
    _installed(plugin_id)
    hub.audit.note(principal, "disable plugin" if disabled else "enable plugin", plugin=plugin_id)
    change_state(plugins_folder(), plugin_id, lambda state: structs.replace(state, disabled=disabled, health=Health()))
    reload(hub)
    return plugin(hub, plugin_id)


def _installed(plugin_id: str) -> InstalledPlugin:
    found = next((each for each in installed_plugins() if each.id == plugin_id), None)
    if found is None:
        raise HTTPException(404, f"there is no installed plugin {plugin_id}")
    return found


def _answer(installed: InstalledPlugin, status: PluginStatus | None) -> PluginAnswer:
    manifest = installed.manifest
    answer = PluginAnswer(
        id=installed.id,
        version=installed.version,
        language=manifest.language if manifest else "",
        disabled=installed.state.disabled,
        signed=installed.signed,
        digest=installed.digest,
        hooks=sorted(installed.hooks),
        granted={kind: list(values) for kind, values in installed.grants.items()},
        state="stopped",
        reason=installed.state.health.reason,
    )
    if manifest is not None:
        asked = manifest.permissions
        answer.description = manifest.description
        answer.asked = {"hosts": asked.hosts, "paths": asked.paths, "env": asked.env}
        answer.declared = [asdict(spec) for spec in manifest.setting_specs]
        answer.settings = shown_settings(manifest.setting_specs, installed.state.settings)
    if status is not None:
        answer.state, answer.reason = status.state.value, status.reason or answer.reason
        answer.calls, answer.crashes, answer.poison = status.calls, status.crashes, status.poison
        answer.trouble_at = status.trouble_at
        answer.starts, answer.seconds, answer.resident_bytes = status.starts, status.busy_s, status.resident_bytes
        answer.timings = [
            HookTiming(hook=HOOK_NAMES.get(number, str(number)), calls=taken.calls, seconds=taken.seconds)
            for number, taken in sorted(status.hooks.items())
        ]
    if installed.state.disabled:
        answer.state = "disabled"
    elif installed.problem is not None:
        answer.state, answer.reason = "broken", str(installed.problem)
    return answer
