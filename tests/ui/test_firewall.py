"""Firewall policies on the page: a mistake is told with its place, recorded traffic is judged, a policy is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._axe import violations

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_policy_is_checked_simulated_and_kept(opened: Page, root: Path) -> None:
    page = opened
    page.keyboard.press("6")
    expect(page.get_by_text("No policy is kept.")).to_be_visible()
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
    page.get_by_role("button", name="Keep").click()
    kept = page.locator("section", has_text="Policies").first.locator("tbody tr")
    expect(kept).to_contain_text("shop-web")
    page.on("dialog", lambda dialog: dialog.accept())
    kept.get_by_role("button", name="Delete shop-web").click()
    expect(page.get_by_text("No policy is kept.")).to_be_visible()
