from __future__ import annotations

from tests.core_capture.live.conftest import sender

__all__ = ["sender"]
