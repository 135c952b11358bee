"""The web side: a JSON API over a store, a WebSocket for results, and a page that uses both.

Loaded on first use: what makes a token needs no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeshark.hub._app import create_app as create_app
    from kubeshark.hub._server import serve as serve
    from kubeshark.hub.access._tokens import Tokens as Tokens

__all__ = ["Tokens", "create_app", "serve"]

_MODULES = {"Tokens": "access._tokens", "create_app": "_app", "serve": "_server"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
