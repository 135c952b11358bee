"""The agent of one node: it keeps a store whose contents it cannot read, and hands out byte ranges of it to the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.worker._server import WorkerOptions as WorkerOptions
    from kubeshark.worker._server import run_worker as run_worker

__all__ = ["WorkerOptions", "run_worker"]

if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, {"_server": "WorkerOptions run_worker"})
