"""What every check says: of a cluster, of this machine, of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what was looked at, how it is, and what to do about it."""

    name: str
    state: Literal["ok", "warn", "fail"]
    said: str
    remedy: str = ""
