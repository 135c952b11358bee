"""What a page says when something ends or fails beneath it: its session, the hub, a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, apply, done
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocket


def sockets_of(page: Page) -> list[WebSocket]:
    opened: list[WebSocket] = []
    page.on("websocket", lambda socket: opened.append(socket))
    return opened


def token(hub: HubProcess, name: str) -> str:
    return hub.run("hub", "token", "new", name, "--role", "viewer").strip()


def test_who_is_signed_out_is_told_and_not_connected_again(page: Page, hub: HubProcess) -> None:
    page.goto(f"{hub.url.split('?')[0]}?token={token(hub, 'passing')}")
    page.wait_for_selector(ROW)
    done(page)
    sockets = sockets_of(page)
    hub.run("hub", "token", "revoke", "passing")
    expect(page.locator(".link[data-link=out]")).to_have_text("signed out")
    expect(page.locator("#filter-message")).to_contain_text("you are signed out")
    rows = page.locator(ROW).count()
    assert rows
    page.wait_for_timeout(3_000)
    assert sockets == []


def test_who_was_signed_out_while_the_hub_was_away_is_told(page: Page, hub: HubProcess) -> None:
    page.goto(f"{hub.url.split('?')[0]}?token={token(hub, 'away')}")
    page.wait_for_selector(ROW)
    done(page)
    hub.stop()
    try:
        hub.run("hub", "token", "revoke", "away")
    finally:
        hub.start()
    expect(page.locator(".link[data-link=out]")).to_be_visible()


def test_an_entry_comes_when_the_hub_is_back(opened: Page, hub: HubProcess) -> None:
    page = opened
    hub.stop()
    try:
        expect(page.locator(".link[data-link=lost], .link[data-link=connecting]").first).to_be_visible()
        page.locator(f"{ROW} .c-summary").first.click()
        page.keyboard.press("Enter")
        missing = page.locator(".detail [role=alert]")
        expect(missing).to_contain_text("the hub does not answer")
        missing.get_by_role("button", name="Try again").click()
        expect(missing).to_contain_text("the hub does not answer")
    finally:
        hub.start()
    expect(page.locator(".detail-head h2")).to_be_visible()
    expect(page.locator(".detail [role=alert]")).to_have_count(0)


def test_rows_under_a_filter_that_failed_are_those_of_the_one_before(opened: Page) -> None:
    page = opened
    apply(page, "http")
    rows = page.locator(ROW).all_inner_texts()
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+a")
    page.keyboard.type("http && nonsense == 1")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".foot-words")).to_have_text("The query failed: these rows are of the one before")
    expect(page.locator(".list-host[data-old]")).to_be_visible()
    shown = page.locator(ROW).all_inner_texts()
    assert shown == rows[: len(shown)] != []
    apply(page, "redis")
    expect(page.locator(".list-host[data-old]")).to_have_count(0)


@pytest.mark.parametrize("size", [20_000, 70_000])
def test_a_filter_that_is_too_long_is_refused_and_costs_no_connection(opened: Page, size: int) -> None:
    page = opened
    sockets = sockets_of(page)
    page.keyboard.press("Control+k")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f'url == "{"a" * size}"')
    page.keyboard.press("Control+Enter")
    expect(page.locator("#filter-message")).to_have_text("the filter is longer than 16 KiB")
    page.wait_for_timeout(1_000)
    assert (sockets, "kfl=" in page.url) == ([], False)
    apply(page, "redis")
    expect(page.locator("#filter-message")).to_be_hidden()
