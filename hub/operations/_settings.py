"""The hub's settings, its health, and trying a redaction rule out."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kubeshark import __version__
from kubeshark.errors import KubesharkError
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.answers._client import Asker
from kubeshark.hub.state._hub import State
from kubeshark.pipeline.enrichment._rules import MAX_RULES, RedactionRule, RuleKind

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["settings"])

Manager = Annotated[Principal, Depends(need("manage"))]
LOOK_AT = 2_000  # entries that a rule is tried on
SHOWN = 20


class Rule(BaseModel):
    """What is hidden from whoever lacks the right `clear`."""

    kind: RuleKind
    match: str = Field(max_length=500)
    value: str = Field(default="[redacted]", max_length=500)


class SettingsDocument(BaseModel):
    redaction: Annotated[list[Rule], Field(max_length=MAX_RULES)] | None = Field(
        default=None, description="null: the rules that come with kubeshark"
    )
    max_upload_bytes: int = Field(default=16 << 30, ge=1, le=1 << 50)


class SettingsAnswer(SettingsDocument):
    rules: list[Rule] = Field(description="those in force")


class Trial(BaseModel):
    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)]
    kfl: str = Field(default="", max_length=16_384)


class TrialAnswer(BaseModel):
    looked_at: int
    hidden_in: int = Field(description="entries of which something was hidden")
    examples: list[str] = Field(description="ids of some of them")


class Health(BaseModel):
    ok: bool
    version: str
    uptime_seconds: float
    problems: list[str]
    queries_running: int
    queries_waiting: int


@router.get("/health", summary="Whether the hub works, and what does not", dependencies=[Depends(need_all)])
def health(hub: State) -> Health:
    problems: list[str] = []
    try:
        problems += map(str, hub.pipeline.store.info().problems)
        hub.settings.read()
    except KubesharkError as error:
        problems.append(str(error))
    problems += (each for each in hub.workers.problems() if each not in problems)
    for plugin in hub.pipeline.plugins.foreign:
        if plugin.status.state.value in ("quarantined", "failed"):
            problems.append(f"plugin {plugin.name} is {plugin.status.state.value}: {plugin.status.reason}")
    return Health(
        ok=not problems,
        version=__version__,
        uptime_seconds=round(time.time() - hub.started, 3),
        problems=problems,
        queries_running=hub.pool.running,
        queries_waiting=hub.pool.waiting,
    )


@router.get("/settings", summary="The hub's settings", dependencies=[Depends(need("import"))])
def settings(hub: State) -> SettingsAnswer:
    found = hub.settings.read()
    redaction = None if found.redaction is None else [_shown(rule) for rule in found.redaction]
    return SettingsAnswer(
        redaction=redaction,
        max_upload_bytes=found.max_upload_bytes,
        rules=[_shown(rule) for rule in found.rules(hub.rules)],
    )


@router.put("/settings", summary="Change the hub's settings")
def change(hub: State, principal: Manager, wanted: SettingsDocument) -> SettingsAnswer:
    redaction = None if wanted.redaction is None else [_rule(rule) for rule in wanted.redaction]
    hub.audit.note(principal, "set hub", rules=-1 if redaction is None else len(redaction))
    kept = hub.settings.read()
    hub.settings.write(msgspec.structs.replace(kept, redaction=redaction, max_upload_bytes=wanted.max_upload_bytes))
    return settings(hub)


@router.post("/settings/redaction/try", summary="See what redaction rules would hide, without setting them")
def try_rules(hub: State, principal: Manager, client: Asker, trial: Trial) -> TrialAnswer:
    view = hub.view_with([_rule(rule) for rule in trial.rules], principal.namespaces)
    found = view.query(trial.kfl, limit=LOOK_AT, order="desc", max_seconds=20, gave_up=client.has_left)
    looked_at = hidden = 0
    examples: list[str] = []
    with client.turn():
        for entry in found:
            looked_at += 1
            if entry.is_redacted:
                hidden += 1
                examples += [entry.id] if len(examples) < SHOWN else []
    return TrialAnswer(looked_at=looked_at, hidden_in=hidden, examples=examples)


def _rule(rule: Rule) -> RedactionRule:
    return RedactionRule(rule.kind, rule.match, rule.value)


def _shown(rule: RedactionRule) -> Rule:
    return Rule(kind=rule.kind, match=rule.match, value=rule.value)
