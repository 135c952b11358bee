"""What the hub holds while it runs: pipeline and views, turns, sessions, settings. Endpoints get it as `State`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from kubeshark.firewall import PolicyStore
from kubeshark.hub.access._audit import Audit
from kubeshark.hub.access._limits import Buckets
from kubeshark.hub.access._rights import Principal
from kubeshark.hub.access._sessions import Sessions
from kubeshark.hub.access._tokens import Tokens
from kubeshark.hub.nodes._fleet import Fleet
from kubeshark.hub.nodes._workers import Workers
from kubeshark.hub.state._figures import Figures
from kubeshark.hub.state._pool import QueryPool
from kubeshark.hub.state._settings_file import SettingsFile
from kubeshark.hub.state._uploads import Imports
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule

if TYPE_CHECKING:
    from kubeshark.hub.nodes._kube import KubeWatch
    from kubeshark.pipeline.plugins._scheduler import Scheduler
    from kubeshark.pipeline.scripts import ServedScripts

__all__ = ["Hub", "State", "complain", "hub_of"]

_log = logging.getLogger("kubeshark.hub")


@dataclass(slots=True)
class Hub:
    """One hub. `folder` is where it keeps what is its own: tokens, the key of sessions, settings, the audit log."""

    pipeline: Pipeline
    folder: Path
    sessions: Sessions
    tokens: Tokens = field(init=False)
    audit: Audit = field(init=False)
    settings: SettingsFile = field(init=False)
    workers: Workers = field(init=False)
    fleet: Fleet = field(init=False)
    rules: Sequence[RedactionRule] = DEFAULT_RULES  # of the configuration; those of settings win
    global_filter: str = ""  # KFL that whatever anybody sees matches
    imports: Imports = field(default_factory=Imports)
    kube: KubeWatch | None = None  # where a cluster is watched
    scripts: ServedScripts | None = None  # where some may run
    scheduler: Scheduler | None = None  # of plugins' jobs, where they run by themselves
    on_reload: Callable[[], None] | None = None  # called when other plugins are used
    pool: QueryPool = field(default_factory=QueryPool)
    figures: Figures = field(default_factory=Figures)
    requests: Buckets = field(default_factory=lambda: Buckets(burst=400, per_second=100))
    failures: Buckets = field(default_factory=lambda: Buckets(burst=20, per_second=0.2))
    started: float = field(default_factory=time.time)
    is_ending: bool = False  # nobody will read an answer that is not there yet

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.folder)
        self.audit = Audit(self.folder / "audit.jsonl")
        self.settings = SettingsFile(self.folder)
        self.fleet = Fleet(PolicyStore(self.folder / "firewall" / "policies.json"), complain)
        self.workers = Workers(self.pipeline.store, self.fleet.take)
        self.workers.take(self.settings.read().workers)

    def view(self, principal: Principal) -> Pipeline:
        """Return the pipeline as somebody sees it: without what rules hide, and only their namespaces."""
        return self.view_with(self.sight(principal), principal.namespaces)

    def view_with(self, rules: Sequence[RedactionRule] = (), namespaces: Collection[str] | None = None) -> Pipeline:
        """Return the pipeline with what anybody may see of it, less what rules hide and other namespaces."""
        if not rules and namespaces is None and not self.global_filter:
            return self.pipeline
        return self.pipeline.restricted(rules=rules, namespaces=namespaces, only=self.global_filter)

    def sight(self, principal: Principal) -> tuple[RedactionRule, ...]:
        """Return what somebody's view depends on beside who they are: whoever keeps a view asks whether it changed."""
        return self.settings.read().rules(self.rules) if principal.is_redacted else ()


def complain(text: str) -> None:
    """Tell whoever runs the hub what its users are not told."""
    _log.error("%s", text)


def hub_of(connection: HTTPConnection) -> Hub:
    found: Hub = connection.app.state.hub
    return found


State = Annotated[Hub, Depends(hub_of)]
