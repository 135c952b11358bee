"""The process that enforces: started by the command, killed, started again; in each fail mode."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firewall._namespaces import Pair, ip, join, pair
from tests.firewall._privileged import needs_namespaces

pytestmark = needs_namespaces

POLICY = """apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {{name: {name}}}
spec:
  tier: Admin
  priority: 100
  mode: Enforce
  subject: {{interfaces: [eth0]}}
  ingress:
    - name: closed
      action: Deny
      from: [{{networks: ["0.0.0.0/0", "::/0"]}}]
      protocols: [{{tcp: {{destinationPort: {{number: {port}}}}}}}]
"""
WITHIN_S = 60
"""A busy machine is slow: how long is waited for what takes a moment."""


class Machine:
    """The near namespace as a machine of its own: its command, its runtime folder, its bpffs."""

    def __init__(self, namespaces: Pair, folder: Path, bpffs: Path) -> None:
        self.namespaces, self.folder = namespaces, folder
        self.environment = {**os.environ, "KUBESHARK_FIREWALL_RUN": str(folder / "run"), "KUBESHARK_BPFFS": str(bpffs)}

    def kubeshark(self, *arguments: str | Path, code: int = 0) -> str:
        command = ["ip", "netns", "exec", self.namespaces.near, sys.executable, "-m", "kubeshark", "firewall"]
        done = subprocess.run(
            [*command, *map(str, arguments)], env=self.environment, capture_output=True, text=True, check=False
        )
        assert code in (-1, done.returncode), done.stderr  # -1: any
        return done.stdout if code in (0, -1) else done.stderr

    def policy(self, name: str, port: int) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(POLICY.format(name=name, port=port))
        return path

    def status(self) -> Any:
        return json.loads(self.kubeshark("status", "--output", "json"))

    def start_again(self, mode: str) -> subprocess.Popen[bytes]:
        command = ["ip", "netns", "exec", self.namespaces.near, sys.executable, "-m", "kubeshark", "firewall", "agent"]
        return subprocess.Popen([*command, "--fail-mode", mode], env=self.environment)

    def is_closed(self, port: int) -> bool:
        try:
            self.namespaces.connect(port, timeout_s=0.3).close()
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            return False
        return False

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not self.kubeshark("status", code=-1):
            assert time.monotonic() < deadline

    def wait_until(self, port: int, *, closed: bool) -> None:
        deadline = time.monotonic() + WITHIN_S
        while self.is_closed(port) != closed:
            assert time.monotonic() < deadline, f"port {port} is still {'open' if closed else 'closed'}"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    bpffs = tmp_path / "bpf"
    bpffs.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(bpffs)], check=True)
    try:
        with pair() as namespaces:
            made = Machine(namespaces, tmp_path, bpffs)
            yield made
            with contextlib.suppress(AssertionError):
                made.kubeshark("delete", "--all")
    finally:
        subprocess.run(["umount", str(bpffs)], check=True)


def test_apply_status_events_delete(machine: Machine) -> None:
    assert "1 rules on eth0 (tcx)" in machine.kubeshark("apply", machine.policy("one", 81))
    assert machine.is_closed(81)
    assert not machine.is_closed(80)
    [target] = machine.status()["targets"]
    assert target["rules"][0]["policy"] == "one" and target["rules"][0]["packets"] > 0
    events = [json.loads(line) for line in machine.kubeshark("events").splitlines()]
    assert len(events) == target["events"] and target["lost"] == 0
    assert {event["verdict"] for event in events} == {"deny"} and events[0]["dstPort"] == 81
    machine.kubeshark("apply", machine.policy("two", 82), "--replace")
    assert machine.is_closed(82) and not machine.is_closed(81)
    machine.kubeshark("rollback")
    assert machine.is_closed(81) and not machine.is_closed(82)
    assert "no policy 'two'" in machine.kubeshark("delete", "two", code=2)
    [kept] = json.loads(machine.kubeshark("get", "--output", "json"))
    assert (kept["name"], kept["compiled"], kept["nodes"][0]["state"]) == ("one", 1, "enforced")
    assert machine.kubeshark("get", "one") == machine.policy("one", 81).read_text()
    machine.kubeshark("delete", "one")
    assert not machine.is_closed(81)
    assert (machine.folder / "run").stat().st_mode & 0o777 == 0o700


def test_open_a_killed_process_lets_traffic_flow_and_a_new_one_goes_on(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81))
    os.kill(machine.status()["pid"], signal.SIGKILL)
    machine.wait_until(81, closed=False)
    assert "nothing is enforced here" in machine.kubeshark("status", code=1)
    with machine.start_again("open") as agent:
        machine.wait_until(81, closed=True)
        agent.terminate()
    machine.wait_until(81, closed=False)


def test_closed_a_killed_process_leaves_the_policy_and_a_new_one_takes_it_over(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81), "--fail-mode", "closed")
    os.kill(machine.status()["pid"], signal.SIGKILL)
    time.sleep(0.5)
    assert machine.is_closed(81)
    with machine.start_again("closed"):
        for _ in range(10):
            assert machine.is_closed(81)  # no gap
        [target] = machine.status()["targets"]
        assert target["hooks"] == {"eth0": "tcx"}
        machine.kubeshark("apply", machine.policy("two", 82), "--replace", "--fail-mode", "closed")
        assert machine.is_closed(82) and not machine.is_closed(81)
        machine.kubeshark("delete", "--all")
    machine.wait_until(82, closed=False)


def test_what_is_not_confirmed_is_undone_by_itself(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81), "--confirm-within", "1s")
    machine.wait_until(81, closed=True)
    machine.wait_until(81, closed=False)
    assert "nothing is waiting" in machine.kubeshark("confirm", code=1)
    machine.kubeshark("apply", machine.policy("one", 81), "--confirm-within", "5s")
    machine.kubeshark("confirm")
    assert machine.status()["confirmWithin"] is None


def test_a_device_that_comes_again_is_attached_again(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81))
    ip("-n", machine.namespaces.near, "link", "del", "eth0")
    join(machine.namespaces)
    machine.wait_until(81, closed=True)


def test_policies_lie_beside_each_other_and_each_has_its_own_time(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81), "--ttl", "9s")
    machine.kubeshark("apply", machine.policy("two", 82))
    assert machine.is_closed(81) and machine.is_closed(82)
    rows = machine.kubeshark("get").splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["one", "two"] and rows[1].endswith("enforced on 1 of 1")
    machine.wait_until(81, closed=False)
    assert machine.is_closed(82)
    assert {each["name"]: each["ttlLeft"] for each in machine.status()["policies"]} == {"one": 0, "two": None}
    os.kill(machine.status()["pid"], signal.SIGKILL)
    with machine.start_again("open"):
        machine.wait_until_it_answers()  # the kernel takes a moment to let go of what the killed one held
        machine.wait_until(82, closed=True)
        machine.wait_until(81, closed=False)  # its time goes on while nobody runs
        machine.kubeshark("delete", "--all")


def test_a_damaged_state_is_said_and_can_be_replaced(machine: Machine) -> None:
    machine.kubeshark("apply", machine.policy("one", 81))
    os.kill(machine.status()["pid"], signal.SIGKILL)
    (machine.folder / "run" / "state.json").write_text('{"set": {"issue": ')
    with machine.start_again("open"):
        deadline = time.monotonic() + WITHIN_S
        while "damaged" not in (said := machine.kubeshark("status", "--output", "json", code=-1)):
            assert time.monotonic() < deadline, said
        machine.kubeshark("apply", machine.policy("two", 82))
        assert machine.is_closed(82)
        machine.kubeshark("delete", "--all")
