"""What `kubeshark init` knows while it asks, and what a question is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kubeshark.cli.survey._prompts import Choice
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.cli.survey._cluster_facts import Facts

__all__ = ["Question", "Survey", "split_names"]


class Survey:
    """What was answered so far, what is known of the cluster, and what a file said before."""

    def __init__(
        self, before: dict[str, Any], *, kubeconfig: str = "", is_offline: bool = False, may_try: bool = True
    ) -> None:
        self.answers: dict[str, Any] = {}
        self.given: dict[str, Any] = {}  # by flags
        self.may_try = may_try  # speak to buckets and identity providers
        self.before = before
        self.kubeconfig = kubeconfig
        self.is_offline = is_offline
        self._facts: dict[str, Facts | UsageError] = {}

    def __getitem__(self, name: str) -> Any:
        return self.answers.get(name, "")

    @property
    def target(self) -> str:
        return str(self["target"])

    def facts(self, context: str | None = None) -> Facts | None:
        """Return the cluster of a context, by default the one chosen; None where it does not answer."""
        name = str(self["context"]) if context is None else context
        if self.is_offline:
            return None
        if name not in self._facts:
            from kubeshark.cli.survey._cluster_facts import ClusterFacts

            try:
                self._facts[name] = ClusterFacts(name, self.kubeconfig)
            except UsageError as error:
                self._facts[name] = error
        found = self._facts[name]
        return None if isinstance(found, UsageError) else found

    def trouble(self) -> str:
        """Say why the chosen cluster did not answer."""
        return str(self._facts.get(str(self["context"]), "it is not asked"))


class Question(NamedTuple):
    """A row of the table. Everything that depends on other answers gets the survey."""

    name: str
    kind: Literal["text", "confirm", "select", "names"]  # names: a list, chosen from choices where there are any
    flags: tuple[str, ...]
    text: str
    help: str  # two lines
    default: Callable[[Survey], Any] = lambda _: ""
    applies: Callable[[Survey], bool] = lambda _: True
    choices: Callable[[Survey], Sequence[Choice]] = lambda _: ()
    check: Callable[[Survey, Any], Sequence[str]] = lambda _s, _v: ()
    normal: Callable[[Any], Any] = lambda value: value  # the one way to write what means the same
    is_required: bool = False
    metavar: str = "TEXT"

    @property
    def flag(self) -> str:
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])


def split_names(text: str) -> list[str]:
    return list(dict.fromkeys(text.replace(",", " ").split()))
