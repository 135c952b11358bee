"""The command `kubeshark`: one module a command, loaded when it is called."""

from kubeshark.cli._main import command, main

__all__ = ["command", "main"]
