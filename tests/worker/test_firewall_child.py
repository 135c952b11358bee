"""The process that enforces for a worker takes what a hub signed for this node, and ends with the worker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import KubesharkError
from kubeshark.firewall.enforcement._agent import ask
from kubeshark.firewall.sets._set import PolicySet, set_to
from kubeshark.firewall.sets._signed import seal
from kubeshark.worker._status import FirewallOrder

WITHIN_S = 60


def test_only_what_a_hub_signed_for_this_node(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    hub, folder = TlsFiles.in_folder(tmp_path / "pki/hub"), tmp_path / "run"
    order = FirewallOrder(
        os.getpid(), str(folder), "node-1", "open", str(tmp_path / "pki/node-1/ca.crt"), ["kubeshark-hub"], 8898
    )
    child = subprocess.Popen([sys.executable, "-m", "kubeshark.worker._firewall_child"], stdin=subprocess.PIPE)
    try:
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(order))
        child.stdin.close()
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                ask({"do": "ping"}, folder=folder)
                break
            except KubesharkError:
                assert child.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)

        def put(given: dict[str, Any]) -> dict[str, Any]:
            return ask({"do": "put", **given}, folder=folder)

        document = set_to(PolicySet(1, 1, (), ()))
        with pytest.raises(KubesharkError, match="a hub says what is enforced"):
            put({"set": document})
        with pytest.raises(KubesharkError, match="is for 'node-2'"):
            put({"envelope": seal({**document, "node": "node-2"}, hub)})
        with pytest.raises(KubesharkError, match="no hub of this cluster"):
            put({"envelope": {**seal({**document, "node": "node-1"}, hub), "signature": "AAAA"}})
        assert put({"envelope": seal({**document, "node": "node-1"}, hub)})["status"]["issue"] == 1
        with pytest.raises(KubesharkError, match="a later set is enforced: issue 1"):
            put({"envelope": seal({**document, "node": "node-1", "issue": 0}, hub)})
    finally:
        child.terminate()
        child.wait(WITHIN_S)
