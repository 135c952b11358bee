"""The policies of a hub: what its workers are to enforce, in one file that is replaced whole.

Texts are kept as they were written. A text's digest is the version that a change must name, so that two changes do not
undo each other unseen; the revision counts changes of any of them. What was in force before the last change is kept
beside it: rolled back to in one call, or by itself if nobody confirms in time.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from kubeshark._durable import make_folder, replace_synced
from kubeshark.errors import StoreError, UsageError
from kubeshark.firewall.policies._policy import Mode, Policy, parse_policies
from kubeshark.firewall.sets._set import version_of

__all__ = ["Kept", "NewPolicy", "PolicyChanged", "PolicyOwned", "PolicyStore"]


class PolicyChanged(StoreError):
    """Somebody else changed the policy meanwhile."""


class PolicyOwned(UsageError):
    """The policy is somebody else's: an object of a cluster says what it is, or whoever keeps policies here."""


@dataclass(frozen=True, slots=True)
class Kept:
    policy: Policy  # with the mode that is enforced
    text: str
    expires_at: float | None = None  # seconds since 1970; None: it stays
    owner: str = ""  # the uid of the object in a cluster that says what it is; "": it is kept here

    @property
    def version(self) -> str:
        return version_of(self.text)


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """A policy to keep under its name. `version`: of the text it replaces, "" for none, None: whatever is there."""

    text: str
    version: str | None = None
    mode: Mode | None = None  # instead of the text's
    ttl_s: float | None = None  # instead of the text's; 0: it stays
    owner: str = ""


@dataclass(frozen=True, slots=True)
class _State:
    revision: int = 0
    policies: tuple[Kept, ...] = ()
    previous: tuple[Kept, ...] | None = None
    confirm_by: float | None = None


class PolicyStore:
    """Safe from any thread of one process. Every method that changes raises OSError if that cannot be kept."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        self.default_mode: Mode = "Audit"  # of policies that say none, when they are put
        self._lock = threading.RLock()
        self._state = self._read()
        self._issue = 0

    @property
    def revision(self) -> int:
        return self._state.revision

    @property
    def seconds_left(self) -> float | None:
        """How long there is to confirm; None if nothing is to be confirmed."""
        by = self._state.confirm_by
        return None if by is None else max(0.0, by - self._clock())

    def next_issue(self) -> int:
        """Return a number larger than every one before, also before a restart: nanoseconds, as long as clocks go on."""
        with self._lock:
            self._issue = max(self._issue + 1, time.time_ns())
            return self._issue

    def issued(self, issue: int) -> None:
        """Note that one this high was given out, by a clock that was ahead."""
        with self._lock:
            self._issue = max(self._issue, issue)

    def all(self) -> list[Kept]:
        """Return them in judging order."""
        return sorted(self._state.policies, key=lambda kept: kept.policy.order)

    def get(self, name: str) -> Kept | None:
        return next((kept for kept in self._state.policies if kept.policy.name == name), None)

    def previous(self) -> list[Kept]:
        """Return what was in force before the last change; nothing if there is no going back."""
        return list(self._state.previous or ())

    def ttl_left(self, kept: Kept) -> float | None:
        return None if kept.expires_at is None else max(0.001, kept.expires_at - self._clock())

    def change(
        self,
        put: Sequence[NewPolicy] = (),
        delete: Sequence[tuple[str, str | None]] = (),
        *,
        revision: int | None = None,
        confirm_s: float | None = None,
        check: Callable[[list[Policy]], None] = lambda _: None,
        is_owner: bool = False,
    ) -> list[Kept]:
        """Keep some policies and forget others (by name and version), as one change; return what was put.

        `revision`: what it must be before. `confirm_s`: undone unless confirmed, instead of what the policies say.
        `check` sees all policies as they would be, and may raise. `is_owner`: it is about policies that are objects;
        otherwise about those that are none. Raises DocumentError, UsageError, PolicyOwned, PolicyChanged.
        """
        with self._lock:
            state = self._state
            if revision is not None and revision != state.revision:
                raise PolicyChanged("the policies were changed meanwhile", hint="read them again, then change them")
            kept = {each.policy.name: each for each in state.policies}
            made = [self._make(new, kept) for new in put]
            for name in (*(each.policy.name for each in made), *(name for name, _ in delete)):
                if name in kept and bool(kept[name].owner) != is_owner:
                    raise _owned(name, is_object=not is_owner)
            for name, version in delete:
                if name not in kept:
                    raise UsageError(f"no policy {name!r}", hint='see "kubeshark firewall get"')
                _check_version(name, kept.get(name), version)
            left = {name: each for name, each in kept.items() if name not in {name for name, _ in delete}}
            left |= {each.policy.name: each for each in made}
            check([each.policy for each in left.values()])
            if confirm_s is None:
                confirm_s = max((each.policy.confirm_within_s for each in made), default=0)
            by = self._clock() + confirm_s if confirm_s else state.confirm_by
            previous = state.policies if state.confirm_by is None else state.previous
            self._write(_State(state.revision + 1, tuple(left.values()), previous, by))
            return made

    def confirm(self) -> None:
        with self._lock:
            if self._state.confirm_by is None:
                raise UsageError("nothing is waiting to be confirmed", hint='see "kubeshark firewall status"')
            self._write(replace(self._state, confirm_by=None))

    def roll_back(self) -> int:
        """Go back to the policies before the last change, once; return the revision, which is a new one."""
        with self._lock:
            state = self._state
            if state.previous is None:
                raise UsageError("there is nothing to go back to", hint='see "kubeshark firewall get"')
            now = self._clock()
            left = tuple(each for each in state.previous if each.expires_at is None or each.expires_at > now)
            self._write(_State(state.revision + 1, left))
            return self._state.revision

    def tick(self) -> str:
        """Do what is due by the clock; return what was done, in words, or nothing."""
        with self._lock:
            state, now = self._state, self._clock()
            if state.confirm_by is not None and now >= state.confirm_by:
                self.roll_back()
                return "not confirmed in time: the policies before are enforced again"
            over = [each for each in state.policies if each.expires_at is not None and each.expires_at <= now]
            if over:
                left = tuple(each for each in state.policies if each not in over)
                self._write(replace(state, revision=state.revision + 1, policies=left))
                return f"{', '.join(each.policy.name for each in over)}: its time is over"
            return ""

    def _make(self, new: NewPolicy, kept: dict[str, Kept]) -> Kept:
        policies = parse_policies(new.text.encode(), "policy")
        if len(policies) != 1:
            raise UsageError(f"{len(policies)} policies in one document", hint="keep each by itself")
        default = policies[0].with_default(self.default_mode)
        policy = default if new.mode is None else replace(default, mode=new.mode)
        _check_version(policy.name, kept.get(policy.name), new.version)
        ttl_s = policy.ttl_s if new.ttl_s is None else new.ttl_s
        return Kept(policy, new.text, self._clock() + ttl_s if ttl_s else None, new.owner)

    def _read(self) -> _State:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            previous = document["previous"]
            return _State(
                int(document["revision"]),
                tuple(map(_kept, document["policies"])),
                None if previous is None else tuple(map(_kept, previous)),
                None if document["confirmBy"] is None else float(document["confirmBy"]),
            )
        except FileNotFoundError:
            return _State()
        except (ValueError, KeyError, TypeError, UsageError) as error:
            raise StoreError(f"{self.path} holds no policies: {error!r:.200}", hint="repair or delete it") from error

    def _write(self, state: _State) -> None:
        document = {
            "revision": state.revision,
            "policies": [_document(each) for each in state.policies],
            "previous": None if state.previous is None else [_document(each) for each in state.previous],
            "confirmBy": state.confirm_by,
        }
        with suppress(FileExistsError):
            make_folder(self.path.parent)
        with replace_synced(self.path, self.path.with_name(f".{self.path.name}.{os.getpid()}")) as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=1).encode())
        self._state = state


def _check_version(name: str, known: Kept | None, version: str | None) -> None:
    if version is not None and (known.version if known else "") != version:
        raise PolicyChanged(f"policy {name} was changed meanwhile", hint="read it again, then change it")


def _owned(name: str, *, is_object: bool) -> PolicyOwned:
    if is_object:
        hint = f"kubectl edit firewallpolicy {name}"
        return PolicyOwned(f"policy {name} is an object of the cluster: it is changed there", hint=hint)
    return PolicyOwned(f"policy {name} is kept by the hub already", hint=f"kubeshark firewall delete {name} --hub URL")


def _document(kept: Kept) -> dict[str, Any]:
    owner = {"owner": kept.owner} if kept.owner else {}
    return {"text": kept.text, "mode": kept.policy.mode, "expiresAt": kept.expires_at, **owner}


def _kept(document: Any) -> Kept:
    [policy] = parse_policies(str(document["text"]).encode(), "policy")
    expires = document["expiresAt"]
    mode = cast(Mode, document["mode"])
    if mode not in ("Enforce", "Audit"):
        raise ValueError(f"mode {mode!r}")
    until = None if expires is None else float(expires)
    return Kept(replace(policy, mode=mode), str(document["text"]), until, str(document.get("owner", "")))
