"""Firewall policies tried on recorded traffic: simulated, compared, learned, checked. Nothing here changes anything.

Whoever sees only some namespaces sees none of it: connections have no namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from kubeshark.errors import UsageError
from kubeshark.firewall import (
    Compiled,
    Coverage,
    DocumentError,
    Inventory,
    Policy,
    PolicyChanged,
    PolicyOwned,
    RecordedNames,
    Simulation,
    compile_policies,
    learn,
    lesson_as_network_policies,
    lesson_as_policies,
    parse_inventory,
    parse_policies,
    parse_subject,
    policy_schema,
    simulate,
    simulation_document,
)
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.answers._client import Asker, Client
from kubeshark.hub.answers._parameters import read_time
from kubeshark.hub.state._hub import Hub, State
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.query._connections import Found, recorded_answers

__all__ = [
    "MAX_TEXT",
    "Operator",
    "PolicyText",
    "Reader",
    "Validation",
    "as_answers",
    "inventory_of",
    "router",
    "validation_of",
]

router = APIRouter(prefix="/api/v1/firewall", tags=["firewall"])

MAX_TEXT = 512 << 10
Reader = [Depends(need("read")), Depends(need_all)]
Operator = Annotated[Principal, Depends(need("firewall"))]
Text = Annotated[str, Field(max_length=MAX_TEXT)]


class Attached(BaseModel):
    kind: Literal["pods", "interface", "host"]
    subjects: list[str]
    policies: list[str]
    rules: int = Field(description="compiled; at most 256")


class Validation(BaseModel):
    policies: list[str]
    attachments: list[Attached]
    warnings: list[str]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inventory: Text = Field(default="", description="who has which address: YAML or JSON, or a Kubernetes List")


class PolicyText(Asked):
    policy: Text = Field(description="YAML or JSON")


class _Traffic(Asked):
    kfl: str = Field(default="", max_length=16_384, description="only the connections of entries that match")
    since: str | None = Field(default=None, max_length=64)
    until: str | None = Field(default=None, max_length=64)


class SimulateRequest(_Traffic):
    policy: Text = Field(description='policies, as YAML or JSON; "current": those that are kept')
    against: Text | None = Field(default=None, description='what to compare with: policies, or "current"')
    as_is: bool = Field(default=False, description="leave policies of mode Audit in it, instead of enforcing them")


class DiffRequest(_Traffic):
    old: Text
    new: Text


class LearnRequest(_Traffic):
    subject: str = Field(
        max_length=4096, description="host, interface:eth0, namespace:shop, pods:shop/app=db, or {pods: {…}}"
    )
    name: str = Field(default="learned", max_length=200)
    group: Literal["workload", "cidr"] = "workload"
    min_flows: int = Field(default=1, ge=1, le=1 << 30)
    max_prefix: tuple[Annotated[int, Field(ge=0, le=32)], Annotated[int, Field(ge=0, le=128)]] = (24, 64)
    form: Literal["kubeshark", "networkpolicy"] = "kubeshark"


class LearnAnswer(BaseModel):
    text: str
    rules: int
    flows: int
    not_seen: list[str]
    problems: list[str]


class ChangedFlow(BaseModel):
    flow: str
    was: str
    becomes: str
    flows: int
    packets: int
    sampleEntryIds: list[str]  # noqa: N815 - the report's own name


class DiffAnswer(BaseModel):
    changed: list[ChangedFlow]
    changedMore: int = Field(description="pairs of ends beyond those listed")  # noqa: N815
    warnings: list[str]


@router.get("/schema", summary="The JSON Schema of policies", dependencies=Reader)
def schema() -> dict[str, Any]:
    return policy_schema()


@router.post(
    "/validate",
    summary="Check policies, and say what they are compiled to",
    dependencies=[Depends(need("firewall"))],
)
def validate(hub: State, wanted: PolicyText) -> Validation:
    with as_answers():
        return validation_of(
            compile_policies(parse_policies(wanted.policy.encode(), "policy"), inventory_of(hub, wanted.inventory))
        )


@router.post("/simulate", summary="Try policies on recorded traffic")
def simulate_policies(hub: State, principal: Operator, client: Asker, wanted: SimulateRequest) -> dict[str, Any]:
    with as_answers():
        given = _named(hub, wanted.policy)
        against = None if wanted.against is None else _named(hub, wanted.against)
    simulation = _simulate(client, principal, wanted, given, against, "simulate policies", as_is=wanted.as_is)
    return simulation_document(simulation, given)


@router.post("/diff", summary="What two sets of policies judge differently in the same traffic")
def diff(hub: State, principal: Operator, client: Asker, wanted: DiffRequest) -> DiffAnswer:
    with as_answers():
        old, new = _named(hub, wanted.old), _named(hub, wanted.new)
    document = simulation_document(_simulate(client, principal, wanted, new, old, "diff policies", as_is=False), new)
    return DiffAnswer(**{name: document[name] for name in ("changed", "changedMore", "warnings")})


@router.post("/learn", summary="Propose policies that accept what was recorded")
def learn_policy(hub: State, principal: Operator, client: Asker, wanted: LearnRequest) -> LearnAnswer:
    with as_answers():
        subject = parse_subject(wanted.subject)
        inventory = inventory_of(hub, wanted.inventory)
    with client.turn():
        pipeline = hub.view(principal)
        found = _find(pipeline, client, wanted)
        hub.audit.note(principal, "learn policy", flows=sum(len(each.rows) for each in found.connections))
        with as_answers():
            lesson = learn(
                found.connections,
                subject,
                inventory,
                group=wanted.group,
                min_flows=wanted.min_flows,
                max_prefix=wanted.max_prefix,
                coverage=_coverage(pipeline, found),
            )
            write = lesson_as_network_policies if wanted.form == "networkpolicy" else lesson_as_policies
            text = write(lesson, wanted.name)
            if wanted.form == "kubeshark":
                parse_policies(text.encode(), "learned")  # a name that no policy may have
    return LearnAnswer(
        text=text,
        rules=len(lesson.rules),
        flows=lesson.evidence.flows,
        not_seen=lesson.notes,
        problems=[str(problem) for problem in (*found.problems, *lesson.problems)],
    )


def _simulate(
    client: Client,
    principal: Principal,
    wanted: _Traffic,
    given: Sequence[Policy],
    against: Sequence[Policy] | None,
    action: str,
    *,
    as_is: bool,
) -> Simulation:
    hub = client.hub
    mode: Literal["Enforce"] | None = None if as_is else "Enforce"
    with client.turn():
        pipeline = hub.view(principal)
        with as_answers():
            inventory = inventory_of(hub, wanted.inventory)
            everything = [*given, *(against or ())]
            has_names = any(peer.domain_names for policy in everything for rule in policy.rules for peer in rule.peers)
            names = RecordedNames(recorded_answers(pipeline)) if has_names else None
            compiled = compile_policies(given, inventory, mode=mode, follows_names=True)
            before = None if against is None else compile_policies(against, inventory, mode=mode, follows_names=True)
        found = _find(pipeline, client, wanted)
        hub.audit.note(principal, action, policies=len(given))
        coverage = _coverage(pipeline, found)
        simulation = simulate(
            compiled, found.connections, inventory=inventory, against=before, coverage=coverage, names=names
        )
    simulation.problems[:0] = found.problems
    return simulation


def _find(pipeline: Pipeline, client: Client, wanted: _Traffic) -> Found:
    found = pipeline.connections(
        wanted.kfl, since_ns=read_time(wanted.since), until_ns=read_time(wanted.until), gave_up=client.has_left
    )
    client.go_on()
    return found


def _coverage(pipeline: Pipeline, found: Found) -> Coverage:
    return Coverage(found.nodes, pipeline.store.overview().lost_packets)


def _named(hub: Hub, text: str) -> list[Policy]:
    if text == "current":
        return [kept.policy for kept in hub.fleet.store.all()]
    return parse_policies(text.encode(), "policy")


def inventory_of(hub: Hub, text: str) -> Inventory:
    """Return the inventory that a request brings, else the hub's."""
    if not text:
        return hub.fleet.inventory
    return replace(parse_inventory(text.encode(), "inventory"), exempt=hub.fleet.exempt)


def validation_of(compiled: Compiled) -> Validation:
    return Validation(
        policies=[policy.name for policy in compiled.policies],
        attachments=[
            Attached(
                kind=each.kind,
                subjects=[member.name for member in each.members],
                policies=list(each.policies),
                rules=len(each.rules.rules),
            )
            for each in compiled.attachments
        ],
        warnings=list(compiled.warnings),
    )


@contextmanager
def as_answers() -> Iterator[None]:
    """Answer 422 to a document that says what it cannot, with its place, and 409 to a change of what has changed."""
    try:
        yield
    except (PolicyChanged, PolicyOwned) as error:
        raise HTTPException(409, str(error)) from None
    except DocumentError:
        raise  # the application answers with its place
    except UsageError as error:
        raise HTTPException(422, str(error)) from None
