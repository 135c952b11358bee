"""Sums over a store that takes long: they grow, stop, go on to the whole, and end with the view that wanted them."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ui._axe import violations
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

SUMMARY = ".map-tools [role=status]"
LONG_MS = 120_000  # of a busy machine


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub whose store takes many seconds to go through."""
    sys.path.insert(0, str(root))
    from benchmarks._workload import make_capture  # the benches are no package that is installed

    hub = HubProcess(tmp_path_factory.mktemp("large"))
    make_capture(root / "examples/captures/sample.pcapng", hub.home / "large.pcap", 120_000_000)
    hub.run("import", str(hub.home / "large.pcap"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


def ask(hub: HubProcess, path: str) -> Any:
    base, token = hub.url.split("/?token=")
    request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers["content-type"] else text


def cancelled(hub: HubProcess) -> float:
    found = re.search(r"^kubeshark_queries_cancelled_total (\S+)$", ask(hub, "/metrics"), re.MULTILINE)
    assert found
    return float(found.group(1))


def ends(hub: HubProcess, before: float) -> None:
    """Wait until the hub has let go of one more sum than before."""
    until = time.monotonic() + LONG_MS / 1000
    while cancelled(hub) <= before:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(("view", "drawn"), [("timeline", ".lanes-plot canvas"), ("map", ".map canvas")])
def test_a_sum_grows_stops_and_is_made_whole(page: Page, large: HubProcess, root: Path, view: str, drawn: str) -> None:
    page.goto(f"{large.url}&view={view}")
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible(timeout=LONG_MS)
    page.wait_for_selector(drawn)  # what was counted so far
    expect(page.locator(SUMMARY).last).to_contain_text(re.compile(r"[1-9][\d,]* entries"))
    before = cancelled(large)
    stop.click(timeout=LONG_MS)
    told = page.locator(".summing [role=status]")
    expect(told).to_contain_text(re.compile(r"stopped: what begins before .* was counted, \d+ % of the packets"))
    ends(large, before)
    assert violations(page, root) == []
    page.get_by_role("button", name="Count everything").click()
    expect(told).to_have_count(0)
    whole = ask(large, "/api/v1/query/count?seconds=600")["entries"]
    expect(page.locator(SUMMARY).last).to_contain_text(f"{whole:,} entries", timeout=LONG_MS)
    expect(page.locator("progress")).to_have_count(0, timeout=LONG_MS)


def test_a_sum_ends_with_its_filter_and_with_its_view(page: Page, large: HubProcess) -> None:
    page.goto(f"{large.url}&view=timeline")
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible(timeout=LONG_MS)
    before = cancelled(large)
    page.locator(".map-tools select").select_option("stream")
    ends(large, before)
    expect(stop).to_be_visible(timeout=LONG_MS)
    before = cancelled(large)
    page.keyboard.press("3")
    expect(stop).to_have_count(0)
    ends(large, before)
