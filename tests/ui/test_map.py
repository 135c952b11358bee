"""The service map: its legend, two times compared, and an edge as a filter; by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, done
from tests.ui._axe import violations
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SUMMARY = ".map-tools [role=status]"


def test_two_times_are_compared_and_an_edge_becomes_a_filter(opened: Page) -> None:
    page = opened
    page.keyboard.press("2")
    expect(page.locator(SUMMARY)).to_contain_text("edges from")
    page.get_by_label("Compare with").select_option("half")
    expect(page.locator(SUMMARY)).to_contain_text("against")
    page.wait_for_url(re.compile(r"against_since=\d+&against_until=\d+"))
    legend = page.get_by_role("group", name="Legend")
    counts = {}
    for name in ("new", "gone", "changed", "as before"):
        item = legend.get_by_role("button", name=re.compile(rf"(^|\s){name} [\d,]+$"))
        counts[name] = int(item.inner_text().split()[-1].replace(",", ""))
    page.get_by_role("button", name="table", exact=True).click()
    rows = page.locator("table.grid tbody tr")
    assert rows.count() == sum(counts.values()) > 0
    fresh = rows.filter(has=page.get_by_role("cell", name="new", exact=True))
    assert fresh.count() == counts["new"] > 0
    legend.get_by_role("button", name=re.compile(r"new \d+$")).click()  # hidden, now
    expect(fresh).to_have_count(0)
    legend.get_by_role("button", name="Hide all").click()
    expect(page.get_by_text("The legend hides every edge.")).to_be_visible()
    legend.get_by_role("button", name="Show all").click()
    edge = fresh.first
    calls = int(edge.locator("td.n").first.inner_text().replace(",", ""))
    edge.get_by_role("button", name="Entries").click()
    page.wait_for_selector(ROW)
    done(page)
    expect(page.locator("[aria-rowcount]").first).to_have_attribute(
        "aria-rowcount", re.compile(rf"^{calls + 1}$|^{calls}$")
    )


def test_the_map_is_walked_by_keyboard(opened: Page) -> None:
    page = opened
    page.keyboard.press("2")
    canvas = page.get_by_role("img", name=re.compile("Service map of"))
    canvas.focus()
    for key in ("ArrowRight", "ArrowDown", "+", "-", "0"):
        canvas.press(key)
    expect(page.locator(".map-tip")).to_contain_text("Enter: its entries")
    canvas.press("Enter")
    page.wait_for_url(re.compile("kfl="))
    page.wait_for_selector(ROW)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_compared_map_keeps_nobody_out(
    browser: Browser, hub: HubProcess, root: Path, scheme: str, screenshots: Path | None
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{hub.url}&view=map")
    page.get_by_label("Compare with").select_option("half")
    page.get_by_label("Compare with").select_option("other")
    expect(page.locator(SUMMARY)).to_contain_text("against")
    page.wait_for_selector(".map canvas")
    found = violations(page, root)
    if screenshots:
        page.screenshot(path=screenshots / f"map-compared-{scheme}.png")
    page.get_by_role("button", name="table", exact=True).click()
    page.wait_for_selector("table.grid")
    found += violations(page, root)
    context.close()
    assert found == []
