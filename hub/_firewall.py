"""Firewall policies: those that are kept, and what any would do to recorded traffic. Nothing here touches a kernel.

Viewers read, operators simulate, learn and keep audited policies, admins keep enforced ones. Whoever sees only some
namespaces sees none of it: connections have no namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from kubeshark.errors import UsageError
from kubeshark.firewall import (
    Compiled,
    Coverage,
    DocumentError,
    Inventory,
    Kept,
    Policy,
    PolicyChanged,
    PolicyFolder,
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
from kubeshark.hub._access import Principal, need, need_all
from kubeshark.hub._state import Hub, State
from kubeshark.hub._times import read_time
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline._connections import Found, recorded_names

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/firewall", tags=["firewall"])

MAX_TEXT = 512 << 10
Reader = [Depends(need("read")), Depends(need_all)]
Operator = Annotated[Principal, Depends(need("firewall"))]
Name = Annotated[str, Path(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
IfMatch = Annotated[
    str | None, Header(max_length=200, description='the ETag of what is replaced; "" (with quotes): nothing')
]


class PolicyAnswer(BaseModel):
    name: str
    tier: Literal["Admin", "Baseline"]
    priority: int
    mode: Literal["Enforce", "Audit"]
    rules: int
    version: str = Field(description="its ETag: what a change must name in If-Match")
    text: str = Field(description="as it was written")


class Attached(BaseModel):
    kind: Literal["pods", "interface", "host"]
    subjects: list[str]
    policies: list[str]
    rules: int = Field(description="compiled; at most 256")


class Validation(BaseModel):
    policies: list[str]
    attachments: list[Attached]
    warnings: list[str]


class PutAnswer(Validation):
    version: str = Field(description='"" after a dry run')
    dry_run: bool


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inventory: Text = Field(default="", description="who has which address: YAML or JSON, or a Kubernetes List")


class PolicyText(_Asked):
    policy: Text = Field(description="YAML or JSON")


class _Traffic(_Asked):
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


@router.get("/policies", summary="The policies that are kept, in judging order", dependencies=Reader)
def policies(hub: State) -> list[PolicyAnswer]:
    return [_answer(kept) for kept in _folder(hub).all()]


@router.get("/schema", summary="The JSON Schema of policies", dependencies=Reader)
def schema() -> dict[str, Any]:
    return policy_schema()


@router.get("/policies/{name}", summary="One policy", dependencies=Reader)
def policy(hub: State, name: Name, response: Response) -> PolicyAnswer:
    kept = _folder(hub).get(name)
    if kept is None:
        raise HTTPException(404, f"there is no policy {name}")
    response.headers["ETag"] = f'"{kept.version}"'
    return _answer(kept)


@router.put("/policies/{name}", summary="Keep a policy; with dryRun only check it")
def put(
    hub: State,
    principal: Operator,
    name: Name,
    wanted: PolicyText,
    response: Response,
    if_match: IfMatch = None,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
) -> PutAnswer:
    with _as_answers():
        given = parse_policies(wanted.policy.encode(), "policy")
        if [each.name for each in given] != [name]:
            raise HTTPException(422, f"the document is not the policy {name} alone")
        kept = {each.policy.name: each for each in _folder(hub).all()}
        enforced = [
            each for each in (*given, *(kept[name].policy for name in [name] if name in kept)) if each.mode == "Enforce"
        ]
        if enforced and "manage" not in principal.rights:
            hub.audit.note(principal, "put policy", outcome="refused", policy=name)
            raise HTTPException(403, f"{principal.name} may not: to change enforced policies needs the role admin")
        others = [each.policy for each in kept.values() if each.policy.name != name]
        compiled = compile_policies([*others, *given], _inventory(wanted.inventory))
        version = ""
        if not dry_run:
            expected = None if if_match is None or if_match.strip() == "*" else if_match.strip().strip('"')
            version = _folder(hub).put(wanted.policy, version=expected).version
            response.headers["ETag"] = f'"{version}"'
            hub.audit.note(principal, "put policy", policy=name, version=version)
    return PutAnswer(**_validation(compiled).model_dump(), version=version, dry_run=dry_run)


@router.delete("/policies/{name}", summary="Forget a policy", status_code=204)
def delete(hub: State, principal: Operator, name: Name, if_match: IfMatch = None) -> None:
    folder = _folder(hub)
    kept = folder.get(name)
    if kept is None:
        raise HTTPException(404, f"there is no policy {name}")
    if kept.policy.mode == "Enforce" and "manage" not in principal.rights:
        hub.audit.note(principal, "delete policy", outcome="refused", policy=name)
        raise HTTPException(403, f"{principal.name} may not: to change enforced policies needs the role admin")
    with _as_answers():
        folder.delete(name, version=None if if_match is None else if_match.strip().strip('"'))
    hub.audit.note(principal, "delete policy", policy=name, version=kept.version)


@router.post(
    "/validate",
    summary="Check policies, and say what they are compiled to",
    dependencies=[Depends(need("firewall"))],
)
def validate(wanted: PolicyText) -> Validation:
    with _as_answers():
        return _validation(
            compile_policies(parse_policies(wanted.policy.encode(), "policy"), _inventory(wanted.inventory))
        )


@router.post("/simulate", summary="Try policies on recorded traffic")
def simulate_policies(hub: State, principal: Operator, wanted: SimulateRequest) -> dict[str, Any]:
    with _as_answers():
        given = _named(hub, wanted.policy)
        against = None if wanted.against is None else _named(hub, wanted.against)
    simulation = _simulate(hub, principal, wanted, given, against, "simulate policies", as_is=wanted.as_is)
    return simulation_document(simulation, given)


@router.post("/diff", summary="What two sets of policies judge differently in the same traffic")
def diff(hub: State, principal: Operator, wanted: DiffRequest) -> DiffAnswer:
    with _as_answers():
        old, new = _named(hub, wanted.old), _named(hub, wanted.new)
    document = simulation_document(_simulate(hub, principal, wanted, new, old, "diff policies", as_is=False), new)
    return DiffAnswer(**{name: document[name] for name in ("changed", "changedMore", "warnings")})


@router.post("/learn", summary="Propose policies that accept what was recorded")
def learn_policy(hub: State, principal: Operator, wanted: LearnRequest) -> LearnAnswer:
    with _as_answers():
        subject = parse_subject(wanted.subject)
        inventory = _inventory(wanted.inventory)
    with hub.pool.turn() as turn:
        turn.take()
        pipeline = hub.view(principal)
        found = _find(pipeline, wanted)
        hub.audit.note(principal, "learn policy", flows=sum(len(each.rows) for each in found.connections))
        with _as_answers():
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
    hub: Hub,
    principal: Principal,
    wanted: _Traffic,
    given: Sequence[Policy],
    against: Sequence[Policy] | None,
    action: str,
    *,
    as_is: bool,
) -> Simulation:
    mode: Literal["Enforce"] | None = None if as_is else "Enforce"
    with hub.pool.turn() as turn:
        turn.take()
        pipeline = hub.view(principal)
        with _as_answers():
            inventory = _inventory(wanted.inventory)
            everything = [*given, *(against or ())]
            if any(peer.domain_names for policy in everything for rule in policy.rules for peer in rule.peers):
                inventory = inventory.with_names(recorded_names(pipeline))
            compiled = compile_policies(given, inventory, mode=mode)
            before = None if against is None else compile_policies(against, inventory, mode=mode)
        found = _find(pipeline, wanted)
        hub.audit.note(principal, action, policies=len(given))
        coverage = _coverage(pipeline, found)
        simulation = simulate(compiled, found.connections, inventory=inventory, against=before, coverage=coverage)
    simulation.problems[:0] = found.problems
    return simulation


def _find(pipeline: Pipeline, wanted: _Traffic) -> Found:
    return pipeline.connections(wanted.kfl, since_ns=read_time(wanted.since), until_ns=read_time(wanted.until))


def _coverage(pipeline: Pipeline, found: Found) -> Coverage:
    return Coverage(found.nodes, pipeline.store.overview().lost_packets)


def _folder(hub: Hub) -> PolicyFolder:
    return PolicyFolder(hub.folder / "firewall")


def _named(hub: Hub, text: str) -> list[Policy]:
    if text == "current":
        return [kept.policy for kept in _folder(hub).all()]
    return parse_policies(text.encode(), "policy")


def _inventory(text: str) -> Inventory:
    return parse_inventory(text.encode(), "inventory") if text else Inventory()


def _answer(kept: Kept) -> PolicyAnswer:
    policy = kept.policy
    return PolicyAnswer(
        name=policy.name,
        tier="Admin" if policy.tier == 0 else "Baseline",
        priority=policy.priority,
        mode=policy.mode,
        rules=len(policy.rules),
        version=kept.version,
        text=kept.text,
    )


def _validation(compiled: Compiled) -> Validation:
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
def _as_answers() -> Iterator[None]:
    """Answer 422 to a document that says what it cannot, with its place, and 409 to a change of what has changed."""
    try:
        yield
    except PolicyChanged as error:
        raise HTTPException(409, str(error)) from None
    except DocumentError:
        raise  # the application answers with its place
    except UsageError as error:
        raise HTTPException(422, str(error)) from None
