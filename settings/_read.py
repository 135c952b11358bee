"""Turns a file into values of keys, guided by the types of the model; every refusal says line and column.

1. What the model does not know is a warning with line and nearest name; what looks like a key to something is refused.
2. A text is what was written, quoted or not; sizes and durations keep their look.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from typing import Any, Literal, get_args, get_origin

import msgspec

from kubeshark._document import SHOWN, Listing, Mapping, Node, Scalar
from kubeshark.settings._ignored import has_no_effect
from kubeshark.settings._keys import is_part, keys, plain_type
from kubeshark.settings._model import Settings
from kubeshark.settings._values import Duration, Size, parse_duration, parse_size

__all__ = ["Found", "nearest", "read_file", "read_value"]

MOST_ITEMS = 10_000
MOST_LENGTH = 16_384  # characters of a value

NAMES_A_SECRET = re.compile(
    r"(?i)(secret|access|account|storage|api|private|shared)_?key$|passw(or)?d$|token$|credentials?"
)
IS_A_SECRET = re.compile(
    r"AGE-SECRET-KEY-1|-----BEGIN [A-Z ]*PRIVATE KEY|\b(AKIA|ASIA)[0-9A-Z]{16}\b|://[^/@\s]*:[^/@\s]+@"
)
SECRETS_HINT = "secrets do not belong in this file: name a Kubernetes Secret or a file, or use the environment"
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")

Found = dict[str, tuple[Any, int]]
"""Key path → its value and the line it stands in."""


def read_file(node: Node) -> tuple[Found, list[str]]:
    """Return what a document sets, and warnings, one a line; raise DocumentError."""
    found: Found = {}
    warnings: list[str] = []
    _read_part(Settings, node, "", found, warnings)
    return found, warnings


def _read_part(part: type[msgspec.Struct], node: Node, prefix: str, found: Found, warnings: list[str]) -> None:
    if _is_nothing(node):
        return
    if not isinstance(node, Mapping):
        raise node.place.error(f"must be a mapping, this is {_said(node)}", path=prefix.removesuffix("."))
    fields = {field.encode_name: field for field in msgspec.structs.fields(part)}
    for name, value in node.fields:
        path = f"{prefix}{name.text[:SHOWN]}"
        field = fields.get(name.text)
        if field is None:
            _refuse_secret(name.text, value, path)
            where = f"{name.place.file}:{name.place.line}: {path}"
            if has_no_effect(path):
                warnings.append(f"{where} has no effect here")
            else:
                near = nearest(path)
                warnings.append(f"{where} is unknown and ignored" + (f": did you mean {near}?" if near else ""))
        elif is_part(field.type):
            _read_part(field.type, value, f"{path}.", found, warnings)
        elif not _is_nothing(value):
            found[path] = read_value(field.type, value, path), name.place.line


def read_value(kind: Any, node: Node, path: str) -> Any:
    """Return the value of a type that a node holds; raise DocumentError."""
    kind, limits = plain_type(kind)
    origin = get_origin(kind)
    if is_part(kind):
        return _read_item(kind, node, path)
    if origin is tuple:
        return _read_list(get_args(kind)[0], node, path)
    if origin is MappingType:
        return _read_map(get_args(kind)[1], node, path)
    if kind is Any:
        return _read_any(node, path)
    if not isinstance(node, Scalar):
        raise node.place.error(f"must be a single value, this is {_said(node)}", path=path)
    value = _read_scalar(kind, limits, node, path)
    _check_text(node, path)
    return value


def _read_item(part: Any, node: Node, path: str) -> Any:
    """Read one of a list of parts: unlike the file's, its fields are all known, and some must be there."""
    if not isinstance(node, Mapping):
        raise node.place.error(f"must be a mapping, this is {_said(node)}", path=path)
    fields = {field.encode_name: field for field in msgspec.structs.fields(part)}
    given = {}
    for name, value in node.fields:
        if name.text not in fields:
            near = difflib.get_close_matches(name.text[:SHOWN], fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(fields)}"
            raise name.place.error("unknown field", path=f"{path}.{name.text[:SHOWN]}", hint=hint)
        field = fields[name.text]
        given[field.name] = read_value(field.type, value, f"{path}.{name.text}")
    for field in fields.values():
        if field.required and field.name not in given:
            raise node.place.error(f"{field.encode_name} is missing", path=path)
    return part(**given)


def _read_list(item: Any, node: Node, path: str) -> tuple[Any, ...]:
    if not isinstance(node, Listing):
        raise node.place.error(f"must be a list, this is {_said(node)}", path=path, hint="write [a, b]")
    if len(node.items) > MOST_ITEMS:
        raise node.place.error(f"{len(node.items):,} items, at most {MOST_ITEMS:,}", path=path)
    return tuple(read_value(item, each, f"{path}[{index}]") for index, each in enumerate(node.items))


def _read_map(item: Any, node: Node, path: str) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise node.place.error(f"must be a mapping, this is {_said(node)}", path=path, hint="write {name: value}")
    return {name.text: read_value(item, value, f"{path}.{name.text[:SHOWN]}") for name, value in node.fields}


def _read_any(node: Node, path: str) -> Any:
    """Read what Kubernetes is to read: plain numbers, booleans and null are what YAML 1.2 says."""
    if isinstance(node, Listing):
        return [_read_any(item, path) for item in node.items]
    if isinstance(node, Mapping):
        return {name.text: _read_any(value, f"{path}.{name.text[:SHOWN]}") for name, value in node.fields}
    _check_text(node, path)
    if node.is_quoted:
        return node.text
    if node.text in ("", "~", "null"):
        return None
    if node.text in ("true", "false"):
        return node.text == "true"
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", node.text, re.ASCII):
        return int(node.text)
    return node.text


def _read_scalar(kind: Any, limits: msgspec.Meta, node: Scalar, path: str) -> Any:
    text = node.text
    if len(text) > MOST_LENGTH:
        raise node.place.error(f"{len(text):,} characters, at most {MOST_LENGTH:,}", path=path)
    if kind is str:
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise node.place.error(f"{_short(text)} is not true or false", path=path)
        return text == "true"
    if kind is int:
        return _read_number(limits, node, path)
    if get_origin(kind) is Literal:
        values = get_args(kind)
        if text not in values:
            shown = ", ".join(each or '""' for each in values)
            raise node.place.error(f"{_short(text)} is none of {shown}", path=path)
        return text
    parse: Callable[[str], float] = parse_size if kind is Size else parse_duration
    try:
        parse(text)
    except ValueError as error:
        raise node.place.error(str(error), path=path) from None
    return Size(text) if kind is Size else Duration(text)


def _read_number(limits: msgspec.Meta, node: Scalar, path: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", node.text, re.ASCII):
        raise node.place.error(f"{_short(node.text)} is no whole number", path=path)
    value = int(node.text)
    low, high = limits.ge, limits.le
    if (low is not None and value < low) or (high is not None and value > high):
        raise node.place.error(f"{value} is not in {low}..{high}", path=path)
    return value


def _check_text(node: Scalar, path: str) -> None:
    """Refuse what is a secret, and what can only be a mistake."""
    if IS_A_SECRET.search(node.text):
        raise node.place.error("this is a secret", path=path, hint=SECRETS_HINT)
    if path.startswith("store.recipients[") and not RECIPIENT.fullmatch(node.text):
        raise node.place.error(
            f"{_short(node.text)} is no recipient", path=path, hint='"kubeshark keys list" shows yours: age1…'
        )
    names_secret = path.startswith(("tap.snapshots.cloud.secrets[", "tap.secrets[", "tap.docker.imagePullSecrets["))
    if names_secret and not OBJECT_NAME.fullmatch(node.text):
        raise node.place.error("this is no name of a Secret", path=path, hint=SECRETS_HINT)


def _refuse_secret(name: str, value: Node, path: str) -> None:
    if isinstance(value, Scalar) and not _is_nothing(value) and NAMES_A_SECRET.search(name) and not has_no_effect(path):
        raise value.place.error("keys and passwords are refused here", path=path, hint=SECRETS_HINT)


def nearest(path: str) -> str:
    """Return the known key that looks most like this one, "" if none does."""
    known = list(keys())
    near = difflib.get_close_matches(path, known, 1, 0.75)
    if not near:  # a right name in a wrong place
        last = path.rsplit(".", 1)[-1].lower()
        near = [each for each in known if each.rsplit(".", 1)[-1].lower() == last][:1]
    return near[0] if near else ""


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.is_quoted and node.text in ("", "~", "null")


def _said(node: Node) -> str:
    """Return what stands where something else should; of a text that is a secret not the text."""
    if isinstance(node, Scalar):
        return "a secret" if IS_A_SECRET.search(node.text) else _short(node.text) if node.text else "empty"
    return "a list" if isinstance(node, Listing) else "a mapping"


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
