"""The page of somebody who may only read: nothing hidden is shown, nothing forbidden is offered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kubeshark.hub.access._tokens import Tokens
from tests.ui._acting import ROW, apply, done
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

COOKIE = "8f14e45f"


@pytest.fixture
def viewing(page: Page, hub: HubProcess) -> Page:
    _, secret = Tokens(hub.home / "hub").new("vera", "viewer")
    page.goto(f"{hub.url.split('?')[0]}?token={secret}")
    page.wait_for_selector(ROW)
    done(page)
    return page


def test_an_entry_without_its_secrets_and_bytes(viewing: Page) -> None:
    page = viewing
    expect(page.locator(".badge", has_text="redacted")).to_be_visible()
    apply(page, "http")
    page.locator(ROW).first.locator(".c-summary").click()
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_text([re.compile("Request"), "JSON"])
    expect(page.get_by_label("Download the connection as pcapng")).to_have_count(0)
    page.keyboard.press("Escape")
    apply(page, f'request.cookies["session"] == "{COOKIE}"')  # a filter is no oracle
    expect(page.get_by_text("No entry matches")).to_be_visible()


def test_only_what_may_be_done_is_offered(viewing: Page) -> None:
    page = viewing
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog", name="Export")
    expect(dialog.get_by_label("pcapng: packets")).to_be_disabled()
    expect(dialog.get_by_label("HAR")).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(page.locator("table.grid tr", has_text="sample.pcapng")).to_be_visible()
    for name in ("Choose files", "Verify", "Prune", "Delete", "Keep the chosen time"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.keyboard.press("4")
    expect(page.get_by_text("built in")).to_be_visible()
    for name in ("Choose a package", "Disable", "Remove"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.keyboard.press("5")
    expect(page.get_by_text("Redaction rules apply to what you see")).to_be_visible()
    expect(page.get_by_role("heading", name="Redaction")).to_have_count(0)


def test_what_is_asked_for_anyway_is_refused(viewing: Page) -> None:
    answers = viewing.evaluate(
        """async () => {
            const { csrf } = await (await fetch('/api/v1/session')).json();
            const headers = { 'X-CSRF-Token': csrf, 'Content-Type': 'application/json' };
            const ask = async (method, path, body) => {
                const answer = await fetch('/api/v1/' + path, { method, headers, body });
                return [answer.status, (await answer.json()).error];
            };
            return [await ask('POST', 'store/prune', '{"max_bytes": 0}'), await ask('PUT', 'settings', '{}')];
        }"""
    )
    assert [status for status, _ in answers] == [403, 403]
    assert all("needs the role admin" in error for _, error in answers)
