from __future__ import annotations

import pytest

from kubeshark.pipeline.scripts import _commands, _isolate, _runtime

PATIENT_S = 10.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of hooks have a hundred times the time they are allowed: a slow machine needs more of it for the same."""
    for module in (_commands, _isolate, _runtime):
        monkeypatch.setattr(module, "HOOK_S", PATIENT_S)
