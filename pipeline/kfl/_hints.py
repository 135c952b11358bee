"""What a user probably meant: wording and hints for CEL's findings (rule 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from kubeshark.pipeline.kfl._ast import Type
from kubeshark.pipeline.kfl._lexer import Token, significant
from kubeshark.pipeline.kfl._network import address
from kubeshark.pipeline.kfl._signatures import CALLS, STANDARD_FUNCTIONS, Signature
from kubeshark.pipeline.kfl._v1_paths import new_name
from kubeshark.pipeline.kfl._variables import Variables

__all__ = ["explain", "nearest"]

MAX_NAME = 64
"""Longest name that is compared with others: similarity costs the product of the lengths."""

_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_SPELLINGS = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "#": "//", "nil": "null"}
_SPELLINGS |= {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_METHODS = {"contains": "contains", "matches": "matches", "like": "contains", "startswith": "startsWith"}
_METHODS |= {"starts": "startsWith", "endswith": "endsWith", "ends": "endsWith", "~": "matches"}
"""Words that stand between a text and a text elsewhere → what does it here."""

_OPERATORS = {"@in": "in", "_[_]": "[]", "_?_:_": "? :", "!_": "!", "-_": "-"}
_WELL_KNOWN = "google.protobuf."  # how CEL calls timestamp and duration
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?(Z|[-+]\d\d:\d\d)?)?", re.ASCII)
_ADDRESS = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?", re.ASCII
)


def explain(
    finding: str, text: str, offset: int, variables: Variables, signatures: Iterable[Signature]
) -> tuple[str, str, int]:
    """Return (message, hint, how far before `offset` the caret belongs as a negative number)."""
    found = significant(text)
    if undeclared := _UNDECLARED.search(finding):
        return _undeclared(undeclared[1], text, offset, variables, signatures)
    if overload := _OVERLOAD.search(finding):
        return _mismatch(overload[1], overload[2].replace(_WELL_KNOWN, "").lower().split(", "), found, offset)
    if finding.startswith("Syntax error"):
        return _syntax(finding, found, text, offset)
    return finding, "", 0


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name a user may have meant, or "": other case, other separators, or a slip of the fingers."""
    by_form: dict[str, str] = {}
    for candidate in known:
        by_form.setdefault(_form(candidate), candidate)
    form = _form(name)
    if form in by_form:
        return by_form[form]
    if len(form) > MAX_NAME:
        return ""
    close = get_close_matches(form, by_form, n=1, cutoff=0.75)
    return by_form[close[0]] if close else ""


def _form(name: str) -> str:
    return re.sub(r"[._]", "", name).lower()


def _undeclared(
    name: str, text: str, offset: int, variables: Variables, signatures: Iterable[Signature]
) -> tuple[str, str, int]:
    back = _back(name, text, offset)
    is_call = text[offset + back + len(name) :].lstrip()[:1] == "("
    own = {signature.name: signature for signature in signatures}
    if is_call and (name in own or name in STANDARD_FUNCTIONS):
        return f"wrong arguments for {name}()", f"write {CALLS.get(name) or _call(own[name])}", back
    known = {*STANDARD_FUNCTIONS, *own} if is_call else set(variables)
    what = "function" if is_call else "variable"
    meant = new_name(name) or nearest(name, known)
    if meant or is_call:
        return f"unknown {what} {name}", f"did you mean {meant}?" if meant else "", back
    if below := variables.below(name):
        return f"{name} is not a variable itself", f"did you mean {below[0].name}?", back
    beside = [variable.name for variable in variables.below(name.rpartition(".")[0])]
    close = get_close_matches(name[:MAX_NAME], beside, n=1)
    return f"unknown {what} {name}", f"did you mean {close[0]}?" if close else "", back


def _call(signature: Signature) -> str:
    """Return how a plugin's filter is called."""
    return f"{signature.name}({', '.join(_word(kind) for kind in signature.parameters)})"


def _word(kind: Type) -> str:
    return '"text"' if kind.name == "string" else kind.name


def _back(name: str, text: str, offset: int) -> int:
    """CEL points at the last dot of a dotted name, behind a function's name, before has()'s: go to where it begins."""
    if text[offset : offset + 1] == "(" and not text[:offset].rstrip().endswith(name.rpartition(".")[2]):
        return max(text.find(name, offset) - offset, 0)
    start = text.rfind(name.split(".")[0], 0, offset + len(name))
    return start - offset if 0 <= offset - start <= len(name) + 1 else 0


def _mismatch(operator: str, types: list[str], found: list[Token], offset: int) -> tuple[str, str, int]:
    shown = _OPERATORS.get(operator, operator.strip("_"))
    hint = ""
    if operator in ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_") and len(types) == 2:
        at = next((i for i, token in enumerate(found) if token.start == offset), None)
        sides = [] if at is None else [*found[max(0, at - 1) : at], *found[at + 1 : at + 2]]
        hint = _literal_hint(types, sides)
        return f"{types[0]} cannot be compared with {types[1]} by {shown}", hint, 0
    if len(types) == 1:
        return f"{shown} does not work on {types[0]}", "", 0
    if operator in ("_&&_", "_||_"):
        wrong = next((kind for kind in types if kind != "bool"), types[0])
        return f"{shown} joins conditions, not {wrong}", "", 0
    method = "" if operator.startswith(("_", "@")) else "()"
    hint = f"write {CALLS[operator]}" if operator in CALLS else ""
    return f"{shown}{method} does not work on {', '.join(types)}", hint, 0


def _literal_hint(types: list[str], sides: list[Token]) -> str:
    """Say how the literal beside an operator is written, where it is that which has another type."""
    strings = [token.text for token in sides if token.kind == "string"]
    if "bytes" in types and "string" in types:
        return _bytes_hint(strings)
    for text in strings:
        bare = text.strip("\"'")
        if "timestamp" in types:
            return f'write timestamp("{_date(bare)}")'
        if "duration" in types:
            return f"write duration({text})"
        if "int" in types:
            return f"write {bare} without quotes" if re.fullmatch(r"-?\d+", bare) else ""
    number = next((token.text for token in sides if token.kind == "number"), "")
    return f'write "{number}" in quotes' if number and "string" in types else ""


def _bytes_hint(strings: list[str]) -> str:
    """Bytes and a string met: one literal of them becomes what the other is."""
    plain = next((text for text in strings if text[0] in "\"'"), "")
    if plain:
        return f"write b{plain}"
    return f"write {strings[0].lstrip('bB')}" if strings else "write string(…) for the bytes"


def _date(text: str) -> str:
    """Return a time in RFC 3339: that of a text which is nearly one, else an example."""
    found = _DATE.fullmatch(text)
    if found is None:
        return "2026-01-01T00:00:00Z"
    day, minute, second, zone = found.groups("")
    return f"{day}T{minute or '00:00'}{second or ':00'}{zone or 'Z'}"


def _syntax(finding: str, found: list[Token], text: str, offset: int) -> tuple[str, str, int]:
    at = next((i for i, token in enumerate(found) if token.end > offset), len(found))
    near = found[max(0, at - 1) : at + 1][::-1]  # what is refused, else what stands before it
    for token in (*near, *found):
        spelling = _SPELLINGS.get(token.text.lower())
        if spelling and token.kind in ("name", "other"):
            return "not KFL", f"write {spelling} for {token.text}", token.start - offset
    for place in _ADDRESS.finditer(text):
        if place.start() <= offset <= place.end() and address(place[0].partition("/")[0]):
            what = f'inCidr("{place[0]}")' if "/" in place[0] else f'"{place[0]}" in quotes'
            return "an address is a string", f"write {what}", place.start() - offset
    if near and (method := _METHODS.get(near[0].text.lower())):
        word = found.index(near[0])
        argument = next((token.text for token in found[word + 1 : word + 3] if token.kind == "string"), '"…"')
        return "not KFL", f"write {_operand(found[:word]) or 'url'}.{method}({argument})", near[0].start - offset
    if "input '<EOF>'" in finding:
        return ("the filter ends too early" if text.strip() else "the filter is empty"), "", 0
    short = finding.removeprefix("Syntax error: ").partition(" expecting ")[0]
    joins = "expecting <EOF>" in finding and near and near[0].kind == "name"
    hint = "write && or || between conditions" if joins else ""
    return short.replace("mismatched input", "unexpected").replace("extraneous input", "unexpected"), hint, 0


def _operand(before: list[Token]) -> str:
    """Return the name, dots and all, that ends these tokens."""
    words: list[str] = []
    for token in reversed(before):
        if token.text != "." and token.kind != "name":
            break
        words.append(token.text)
    return "".join(reversed(words))
