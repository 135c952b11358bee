"""The one error that says nothing about a file: whoever has it does not answer."""

from __future__ import annotations

from kubeshark.errors import Damaged

__all__ = ["Away"]


class Away(Damaged):
    """The machine that has the files does not answer, or refuses us: nothing is known to be wrong with them."""

    def __init__(self, where: str, why: str, *, hint: str = "") -> None:
        super().__init__("", file=where, hint=hint)
        self.message = f"{where}: {why}"
        self.args = (f"{self.message}: {hint}" if hint else self.message,)
