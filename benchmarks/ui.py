"""Row 10, `make bench-ui`: the page at a million rows, in CPU time of the browser's main thread; the hub's answers.

    python -m benchmarks.ui [--short] [--size MB]

`--size`: of the capture that the hub's store is made of, 1,000 by default. `--short`: 50 MB, a short day, and results
are not written. CPU time from Chromium's own counters holds on a busy machine; what is said to be on the wall does not.
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
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks import _ui_hub
from benchmarks._measure import Result, line, show
from benchmarks._page import write_page

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
DAY, SHORT_DAY = 8_640_000, 2_000_000  # rows: 100 a second
DAY_S = 1_200_000.0  # ms that it may take
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
    parser.add_argument("--short", action="store_true", help="a small store, a short day; results are not written")
    parser.add_argument("--size", type=int, default=1_000, metavar="MB", help="of the hub's capture (default: 1,000)")
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
            results = measure(page, f"http://127.0.0.1:{port}/", SHORT_DAY if options.short else DAY)
            version = browser.version
            browser.close()
    finally:
        source.terminate()
        source.wait(10)
    with tempfile.TemporaryDirectory(prefix="kubeshark-bench-") as folder:
        results += _ui_hub.run(Path(folder), (50 if options.short else options.size) * 1_000_000)
    for each in results:
        show(each)
    if not options.short:
        about = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "chromium": version,
            "load": round(os.getloadavg()[0], 1),
        }
        RESULTS.write_text(json.dumps([line(each) for each in results], indent=1) + "\n")
        RESULTS.with_name("ui-machine.json").write_text(json.dumps(about, indent=1) + "\n")
        write_page(ROOT)
    return 0


def measure(page: Page, url: str, day: int) -> list[Result]:
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
    results = [
        result("first rows: ms on the wall", statistics.median(firsts), 400, f"median of {NAVIGATIONS} navigations")
    ]
    for name, step in (("a brisk wheel, 120 px a frame", 120), ("a screen a frame", 640)):
        results.append(result(f"scroll, {name}: ms CPU a frame", scroll(page, cdp, step), 8.3))
    results.append(result("scroll: blank frames of 90", page.evaluate(SCROLL, [640, GROUPS * FRAMES, True]), 0))
    results.append(result("row nodes", page.locator(".row").count(), 60))
    objects, buffers = heap(cdp)
    results.append(result("heap with a million rows: MB", objects + buffers, 40, f"{objects:.1f} MB of it objects"))
    page.goto(f"{url}?kfl=live")
    page.wait_for_function("document.querySelector('.foot-words')?.textContent.includes('1,0')", timeout=120_000)
    page.get_by_role("button", name="Follow").click()
    page.wait_for_timeout(1_000)
    results.append(
        result("live, 10,000 rows a second: ms CPU a frame", scroll(page, cdp, 0), 12, "every second one is drawn")
    )
    results.append(follow_a_day(page, cdp, url, day))
    index = (APP / "index.html").read_text()
    for ending, most in ((".js", 60), (".css", 15)):
        files = [name for name in re.findall(r'static/app/(assets/[^"]+)"', index) if name.endswith(ending)]
        size = sum(len(gzip.compress((APP / name).read_bytes())) for name in files)
        results.append(result(f"first {ending[1:]}: kB gzip", size / 1000, most))
    everything = sum(len(gzip.compress(path.read_bytes())) for path in APP.glob("assets/*"))
    results.append(result("all parts: kB gzip", everything / 1000, 325))
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


def heap(cdp: CDPSession) -> tuple[float, float]:
    """Return MB of objects and of buffers that are in use."""
    for _ in range(3):  # buffers go with their objects, a collection later
        cdp.send("HeapProfiler.collectGarbage")
    usage = cdp.send("Runtime.getHeapUsage")
    return usage["usedSize"] / 1e6, usage["backingStorageSize"] / 1e6


def follow_a_day(page: Page, cdp: CDPSession, url: str, rows: int) -> Result:
    """Follow the end while a day's rows come as fast as the page takes them: the heap ends with its window."""
    page.goto(f"{url}?kfl=day{rows}")
    page.get_by_role("button", name="Follow").click()
    page.wait_for_function(
        "document.querySelector('.foot-words')?.textContent.includes('left the window')", timeout=DAY_S
    )
    full = sum(heap(cdp))
    page.wait_for_selector(".foot-words[data-phase=done]", timeout=DAY_S)
    last = sum(heap(cdp))
    note = f"{rows:,} rows, followed; {full:.1f} MB with the window full, {last:.1f} MB in the end"
    return result("a day followed: heap growth, %", (last / full - 1) * 100, 10, note)


def result(case: str, value: float, target: float, note: str = "") -> Result:
    return Result(10, case, "(the page)", round(float(value), 3), target, "lower", note)


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
