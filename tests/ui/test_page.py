"""Journeys in a real browser, against a real hub: what a person does, by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dpkt
import pytest

from tests.ui._acting import ROW, apply, done, drop
from tests.ui._axe import AT_REST
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VIEWS = ("Traffic", "Map", "Captures", "Plugins", "Settings", "Firewall", "Workers", "Timeline")


@pytest.fixture(scope="module")
def plugin_hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub with an empty store and the JavaScript example."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    example = str(root / "examples/plugins/js/beanstalkd")
    hub.run("plugin", "install", example, "--allow-unsigned", "--yes")
    (hub.home / "empty.pcap").write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    hub.run("import", str(hub.home / "empty.pcap"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


def test_import_filter_open_and_export(page: Page, plugin_hub: HubProcess, root: Path, tmp_path: Path) -> None:
    """Drag and drop → filter → an entry → a plugin's rendering → export → the same as tshark reads in the file."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: on Debian, apt-get install tshark")
    sample = root / "examples/captures/sample.pcapng"
    page.goto(plugin_hub.url)
    expect(page.get_by_text("Nothing captured yet")).to_be_visible()
    page.get_by_role("button", name="Import a capture").click()
    drop(page, sample)
    expect(page.locator(".imports li[data-state=done]")).to_contain_text("1,360 packets, 78 connections")
    page.get_by_role("button", name="Look at it").click()
    page.wait_for_selector(ROW)

    apply(page, "beanstalkd")
    page.locator(ROW, has_text="put").first.locator(".c-summary").click()
    detail = page.locator(".detail")
    expect(detail.locator(".chip")).to_have_text(re.compile("BEANSTALK", re.IGNORECASE))
    expect(detail.locator(".section .made").first).to_contain_text("beanstalkd")

    page.keyboard.press("Escape")
    page.keyboard.press("e")
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("link", name="Export").click()
    exported = tmp_path / "exported.pcapng"
    download.value.save_as(exported)
    count = ["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"]
    ours = subprocess.check_output(["tshark", "-r", exported, *count], text=True, stderr=subprocess.DEVNULL)
    wanted = ["tshark", "-r", sample, "-Y", "tcp.port == 11300", *count]
    assert ours == subprocess.check_output(wanted, text=True, stderr=subprocess.DEVNULL) != ""


def test_a_wrong_filter_is_underlined_where_it_is_wrong(opened: Page) -> None:
    page = opened
    first = page.locator(ROW).first.inner_text()
    page.keyboard.press("/")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.type("http && status_cod == 4")
    expect(page.locator(".filter-message")).to_contain_text("column 9")
    expect(page.locator(".editor .cm-lintRange-error")).to_have_text("status_cod")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".foot-words[data-phase=failed]")).to_be_visible()
    assert page.locator(ROW).first.inner_text() == first  # what was there stays
    page.keyboard.press("Control+a")
    page.keyboard.type("http")
    expect(page.locator(".filter-message")).to_be_hidden()
    page.keyboard.press("Control+Enter")
    done(page)
    assert {text.strip() for text in page.locator(f"{ROW} .c-protocol").all_inner_texts()} == {"HTTP"}


def test_completion_offers_variables_and_values(opened: Page) -> None:
    page = opened
    page.keyboard.press("/")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.type("status_c")
    options = page.locator(".editor .cm-tooltip-autocomplete li")
    expect(options.first).to_contain_text("status_code")
    page.keyboard.press("Enter")  # takes it; the second one, behind the whole filter, applies it
    page.keyboard.type(" == 40")
    expect(options.filter(has_text="404")).to_be_visible()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"kfl=status_code\+%3D%3D\+404"))


def test_a_click_on_a_cell_filters(opened: Page) -> None:
    page = opened
    page.locator(f"{ROW} .c-protocol .pick", has_text="DNS").first.click()
    page.wait_for_url(re.compile(r"kfl=protocol\+%3D%3D\+%22DNS%22"))
    done(page)
    page.locator(f"{ROW} .c-method .pick", has_text=re.compile("^A$")).first.click(modifiers=["Alt"])
    page.wait_for_url(re.compile("dns_question_types"))  # what the plugin says selects it, not the cell's text
    done(page)
    assert "A" not in page.locator(f"{ROW} .c-method").all_inner_texts()
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_url(lambda url: "kfl=" not in url)


def test_the_list_outlives_the_hub(opened: Page, hub: HubProcess) -> None:
    page = opened
    rows = page.locator(ROW).all_inner_texts()
    hub.stop()
    try:
        expect(page.locator(".link[data-link=lost], .link[data-link=connecting]").first).to_be_visible()
        assert page.locator(ROW).all_inner_texts() == rows
    finally:
        hub.start()
    expect(page.locator(".link[data-link=open]")).to_be_visible()
    assert page.locator(ROW).all_inner_texts() == rows
    apply(page, "redis")  # the session outlived it, too
    expect(page.locator(f"{ROW} .c-protocol").first).to_have_text("REDIS")


def test_everything_by_keyboard(opened: Page) -> None:
    page, press = opened, opened.keyboard.press
    apply(page, "http")
    press("Escape")
    expect(page.locator(".list-scroll")).to_be_focused()
    for key in ("Home", "ArrowDown", "j", "k", "Enter"):
        press(key)
    selected = page.locator(".row[aria-selected=true]")
    expect(selected).to_have_attribute("aria-rowindex", "3")
    expect(page.locator(".detail h2")).to_contain_text("GET")
    press("m")
    press("ArrowDown")
    expect(selected).to_have_attribute("aria-rowindex", "4")
    press("m")
    expect(page.locator(".row.marked")).to_have_count(2)
    press("c")
    expect(page.get_by_role("dialog", name="Compare").get_by_text("values differ")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    press("Escape")
    expect(page.locator(".detail")).to_have_count(0)
    press("ArrowRight")
    press("f")  # the cell beside the time: the protocol
    page.wait_for_url(re.compile("protocol"))
    done(page)
    press("u")
    press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    press("Escape")
    for key, view in zip("23456781", (*VIEWS[1:], VIEWS[0]), strict=True):
        press(key)
        expect(page.get_by_role("button", name=view, exact=True)).to_have_attribute("aria-current", "page")
    expect(page.locator(ROW).first).to_be_visible()  # the list comes back as it was left


def test_the_next_dialog_outlives_the_last(opened: Page) -> None:
    """The browser tells that a dialog closed when the next one may be open already."""
    opened.keyboard.press("?")
    opened.get_by_role("dialog", name="Help").wait_for()
    opened.evaluate(
        """async () => {
            document.querySelector("dialog[open]").close();
            document.dispatchEvent(new KeyboardEvent("keydown", { key: "x" }));
            await new Promise((told) => setTimeout(told, 500));
        }"""
    )
    expect(opened.get_by_role("dialog", name="Explain the query")).to_be_visible()
    opened.keyboard.press("Escape")
    expect(opened.get_by_role("dialog")).to_have_count(0)


def test_a_link_shows_the_same(opened: Page, browser: Browser, hub: HubProcess) -> None:
    page = opened
    apply(page, "http && status_code == 404")
    page.locator(ROW).first.locator(".c-summary").click()
    expect(page.locator(".detail .status")).to_have_text("404")
    assert "token" not in page.url
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator(".detail .status")).to_have_text("404")
    expect(other.locator(f"{ROW} .c-status").first).to_have_text("404")


def test_bytes_and_stream_of_an_entry(opened: Page) -> None:
    page = opened
    apply(page, 'redis && redis_type == "GET"')
    page.locator(ROW).first.locator(".c-summary").click()
    page.get_by_role("tab", name="Bytes").click()
    expect(page.locator(".hex").first).to_contain_text("GET")
    page.get_by_role("tab", name="Stream").click()
    expect(page.locator(".follow li").first).to_contain_text("client")
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator(".detail .code")).to_contain_text('"redis"')


def test_an_entry_over_time(opened: Page) -> None:
    page = opened
    apply(page, "tcp_conn")
    page.locator(ROW).first.locator(".c-summary").click()
    points = page.locator(".detail .points li")
    expect(points.first).to_contain_text("→ SYN")
    expect(points.nth(1)).to_contain_text("← SYN ACK")


def test_a_drag_over_the_timeline_chooses_a_time(opened: Page) -> None:
    page = opened
    before = page.locator(".foot-words").inner_text()
    box = page.locator(".chart .u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
    done(page)
    expect(page.locator(".foot-words")).not_to_have_text(before)
    chosen = page.url
    page.get_by_role("button", name="Wider").click()
    page.wait_for_url(lambda url: url != chosen)
    done(page)
    expect(page.locator(".foot-words")).not_to_have_text("")
    page.go_back()
    page.wait_for_url(chosen)
    page.get_by_role("button", name="all times").click()
    page.wait_for_url(lambda url: "since" not in url)


HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


def test_a_hostile_capture_is_text(page: Page, hub: HubProcess, tmp_path: Path) -> None:
    """Markup in a path, a header, a body: shown as it is, never run."""
    capture = tmp_path / "hostile.pcap"
    with capture.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for at, packet in enumerate(exchange()):
            writer.writepkt(packet, 1_795_440_000 + at / 1000)
    page.goto(f"{hub.url.split('?')[0]}?view=captures&token={hub.url.split('token=')[1]}")
    drop(page, capture)
    expect(page.locator(".imports li[data-state=done]").last).to_contain_text("packets")
    page.keyboard.press("1")
    apply(page, 'host == "<svg/onload=alert(1)>"')
    expect(page.locator(f"{ROW} .c-summary").first).to_contain_text("<img src=x")
    page.locator(ROW).first.locator(".c-summary").click()
    expect(page.locator(".detail")).to_contain_text("<svg/onload=alert(1)>")
    expect(page.locator(".detail .code").first).to_contain_text("<script>")
    assert page.locator(".detail img, .detail script, .list img, .list script").count() == 0


def exchange() -> list[bytes]:
    path = HOSTILE.replace(" ", "\t")
    request = f"GET /{path} HTTP/1.1\r\nHost: <svg/onload=alert(1)>\r\nX-{'A' * 20}: {HOSTILE}\r\n\r\n".encode()
    body = HOSTILE.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    client, server = (b"\x0a\x00\x00\x01", 40000), (b"\x0a\x00\x00\x02", 80)
    steps = [
        (client, server, 100, 0, dpkt.tcp.TH_SYN, b""),
        (server, client, 500, 101, dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK, b""),
        (client, server, 101, 501, dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH, request),
        (server, client, 501, 101 + len(request), dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH, answer),
    ]
    packets = []
    for (src, sport), (dst, dport), seq, ack, flags, data in steps:
        tcp = dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, data=data)
        ip = dpkt.ip.IP(src=src, dst=dst, p=dpkt.ip.IP_PROTO_TCP, data=tcp, ttl=64)
        packets.append(bytes(dpkt.ethernet.Ethernet(data=ip)))
    return packets


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_keeps_anybody_out(
    browser: Browser, hub: HubProcess, root: Path, scheme: str, screenshots: Path | None
) -> None:
    """axe finds nothing in any view, state and dialog."""
    axe = (root / "ui/node_modules/axe-core/axe.min.js").read_text()
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(hub.url)
    page.wait_for_selector(ROW)
    done(page)
    page.wait_for_selector(".legend button")
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        page.wait_for_timeout(150)
        page.wait_for_function(AT_REST)
        if screenshots:
            page.screenshot(path=screenshots / f"{name}-{scheme}.png")
        if page.evaluate("typeof window.axe") == "undefined":
            page.evaluate(axe)
        answer = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found[name] = [
            f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for each in answer["violations"]
            for node in each["nodes"][:3]
        ]

    look("traffic")
    page.goto(page.url.split("?")[0] + "?kfl=http")
    done(page)
    page.locator(ROW).first.locator(".c-summary").click()
    page.wait_for_selector(".detail .section")
    look("entry")
    page.keyboard.press("?")
    look("help")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.wait_for_selector("dialog[open]")
    look("export")
    page.keyboard.press("Escape")
    for key, view in zip("2345678", VIEWS[1:], strict=True):
        page.keyboard.press(key)
        page.wait_for_selector({"Map": ".map-canvas canvas", "Timeline": ".lanes canvas"}.get(view, ".page .card"))
        look(view.lower())
    page.goto(page.url.split("?")[0] + "?kfl=status_code+%3D%3D+999")
    expect(page.get_by_text("No entry matches")).to_be_visible()
    look("no-match")
    page.goto(page.url.split("?")[0] + "?kfl=status_cod+%3D%3D+9")
    expect(page.get_by_role("heading", name="The query failed")).to_be_visible()
    look("wrong")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(page.url.split("?")[0])
    page.wait_for_selector(ROW)
    expect(page.locator(f"{ROW} .c-summary").first).to_be_in_viewport()
    look("narrow")
    for key in "12345678":
        page.keyboard.press(key)
        expect(page.locator(".tab[aria-current]")).to_be_in_viewport()
        page.wait_for_timeout(300)  # what is fetched for it is there
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, key
    for width, height in ((760, 900), (320, 256)):  # a split screen; 1280 x 1024 at 400 % (WCAG 1.4.10)
        page.set_viewport_size({"width": width, "height": height})
        for key in "23456781":
            page.keyboard.press(key)
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, key)
        page.locator(ROW).nth(2).scroll_into_view_if_needed()
        expect(page.locator(ROW).nth(2)).to_be_in_viewport(ratio=1)
    context.close()
    assert {name: each for name, each in found.items() if each} == {}
