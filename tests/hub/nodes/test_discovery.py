"""Workers found by a name: a real worker behind one, by its address, with a certificate that says another name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kubeshark._certificates import make_pair
from kubeshark.core_capture.store import Identity, TlsFiles
from kubeshark.errors import UsageError
from kubeshark.hub.nodes import _discovery
from kubeshark.hub.nodes._discovery import Discovery, addresses, parse
from kubeshark.hub.nodes._workers import Workers
from kubeshark.pipeline import Pipeline
from tests.worker._cluster import in_thread, make_store


def files(folder: Path, given: dict[str, bytes], peer: str = "") -> TlsFiles:
    folder.mkdir()
    for name, pem in given.items():
        (folder / name).write_bytes(pem)
    lying = TlsFiles.in_folder(folder)
    return TlsFiles(lying.certificate, lying.key, lying.authority, peer)


def test_a_worker_is_asked_by_its_address(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity.generate()
    store = make_store(tmp_path / "node", root / "examples" / "captures" / "sample.pcapng", identity)
    pair = make_pair("kubeshark-worker")
    hub = files(tmp_path / "hub-tls", pair.hub, "kubeshark-worker")
    said: list[str] = []
    with (
        in_thread(store, files(tmp_path / "worker-tls", pair.worker)) as running,
        Pipeline.open(tmp_path / "hub", create=True, identities=[identity], workers=(), tls=hub) as pipeline,
    ):
        told: list[list[str]] = []
        workers = Workers(pipeline.store, lambda there: told.append(list(there)))
        found = Discovery(workers, f"workers.example.test:{running.port}", said.append)
        answers: list[list[str] | OSError] = [[f"https://127.0.0.1:{running.port}"]]

        def look_up(*_: object) -> list[str]:
            if isinstance(answers[0], OSError):
                raise answers[0]
            return answers[0]

        monkeypatch.setattr(_discovery, "addresses", look_up)
        found.look()
        assert [row.url for row in workers.rows()] == [f"https://127.0.0.1:{running.port}"]
        assert len(list(pipeline.query("dns"))) > 0
        answers[0] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        found.look()
        found.look()
        assert len(workers.rows()) == 1, "a name server that fails takes no worker away"
        assert said == ["workers of workers.example.test: cannot be looked up: Temporary failure in name resolution"]
        answers[0] = []
        found.look()
        assert workers.rows() == []
        assert told == [[f"https://127.0.0.1:{running.port}"], []], "the firewall follows who is there"


def test_addresses_are_urls() -> None:
    assert addresses("127.0.0.1", 8897) == ["https://127.0.0.1:8897"]
    assert addresses("::1", 8897) == ["https://[::1]:8897"]


@pytest.mark.parametrize("text", ["", "name", "name:0", "name:99999", "na me:1", "-a:1"])
def test_what_names_no_workers(text: str) -> None:
    with pytest.raises(UsageError, match="names no workers"):
        parse(text)
