"""What a user probably meant: wording and hints for CEL's findings (rule 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from kubeshark.pipeline.kfl._lexer import Token, significant
from kubeshark.pipeline.kfl._signatures import STANDARD_FUNCTIONS, Signature
from kubeshark.pipeline.kfl._v1_paths import new_name
from kubeshark.pipeline.kfl._variables import Variables

__all__ = ["explain", "nearest"]

MAX_NAME = 64
"""Longest name that is compared with others: similarity costs the product of the lengths."""

_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_SPELLINGS = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "#": "//", "nil": "null"}
_OPERATORS = {"@in": "in", "_[_]": "[]", "_?_:_": "? :", "!_": "!", "-_": "-"}


def explain(
    finding: str, text: str, offset: int, variables: Variables, signatures: Iterable[Signature]
) -> tuple[str, str, int]:
    """Return (message, hint, how far before `offset` the caret belongs as a negative number)."""
    found = significant(text)
    if undeclared := _UNDECLARED.search(finding):
        return _undeclared(undeclared[1], text, offset, variables, signatures)
    if overload := _OVERLOAD.search(finding):
        return _mismatch(overload[1], overload[2].split(", "), found, offset)
    if finding.startswith("Syntax error"):
        return _syntax(finding, found, text)
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
    is_call = text[offset : offset + 1] == "(" or text[offset + len(name) :].lstrip()[:1] == "("
    known: set[str] = (
        {*STANDARD_FUNCTIONS, *(signature.name for signature in signatures)} if is_call else set(variables)
    )
    meant = new_name(name) or nearest(name, known)
    if not meant and not is_call and (below := variables.below(name)):
        return f"{name} is not a variable itself", f"did you mean {below[0].name}?", _back(name, text, offset)
    what = "function" if is_call else "variable"
    return f"unknown {what} {name}", f"did you mean {meant}?" if meant else "", _back(name, text, offset)


def _back(name: str, text: str, offset: int) -> int:
    """CEL points at the last dot of a dotted name, and behind a function's name: go to where the name begins."""
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
    return f"{shown}{method} does not work on {', '.join(types)}", hint, 0


def _literal_hint(types: list[str], sides: list[Token]) -> str:
    literal = next((token for token in sides if token.kind in ("string", "number")), None)
    if literal is None:
        return ""
    if literal.kind == "string" and "int" in types:
        bare = literal.text.strip("\"'")
        return f"write {bare} without quotes" if re.fullmatch(r"-?\d+", bare) else ""
    return f'write "{literal.text}" in quotes' if "string" in types else ""


def _syntax(finding: str, found: list[Token], text: str) -> tuple[str, str, int]:
    for token in found:
        if token.text in _SPELLINGS and token.kind in ("name", "other"):
            return "not KFL", f"write {_SPELLINGS[token.text]} for {token.text}", 0
    if "<EOF>" in finding and "mismatched" in finding:
        return ("the filter ends too early" if text.strip() else "the filter is empty"), "", 0
    short = finding.removeprefix("Syntax error: ").partition(" expecting ")[0]
    return short.replace("mismatched input", "unexpected").replace("extraneous input", "unexpected"), "", 0
