"""Python plugins as the pipeline calls them: what one raises, or answers that makes no sense, costs the one item.

Of the built-in ones only what reads packets is contained, and what it answers is believed: a defect there must not let
one connection hide all the others.

Plugins of other languages are contained by their supervisor; these run in this process. A batch is asked for at once;
only where that fails, item by item. Nobody's Ctrl-C and no `Stop` is taken for a failure of a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from kubeshark._json import json_text
from kubeshark.errors import KubesharkError, PluginError
from kubeshark.extension_api import (
    Enrichment,
    Handover,
    Message,
    MessageKind,
    Redaction,
    Representation,
    Verdict,
)
from kubeshark.pipeline._budget import Stop
from kubeshark.pipeline.entries._display import NO_CELLS, representation_document
from kubeshark.pipeline.kfl import VARIABLES

__all__ = ["Contained", "why"]

MAX_PROBLEMS = 100  # kept until somebody takes them
MAX_CHARACTERS = 400  # of what a plugin raised

TYPES: Mapping[str, Any] = {
    "string": str,
    "int": int,
    "timestamp": int,
    "double": (float, int),
    "bool": bool,
    "bytes": (bytes, bytearray, memoryview),
    "list": (list, tuple),
    "map": Mapping,
}
ANY = (str, int, float, bytes, bytearray, memoryview, list, tuple, Mapping)
INT64 = 1 << 63

T = TypeVar("T")


class Nonsense(Exception):
    """An answer that is none."""


def why(error: BaseException) -> str:
    """Return what a plugin raised, in a line."""
    if isinstance(error, Nonsense | KubesharkError):
        text = str(error) if isinstance(error, Nonsense) else error.message
    else:
        try:
            said = str(error)
        except Exception:  # noqa: BLE001 (the text of an exception is the plugin's, too)
            said = ""
        text = f"raised {type(error).__name__}" + (f": {said}" if said else "")
    return "".join(char if char.isprintable() else " " for char in text[:MAX_CHARACTERS])


class Contained(Struct):
    """The hooks of Python plugins; `take_problems` says what went wrong in them."""

    _problems: dict[str, PluginError] = field(default_factory=dict)

    def take_problems(self) -> list[PluginError]:
        """Return what went wrong since the last time, at most MAX_PROBLEMS, each once."""
        problems, self._problems = self._problems, {}
        return list(problems.values())

    def note(self, plugin: str, hook: str, reason: str) -> PluginError:
        problem = PluginError(reason, plugin=plugin, hook=hook)
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.setdefault(str(problem), problem)
        return problem

    def hook(self, hook: str, plugin: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what the pipeline calls for a hook; one that is not asked about items stays as it is."""
        match hook:
            case "dissect":
                return _Batch(self, plugin, hook, call, "streams", partial(self._messages, plugin), lambda _: ())
            case "probe":
                return _Batch(self, plugin, hook, call, "streams", _verdict, lambda _: Verdict.NOT_MINE)
            case "filter":
                return _Batch(self, plugin, hook, call, "entries", _decision, lambda _: None)
            case "enrich":
                return _Enrich(self, plugin, hook, call, "entries", _enrichment, lambda said: Enrichment(failure=said))
            case "summarize":
                return partial(self._summarize, plugin, call)
            case "render":
                return partial(self._render, plugin, call)
        return call

    def own(self, hook: str, plugin: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what the pipeline calls for a hook of a built-in plugin."""
        match hook:
            case "dissect":
                return _Batch(self, plugin, hook, call, "streams", _believed, lambda _: ())
            case "probe":
                return _Batch(self, plugin, hook, call, "streams", _believed, lambda _: Verdict.NOT_MINE)
        return call

    def declared(self, hook: str, plugin: str, call: Callable[[], Any], kind: type[T]) -> list[T] | None:
        """Return what a plugin declares; None, and a problem, if that makes no sense."""
        try:
            said = call()
            specs = [said] if isinstance(said, kind) else list(said)
            for spec in specs:
                _check_spec(spec, kind)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (whatever it raises, the others go on)
            self.note(plugin, hook, why(error))
            return None
        return specs

    def _summarize(self, plugin: str, call: Callable[..., Any], entry: Any) -> Mapping[str, Any] | None:
        try:
            cells = call(entry=entry)
            return _cells(cells) if cells else None
        except (KeyboardInterrupt, Stop):
            raise
        except BaseException as error:  # noqa: BLE001 (another summarizer may know the entry)
            self.note(plugin, "summarize", why(error))
            return None

    def _render(self, plugin: str, call: Callable[..., Any], entry: Any) -> Representation | None:
        """PluginError where it fails: a section says so."""
        try:
            return _representation(call(entry=entry), plugin)
        except (KeyboardInterrupt, Stop):
            raise
        except BaseException as error:  # noqa: BLE001 (another renderer shows the entry)
            raise self.note(plugin, "render", why(error)) from None

    def _messages(self, plugin: str, said: Any, given: Mapping[str, Any], at: int) -> list[Message | Handover]:
        found, stream, declared = list(said), given["streams"][at], given["protocol"].variables
        lengths = [len(side.data) for side in stream.sides] or [len(each.data) for each in stream.datagrams]
        for each in found:
            if isinstance(each, Message):
                _check_message(each, lengths, declared, has_sides=bool(stream.sides))
                if each.detail is not None or not all(isinstance(value, str | int) for value in each.fields.values()):
                    each.detail = partial(self._detail, plugin, each.detail, each.fields, declared)
                if each.parts is not None:
                    each.parts = partial(self._parts, plugin, each.parts, lengths[each.direction])
            elif not isinstance(each, Handover):
                raise Nonsense(f"answered with {type(each).__name__}, which is no message")
            elif len(each.sides) != 2 or not isinstance(each.protocol, str):
                raise Nonsense("handed over what is no stream")
        return found

    def _detail(
        self, plugin: str, detail: Callable[[], Any] | None, fields: Mapping[str, Any], declared: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return variables and document; where that fails the document holds the fields."""
        if detail is not None:
            try:
                late, document = detail()
                _check_values(late, declared)
                return late, _plain(document)
            except (KeyboardInterrupt, Stop):
                raise
            except BaseException as error:  # noqa: BLE001 (the fields are there)
                self.note(plugin, "dissect", f"detail: {why(error)}")
        return {}, _plain(fields)

    def _parts(self, plugin: str, parts: Callable[[], Any], length: int) -> Sequence[tuple[int, str]]:
        try:
            return [(_within(int(offset), length), str(label)) for offset, label in parts()]
        except (KeyboardInterrupt, Stop):
            raise
        except BaseException as error:  # noqa: BLE001 (the message is there)
            self.note(plugin, "dissect", f"parts: {why(error)}")
            return ()


class _Batch(Struct):
    """A hook that is asked about many items at once: `check` returns an answer or raises, `lost` stands for one."""

    owner: Contained
    plugin: str
    hook: str
    call: Callable[..., Any]
    items: str  # the argument's name
    check: Callable[[Any, Mapping[str, Any], int], Any]  # answer, arguments, place
    lost: Callable[[str], Any]

    def __call__(self, **given: Any) -> list[Any]:
        items = given[self.items]
        try:
            answers = _as_many(list(self.call(**given)), items)
            return [self.check(answer, given, at) for at, answer in enumerate(answers)]
        except (KeyboardInterrupt, Stop):
            raise
        except BaseException as error:  # noqa: BLE001 (whatever it raises, the others go on)
            if len(items) == 1:
                return [self.fail(error)]
        return [answer for item in items for answer in self(**{**given, self.items: [item]})]

    def fail(self, error: BaseException) -> Any:
        reason = why(error)
        self.owner.note(self.plugin, self.hook, reason)
        return self.lost(reason)


class _Enrich(_Batch):
    """The stage itself tells failures, and shows them in the entry: not with a text that may hold what it hides."""

    def fail(self, error: BaseException) -> Any:
        is_ours = isinstance(error, Nonsense | PluginError)
        return self.lost(why(error) if is_ours else f"raised {type(error).__name__}")


def _believed(answer: Any, _given: Mapping[str, Any], _at: int) -> Any:
    return answer


def _as_many(answers: list[Any], items: Sequence[Any]) -> list[Any]:
    if len(answers) != len(items):
        raise Nonsense(f"answered for {len(answers)} of {len(items)}")
    return answers


def _plain(document: Any) -> dict[str, Any]:
    """Return a document that every printer can print."""
    plain = msgspec.to_builtins(document, str_keys=True)
    if not isinstance(plain, dict):
        raise Nonsense(f"answered with {type(document).__name__} in place of a document")
    return plain


def _within(offset: int, length: int) -> int:
    if not 0 <= offset < length:
        raise Nonsense(f"answered with offset {offset}, outside of the stream")
    return offset


def _check_spec(spec: Any, kind: type[Any]) -> None:
    if not isinstance(spec, kind):
        raise Nonsense(f"answered with {type(spec).__name__} in place of {kind.__name__}")
    told = msgspec.to_builtins(spec)
    try:
        msgspec.convert(told.pop("variables", {}), dict[str, str])  # their types are KFL's business
        msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise Nonsense(f"declares what is no {kind.__name__}: {error}") from None


def _check_message(message: Message, lengths: Sequence[int], declared: Mapping[str, str], *, has_sides: bool) -> None:
    if not isinstance(message.kind, MessageKind) or message.direction not in (0, 1):
        raise Nonsense(f"answered with a message of kind {message.kind!r}, direction {message.direction!r}")
    place = message.direction if has_sides else message.datagram
    if not (0 <= place < len(lengths) and 0 <= message.start <= message.end <= lengths[place]):
        raise Nonsense(f"answered with a message at {message.start}:{message.end}, outside of its bytes")
    texts = (message.key, message.error, message.protocol)
    if not all(isinstance(text, str) for text in texts) or not isinstance(message.interleaved, int):
        raise Nonsense("answered with a message whose key, error or protocol is no text")
    _check_values(message.fields, declared)


def _check_values(values: Any, declared: Mapping[str, str]) -> None:
    if not isinstance(values, Mapping):
        raise Nonsense(f"answered with {type(values).__name__} in place of variables")
    for name, value in values.items():
        kind = declared.get(name) or (VARIABLES[name].type if name in VARIABLES else "")
        fits = isinstance(value, TYPES.get(kind, ANY))
        if fits and isinstance(value, int):
            fits = -INT64 <= value < INT64
        elif fits and isinstance(value, list | tuple):
            fits = all(isinstance(each, str) for each in value)
        elif fits and isinstance(value, Mapping):
            fits = all(isinstance(key, str) and isinstance(each, str) for key, each in value.items())
        if not fits:
            raise Nonsense(f"sets {name!s:.80} to what is no {kind or 'value'}")


def _verdict(said: Any, _given: Mapping[str, Any], _at: int) -> Verdict:
    if not isinstance(said, Verdict):
        raise Nonsense(f"answered with {type(said).__name__}, which is no verdict")
    return said


def _decision(said: Any, _given: Mapping[str, Any], _at: int) -> bool | None:
    if not (said is None or isinstance(said, bool)):
        raise Nonsense(f"answered with {type(said).__name__}, which is neither True nor False")
    return said


def _enrichment(said: Any, _given: Mapping[str, Any], _at: int) -> Enrichment | None:
    if said is None:
        return None
    if not isinstance(said, Enrichment):
        raise Nonsense(f"answered with {type(said).__name__}, which is no enrichment")
    _check_values(said.variables, {})
    if not all(isinstance(tag, str) for tag in said.tags):
        raise Nonsense("answered with a tag that is no text")
    for each in said.redactions:
        texts = (each.path, each.text, each.value) if isinstance(each, Redaction) else (None,)
        if not all(isinstance(text, str) for text in texts) or bool(each.path) == bool(each.text):
            raise Nonsense("answered with a redaction that has not one of path and text")
    return said


def _cells(said: Any) -> Mapping[str, Any]:
    """Return the cells of a row, with those that are not set."""
    if not isinstance(said, Mapping) or said.keys() - NO_CELLS.keys():
        raise Nonsense(f"answered with what are no cells: they are {', '.join(NO_CELLS)}")
    cells = {**NO_CELLS, **said}
    if wrong := [name for name, value in cells.items() if not isinstance(value, type(NO_CELLS[name]))]:
        raise Nonsense(f"answered with {type(cells[wrong[0]]).__name__} as {wrong[0]}")
    return cells


def _representation(said: Any, plugin: str) -> Representation | None:
    if said is None:
        return None
    if not isinstance(said, Representation) or not isinstance(said.priority, int):
        raise Nonsense(f"answered with {type(said).__name__}, which is no representation")
    from kubeshark.extension_api._representation import RepresentationError, parse_representation

    try:
        parse_representation(json_text(representation_document(said)).encode(), plugin)
    except RepresentationError as error:
        raise Nonsense(error.message) from None
    return said
