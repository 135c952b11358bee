"""The list while a capture goes on: rows come by themselves, and whoever reads is not disturbed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, done
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

ROWS = "() => Number(document.querySelector('[aria-rowcount]').getAttribute('aria-rowcount'))"
MORE = "(before) => Number(document.querySelector('[aria-rowcount]').getAttribute('aria-rowcount')) > before + 100"
SOURCE = ".c-src"


@pytest.fixture(scope="module")
def live_hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub whose store holds the sample, and grows."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


@contextmanager
def capturing(hub: HubProcess, root: Path, seconds: float = 60) -> Iterator[None]:
    """Capture into the hub's store, in a process of its own, until the block ends."""
    command = [sys.executable, "-m", "tests.pipeline._live", str(hub.store), str(seconds)]
    with subprocess.Popen(command, cwd=root, env=hub.environment) as process:
        try:
            yield
            assert process.poll() is None, "the capture ended before its time"
        finally:
            process.kill()


def test_rows_come_by_themselves_and_the_end_is_followed(page: Page, live_hub: HubProcess, root: Path) -> None:
    page.goto(f"{live_hub.url}&kfl=http")
    page.wait_for_selector(ROW)
    done(page)
    expect(page.locator(".foot-words")).to_contain_text("live")
    before = page.evaluate(ROWS)
    with capturing(live_hub, root):
        # One who reads at the top stays there; a pill says how much came.
        first = page.locator(ROW).first.locator(SOURCE).inner_text()
        pill = page.locator(".pill")
        expect(pill).to_contain_text("new")
        assert page.locator(ROW).first.locator(SOURCE).inner_text() == first
        page.wait_for_function(MORE, arg=before)
        assert page.locator(ROW).first.locator(SOURCE).inner_text() == first
        # Following, the newest is shown.
        page.keyboard.press("Shift+G")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(pill).to_be_hidden()
        page.wait_for_function(
            """() => {
                const texts = [...document.querySelectorAll('.row:not([hidden])')].map((row) => row.innerText);
                return texts.some((text) => text.includes('/2')) || texts.some((text) => text.includes('/3'));
            }"""
        )
        shown = page.locator(ROW).last.inner_text()
        page.wait_for_function(
            "(old) => ![...document.querySelectorAll('.row:not([hidden])')].some((row) => row.innerText === old)",
            arg=shown,
        )
        # Space pauses: rows still come, below.
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Follow")).to_be_visible()
        expect(pill).to_contain_text("new")
        # An entry of a segment that is still open is shown like any other.
        page.locator(ROW).nth(5).locator(".c-summary").click()
        expect(page.locator(".detail")).to_contain_text("live")


def test_an_import_shows_up_in_an_open_list(page: Page, live_hub: HubProcess, root: Path) -> None:
    page.goto(f"{live_hub.url}&kfl=redis")
    expect(page.locator(".foot-words[data-phase=done]")).to_contain_text("live")
    before = page.evaluate(ROWS)
    live_hub.run("import", str(root / "examples/captures/shop.pcapng.zst"), "--store", str(live_hub.store))
    page.wait_for_function(MORE, arg=before)


def test_newest_first_says_that_there_is_more(page: Page, live_hub: HubProcess, root: Path) -> None:
    page.goto(f"{live_hub.url}&kfl=dns")
    page.wait_for_selector(ROW)
    done(page)
    page.get_by_role("button", name="Time ↓").click()
    expect(page.locator(".foot-words[data-phase=done]")).not_to_contain_text("live")
    with capturing(live_hub, root):
        expect(page.locator(".pill")).to_have_text("New traffic: show it")
