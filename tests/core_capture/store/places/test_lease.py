"""Who may change a store on object storage: one at a time, and never for longer than he lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import msgspec
import pytest

from kubeshark.core_capture.store.places import _lease
from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._lease import Lease
from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.errors import StoreError
from tests.core_capture.store._relay import relay
from tests.core_capture.store._servers import Server


@pytest.fixture
def client() -> ObjectClient:
    return ObjectClient(f"memory://{os.urandom(8).hex()}")


def test_one_at_a_time(client: ObjectClient) -> None:
    with Lease(client, ".lock"):
        with pytest.raises(StoreError, match=r"another process on .* writes to memory://.*: wait for it to end"):
            Lease(client, ".lock")
        Lease(client, ".other").release()
    lease = Lease(client, ".lock")
    lease.release()
    lease.release()
    Lease(client, ".lock").release()


def test_a_holder_that_was_killed_is_replaced_at_once(moto_s3: Server, url: str) -> None:
    program = "import os, sys\nfrom kubeshark.core_capture.store.places._lease import Lease\n"
    program += "from kubeshark.core_capture.store.places._object_client import ObjectClient\n"
    program += "lease = Lease(ObjectClient(sys.argv[1]), '.lock'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", program, url], check=False)
    assert done.returncode == -9
    Lease(ObjectClient(url), ".lock").release()


def test_a_holder_elsewhere_is_waited_for(client: ObjectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(_lease, "_machine", lambda: "another machine")
        elsewhere.setattr(_lease, "RENEW_SECONDS", 1000.0)
        theirs = Lease(client, ".lock")
    with pytest.raises(StoreError, match="another process"):
        Lease(client, ".lock")
    later = time.time() + _lease.LEASE_SECONDS + 1
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: later)
        ours = Lease(client, ".lock")
    theirs.release()  # leaves ours alone
    holder = msgspec.json.decode(client.read(".lock", 4096).data)
    assert holder["token"] == ours._mine.token
    ours.release()


def test_it_is_renewed_until_somebody_else_has_it(client: ObjectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lease, "RENEW_SECONDS", 0.02)
    with Lease(client, ".lock") as lease:
        first = lease._version
        end = time.monotonic() + 60
        while lease._version == first and time.monotonic() < end:
            time.sleep(0.01)
        assert lease._version != first
        client.put(".lock", b"taken")
        lease._thread.join(60)
        assert not lease._thread.is_alive()
    assert client.read(".lock", 10).data == b"taken"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b"[" * 4000, b'{"token":"a","host":"h","machine":"m","pid":1,"until":1e300}', b"x" * 10_000],
)
def test_what_is_no_lease_holds_nobody_up(content: bytes, client: ObjectClient) -> None:
    client.put(".lock", content)
    Lease(client, ".lock").release()


def test_a_server_that_ignores_conditions_is_refused(
    moto_s3: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(moto_s3.port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        between.plan = lambda *_: "careless"
        with pytest.raises(StoreError, match="the server ignores conditional writes"):
            Lease(ObjectClient(url), ".lock")
        between.plan = lambda *_: None
        Lease(ObjectClient(url), ".lock").release()


def test_of_two_that_come_together_one_is_refused(client: ObjectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    put = client.put

    def late(name: str, data: bytes, *, version: str | None = None) -> str:
        monkeypatch.undo()
        put(name, b"somebody was faster")
        return put(name, data, version=version)

    monkeypatch.setattr(client, "put", late)
    with pytest.raises(StoreError, match="another process writes"):
        Lease(client, ".lock")
    with pytest.raises(Changed):
        client.put(".lock", b"", version="")
