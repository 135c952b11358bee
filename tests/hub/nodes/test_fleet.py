"""Policies on several nodes: real workers, real pods, real traffic; one is cut off, one killed, one comes again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.firewall.names._dns import Question, write_question
from tests.firewall._dns_server import dns_server, resolv_conf
from tests.firewall._privileged import needs_namespaces
from tests.hub._firewall_cluster import Cluster, cluster, enter

pytestmark = needs_namespaces

POLICY = """# who may speak to the shop
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {{name: {name}}}
spec:
  tier: Admin
  priority: 100
  mode: Enforce
  subject: {{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: web}}}}}}}}
  ingress:
    - name: closed
      action: {action}
      from: [{{networks: ["0.0.0.0/0"]}}]
      protocols: [{{tcp: {{destinationPort: {{number: {port}}}}}}}]
"""


def body(port: int, *, name: str = "shop", action: str = "Deny") -> dict[str, Any]:
    return {"policy": POLICY.format(name=name, port=port, action=action)}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, 3) as made:
        yield made


def test_policies_reach_every_node_and_late_and_killed_ones_converge(three: Cluster) -> None:
    with three.hub() as hub:
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["open"] * 3
        status, answer = hub.firewall("PUT", "policies/shop", body(81))
        assert status == 200, answer
        assert {row["node"]: row["state"] for row in answer["nodes"]} == dict.fromkeys(three.net.nodes, "enforced")
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["silent"] * 3
        assert [three.pods.reaches(node, 80) for node in three.net.nodes] == ["open"] * 3
        _, kept = hub.firewall("GET", "policies/shop")
        assert kept["text"] == body(81)["policy"] and kept["compiled"] == 1
        assert all(node["rules"] == 1 for node in kept["nodes"])
        end = time.monotonic() + 60  # the hub asks its nodes for their counters now and then
        while not all(node["packets"] > 0 for node in hub.firewall("GET", "policies/shop")[1]["nodes"]):
            assert time.monotonic() < end
            time.sleep(0.05)

        # a pod is another one now: every node hears of it
        three.say(three.pods.inventory(node_2="other"))
        three.until("node-2", 81, "open")
        assert three.pods.reaches("node-1", 81) == "silent"
        three.say(three.pods.inventory())
        three.until("node-2", 81, "silent")

        # one is cut off and hears of nothing; it goes on with what it has, and catches up
        three.net.cut("node-3")
        _, answer = hub.firewall("PUT", "policies/shop", body(80))
        assert {row["node"]: row["state"] for row in answer["nodes"]} == {
            "node-1": "enforced", "node-2": "enforced", "node-3": "away",
        }  # fmt: skip
        assert three.pods.reaches("node-3", 81) == "silent" and three.pods.reaches("node-1", 81) == "open"

        # one is killed: with fail mode open traffic flows, and it restores its signed copy before any hub speaks
        three.net.cut("node-2")
        three.workers["node-2"].kill()
        three.until("node-2", 80, "open")
        three.workers["node-2"].start()
        three.until("node-2", 80, "silent")
        three.net.mend("node-2")
        three.net.mend("node-3")
        three.until("node-3", 80, "silent")
        assert three.pods.reaches("node-3", 81) == "open"
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")

        assert hub.firewall("POST", "rollback")[0] == 200
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["silent"] * 3
        assert [three.pods.reaches(node, 80) for node in three.net.nodes] == ["open"] * 3
        assert hub.firewall("DELETE", "policies/shop")[0] == 200
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["open"] * 3
    audit = [json.loads(line) for line in (hub.home / ".kubeshark" / "hub" / "audit.jsonl").read_text().splitlines()]
    changes = {each["action"]: each for each in audit}
    assert changes["put policy"]["nodes"]["node-3"] == "away"
    assert any("number: 80" in line for line in changes["put policy"]["diff"])
    assert {"roll back policies", "delete policy"} <= changes.keys()


def test_confirmed_or_undone_everywhere_also_where_nobody_hears_the_hub(three: Cluster) -> None:
    with three.hub() as hub:
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")
        hub.firewall("PUT", "policies/shop?confirmWithin=60", body(81))
        assert hub.firewall("POST", "confirm")[1]["confirm_within"] is None
        _, answer = hub.firewall("PUT", "policies/shop?confirmWithin=3", body(80))
        assert answer["confirm_within"] > 0 and three.pods.reaches("node-1", 80) == "silent"
        three.net.cut("node-2")
        for node in three.net.nodes:
            three.until(node, 80, "open")
            assert three.pods.reaches(node, 81) == "silent"
        three.net.mend("node-2")
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")
        assert hub.firewall("GET", "policies/shop")[1]["text"] == body(81)["policy"]
        hub.firewall("PUT", "policies/more?ttl=6", body(80, name="more"))
        assert three.pods.reaches("node-3", 80) == "silent"
        three.until("node-3", 80, "open")
        assert [each["name"] for each in hub.firewall("GET", "policies")[1]] == ["shop"]


def test_node_by_node_and_no_further_than_the_first_that_fails(three: Cluster) -> None:
    with three.hub() as hub:
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")
        three.net.cut("node-2")
        _, answer = hub.firewall("PUT", "policies/shop?rollout=node", body(81))
        assert [row["state"] for row in answer["nodes"]] == ["enforced", "away", "held"]
        three.net.mend("node-2")
        three.until("node-2", 81, "silent")
        hub.until_states(node_1="enforced", node_2="enforced", node_3="held")
        assert three.pods.reaches("node-3", 81) == "open"
        assert [row["state"] for row in hub.firewall("POST", "rollback")[1]["nodes"]] == ["enforced"] * 3
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["open"] * 3


def test_the_command_speaks_to_a_hub(three: Cluster, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(body(81, action="Reject")["policy"])
    with three.hub() as hub:
        hub.until_states(node_1="enforced", node_2="enforced", node_3="enforced")

        def kubeshark(*arguments: str) -> tuple[int, str, str]:
            environment = {**os.environ, "KUBESHARK_TOKEN": hub.token}
            command = ["ip", "netns", "exec", three.net.hub, sys.executable, "-m", "kubeshark", "firewall", *arguments]
            command += ["--hub", f"http://{hub.address}:{hub.port}"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr

        assert kubeshark("apply", str(tmp_path / "shop.yaml"), "--dry-run")[1].endswith("nothing was changed\n")
        assert kubeshark("get") == (0, "no policies are enforced\n", "")
        code, out, err = kubeshark("apply", str(tmp_path / "shop.yaml"))
        assert code == 0 and "node-1: enforced" in out, err
        assert [three.pods.reaches(node, 81) for node in three.net.nodes] == ["refused"] * 3
        assert kubeshark("get")[1].splitlines()[1].endswith("enforced on 3 of 3")
        assert kubeshark("get", "shop")[1] == (tmp_path / "shop.yaml").read_text()
        assert "shop ingress/closed  reject" in kubeshark("status")[1]
        events = [json.loads(line) for line in kubeshark("events", "--filter", "dst.port == 81")[1].splitlines()]
        assert {each["node"] for each in events} == set(three.net.nodes)
        assert {each["subject"] for each in events} == {f"shop/web-{node}" for node in three.net.nodes}
        assert kubeshark("events", "--filter", "verdict == 'deny'")[1] == ""
        assert kubeshark("events", "--filter", "nothing ==")[0] == 2
        three.net.cut("node-3")
        assert kubeshark("rollback")[0] == 3
        assert kubeshark("rollback")[0] == 2


def test_closed_leaves_policies_in_the_kernel(tmp_path: Path) -> None:
    """With fail mode closed a killed worker leaves what is enforced, and the next one takes it over."""
    mount = tmp_path / "bpf"
    mount.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(mount)], check=True)
    try:
        with cluster(tmp_path, 1, "--fail-mode", "closed") as one, one.hub() as hub:
            hub.until_states(node_1="enforced")
            hub.firewall("PUT", "policies/shop", body(81))
            assert one.pods.reaches("node-1", 81) == "silent"
            os.kill(one.workers["node-1"].process.pid, signal.SIGKILL)
            for _ in range(5):
                assert one.pods.reaches("node-1", 81) == "silent"
            one.workers["node-1"].kill()
            one.workers["node-1"].start()
            for _ in range(5):
                assert one.pods.reaches("node-1", 81) == "silent"
            hub.until_states(node_1="enforced")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


NAMES = """apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: names}
spec:
  tier: Admin
  priority: 100
  mode: Enforce
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}
  egress:
    - {name: dns, action: Accept, to: [{networks: [169.254.1.1/32]}]}
    - {name: shop, action: Accept, to: [{domainNames: ["*.shop.test"]}]}
    - {name: rest, action: Deny, to: [{networks: ["0.0.0.0/0"]}]}
"""


def test_pods_follow_the_names_that_they_ask_for(tmp_path: Path) -> None:
    node = f"ks{os.getpid() % 100_000}n1"  # the worker's namespace gets its resolver before it is made
    with resolv_conf(node, "169.254.1.1"), cluster(tmp_path, 1) as one, one.hub() as hub:
        assert one.net.nodes["node-1"] == node
        answers = {"web.shop.test": [one.pods.address("node-1", "web")]}
        with dns_server(node, "169.254.1.1", tmp_path, answers):
            hub.until_states(node_1="enforced")
            status, answer = hub.firewall("PUT", "policies/names", {"policy": NAMES})
            assert status == 200 and answer["warnings"] == []
            assert one.pods.reaches("node-1", 80) == "silent"

            def look_up() -> int:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                    asking.settimeout(5)
                    asking.sendto(write_question(Question(7, "web.shop.test", 1)), ("169.254.1.1", 53))
                    return len(asking.recv(512))

            assert enter(one.pods.namespaces["node-1/client"], look_up) > 0
            one.until("node-1", 80, "open")

            def names() -> Any:
                [told] = hub.firewall("GET", "status")[1]["nodes"]
                return [name for target in told["targets"] for name in target["names"]]

            end = time.monotonic() + 60  # the hub asks its nodes now and then
            while not any(each["addresses"] for each in names()):
                assert time.monotonic() < end
                time.sleep(0.1)
            assert names() == [
                {"name": "*.shop.test", "addresses": 1, "some": [answers["web.shop.test"][0]], "problem": ""}
            ]
