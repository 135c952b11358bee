"""Firewall policies that are enforced: changed, confirmed, rolled back, on every worker at once.

Viewers read, operators keep policies of mode Audit, admins enforce. Whoever sees only some namespaces sees none of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from kubeshark._document import split_documents
from kubeshark.errors import UsageError
from kubeshark.firewall import Compiled, Kept, NewPolicy, Policy, compile_policies, parse_inventory, parse_policies
from kubeshark.hub.access._rights import Principal, need
from kubeshark.hub.firewall._firewall import (
    Operator,
    PolicyText,
    Reader,
    Validation,
    as_answers,
    inventory_of,
    validation_of,
)
from kubeshark.hub.nodes._fleet import Node
from kubeshark.hub.state._hub import Hub, State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/firewall", tags=["firewall"])

Name = Annotated[str, Path(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
IfMatch = Annotated[
    str | None, Header(max_length=200, description='the ETag of what is replaced; "" (with quotes): nothing')
]
DryRun = Annotated[bool, Query(alias="dryRun", description="check and compile; change nothing")]
Enforce = Annotated[bool, Query(description="enforce them whatever their mode")]
Seconds = Annotated[float | None, Query(ge=0, le=366 * 86_400)]
Confirm = Annotated[
    float | None,
    Query(alias="confirmWithin", ge=0, le=86_400, description="seconds; undone unless confirmed; 0: for good"),
]
Rollout = Annotated[
    Literal["all", "node"], Query(description="node: one after the other, and no further if one does not enforce them")
]
DIFF_LINES = 400


class NodeRow(BaseModel):
    node: str
    url: str
    state: Literal["unknown", "enforced", "not enforced", "failed", "away", "held"] = Field(
        description="held: a rollout stopped before it, or the hub does not know enough yet"
    )
    why: str
    generation: int = Field(description="the node's own count of changes")
    ms: float = Field(description="that its latest change took")


class PolicyNode(BaseModel):
    node: str
    state: str
    why: str
    generation: int
    rules: int = Field(description="that it enforces of this policy")
    packets: int = Field(description="that these rules decided, would have or recorded")


class PolicyAnswer(BaseModel):
    name: str
    tier: Literal["Admin", "Baseline"]
    priority: int
    mode: Literal["Enforce", "Audit"] = Field(description="that is enforced; the text may say another")
    rules: int
    compiled: int = Field(description="rules that selectors left of it, with addresses, of all attachments")
    version: str = Field(description="its ETag: what a change must name in If-Match")
    ttl_left: float | None = Field(description="seconds it stays; null: for good")
    owner: str = Field(description='"cluster": an object there says what it is, and is what to change; "" otherwise')
    nodes: list[PolicyNode]
    text: str = Field(description="as it was written")


class Changed(BaseModel):
    revision: int = Field(description="of all policies together")
    generation: int = Field(description="the same")
    nodes: list[NodeRow]
    confirm_within: float | None = Field(description="seconds left to confirm; null: nothing is to be confirmed")
    warnings: list[str]


class PutAnswer(Changed, Validation):
    version: str = Field(description='"" after a dry run, and for several policies')
    dry_run: bool


class NodeStatus(NodeRow):
    unable: str = ""
    fail_mode: str = ""
    confirm_within: float | None = None
    reverted: int = Field(default=0, description="the revision it went back from because nobody confirmed")
    restarts: int = 0
    policies: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = Field(
        default=[], description="with hooks, notEnforced, exempt, rules and their counters, events and lost"
    )


class Status(BaseModel):
    revision: int
    confirm_within: float | None
    problem: str = Field(description='why the policies could not be compiled, ""')
    warnings: list[str]
    exempt: list[str]
    nodes: list[NodeStatus]


class InventoryText(BaseModel):
    inventory: Annotated[str, Field(max_length=64 << 20)]


class InventoryAnswer(BaseModel):
    pods: int
    namespaces: int
    nodes: int


@router.get("/policies", summary="The policies that are enforced, in judging order", dependencies=Reader)
def policies(hub: State, response: Response) -> list[PolicyAnswer]:
    response.headers["ETag"] = f'"{hub.fleet.store.revision}"'
    return [_answer(hub, kept) for kept in hub.fleet.store.all()]


@router.put("/policies", summary="Keep several policies as one change")
def put_all(
    hub: State,
    principal: Operator,
    wanted: PolicyText,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    enforce: Enforce = False,
    ttl: Seconds = None,
    confirm_within: Confirm = None,
    rollout: Rollout = "all",
) -> PutAnswer:
    with as_answers():
        revision = None
        if if_match is not None and (tag := if_match.strip().strip('"')) != "*":
            if not tag.isdigit():
                raise HTTPException(422, "If-Match of all policies is their revision")
            revision = int(tag)
        mode: Literal["Enforce"] | None = "Enforce" if enforce else None
        parse_policies(wanted.policy.encode(), "policy")  # whole: what is wrong has its place in it
        new = [NewPolicy(text, mode=mode, ttl_s=ttl) for text in split_documents(wanted.policy)]
        return _put(
            hub, principal, wanted, new, dry_run=dry_run, revision=revision, confirm_s=confirm_within, rollout=rollout
        )


@router.get("/policies/{name}", summary="One policy", dependencies=Reader)
def policy(hub: State, name: Name, response: Response) -> PolicyAnswer:
    kept = hub.fleet.store.get(name)
    if kept is None:
        raise HTTPException(404, f"there is no policy {name}")
    response.headers["ETag"] = f'"{kept.version}"'
    return _answer(hub, kept)


@router.put("/policies/{name}", summary="Keep a policy, and enforce it; with dryRun only check it")
def put(
    hub: State,
    principal: Operator,
    name: Name,
    wanted: PolicyText,
    response: Response,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    enforce: Enforce = False,
    ttl: Seconds = None,
    confirm_within: Confirm = None,
    rollout: Rollout = "all",
) -> PutAnswer:
    with as_answers():
        if [each.name for each in parse_policies(wanted.policy.encode(), "policy")] != [name]:
            raise HTTPException(422, f"the document is not the policy {name} alone")
        new = NewPolicy(wanted.policy, _version(if_match), "Enforce" if enforce else None, ttl)
        answer = _put(hub, principal, wanted, [new], dry_run=dry_run, confirm_s=confirm_within, rollout=rollout)
    if answer.version:
        response.headers["ETag"] = f'"{answer.version}"'
    return answer


@router.delete("/policies/{name}", summary="Enforce a policy no more")
def delete(hub: State, principal: Operator, name: Name, if_match: IfMatch = None, rollout: Rollout = "all") -> Changed:
    kept = hub.fleet.store.get(name)
    if kept is None:
        raise HTTPException(404, f"there is no policy {name}")
    _need_admin(hub, principal, "delete policy", [kept.policy], name)
    gone = _diff(kept.text, "")
    with as_answers():
        rows = hub.fleet.change(
            lambda: hub.fleet.store.change(delete=[(name, _version(if_match))]), one_by_one=rollout == "node"
        )
    hub.audit.note(principal, "delete policy", policy=name, version=kept.version, diff=gone, nodes=_told(rows))
    return _changed(hub, rows)


@router.post("/confirm", summary="Keep what waits to be confirmed, on all nodes")
def confirm(hub: State, principal: Operator) -> Changed:
    return _all_at_once(hub, principal, "confirm policies", hub.fleet.confirm)


@router.post("/rollback", summary="Go back to the policies before the last change, on all nodes")
def rollback(hub: State, principal: Operator) -> Changed:
    return _all_at_once(hub, principal, "roll back policies", hub.fleet.roll_back)


@router.get("/status", summary="What each node enforces: hooks, generation, counters", dependencies=Reader)
def status(hub: State) -> Status:
    fleet = hub.fleet
    compiled = fleet.compiled()
    exempt = {each.name: None for attachment in compiled.attachments for each in attachment.rules.exempt}
    return Status(
        revision=fleet.store.revision,
        confirm_within=fleet.store.seconds_left,
        problem=fleet.problem,
        warnings=list(compiled.warnings),
        exempt=list(exempt),
        nodes=[_status(node) for node in fleet.nodes],
    )


@router.get("/inventory", summary="How much the hub knows of who has which address", dependencies=Reader)
def inventory(hub: State) -> InventoryAnswer:
    known = hub.fleet.inventory
    return InventoryAnswer(pods=len(known.pods), namespaces=len(known.namespaces), nodes=len(known.nodes))


@router.put("/inventory", summary="Say who has which address: what selectors are resolved by")
def put_inventory(
    hub: State, principal: Annotated[Principal, Depends(need("manage"))], wanted: InventoryText
) -> InventoryAnswer:
    with as_answers():
        known = parse_inventory(wanted.inventory.encode(), "inventory")
    hub.audit.note(principal, "put inventory", pods=len(known.pods), of_nodes=len(known.nodes))
    hub.fleet.set_inventory(known)
    return inventory(hub)


def _put(
    hub: Hub,
    principal: Principal,
    wanted: PolicyText,
    new: list[NewPolicy],
    *,
    dry_run: bool,
    rollout: str,
    revision: int | None = None,
    confirm_s: float | None = None,
) -> PutAnswer:
    """Keep policies as one change; `wanted.inventory` is for checking alone."""
    store = hub.fleet.store
    given = [policy for each in new for policy in parse_policies(each.text.encode(), "policy")]
    names = [each.name for each in given]
    if len(set(names)) != len(names):
        raise HTTPException(422, "a policy is given twice")
    before = {name: kept for name in names if (kept := store.get(name)) is not None}
    enforced = [each for each, made in zip(given, new, strict=True) if "Enforce" in (each.mode, made.mode)]
    _need_admin(hub, principal, "put policy", [*enforced, *(kept.policy for kept in before.values())], ", ".join(names))
    compiled: list[Compiled] = []

    def check(policies: list[Policy]) -> None:
        compiled.append(compile_policies(policies, inventory_of(hub, wanted.inventory), follows_names=True))

    rows: list[dict[str, Any]] = []
    if dry_run:
        others = [kept.policy for kept in store.all() if kept.policy.name not in names]
        check([*others, *given])
    else:
        rows = hub.fleet.change(
            lambda: store.change(new, revision=revision, confirm_s=confirm_s, check=check), one_by_one=rollout == "node"
        )
        for made, name in zip(new, names, strict=True):
            old = before[name].text if name in before else ""
            kept = store.get(name)
            hub.audit.note(
                principal,
                "put policy",
                policy=name,
                version=kept.version if kept else "",
                mode=made.mode,
                diff=_diff(old, made.text),
                nodes=_told(rows),
            )
    version = ""
    if len(names) == 1 and not dry_run and (kept := store.get(names[0])) is not None:
        version = kept.version
    checked = validation_of(compiled[-1])
    return PutAnswer(**{**_changed(hub, rows).model_dump(), **checked.model_dump()}, version=version, dry_run=dry_run)


def _need_admin(hub: Hub, principal: Principal, action: str, touched: list[Policy], name: str) -> None:
    """Answer 403 to whoever is no admin, if a policy is touched that is enforced, or is to be."""
    if any(each.mode == "Enforce" for each in touched) and "manage" not in principal.rights:
        hub.audit.note(principal, action, outcome="refused", policy=name)
        raise HTTPException(403, f"{principal.name} may not: to change enforced policies needs the role admin")


def _all_at_once(hub: Hub, principal: Principal, action: str, do: Callable[[], list[dict[str, Any]]]) -> Changed:
    store = hub.fleet.store
    before = {kept.policy.name: kept for kept in store.all()}
    _need_admin(hub, principal, action, [each.policy for each in (*before.values(), *store.previous())], "")
    try:
        rows = do()
    except UsageError as error:
        raise HTTPException(409, str(error)) from None
    after = {kept.policy.name: kept for kept in store.all()}
    diff = [
        line
        for name in sorted({*before, *after})
        for line in _diff(before[name].text if name in before else "", after[name].text if name in after else "")
    ]
    hub.audit.note(principal, action, revision=store.revision, diff=diff or None, nodes=_told(rows))
    return _changed(hub, rows)


def _changed(hub: Hub, rows: list[dict[str, Any]]) -> Changed:
    store = hub.fleet.store
    return Changed(
        revision=store.revision,
        generation=store.revision,
        nodes=[NodeRow(**row) for row in rows],
        confirm_within=store.seconds_left,
        warnings=list(hub.fleet.compiled().warnings),
    )


def _answer(hub: Hub, kept: Kept) -> PolicyAnswer:
    policy = kept.policy
    compiled = hub.fleet.compiled()
    return PolicyAnswer(
        name=policy.name,
        tier="Admin" if policy.tier == 0 else "Baseline",
        priority=policy.priority,
        mode=policy.mode,
        rules=len(policy.rules),
        compiled=sum(rule.policy == policy.name for each in compiled.attachments for rule in each.rules.rules),
        version=kept.version,
        ttl_left=hub.fleet.store.ttl_left(kept),
        owner="cluster" if kept.owner else "",
        nodes=[_policy_node(node, policy.name) for node in hub.fleet.nodes],
        text=kept.text,
    )


def _policy_node(node: Node, name: str) -> PolicyNode:
    rules = [rule for target in node.said.get("targets", ()) for rule in target["rules"] if rule["policy"] == name]
    row = node.row()
    return PolicyNode(
        node=row["node"],
        state=node.state,
        why=node.why,
        generation=row["generation"],
        rules=len(rules),
        packets=sum(rule["packets"] for rule in rules),
    )


def _status(node: Node) -> NodeStatus:
    said = node.said
    return NodeStatus(
        **node.row(),
        unable=said.get("unable", ""),
        fail_mode=said.get("failMode", ""),
        confirm_within=said.get("confirmWithin"),
        reverted=said.get("reverted", 0),
        restarts=said.get("restarts", 0),
        policies=said.get("policies", []),
        targets=said.get("targets", []),
    )


def _version(if_match: str | None) -> str | None:
    return None if if_match is None or if_match.strip() == "*" else if_match.strip().strip('"')


def _diff(old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))][:DIFF_LINES]


def _told(rows: list[dict[str, Any]]) -> dict[str, str] | None:
    return {row["node"]: row["state"] for row in rows} or None
