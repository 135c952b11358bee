"""Workers on the page: added by an administrator, seen in the badge, gone when they are gone, taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeshark._certificates import issue
from tests.ui._acting import ROW, done
from tests.ui._axe import violations
from tests.ui._hub import HubProcess
from tests.worker._cluster import Process

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub whose own store is empty; the sample lies in the store `node`, for which it has the identity."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    issue(hub.home / "pki", ["localhost"])
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.home / "node"))
    (hub.home / "empty.pcap").write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    hub.run("import", str(hub.home / "empty.pcap"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def worker(hub: HubProcess) -> Iterator[Process]:
    process = Process(
        hub.home / "node", hub.home / "pki/localhost", home=hub.home / "nobody", options=("--node", "node-7")
    )
    process.start()
    yield process
    process.stop()


def test_a_worker_comes_and_goes(page: Page, hub: HubProcess, root: Path, worker: Process) -> None:
    page.goto(hub.url)
    expect(page.get_by_text("Nothing captured yet")).to_be_visible()
    page.keyboard.press("5")
    form = page.get_by_role("form", name="Add a worker")
    form.get_by_label("URL").fill(f"https://localhost:{worker.port}")
    form.get_by_label("Folder").fill(str(hub.home / "nowhere"))
    form.get_by_role("button", name="Add").click()
    expect(page.locator(".notice")).to_contain_text("there is no")  # and why, where, what next
    page.get_by_role("button", name="Dismiss").click()
    form.get_by_label("Folder").fill(str(hub.home / "pki/hub"))
    form.get_by_role("button", name="Add").click()
    row = page.get_by_role("region", name="Workers").locator("tbody tr")
    expect(row).to_contain_text("node-7")
    expect(row.locator(".state")).to_have_text(re.compile("^ok for"))
    badge = page.locator("header .state")
    expect(badge).to_have_text("1 worker")
    page.keyboard.press("1")
    page.wait_for_selector(ROW)
    done(page)
    worker.kill()
    expect(badge).to_have_text("0 of 1 worker", timeout=60_000)  # it is asked every few seconds
    expect(badge).to_have_attribute("data-state", "away")
    badge.press("Enter")
    dialog = page.get_by_role("dialog", name="Workers")
    expect(dialog.locator("tbody tr .state")).to_have_text(re.compile("^gone for"))
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        assert violations(page, root) == []
    dialog.get_by_role("button", name="Remove node-7").click()
    expect(dialog).to_contain_text("No worker is queried")
    page.keyboard.press("Escape")
    expect(badge).to_have_count(0)
    assert "set workers" in (hub.home / "hub/audit.jsonl").read_text()
