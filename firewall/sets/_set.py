"""What is enforced on one machine as one document: its policies as written, and what they were compiled to.

A set is replaced whole. `issue` orders sets: a machine never goes back to one that is older than what it holds.
Policies keep their text, so that what is enforced can be read with its comments, and each has its own time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.firewall.policies._policy import Mode
from kubeshark.firewall.sets._wire import Target, target_or_denied, target_to

__all__ = ["PolicySet", "SetPolicy", "content_of", "set_from", "set_to", "version_of"]

FORMAT = 1
MAX_POLICIES = 500


@dataclass(frozen=True, slots=True)
class SetPolicy:
    name: str
    text: str
    mode: Mode  # as it is enforced: the text may say Audit and the command Enforce
    ttl_s: float = 0  # from when the set is taken; 0: stays

    @property
    def version(self) -> str:
        return version_of(self.text)


@dataclass(frozen=True, slots=True)
class PolicySet:
    issue: int
    revision: int  # of the policies; addresses may change within one
    policies: tuple[SetPolicy, ...]
    targets: tuple[Target, ...]
    confirm_s: float = 0  # undone unless confirmed; 0: at once for good
    keeps: bool = False  # the same policies for other addresses: what is waited for and what was before stay
    context: dict[str, Any] = field(default_factory=dict)  # what a later change is compiled with
    damage: dict[str, str] = field(default_factory=dict)  # targets that were not understood, and are denied


def version_of(text: str) -> str:
    """Return a policy's version: the SHA-256 of its text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def set_to(given: PolicySet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "issue": given.issue,
        "revision": given.revision,
        "policies": [
            {"name": each.name, "text": each.text, "mode": each.mode, "ttl": each.ttl_s} for each in given.policies
        ],
        "targets": [target_to(target) for target in given.targets],
        "confirmWithin": given.confirm_s,
        "keeps": given.keeps,
        "context": given.context,
    }


def set_from(document: Any) -> PolicySet:
    """Read what `set_to` wrote, also by a later version: a target that is not understood is denied; or UsageError."""
    try:
        policies = tuple(
            SetPolicy(str(each["name"]), str(each["text"]), _mode(each["mode"]), float(each["ttl"]))
            for each in document["policies"]
        )
        read = [target_or_denied(each) for each in document["targets"]]
        found = PolicySet(
            int(document["issue"]),
            int(document["revision"]),
            policies,
            tuple(target for target, _ in read),
            float(document["confirmWithin"]),
            bool(document.get("keeps", False)),
            dict(document.get("context", {})),
            {target.name: why for target, why in read if why},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"not a set of policies: {error!r:.200}") from error
    if len(found.policies) > MAX_POLICIES:
        raise UsageError(f"a set of {len(found.policies):,} policies, at most {MAX_POLICIES}")
    return found


def _mode(given: Any) -> Mode:
    if given == "Enforce":
        return "Enforce"
    if given == "Audit":
        return "Audit"
    raise ValueError(f"mode {given!r:.40}")


def content_of(document: dict[str, Any]) -> str:
    """Return a digest of what a set does, whenever it was issued: equal for two that enforce the same."""
    policies = [[each["name"], version_of(each["text"]), each["mode"]] for each in document["policies"]]
    data = json.dumps([policies, document["targets"], document.get("context")], sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()
