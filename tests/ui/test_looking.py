"""Looking closer: an entry's packets, what a query did, filters that stay, times of several days."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import dpkt
import pytest

from tests.ui._acting import ROW, apply, done, drop
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

DAY_S = 86_400


def test_packets_of_an_entry(opened: Page) -> None:
    page = opened
    apply(page, 'redis && redis_type == "GET"')
    page.locator(ROW).first.locator(".c-summary").click()
    page.get_by_role("tab", name="Packets").click()
    rows = page.locator(".packets tbody tr")
    expect(rows.first).to_contain_text("PSH ACK")
    own = rows.count()
    page.get_by_role("button", name="of the connection", exact=True).click()
    expect(rows.first).to_contain_text("SYN")
    assert rows.count() > own > 0
    assert page.locator(".packets tr[data-own]").count() == own
    first = page.locator(".packets tr[data-own]").first
    first.get_by_role("button").click()
    expect(page.locator(".packets .hex")).to_contain_text("GET")
    page.get_by_role("button", name="Bytes of packet").first.press("Enter")  # by keyboard the same


def test_a_query_is_explained(opened: Page) -> None:
    page = opened
    apply(page, "http && dst.port == 80")
    page.keyboard.press("Escape")
    page.locator(ROW).first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    dialog = page.get_by_role("dialog", name="Explain the query")
    expect(dialog.locator("table")).to_contain_text("segments")
    expect(dialog.locator("table")).to_contain_text("decrypted")
    expect(dialog).to_contain_text(re.compile(r"\d+ entr(y|ies) in .* read"))


def test_saved_filters_are_kept_by_the_hub(opened: Page, hub: HubProcess) -> None:
    page = opened
    apply(page, "http && status_code == 404")
    menu = page.get_by_role("button", name="Saved and earlier filters")
    menu.click()
    page.get_by_label("Name to save the filter as").fill("not found")
    page.keyboard.press("Enter")
    saved = page.get_by_role("list", name="Saved").locator(".history-use")
    expect(saved).to_contain_text("not found")
    page.keyboard.press("Escape")
    expect(saved).to_have_count(0)
    other = page.context.browser.new_context().new_page()  # another browser of the same person
    other.goto(hub.url)
    other.wait_for_selector(ROW)
    done(other)
    other.get_by_role("button", name="Saved and earlier filters").click()
    other.get_by_role("list", name="Saved").locator(".history-use").click()
    other.wait_for_url(re.compile("404"))
    done(other)
    assert {text.strip() for text in other.locator(f"{ROW} .c-status").all_inner_texts()} == {"404"}
    other.get_by_role("button", name="Saved and earlier filters").click()
    other.get_by_role("button", name="Forget the filter not found").click()
    expect(other.get_by_role("list", name="Saved")).to_have_count(0)
    other.context.close()


def test_the_filter_gets_the_focus_from_any_view(opened: Page) -> None:
    page = opened
    page.keyboard.press("3")
    page.keyboard.press("/")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.type("dns")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("kfl=dns"))


def test_times_of_several_days_have_their_date(opened: Page, tmp_path: Path) -> None:
    page = opened
    page.keyboard.press("3")
    capture = tmp_path / "days.pcap"
    with capture.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for day in range(3):
            datagram = dpkt.udp.UDP(sport=40_000 + day, dport=9_999, ulen=12, data=b"days")
            packet = dpkt.ip.IP(src=b"\x0a\x01\x01\x01", dst=b"\x0a\x01\x01\x02", p=17, data=datagram, ttl=64)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet)), 1_795_000_000 + day * DAY_S)
    drop(page, capture)
    expect(page.locator(".imports li[data-state=done]")).to_contain_text("3 packets")
    page.keyboard.press("1")
    apply(page, "dst.port == 9999 && udp")
    expect(page.locator(f"{ROW} .c-timestamp").first).to_have_text(re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$"))
    cell = page.locator(f"{ROW} .c-timestamp").first
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")  # all of it is seen
    apply(page, "dst.port == 9999 && udp && src.port == 40001")
    expect(page.locator(f"{ROW} .c-timestamp").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))


TOO_LONG = """() => [...document.querySelectorAll('.row:not([hidden]) .cell')].map((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const inner = cell.getBoundingClientRect().right - parseFloat(getComputedStyle(cell).paddingRight);
    const over = range.getBoundingClientRect().right - inner;
    return {text: cell.textContent, over, clips: getComputedStyle(cell).overflowX};
})"""


def test_a_text_that_is_too_long_is_cut_and_no_other_pays_for_it(opened: Page) -> None:
    page = opened
    clipping = []
    for width in (1440, 1000, 760):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        found = page.evaluate(TOO_LONG)
        assert [each for each in found if each["over"] > 0.5 and each["clips"] != "clip"] == []
        clipping.append(sum(each["clips"] == "clip" for each in found) / len(found))
    assert 0 < clipping[0] < 0.3
    grip = page.locator(".list-head .c-timestamp .grip")
    box = grip.bounding_box()
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] - 70, box["y"] + 4, steps=4)
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    found = page.evaluate(TOO_LONG)
    page.mouse.up()
    assert any(each["over"] > 0.5 for each in found)
    assert [each for each in found if each["over"] > 0.5 and each["clips"] != "clip"] == []
