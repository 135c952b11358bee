"""The captures of a store, looked after on the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import drop
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
ONE_PACKET = PCAP + bytes(8) + b"\x2a\0\0\0" * 2 + bytes(42)


def test_one_capture_is_deleted_with_its_numbers_first(opened: Page, hub: HubProcess, tmp_path: Path) -> None:
    page = opened
    page.keyboard.press("3")
    (tmp_path / "doomed.pcap").write_bytes(ONE_PACKET)
    drop(page, tmp_path / "doomed.pcap")
    row = page.locator("table.grid tr", has_text="doomed.pcap")
    expect(row).to_have_count(1)
    row.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete doomed.pcap")
    expect(dialog).to_contain_text("1 packet in 1 segment would go")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(1)
    row.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete doomed.pcap").click()
    expect(row).to_have_count(0)
    expect(page.locator("table.grid tr", has_text="sample.pcapng")).to_have_count(1)
    assert "delete capture" in (hub.home / "hub/audit.jsonl").read_text()
