"""The web side: a JSON API over a store and a page that uses it."""

from kubeshark.hub._app import create_app
from kubeshark.hub._server import serve

__all__ = ["create_app", "serve"]
