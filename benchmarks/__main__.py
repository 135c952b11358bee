"""`make bench`: prints the table of the design's targets, writes benchmarks/results and docs/performance.md.

    python -m benchmarks [--size MB] [--runs N] [--short]
    python -m benchmarks --large [--size MB] [--runs N]      row 9 alone (make bench-large); minutes, 15 GB of disk
    python -m benchmarks --live [--runs N]                  row 7 alone, with root; it replaces that of the whole

Needs the peers: apt-get install tcpdump tshark age zstd netsniff-ng, and what `scripts/setup.sh bench` installs. A peer
that is missing fails the run by name.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import _capture, _decode, _dissection, _large, _live, _plugins, _protocols, _store
from benchmarks._measure import Missing, Result, command_cpu, line, show
from benchmarks._page import keep_other, kept_results, write_page
from benchmarks._plot import plot
from benchmarks._workload import make_capture

SHORT_BYTES = 20_000_000
HEADS = _plugins.HEADS
LIVE_ROW = 7
LARGE_MB = 10_000  # row 9 asks for so much
PROTOCOL_BYTES = 8_000_000  # of each protocol alone
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
RECORDINGS = ROOT / "examples" / "captures"
SHOP = RECORDINGS / "shop.pcapng.zst"
SAMPLE = RECORDINGS / "sample.pcapng"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare kubeshark with its peers.")
    parser.add_argument("--size", type=int, metavar="MB", help="of the capture (default: 200, with --large 10,000)")
    parser.add_argument("--runs", type=int, default=5, help="alternations; the median counts (default: 5)")
    parser.add_argument("--short", action="store_true", help="20 MB, 1 run, results not written: does it work at all?")
    parser.add_argument("--large", action="store_true", help="only: a query on a large store against a tenth of it")
    parser.add_argument("--live", action="store_true", help="only: live capture against its peers (root)")
    options = parser.parse_args()
    if options.large:
        return _main_large(options.size or 10_000, options.runs)
    if options.live:
        return _main_live(1 if options.short else options.runs, 0.05 if options.short else 1.0)
    size, runs = (20, 1) if options.short else (options.size or 200, options.runs)
    with tempfile.TemporaryDirectory(prefix="kubeshark-bench-") as folder:
        try:
            results = run(Path(folder), size * 1_000_000, runs)
        except Missing as missing:
            print(f"bench: {missing}", file=sys.stderr)
            return 1
    if not options.short:
        RESULTS.parent.mkdir(exist_ok=True)
        here = machine(size, runs)
        keep_other(RESULTS, here["cpu"])
        RESULTS.with_name("machine.json").write_text(json.dumps(here, indent=1) + "\n")
        _publish(RESULTS, [line(result) for result in results])
    return 0


def _publish(path: Path, results: list[dict[str, Any]]) -> None:
    """Keep results, and draw the page anew of all that are kept."""
    path.write_text(json.dumps(results, indent=1) + "\n")
    write_page(ROOT)
    (ROOT / "docs" / "performance.svg").write_text(plot(kept_results(ROOT)))


def _main_large(size: int, runs: int) -> int:
    with tempfile.TemporaryDirectory(prefix="kubeshark-bench-") as folder:
        _use_own_keys(Path(folder))
        results = _large.run(SHOP, Path(folder), size * 1_000_000, runs)
    for result in results:
        show(result)
    if size >= LARGE_MB:
        _publish(RESULTS.with_name("large.json"), [line(result) for result in results])
    return 0


def _main_live(runs: int, share: float) -> int:
    with tempfile.TemporaryDirectory(prefix="kubeshark-bench-") as folder:
        _use_own_keys(Path(folder))
        try:
            results = _capture.run(Path(folder), runs, share)
        except Missing as missing:
            print(f"bench: {missing}", file=sys.stderr)
            return 1
    for result in results:
        show(result)
    if share == 1.0 and RESULTS.exists():
        others = [result for result in json.loads(RESULTS.read_text()) if result["row"] != LIVE_ROW]
        _publish(RESULTS, sorted([*others, *map(line, results)], key=lambda result: result["row"]))
    return 0


def _use_own_keys(scratch: Path) -> None:
    os.environ["KUBESHARK_IDENTITY"] = str(scratch / "identity" / "identity.age")
    os.environ["KUBESHARK_PLUGINS"] = str(scratch / "plugins")


def run(scratch: Path, size: int, runs: int) -> list[Result]:
    """Measure every row on one capture; print each line as it comes."""
    _use_own_keys(scratch)
    capture, store = scratch / "capture.pcap", scratch / "store"
    packets = make_capture(SHOP, capture, size)
    print(f"{capture.stat().st_size / 1e6:.0f} MB, {packets:,} packets, {runs} runs, CPU time\n")
    command_cpu([sys.executable, "-m", "kubeshark", "import", str(capture), "--store", str(store)])
    warm = scratch / "warm"
    command_cpu([sys.executable, "-m", "kubeshark", "import", str(SHOP), "--store", str(warm)])
    results: list[Result] = []
    print(f"{'row':>3}  {'case':<44} {'peer':<22} {'ratio':>9}  {'target':>8}")
    for measure in (
        lambda: _store.selections(capture, store, warm, scratch, runs),
        lambda: _dissection.whole_dissection(capture, store, scratch, runs),
        lambda: _dissection.two_processes(store, runs),
        lambda: _protocols.by_protocol([SHOP, SAMPLE], scratch, min(size // 10, PROTOCOL_BYTES), min(runs, 3)),
        lambda: _decode.run(capture, runs),
        lambda: _store.imports(SHOP, capture, scratch, runs),
        lambda: _store.sizes(capture, store),
        lambda: _plugins.run(SHOP, scratch, runs, HEADS if size > SHORT_BYTES else HEADS // 10),
        lambda: _live.run(SHOP),
        lambda: _capture.run(scratch, min(runs, 3), 1.0 if size > SHORT_BYTES else 0.05) if os.geteuid() == 0 else [],
    ):
        for result in measure():
            results.append(result)
            show(result)
    return sorted(results, key=lambda result: result.row)


def machine(size: int, runs: int) -> dict[str, Any]:
    """Say where and with what the numbers were made."""
    tools = {
        name: _first_line([name, "--version"]) for name in ("tcpdump", "tshark", "age", "zstd") if shutil.which(name)
    }
    packages = {name: version(name) for name in ("kubeshark", "numpy", "cryptography", "zstandard", "dpkt", "extism")}
    cpu = next(
        (row.split(":")[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in row), ""
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version() + (" of the system" if sys.base_prefix == "/usr" else ""),
        "kernel": platform.release(),
        "versions": {**tools, **packages},
        "capture_mb": size,
        "runs": runs,
    }


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip() if done.stdout or done.stderr else ""


if __name__ == "__main__":
    sys.exit(main())
