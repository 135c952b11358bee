"""A compiled filter: the object that queries, exports and live feeds hold.

A filter decides one entry (`matches`), or a batch of them (`matching`) when plugin filters take part: those are asked
only about entries that every cheaper term let through, one batch a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import _ast
from kubeshark.pipeline.kfl._ast import Call, Const, FilterCall, Node, PluginCall, Var, walk
from kubeshark.pipeline.kfl._check import check
from kubeshark.pipeline.kfl._compile import Closure, Compiler, Row
from kubeshark.pipeline.kfl._cost import HEAVY, cost, heavy_names
from kubeshark.pipeline.kfl._errors import PlacedError
from kubeshark.pipeline.kfl._lexer import significant
from kubeshark.pipeline.kfl._pushdown import Pushdown
from kubeshark.pipeline.kfl._source import Macros, rewrite
from kubeshark.pipeline.kfl._values import EvaluationError, Undecided
from kubeshark.pipeline.kfl._variables import VARIABLES, Variables

__all__ = ["CompiledFilter", "FilterErrors", "compile_filter"]

FLOW_NAMES = frozenset({"flow", "tcp_flow", "udp_flow"})

Answer = bool | None
Ask = Callable[[FilterCall, Sequence[int]], Sequence[Answer]]
"""Asks a plugin filter about the entries at these places of a batch; None is a failure (rule 5)."""


@dataclass(slots=True)
class FilterErrors:
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

    text: str  # what runs, in KFL: without macros, translated if it was old
    original: str
    variables: frozenset[str]
    heavy: frozenset[str]  # variables that need the full entry, and "field()"
    calls: tuple[FilterCall, ...]  # plugin filters it asks
    wants_conn: bool
    wants_flow: bool
    pushdown: Pushdown
    tree: Node
    notices: tuple[str, ...] = ()
    errors: FilterErrors = field(default_factory=FilterErrors)
    _light: Closure = field(repr=False, default=lambda _row: True)
    _heavy: Closure = field(repr=False, default=lambda _row: True)

    def matches(self, row: Mapping[str, Any], answers: Mapping[FilterCall, Answer] | None = None) -> bool:
        """Decide an entry. Plugin filters without an answer count as failed."""
        if self.calls:
            answers = answers or {}
            row = _Answered(row, {call: answers.get(call) for call in self.calls})  # type: ignore[assignment]
        return self._decide(row) is True

    def cheap(self, row: Mapping[str, Any], answers: Mapping[FilterCall, Answer] | None = None) -> bool | None:
        """Decide an entry without asking plugin filters beyond `answers`; None if that is not possible."""
        if self.calls:
            row = _Answered(row, answers or {})  # type: ignore[assignment]
        return self._decide(row)

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

    def _decide(self, row: Row) -> bool | None:
        failed: EvaluationError | None = None
        try:
            if not self._light(row):
                return False
        except Undecided:
            return None
        except EvaluationError as error:
            failed = error
        except RecursionError:
            failed = EvaluationError("the value is nested too deep")
        try:
            if not self._heavy(row):
                return False
        except Undecided:
            return None
        except EvaluationError as error:
            failed = failed or error
        except RecursionError:
            failed = EvaluationError("the value is nested too deep")
        if failed is not None:
            self.errors.add(str(failed))
            return False
        return True


def compile_filter(
    text: str,
    *,
    now_ns: int,
    variables: Variables = VARIABLES,
    plugins: Mapping[str, FilterSpec] | None = None,
    macros: Mapping[str, str] | None = None,
    flag_transports: Mapping[str, frozenset[int]] | None = None,
) -> CompiledFilter:
    """Check and compile a filter.

    `plugins` maps what users write (`name`, or `plugin_id.name`) to the filter's declaration; `flag_transports` maps a
    protocol flag to the IP protocol numbers its entries can lie in. Raise KflError; UsageError for bad macros.
    """
    plugins = plugins or {}
    named = Macros(macros or {}, variables, plugins, lambda body: body)
    if not significant(text):
        return _everything(text)
    source = rewrite(text, variables, named)
    try:
        tree = check(source, variables, plugins)
        compiler = Compiler(variables, now_ns)
        terms = tree.args if isinstance(tree, Call) and tree.function == "_&&_" else (tree,)
        light = [term for term in terms if cost(term, variables) < HEAVY]
        heavy = [term for term in terms if cost(term, variables) >= HEAVY]
        run_light, run_heavy = compiler.conjunction(light), compiler.conjunction(heavy)
    except PlacedError as error:
        raise source.error(error.at, error.message, hint=error.hint) from None
    names = frozenset(part.name for part in walk(tree) if isinstance(part, Var))
    return CompiledFilter(
        text=source.text,
        original=text,
        variables=names,
        heavy=heavy_names(tree, variables),
        calls=tuple(dict.fromkeys(part.call for part in walk(tree) if isinstance(part, PluginCall))),
        wants_conn=True,
        wants_flow=any(name in FLOW_NAMES or name.startswith("flow_") for name in names),
        pushdown=Pushdown(),
        tree=tree,
        _light=run_light,
        _heavy=run_heavy,
    )


def _everything(text: str) -> CompiledFilter:
    """The empty filter (rule 1)."""
    return CompiledFilter(
        text="",
        original=text,
        variables=frozenset(),
        heavy=frozenset(),
        calls=(),
        wants_conn=True,
        wants_flow=False,
        pushdown=Pushdown(exact=True),
        tree=Const(True, _ast.BOOL, 0),
    )
