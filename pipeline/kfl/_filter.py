"""A compiled filter: the object that queries, exports and live feeds hold.

A filter decides one entry (`matches`), or a batch of them (`matching`) when plugin filters take part: those are asked
only about entries that every cheaper term let through, one batch a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl import _ast
from kubeshark.pipeline.kfl._ast import Call, Const, FilterCall, Node, PluginCall, Var, walk
from kubeshark.pipeline.kfl._compile import Closure, Compiler
from kubeshark.pipeline.kfl._cost import HEAVY, cost, heavy_names
from kubeshark.pipeline.kfl._errors import KflError, PlacedError, text_error
from kubeshark.pipeline.kfl._lexer import significant
from kubeshark.pipeline.kfl._plain import plain_tree
from kubeshark.pipeline.kfl._pushdown import Pushdown, push_down
from kubeshark.pipeline.kfl._signatures import check_filter_name
from kubeshark.pipeline.kfl._source import Macros, Source, rewrite
from kubeshark.pipeline.kfl._values import EvaluationError, Undecided
from kubeshark.pipeline.kfl._variables import VARIABLES, Variables
from kubeshark.pipeline.kfl._wanted import decide, may_match

if TYPE_CHECKING:
    from kubeshark.core_capture import Predicate
    from kubeshark.extension_api._models import FilterSpec
    from kubeshark.pipeline.kfl._v1 import Translation

__all__ = ["CompiledFilter", "FilterErrors", "check_macros", "compile_filter"]

_EVERYTHING: Node = Const(True, _ast.BOOL, 0)  # the empty filter (rule 1)

FAILURES = (EvaluationError, RecursionError, TypeError, AttributeError)
"""What ends in "no match, counted": besides CEL's own errors, values nested too deep and variables of a wrong type."""

Answer = bool | None
Ask = Callable[[FilterCall, Sequence[int]], Sequence[Answer]]
"""Asks a plugin filter about the entries at these places of a batch; None is a failure (rule 5)."""


class FilterErrors(Struct):
    """Entries whose whole expression ended in an evaluation error: they did not match."""

    count: int = 0
    first: str = ""

    def add(self, message: str) -> None:
        self.count += 1
        self.first = self.first or message


class _Answered:
    """A row and what plugin filters said about it; a call not asked yet is undecided."""

    __slots__ = ("_answers", "_row")

    def __init__(self, row: Mapping[str, Any], answers: Mapping[FilterCall, Answer]) -> None:
        self._row, self._answers = row, answers

    def __getitem__(self, key: Any) -> Any:
        if type(key) is not FilterCall:
            return self._row[key]
        if key not in self._answers:
            raise Undecided(f"plugin filter {key.name} was not asked")
        return self._answers[key]


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """A checked filter, ready to run; any number of threads may use it.

    A row maps variable names to values and gives the type's default for what its entry lacks; under "@entry" it gives
    the JSON entry, if `heavy` has "field()".
    """

    text: str  # in KFL, macros as they were written: `original`, or its translation
    original: str
    variables: frozenset[str]
    heavy: frozenset[str]  # variables that need the full entry, and "field()"
    calls: tuple[FilterCall, ...]  # plugin filters it asks
    pushdown: Pushdown
    tree: Node
    notices: tuple[str, ...] = ()  # for the user: what was translated, and what to mind
    limit: int | None = None  # from limit(n) of the old language
    errors: FilterErrors = field(default_factory=FilterErrors)
    _light: Closure = field(repr=False, default=lambda _row: True)
    _heavy: Closure = field(repr=False, default=lambda _row: True)

    @property
    def wants_messages(self) -> bool:
        """Message entries can match: streams must be dissected."""
        return self.pushdown.wants_messages

    @property
    def wants_conn(self) -> bool:
        """Connection entries can match."""
        return self.pushdown.wants_conn

    @property
    def wants_flow(self) -> bool:
        """Flow entries can match, and the expression names them (rule 1)."""
        return self.pushdown.wants_flow

    def may_match(self, own: Set[str], flags: Set[str]) -> bool:
        """Say whether an entry can match that sets none of `flags` but those in `own`."""
        return may_match(self.tree, own, flags)

    def decide(self, true: Collection[str], flags: Set[str], unset: Collection[str]) -> bool | None:
        """Decide all entries that set, of `flags`, just those in `true`; None if it depends on the entry.

        `unset` are further flags' names that such an entry may or may not set.
        """
        return decide(self.tree, frozenset(true), flags - set(unset))

    def matches(self, row: Mapping[str, Any], answers: Mapping[FilterCall, Answer] | None = None) -> bool:
        """Decide an entry. Plugin filters without an answer count as failed."""
        if self.calls:
            given = answers or {}
            return self._decide(_Answered(row, {call: given.get(call) for call in self.calls})) is True
        try:
            return bool(self._light(row))
        except FAILURES as error:
            self.errors.add(_reason(error))
        return False

    def cheap(self, row: Mapping[str, Any], answers: Mapping[FilterCall, Answer] | None = None) -> bool | None:
        """Decide an entry without asking plugin filters beyond `answers`; None if that is not possible."""
        return self._decide(_Answered(row, answers or {})) if self.calls else self.matches(row)

    def matching(self, rows: Sequence[Mapping[str, Any]], ask: Ask) -> list[bool]:
        """Decide a batch, asking each plugin filter once, about the entries that still depend on it."""
        decided = [self.cheap(row) for row in rows]
        answers: list[dict[FilterCall, Answer]] = [{} for _ in rows]
        for call in self.calls:
            open_places = [place for place, result in enumerate(decided) if result is None]
            if not open_places:
                break
            for place, answer in zip(open_places, ask(call, open_places), strict=True):
                answers[place][call] = answer
                decided[place] = self.cheap(rows[place], answers[place])
        return [result is True for result in decided]

    def _decide(self, row: _Answered) -> bool | None:
        """Run the terms that need no body, then the others; None if a plugin filter has to be asked first."""
        failed = ""
        for terms in (self._light, self._heavy):
            try:
                if not terms(row):
                    return False
            except Undecided:
                return None
            except FAILURES as error:
                failed = failed or _reason(error)
        if failed:
            self.errors.add(failed)
        return not failed


def _reason(error: Exception) -> str:
    match error:
        case EvaluationError():
            return str(error)
        case RecursionError():
            return "a value is nested too deep"
    return f"a variable has the wrong type: {error}"


def compile_filter(
    text: str,
    *,
    now_ns: int,
    variables: Variables = VARIABLES,
    plugins: Mapping[str, FilterSpec] | None = None,
    macros: Mapping[str, str] | None = None,
    flag_flows: Mapping[str, Predicate] | None = None,
) -> CompiledFilter:
    """Check and compile a filter; a text of the old language is translated if it is no KFL.

    `plugins` maps what users write (`name`, or `plugin_id.name`) to the filter's declaration; `flag_flows` maps a
    protocol flag to the flows its entries can lie in. Raise KflError; UsageError for bad macros.
    """
    language = _Language(variables, plugins or {}, flag_flows or {}, now_ns)
    if not macros and (tree := plain_tree(text, variables)) is not None:
        for name in language.plugins:
            check_filter_name(name)
        return language.built(text, Source.of(text), tree)
    language.macros = Macros(macros or {}, variables, language.plugins, language.in_kfl)
    try:
        return language.compiled(text)
    except KflError:
        translation = language.translated(text)
        if translation is None:
            raise
    compiled = language.compiled(translation.text)
    told = f"translated from the old language: {translation.text or '(everything)'}"
    notices = (told, *translation.notices, *compiled.notices)
    return replace(compiled, original=text, notices=notices, limit=translation.limit)


def check_macros(
    macros: Mapping[str, str],
    *,
    now_ns: int,
    variables: Variables = VARIABLES,
    plugins: Mapping[str, FilterSpec] | None = None,
) -> None:
    """Raise UsageError for a macro that no filter could use, whatever the type of its expression is."""
    for name in macros:
        text = f"size([{name}]) == 1"
        try:
            compile_filter(text, now_ns=now_ns, variables=variables, plugins=plugins, macros=macros)
        except UsageError as error:  # its place would be one in our text
            said = error.message.removeprefix(f"line {error.line}, column {error.column}: ")
            raise UsageError(said, hint=error.hint) from None


@dataclass(slots=True)
class _Language:
    """Everything a text is checked against."""

    variables: Variables
    plugins: Mapping[str, FilterSpec]
    flag_flows: Mapping[str, Predicate]
    now_ns: int
    macros: Mapping[str, str] = field(default_factory=dict)

    def compiled(self, text: str) -> CompiledFilter:
        source, tree = self._checked(text) if significant(text) else (Source(text), _EVERYTHING)
        return self.built(text, source, tree)

    def built(self, text: str, source: Source, tree: Node) -> CompiledFilter:
        compiler = Compiler(self.variables, self.now_ns)
        terms = tree.args if isinstance(tree, Call) and tree.function == "_&&_" else (tree,)
        calls = tuple(dict.fromkeys(part.call for part in walk(tree) if isinstance(part, PluginCall)))
        # Without plugin filters one conjunction does, cheapest first; with them, bodies wait for their answers.
        heavy = [term for term in terms if calls and cost(term, self.variables) >= HEAVY]
        light = [term for term in terms if term not in heavy]
        try:
            run_light, run_heavy = compiler.conjunction(light), compiler.conjunction(heavy)
        except PlacedError as error:
            raise source.error(error.at, error.message, hint=error.hint) from None
        pushdown = push_down(tree, self.variables, self.flag_flows, lambda node: compiler.closure(node)({}))
        return CompiledFilter(
            text=text,
            original=text,
            variables=frozenset(part.name for part in walk(tree) if isinstance(part, Var)),
            heavy=heavy_names(tree, self.variables),
            calls=calls,
            pushdown=pushdown,
            tree=tree,
            notices=(f"no entry can match: {pushdown.failure}",) if pushdown.failure else (),
            _light=run_light,
            _heavy=run_heavy,
        )

    def in_kfl(self, text: str) -> str:
        """Return a macro's body in KFL; one that is neither language stays, for the error where it is used."""
        try:
            self._checked(text)
        except KflError:
            translation = self.translated(text)
            return text if translation is None else translation.text
        return text

    def translated(self, text: str) -> Translation | None:
        from kubeshark.pipeline.kfl._v1 import translate

        try:
            return translate(text, self.variables, frozenset(self.macros), self.now_ns)
        except PlacedError as error:
            raise text_error(text, error.at, error.message, hint=error.hint) from None

    def _checked(self, text: str) -> tuple[Source, Node]:
        from kubeshark.pipeline.kfl._check import check

        source = rewrite(text, self.variables, self.macros)
        try:
            return source, check(source, self.variables, self.plugins)
        except PlacedError as error:
            raise source.error(error.at, error.message, hint=error.hint) from None
