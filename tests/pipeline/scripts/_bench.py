"""Runs scripts of the suite over made-up entries, and says what they said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from kubeshark.pipeline import Entry
from kubeshark.pipeline.kfl import VARIABLES
from kubeshark.pipeline.scripts import Script, Scripts, ScriptsConfig
from kubeshark.pipeline.scripts._isolate import Role
from kubeshark.pipeline.scripts._kfl import DocumentVariables
from kubeshark.pipeline.scripts._script import title_of

__all__ = ["SUITE", "dns", "entry", "http", "loaded", "said", "script", "tcp"]

SUITE = Path(__file__).parent / "suite"
_numbers = iter(range(1, 1_000_000))


def script(name: str, **grants: Sequence[str]) -> Script:
    """Return a script of the suite, by the beginning of its file's name."""
    path = next(path for path in SUITE.glob("*.js") if path.name.startswith(name))
    text = path.read_text("utf-8")
    return Script(f"s{path.stem.replace('_', '-')}", title_of(text, path.name), path.name, text, grants)


def loaded(
    tmp_path: Path,
    *scripts: Script,
    roles: Sequence[Role] = ("worker",),
    **config: Any,
) -> Scripts:
    """Return started scripts, whose jobs and timers run only when told."""
    return Scripts(scripts, ScriptsConfig(**config), roles=roles, folder=tmp_path / "data").start(clock=False)


def said(scripts: Scripts, role: str = "", level: str = "") -> list[str]:
    """Return the console's lines."""
    lines = scripts.console.lines()
    return [line.text for line in lines if role in ("", line.role) and level in ("", line.level)]


def entry(document: Mapping[str, Any]) -> Entry:
    """Stand in for an entry: as much of one as scripts get."""
    facts = SimpleNamespace(stream=document["stream"], parts=())
    made = SimpleNamespace(
        facts=facts,
        start_ns=1_700_000_000_000_000_000,
        variables=DocumentVariables(document, VARIABLES),
        to_dict=lambda: document,
    )
    return cast(Entry, made)


def _document(protocol: str, **keys: Any) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "id": f"seg-{number}-0",
        "stream": f"{number:016x}",
        "protocol": {"name": protocol, "abbr": protocol.upper(), "macro": protocol},
        "tls": False,
        "src": {"ip": "10.0.0.1", "port": "50000", "name": "cart", "namespace": "shop", "processName": "", "pod": None},
        "dst": {"ip": "10.0.0.2", "port": "80", "name": "stock", "namespace": "shop", "processName": "", "pod": None},
        "timestamp": 1_700_000_000_000,
        "elapsedTime": 5,
        "passed": False,
        "failed": False,
        "error": None,
        "entryFile": f"{number:016x}-0_entry.json",
        **keys,
    }


def http(status: int | None = 200, path: str = "/", **keys: Any) -> dict[str, Any]:
    """An HTTP exchange; a half one if there is no status."""
    request = {"method": "GET", "url": path, "path": path, "httpVersion": "HTTP/1.1", "headers": {"Host": "stock:80"}}
    response = None if status is None else {"status": status, "statusText": "", "headers": {}, "content": {"size": 0}}
    error = {"type": "pair-not-found", "msg": "no response"} if status is None else None
    return _document("http", request=request, response=response, error=error, **keys)


def dns(name: str, **keys: Any) -> dict[str, Any]:
    request = {"opCode": "Query", "questions": [{"name": name, "type": "A", "class": "IN"}]}
    return _document("dns", request=request, response={"code": "No Error", "rcode": 0, "answers": []}, **keys)


def tcp(payload: str) -> dict[str, Any]:
    import base64

    data = {"payload": payload, "payloadBase64": base64.b64encode(payload.encode()).decode(), "size": len(payload)}
    return _document("tcp", request=None, response=None, data=data)
