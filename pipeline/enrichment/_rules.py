"""Redaction by rule, and a view of some namespaces: enrichers like those of plugins, for who may not see everything.

They run last, so that what plugins added is hidden, too, and before any filter, so that none can find out what it was.
An entry that a rule fails on is shown without its content.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from msgspec import Struct

from kubeshark.errors import UsageError
from kubeshark.extension_api import Enrichment, EnrichSpec, MessageKind, Redaction
from kubeshark.pipeline.enrichment._enrich import EnricherBinding
from kubeshark.pipeline.enrichment._redact import SECRET_HEADERS, SECRET_WORD, is_indexed
from kubeshark.pipeline.enrichment._written_secrets import WrittenSecrets
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.kfl import ENTRY

if TYPE_CHECKING:
    from kubeshark.pipeline.query._filter import EntryFilter

__all__ = ["DEFAULT_RULES", "RedactionRule", "RuleKind", "namespace_enricher", "only_enricher", "rule_enricher"]

RuleKind = Literal["header", "cookie", "key", "json", "pattern"]

MAX_RULES = 200
MAX_MATCH = 500  # characters of a rule
MAX_FOUND = 1000
"""Secrets of an entry: each is looked for in all of it. One with more is shown without its content."""
DEPTH = 64
LAST = 1 << 30
"""Priority: behind every plugin."""

NAMESPACE_VARIABLES = tuple(f"{end}.{of}namespace" for end in ("src", "dst") for of in ("", "pod.", "service."))
_WORDS = re.compile(r"[\s,;=]+")
_BODIES = (
    (MessageKind.REQUEST, ("postData", "text"), "request.postData.text"),
    (MessageKind.RESPONSE, ("content", "text"), "response.content.text"),
)


class RedactionRule(Struct, frozen=True):
    """What to hide.

    header    value of this header, and its longer words wherever else they stand
    cookie    value of this cookie, "*" for all
    key       whatever stands under this key, at any depth, of any protocol's messages, of bodies that are JSON, also
              those that are cut or damaged, and of forms
    json      a place in a body that is JSON: `user.password`, `*` is every item of a list
    pattern   what an RE2 expression matches, anywhere in the entry
    """

    kind: RuleKind
    match: str
    value: str = "[redacted]"

    def __post_init__(self) -> None:
        if self.kind not in get_args(RuleKind):
            raise UsageError(f"{self.kind!r} is no kind of rule", hint=", ".join(get_args(RuleKind)))
        if not self.match.strip() or len(self.match) > MAX_MATCH or len(self.value) > MAX_MATCH:
            raise UsageError(f"a rule matches something, in at most {MAX_MATCH} characters")
        if self.kind == "pattern" and _compiled(self.match).search(""):
            raise UsageError(f"the pattern {self.match!r} matches nothing at all, and so everything")
        if self.kind == "json" and not all(part.strip() for part in self.match.split(".")):
            raise UsageError(f"{self.match!r} is no path", hint="write user.password")


SECRET_KEYS = ("password", "passwd", "secret", "access_token", "refresh_token", "api_key")
DEFAULT_RULES: tuple[RedactionRule, ...] = (
    *(RedactionRule("header", name) for name in SECRET_HEADERS),
    RedactionRule("cookie", "*"),
    *(RedactionRule("key", name) for name in SECRET_KEYS),
)
"""What is hidden unless somebody says otherwise: what a HAR hides, and the usual names of secrets."""


def rule_enricher(rules: Sequence[RedactionRule]) -> EnricherBinding:
    """Return the enricher that hides what the rules say."""
    if len(rules) > MAX_RULES:
        raise UsageError(f"more than {MAX_RULES} redaction rules")
    ruler = _Ruler(rules)

    def enrich(entries: Sequence[Entry]) -> list[Enrichment | None]:
        return [ruler.look_at(entry) for entry in entries]

    return EnricherBinding("redaction rules", EnrichSpec(priority=LAST), enrich, hides_only=True)


def only_enricher(chosen: EntryFilter) -> EnricherBinding:
    """Return the enricher that drops every entry that a filter does not choose, or fails on."""

    def enrich(entries: Sequence[Entry]) -> list[Enrichment | None]:
        return [None if matches else Enrichment(drop=True) for matches in chosen.judge(entries)]

    return EnricherBinding("filter of everybody", EnrichSpec(priority=LAST, on_failure="drop"), enrich)


def namespace_enricher(namespaces: Collection[str]) -> EnricherBinding:
    """Return the enricher that drops every entry of which neither end lies in one of these namespaces, or globs."""
    wanted = _Namespaces(namespaces)

    def enrich(entries: Sequence[Entry]) -> list[Enrichment | None]:
        return [None if _touches(entry, wanted) else Enrichment(drop=True) for entry in entries]

    return EnricherBinding("namespaces", EnrichSpec(priority=LAST, on_failure="drop"), enrich)


class _Namespaces:
    """Names, and globs: * and ? stand for what a name may hold there."""

    def __init__(self, given: Collection[str]) -> None:
        self._names = frozenset(each for each in given if each and not set(each) & set("*?["))
        globs = [fnmatch.translate(each) for each in given if set(each) & set("*?[")]
        self._globs = re.compile("|".join(globs)) if globs else None

    def __contains__(self, name: object) -> bool:
        if name in self._names:
            return True
        return self._globs is not None and bool(name) and self._globs.match(str(name)) is not None


def _touches(entry: Entry, wanted: _Namespaces) -> bool:
    names = (*(entry.get(name) for name in NAMESPACE_VARIABLES), *entry.get("namespaces"))
    return any(name in wanted for name in names)


def _compiled(pattern: str) -> Any:
    import re2  # type: ignore[import-untyped]  # here, because most rules have no pattern

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise UsageError(f"the pattern {pattern!r} is wrong: {error}", hint="RE2 syntax") from error


class _Ruler:
    def __init__(self, rules: Sequence[RedactionRule]) -> None:
        def of(kind: RuleKind) -> list[RedactionRule]:
            return [rule for rule in rules if rule.kind == kind]

        self.headers = {rule.match.casefold(): rule.value for rule in of("header")}
        self.cookies = {rule.match: rule.value for rule in of("cookie")}
        self.keys = {rule.match.casefold(): rule.value for rule in of("key")}
        self.written = WrittenSecrets(self.keys) if self.keys else None
        self.paths = [(rule.match, rule.value) for rule in of("json")]
        self.patterns: list[tuple[Any, str]] = [(_compiled(rule.match), rule.value) for rule in of("pattern")]

    def look_at(self, entry: Entry) -> Enrichment | None:
        entry.build()
        documents = {kind: document for kind in MessageKind if (document := entry.detail(kind)) is not None}
        found: dict[tuple[str, str], Redaction] = {}
        for redaction in self._redactions(entry, documents):
            found.setdefault((redaction.path, redaction.text), redaction)
            if len(found) > MAX_FOUND:
                return Enrichment(failure=f"more than {MAX_FOUND:,} secrets in one entry")
        longest_first = sorted(found.values(), key=lambda redaction: -len(redaction.text))
        return Enrichment(redactions=tuple(longest_first)) if longest_first else None

    def _redactions(self, entry: Entry, documents: Mapping[MessageKind, Mapping[str, Any]]) -> Iterator[Redaction]:
        for document in documents.values():
            yield from self._of_headers(document.get("headers"))
            yield from self._of_cookies(document.get("cookies"))
        for kind, place, path in _BODIES:
            body = _json_at(documents.get(kind), place)
            if body is None:
                continue
            yield from self._under_keys(body)
            for match, value in self.paths:
                if _leads_somewhere(body, match.split(".")):
                    yield Redaction(path=f"{path}.{match}", value=value)
        if self.written is not None:
            yield from self._under_keys(documents)
            for text in _leaves(documents):
                yield from (Redaction(text=secret, value=shown) for secret, shown in self.written.find(text))
            for kind, place, path in _BODIES:
                for secret, shown in self.written.find(_hidden_text(documents.get(kind), place)):
                    yield Redaction(path=path, value=shown)
                    yield Redaction(text=secret, value=shown)
        if self.patterns:
            told = {name: value for name, value in entry.variables.items() if not is_indexed(name) and name != ENTRY}
            yield from self._matches([documents, told])

    def _of_headers(self, headers: Any) -> Iterator[Redaction]:
        for name, value in headers.items() if isinstance(headers, Mapping) else ():
            shown = self.headers.get(str(name).casefold())
            for text in map(str, value if isinstance(value, list) else [value]):
                if shown is not None and text:
                    yield Redaction(text=text, value=shown)
                    words = _WORDS.split(text)
                    yield from (Redaction(text=word, value=shown) for word in words if len(word) >= SECRET_WORD)

    def _of_cookies(self, cookies: Any) -> Iterator[Redaction]:
        for name, value in cookies.items() if isinstance(cookies, Mapping) else ():
            shown = self.cookies.get(str(name), self.cookies.get("*"))
            if shown is not None:
                yield from (Redaction(text=text, value=shown) for text in _leaves(value))

    def _under_keys(self, value: Any, depth: int = 0) -> Iterator[Redaction]:
        if depth > DEPTH:
            return
        if isinstance(value, Mapping):
            if (shown := self.keys.get(str(value.get("name")).casefold())) is not None:  # a field of a form
                yield from (Redaction(text=text, value=shown) for text in _leaves(value.get("value")))
            for name, inner in value.items():
                shown = self.keys.get(str(name).casefold())
                if shown is not None:
                    yield from (Redaction(text=text, value=shown) for text in _leaves(inner))
                else:
                    yield from self._under_keys(inner, depth + 1)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from self._under_keys(inner, depth + 1)

    def _matches(self, value: Any) -> Iterator[Redaction]:
        for text in _leaves(value, short=False):
            for pattern, shown in self.patterns:
                yield from (
                    Redaction(text=found.group(), value=shown) for found in pattern.finditer(text) if found.group()
                )


def _leaves(value: Any, depth: int = 0, *, short: bool = True) -> Iterator[str]:
    """Yield every text and number, as text; `short`: a number of one digit too."""
    if depth > DEPTH:
        return
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner, depth + 1, short=short)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, depth + 1, short=short)
    elif isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool) and (short or len(str(value)) > 1):
        yield str(value)


def _hidden_text(document: Any, place: Sequence[str]) -> str:
    """Return a body that is shown as base64, because it is no UTF-8, as if it were Latin-1; "" for others."""
    part = document.get(place[0]) if isinstance(document, Mapping) else None
    if not isinstance(part, Mapping) or part.get("encoding") != "base64":
        return ""
    try:
        return base64.b64decode(str(part.get(place[1]))).decode("latin-1")
    except ValueError:
        return ""


def _json_at(document: Any, place: Sequence[str]) -> Any:
    """Return the object or list that the text there is; None if there is none."""
    for key in place:
        document = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(document, str) or document.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def _leads_somewhere(value: Any, keys: Sequence[str]) -> bool:
    if not keys:
        return True
    key, rest = keys[0], keys[1:]
    if isinstance(value, Mapping):
        return any(
            _leads_somewhere(inner, rest)
            for name, inner in value.items()
            if key == "*" or str(name).casefold() == key.casefold()
        )
    if isinstance(value, list):
        if key != "*" and not key.isdecimal():
            return any(_leads_somewhere(inner, keys) for inner in value)
        return any(_leads_somewhere(inner, rest) for at, inner in enumerate(value) if key in ("*", str(at)))
    return False
