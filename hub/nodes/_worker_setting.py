"""A worker as the hub's settings name it."""

from __future__ import annotations

import msgspec

__all__ = ["WorkerSetting"]


class WorkerSetting(msgspec.Struct, frozen=True):
    """A worker that is queried. `tls`: a folder with tls.crt, tls.key and ca.crt; "": the files `serve` was given."""

    url: str
    tls: str = ""
