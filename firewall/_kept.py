"""Policies that were accepted, each a document in a folder: <folder>/<name>.yaml, replaced at once.

The text is kept as it was written. Its digest is the version that a change must name, so that two changes do not undo
each other unseen.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from kubeshark._document import MAX_BYTES
from kubeshark.errors import StoreError, UsageError
from kubeshark.firewall._policy import Policy, parse_policies

__all__ = ["Kept", "PolicyChanged", "PolicyFolder", "policy_folder"]

SUFFIX = ".yaml"


class PolicyChanged(StoreError):
    """Somebody else changed the policy meanwhile."""


@dataclass(frozen=True, slots=True)
class Kept:
    policy: Policy
    text: str
    version: str  # SHA-256 of the text, hex


def policy_folder() -> Path:
    """Return where policies are kept: $KUBESHARK_FIREWALL, else ~/.kubeshark/firewall."""
    return Path(os.environ.get("KUBESHARK_FIREWALL") or "~/.kubeshark/firewall").expanduser()


class PolicyFolder:
    """The policies in a folder; an absent folder has none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Kept]:
        """Return them in judging order; raise DocumentError for one that cannot be read: none is left out silently."""
        names = sorted(file for file in self.path.glob(f"*{SUFFIX}") if not file.name.startswith("."))
        return sorted((self._read(file) for file in names), key=lambda kept: kept.policy.order)

    def get(self, name: str) -> Kept | None:
        file = self._file(name)
        return self._read(file) if file.exists() else None

    def put(self, text: str, *, version: str | None = None) -> Kept:
        """Keep a policy under its name; `version`: that of the text it replaces, "" for none, None: whatever is there.

        Raises DocumentError for a text that is no single policy, PolicyChanged if another version is there.
        """
        [*policies] = parse_policies(text.encode(), "policy")
        if len(policies) != 1:
            raise UsageError(f"{len(policies)} policies in one document", hint="keep each by itself")
        name = policies[0].name
        self._check_version(name, version)
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = self._file(name)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        return self._read(target)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Forget a policy; raise UsageError if there is none, PolicyChanged if another version is there."""
        if self.get(name) is None:
            raise UsageError(f"no policy {name!r}", hint='see "kubeshark firewall get"')
        self._check_version(name, version)
        self._file(name).unlink(missing_ok=True)

    def _check_version(self, name: str, version: str | None) -> None:
        if version is None:
            return
        known = self.get(name)
        if (known.version if known else "") != version:
            raise PolicyChanged(f"policy {name} was changed meanwhile", hint="read it again, then change it")

    def _file(self, name: str) -> Path:
        if "/" in name or name.startswith(".") or len(name) > 253:
            raise UsageError(f"{name[:60]!r} is no policy's name")
        return self.path / f"{name}{SUFFIX}"

    def _read(self, file: Path) -> Kept:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        policies = parse_policies(data, str(file))
        if len(policies) != 1 or policies[0].name != file.name.removesuffix(SUFFIX):
            raise UsageError(
                f"{file} is not the policy {file.name.removesuffix(SUFFIX)!r} alone", hint="repair or delete it"
            )
        return Kept(policies[0], data.decode(), hashlib.sha256(data).hexdigest())
