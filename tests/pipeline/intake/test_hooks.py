"""Where there are no plugins, packets go into a store as they came, and nothing of plugins is loaded."""

from __future__ import annotations

import subprocess
import sys

from kubeshark.pipeline.intake._hooks import hooks_of
from tests.core_capture.store._bench import batch, record, udp


def test_without_plugins_everything_is_kept() -> None:
    given = batch([record(udp("10.0.0.1", 1, "10.0.0.2", 2), 10**9)])
    with hooks_of(None, "store") as hooks:
        assert hooks.apply(given) is given
        assert (hooks.dropped, hooks.filters_packets, hooks.problems()) == (0, False, [])


def test_what_captures_for_a_worker_loads_nothing_that_dissects() -> None:
    script = "import sys, kubeshark.worker._capture_child; print(*sorted(sys.modules), sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "kubeshark.pipeline.intake._capture" in loaded
    unwanted = ("kubeshark.pipeline.tls", "kubeshark.pipeline.dissectors", "kubeshark.hosts", "kubeshark.extension_api")
    assert not [module for module in loaded if module.startswith(unwanted)]
