"""Row 10, `make bench-ui`: the page at a million rows, in CPU time of the browser's main thread.

    python -m benchmarks.ui [--short]       --short: results are not written

CPU time from Chromium's own counters holds on a busy machine, but for the first rows, which are time on the wall.
Needs Debian's chromium, and the built page (scripts/build_ui.sh).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "hub" / "page" / "app"
RESULTS = ROOT / "benchmarks" / "results" / "ui.json"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAVIGATIONS = 7
GROUPS, FRAMES = 9, 10
FIRST_ROW = """
new MutationObserver((_, me) => {
  if (document.querySelector('.row:not([hidden])')) { window.firstRow = performance.now(); me.disconnect(); }
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
SCROLL = """
([step, frames, check]) => new Promise((resolve) => {
  const list = document.querySelector('.list-scroll');
  let blank = 0, left = frames;
  const look = () => {
    const { top, bottom } = list.getBoundingClientRect();
    const edges = [...document.querySelectorAll('.row:not([hidden])')].map((row) => row.getBoundingClientRect());
    const shown = (row) => Math.max(0, Math.min(row.bottom, bottom) - Math.max(row.top, top));
    const covered = edges.reduce((sum, row) => sum + shown(row), 0);
    if (covered < bottom - top - 2) blank++;
  };
  const frame = () => {
    if (!left--) return resolve(blank);
    list.scrollTop += step;
    if (check) requestAnimationFrame(() => setTimeout(() => { look(); frame(); }));
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui", description="Measure the page at a million rows.")
    parser.add_argument("--short", action="store_true", help="results are not written")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None or not (APP / "index.html").exists():
        print("bench-ui: needs chromium (apt-get install chromium) and the page (scripts/build_ui.sh)", file=sys.stderr)
        return 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = subprocess.Popen([sys.executable, "-m", "benchmarks._ui_source", str(port)], cwd=ROOT)
    try:
        wait_for(port)
        with sync_playwright() as runner:
            browser = runner.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(FIRST_ROW)
            results = measure(page, f"http://127.0.0.1:{port}/")
            version = browser.version
            browser.close()
    finally:
        source.terminate()
        source.wait(10)
    for each in results:
        verdict = "ok" if each["value"] <= each["target"] else "MISSED"
        print(f"{each['case']:<44} {each['value']:>8} {each['unit']:<4} target {each['target']:>6}  {verdict}")
    if not options.short:
        about = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "chromium": version,
            "load": os.getloadavg()[0],
        }
        RESULTS.write_text(json.dumps({"results": results, **about}, indent=1) + "\n")
    return 0


def measure(page: Page, url: str) -> list[dict[str, Any]]:
    firsts = []
    for _ in range(NAVIGATIONS):
        page.goto(url)
        page.wait_for_function("window.firstRow")
        firsts.append(page.evaluate("window.firstRow"))
    page.wait_for_selector(".foot-words[data-phase=done]", timeout=120_000)
    assert "1,000,000 entries" in page.locator(".foot-words").inner_text()
    page.wait_for_timeout(500)
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    results = [line("first rows, median of 7 navigations", statistics.median(firsts), "ms", 400)]
    for name, step in (("a brisk wheel, 120 px a frame", 120), ("a screen a frame", 640)):
        results.append(line(f"scroll, {name}: CPU a frame", scroll(page, cdp, step), "ms", 8.3))
    results.append(line("scroll: blank frames of 90", page.evaluate(SCROLL, [640, GROUPS * FRAMES, True]), "", 0))
    results.append(line("row nodes", page.locator(".row").count(), "", 60))
    cdp.send("HeapProfiler.collectGarbage")
    heap = cdp.send("Runtime.getHeapUsage")
    results.append(line("heap: objects", heap["usedSize"] / 1e6, "MB", 40))
    results.append(line("heap: objects and buffers", (heap["usedSize"] + heap["backingStorageSize"]) / 1e6, "MB", 40))
    page.goto(f"{url}?kfl=live")
    page.wait_for_function("document.querySelector('.foot-words')?.textContent.includes('1,0')", timeout=120_000)
    page.get_by_role("button", name="Follow").click()
    page.wait_for_timeout(1_000)
    results.append(line("live, 10,000 rows a second: CPU a frame", scroll(page, cdp, 0), "ms", 12))
    index = (APP / "index.html").read_text()
    for ending, most in ((".js", 60), (".css", 15)):
        files = [name for name in re.findall(r'/static/app/(assets/[^"]+)"', index) if name.endswith(ending)]
        size = sum(len(gzip.compress((APP / name).read_bytes())) for name in files)
        results.append(line(f"first {ending[1:]}, gzip", size / 1000, "kB", most))
    everything = sum(len(gzip.compress(path.read_bytes())) for path in APP.glob("assets/*"))
    results.append(line("all parts, gzip", everything / 1000, "kB", 325))
    return results


def scroll(page: Page, cdp: CDPSession, step: int) -> float:
    """Return ms of main-thread CPU a frame: the median of nine groups of ten frames."""
    page.evaluate(SCROLL, [step, FRAMES, False])
    groups = []
    for _ in range(GROUPS):
        before = cpu(cdp)
        page.evaluate(SCROLL, [step, FRAMES, False])
        groups.append((cpu(cdp) - before) * 1000 / FRAMES)
    return statistics.median(groups)


def cpu(cdp: CDPSession) -> float:
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def line(case: str, value: float, unit: str, target: float) -> dict[str, Any]:
    return {"row": 10, "case": case, "value": round(value, 1), "unit": unit, "target": target}


def wait_for(port: int) -> None:
    """The source makes its rows before it answers."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("bench-ui: the source of rows does not start")


if __name__ == "__main__":
    sys.exit(main())
