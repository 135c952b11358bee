"""Firewall policies on the page: a mistake has its place, recorded traffic is judged, one is enforced and undone."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from kubeshark._certificates import issue
from kubeshark.hub.access._tokens import Tokens
from tests.firewall._privileged import needs_namespaces
from tests.ui._acting import ROW, apply
from tests.ui._axe import violations
from tests.ui._hub import HubProcess
from tests.worker._cluster import Process
from tests.worker._namespaces import ip

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

POLICY = """apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: no-81}
spec:
  tier: Admin
  priority: 100
  mode: Audit
  subject: {interfaces: [DEVICE]}
  egress:
    - name: closed
      action: Deny
      to: [{networks: ["10.77.31.0/30"]}]
      protocols: [{tcp: {destinationPort: {number: 81}}}]
"""


def test_a_policy_is_checked_simulated_and_applied(opened: Page, root: Path) -> None:
    page = opened
    page.keyboard.press("6")
    expect(page.get_by_text("No policy is kept.")).to_be_visible()
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text(re.compile("my-policy: sound"))).to_be_visible()  # what the editor begins with
    text = page.get_by_label("Policy, YAML or JSON")
    policy = (root / "examples/firewall/web.yaml").read_text()
    text.fill(policy.replace("action: Reject", "action: Rejekt"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"line \d+.*Rejekt"))
    text.fill(policy)
    page.get_by_text("Who has which address").click()
    page.get_by_label("Who has which address").fill((root / "examples/firewall/inventory.yaml").read_text())
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text(re.compile("shop-web: sound"))).to_be_visible()
    page.get_by_role("button", name="Simulate").click()
    results = page.get_by_role("region", name="What the policies would have done")
    expect(results).to_contain_text("pages")
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        assert violations(page, root) == []
    dialogs: list[str] = []

    def accept(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.accept()

    page.on("dialog", accept)
    page.get_by_role("button", name="Apply").click()
    kept = page.locator("section", has=page.get_by_role("heading", name="Policies")).locator("tbody tr")
    expect(kept).to_contain_text("shop-web")
    assert "compiled rule" in dialogs[0] and "60 seconds" in dialogs[0]
    expect(page.get_by_role("timer")).to_contain_text(re.compile(r"Undone in \d+ s"))
    expect(page.get_by_text("No worker enforces")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("timer")).to_have_count(0)
    text.fill(policy + "# more\n")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()  # not simulated
    kept.get_by_role("button", name="Delete shop-web").click()
    expect(page.get_by_text("No policy is kept.")).to_be_visible()


def test_an_entry_is_denied_and_a_policy_is_learned(opened: Page, root: Path) -> None:
    page = opened
    apply(page, "http")
    page.locator(ROW).first.locator(".c-summary").click()
    page.get_by_role("button", name="deny this").click()
    text = page.get_by_label("Policy, YAML or JSON")
    expect(text).to_have_value(re.compile(r"mode: Audit[^$]*name: from-client[^$]*action: Deny"))
    page.get_by_role("button", name="Simulate").click()
    results = page.get_by_role("region", name="What the policies would have done")
    expect(results.locator("tr", has_text="from-client").first).to_contain_text(re.compile("deny", re.IGNORECASE))
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    page.get_by_role("textbox", name="Subject").fill("nobody:1")
    page.get_by_role("button", name="Learn").click()
    expect(page.get_by_role("alert")).to_contain_text("names no subject")
    page.get_by_role("textbox", name="Subject").fill("host")
    page.keyboard.press("Enter")
    expect(text).to_have_value(re.compile(r"name: learned"))
    expect(page.get_by_text(re.compile(r"Proposed: \d+ rules? from"))).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    assert violations(page, root) == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_what_may_be_done_is_offered(page: Page, hub: HubProcess, role: Literal["viewer", "operator"]) -> None:
    _, secret = Tokens(hub.home / "hub").new(f"fire-{role}", role)
    page.goto(f"{hub.url.split('?')[0]}?token={secret}")
    page.wait_for_selector(ROW)
    page.keyboard.press("6")
    expect(page.get_by_role("heading", name="Enforced now")).to_be_visible()
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_have_count(1 if role == "operator" else 0)
    expect(page.get_by_label("Mode")).to_have_count(0)
    if role == "viewer":
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        expect(page.get_by_text("needs the role operator")).to_be_visible()


@pytest.fixture
def worker(hub: HubProcess) -> Iterator[tuple[Process, str]]:
    """One that can enforce, and a veth; behind it 10.77.31.2 in a namespace of its own."""
    name = f"ksui{os.getpid()}"
    device = f"ku{os.getpid()}"
    issue(hub.home / "pki", ["localhost"])
    process = Process(
        hub.store,
        hub.home / "pki/localhost",
        home=hub.home / "nobody",
        options=("--node", "node-7", "--firewall", str(hub.home / "firewall")),
    )
    process.environment = {"KUBESHARK_BPFFS": str(hub.home / "bpf")}
    ip("netns", "add", name)
    try:
        ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "10.77.31.1/30", "dev", device)
        ip("link", "set", device, "up")
        ip("-n", name, "addr", "add", "10.77.31.2/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        with process:
            yield process, device
    finally:
        ip("netns", "del", name, check=False)


@needs_namespaces
def test_a_policy_is_enforced_seen_and_undone(
    page: Page, hub: HubProcess, worker: tuple[Process, str], root: Path
) -> None:
    process, device = worker
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(hub.url)
    page.wait_for_selector(ROW)
    page.keyboard.press("5")
    form = page.get_by_role("form", name="Add a worker")
    form.get_by_label("URL").fill(f"https://localhost:{process.port}")
    form.get_by_label("Folder").fill(str(hub.home / "pki/hub"))
    form.get_by_role("button", name="Add").click()
    expect(page.get_by_role("region", name="Workers").locator("tbody tr")).to_contain_text("node-7")
    page.get_by_role("heading", name="Workers").click()  # out of the form, where keys are letters
    page.keyboard.press("6")
    page.get_by_label("Policy, YAML or JSON").fill(POLICY.replace("DEVICE", device))
    page.get_by_role("button", name="Simulate").click()
    page.get_by_label("Mode").select_option("Enforce")
    page.get_by_role("button", name="Apply").click()
    nodes = page.get_by_role("region", name="Nodes").locator("tbody tr")
    expect(nodes).to_contain_text("enforced")
    expect(nodes).to_contain_text(device)
    with socket.socket() as made:
        made.settimeout(0.5)
        with pytest.raises(TimeoutError):
            made.connect(("10.77.31.2", 81))
    expect(page.get_by_role("region", name="Counters of rules")).to_contain_text(re.compile(r"closed.*deny\d"))
    events = page.get_by_role("region", name="The latest verdicts")
    expect(events).to_contain_text("10.77.31.2:81")
    assert violations(page, root) == []
    page.get_by_role("textbox", name="Filter").fill("dst.port ==")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("No policy is kept.")).to_be_visible()
    expect(page.get_by_role("timer")).to_have_count(0)
    with socket.socket() as made:
        made.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            made.connect(("10.77.31.2", 81))
