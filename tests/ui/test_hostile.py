"""Whatever a capture says is shown as text: in lists, entries, maps, titles of captures, filters made of it."""

from __future__ import annotations

import base64
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

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
QUOTES = "\" || true || \"');document.title='owned'//"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload=\"document.title='owned'\"><script>alert(1)</script></svg>"


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AAQQxwFgBB0gX7h/C5SAAAAABJRU5ErkJggg=="
)


def conversation(capture: Path, kind: str = "image/svg+xml", body: bytes = SVG) -> None:
    """Write an HTTP exchange and a DNS question whose every text is hostile."""
    name = MARKUP.replace(" ", "%20")
    asked = (
        f"GET /{name}?q={QUOTES.replace(' ', '%20')} HTTP/1.1\r\nHost: {MARKUP}\r\nUser-Agent: {MARKUP}{QUOTES}\r\n"
        f"X-{'A' * 3000}: \x1b[31m\u202egnp.exe\r\nCookie: {MARKUP}={MARKUP}\r\n\r\n"
    ).encode()
    answered = (
        b"HTTP/1.1 200 "
        + MARKUP.encode()
        + b"\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind.encode(), len(body), body)
    )
    client, server = b"\x0a\x00\x00\x07", b"\x0a\x00\x00\x08"
    with capture.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        at = 1_795_000_000.0

        def tcp(from_client: bool, seq: int, ack: int, flags: int, data: bytes = b"") -> None:
            nonlocal at
            at += 0.001
            ports = (40_000, 80) if from_client else (80, 40_000)
            segment = dpkt.tcp.TCP(sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags, data=data)
            ends = (client, server) if from_client else (server, client)
            packet = dpkt.ip.IP(src=ends[0], dst=ends[1], p=6, data=segment, ttl=64)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet)), at)

        tcp(True, 1, 0, 2)
        tcp(False, 100, 2, 18)
        tcp(True, 2, 101, 16)
        tcp(True, 2, 101, 24, asked)
        tcp(False, 101, 2 + len(asked), 24, answered)
        tcp(True, 2 + len(asked), 101 + len(answered), 17)
        tcp(False, 101 + len(answered), 3 + len(asked), 17)
        question = dpkt.dns.DNS(id=7, qd=[dpkt.dns.DNS.Q(name="<script>alert(1)</script>.example", type=1)])
        datagram = dpkt.udp.UDP(sport=50_000, dport=53, data=bytes(question))
        datagram.ulen = len(datagram)
        packet = dpkt.ip.IP(src=client, dst=server, p=17, data=datagram, ttl=64)
        writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet)), at + 1)


def nothing_ran(page: Page) -> None:
    assert "owned" not in page.title()
    foreign = "main script, main img[onerror], main [onload], main svg script, main iframe, main object"
    assert page.locator(foreign).count() == 0


def test_texts_of_a_hostile_capture_are_texts(opened: Page, hub: HubProcess, tmp_path: Path) -> None:
    page = opened
    capture = tmp_path / "<img src=x onerror=alert(1)>.pcap"
    conversation(capture)
    page.on("dialog", lambda dialog: pytest.fail(f"a script asked: {dialog.message}"))
    page.keyboard.press("3")
    drop(page, capture)
    expect(page.locator(".imports li[data-state=done]")).to_contain_text("8 packets")
    expect(page.locator("table.grid")).to_contain_text("<img src=x onerror=alert(1)>.pcap")
    nothing_ran(page)
    page.keyboard.press("1")
    apply(page, 'http && src.ip == "10.0.0.7"')
    row = page.locator(ROW).first
    expect(row.locator(".c-summary")).to_contain_text("img")
    row.locator(".c-summary").click()
    detail = page.locator(".detail")
    expect(detail).to_contain_text("<script>document.title='owned'</script>")
    expect(detail).to_contain_text("\\x1b[31m")
    expect(detail.get_by_role("button", name="image", exact=True)).to_have_count(0)
    for tab in detail.get_by_role("tab").all():
        tab.click()
        page.wait_for_timeout(100)
        nothing_ran(page)
    detail.get_by_role("tab").first.click()
    # A value of the entry becomes a filter: its quotes stay inside of the text.
    only = detail.get_by_role("button", name=re.compile("Only entries with this User-Agent", re.IGNORECASE)).first
    only.click()
    done(page)
    assert page.locator(ROW).count() == 1
    nothing_ran(page)
    apply(page, 'dns && src.ip == "10.0.0.7"')
    expect(page.locator(ROW).first).to_contain_text("<script>alert(1)</script>.example")
    page.keyboard.press("Escape")
    page.locator(ROW).first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.wait_for_selector(".map canvas")
    nothing_ran(page)


def test_an_image_is_drawn_when_somebody_asks(opened: Page, tmp_path: Path) -> None:
    page = opened
    capture = tmp_path / "image.pcap"
    conversation(capture, "image/png", PNG)
    page.keyboard.press("3")
    drop(page, capture)
    expect(page.locator(".imports li[data-state=done]")).to_contain_text("8 packets")
    page.keyboard.press("1")
    apply(page, 'http && response.headers["Content-Type"] == "image/png" && src.ip == "10.0.0.7"')
    page.locator(ROW).first.locator(".c-summary").click()
    detail = page.locator(".detail")
    asked = detail.get_by_role("button", name="image", exact=True)
    expect(asked).to_have_attribute("aria-pressed", "false")
    asked.click()
    image = detail.locator(".body img")
    expect(image).to_be_visible()
    assert image.evaluate("one => one.decode().then(() => [one.naturalWidth, one.naturalHeight])") == [3, 2]
    detail.get_by_role("button", name="hex", exact=True).click()
    expect(image).to_have_count(0)
