"""The timeline: lanes of peers, services and connections; a time chosen, an entry opened, by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import apply
from tests.ui._axe import violations

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

PLOT = ".lanes-plot"
TIP = ".lanes .map-tip"
SUMMARY = ".map-tools [role=status]"


def looked_at(page: Page) -> None:
    page.wait_for_selector(f"{PLOT} canvas")
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def test_everything_by_keyboard(opened: Page, root: Path) -> None:
    page, press = opened, opened.keyboard.press
    press("8")
    looked_at(page)
    expect(page.locator(SUMMARY)).to_contain_text(re.compile(r"\d+ lanes?, 440 entries"))
    expect(page.locator(PLOT)).to_be_focused()
    press("ArrowDown")
    expect(page.locator(TIP)).to_contain_text("→")
    first = page.locator(TIP).inner_text()
    press("ArrowDown")
    expect(page.locator(TIP)).not_to_have_text(first)
    press("+")
    page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
    near = page.url
    press("Shift+ArrowRight")
    page.wait_for_url(lambda url: url != near)
    press("-")
    page.get_by_role("button", name="all times").click()
    page.wait_for_url(lambda url: "since" not in url)
    page.locator(PLOT).focus()
    press("ArrowDown")
    lane = page.locator(f"{TIP} b").inner_text()
    press("f")
    page.wait_for_url(re.compile("kfl="))
    expect(page.locator(SUMMARY)).to_contain_text("1 lane,")
    press("ArrowRight")
    expect(page.locator(f"{TIP} b")).to_have_text(lane)
    press("0")  # only what happens
    page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
    for _ in range(12):  # into bars of several, until one is an entry
        looked_at(page)
        press("ArrowRight")
        press("Enter")
        page.wait_for_timeout(300)
        if "entry=" in page.url:
            break
    expect(page.locator(".detail h2")).not_to_be_empty()
    assert violations(page, root) == []
    press("Escape")
    expect(page.locator(".detail")).to_have_count(0)
    expect(page.locator(PLOT)).to_be_focused()
    press("u")
    page.wait_for_url(lambda url: "kfl=" not in url)


def test_by_mouse(opened: Page) -> None:
    page = opened
    page.get_by_role("button", name="Timeline", exact=True).click()
    apply_redis(page)
    page.locator(".map-tools select").select_option("stream")
    looked_at(page)
    box = page.locator(f"{PLOT} canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 500, box["y"] + 60)  # behind the longest name
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
    page.go_back()
    page.wait_for_url(lambda url: "since=" not in url)
    looked_at(page)
    page.mouse.click(box["x"] + 60, box["y"] + 36)  # the name of the first lane
    page.wait_for_url(re.compile("stream\\+%3D%3D"))
    expect(page.locator(SUMMARY)).to_contain_text("1 lane,")


def apply_redis(page: Page) -> None:
    page.keyboard.press("/")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.type("redis")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("kfl=redis"))


def test_the_table_has_the_same(opened: Page, root: Path) -> None:
    page = opened
    apply(page, "http")
    page.keyboard.press("Escape")
    page.keyboard.press("8")
    looked_at(page)
    page.locator(".map-tools select").select_option("service")
    entries = int(re.findall(r"([\d,]+) entr", page.locator(SUMMARY).inner_text())[0].replace(",", ""))
    page.get_by_role("button", name="table", exact=True).click()
    rows = page.locator("table.grid tbody tr")
    expect(rows.first).to_be_visible()
    counts = page.locator("table.grid tbody tr td.n:nth-child(3)").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in counts) == entries > 0
    assert violations(page, root) == []
    rows.first.get_by_role("button", name="First entry").click()
    expect(page.locator(".detail .chip")).to_contain_text("HTTP")


def test_a_filter_that_nothing_matches_says_so(opened: Page) -> None:
    page = opened
    page.goto(page.url.split("?")[0] + "?view=timeline&kfl=status_code+%3D%3D+999")
    expect(page.get_by_text("No entry of this time matches the filter.")).to_be_visible()
    page.goto(page.url.split("?")[0] + "?view=timeline&kfl=status_cod+%3D%3D+9")
    expect(page.get_by_role("heading", name="No timeline")).to_be_visible()


KEYS = [
    "/",
    "j",
    "k",
    "Enter",
    "Esc",
    "Space",
    "G",
    "F6",
    "f",
    "F",
    "u",
    "m",
    "n",
    "N",
    "c",
    "[",
    "]",
    "t",
    "y",
    "e",
    "z",
]


def test_help_lists_every_view_and_its_key(opened: Page) -> None:
    page = opened
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Help").locator(".keys")
    views = [name.lower() for name in page.locator("nav .tab").all_inner_texts()]
    assert len(views) == 8
    expect(keys).to_contain_text(", ".join(views))
    for key in KEYS:
        expect(keys.locator("kbd").get_by_text(key, exact=True).first).to_be_visible()
