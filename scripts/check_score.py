"""Fails if a row of the scoreboard is below its mark: `check_score.py score.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

RECALL, PRECISION = 0.97, 0.97
LOWER = {  # rows whose truth lists less than the captures hold, or calls by another name: docs/scoreboard.md
    ("memcached", "recall"): 0.07,
    ("ldap", "precision"): 0.85,
    ("smtp", "precision"): 0.70,
    ("quic", "precision"): 0.75,
}


def main() -> int:
    score = json.loads(Path(sys.argv[1]).read_text())
    low = [
        f"{row}: {measure} {figures[measure] or 0:.1%} is below {mark:.0%}"
        for row, figures in score["rows"].items()
        for measure, usual in (("recall", RECALL), ("precision", PRECISION))
        if (figures[measure] or 0) < (mark := LOWER.get((row, measure), usual))
    ]
    faults = [fault for fault in score["faults"] if not fault["fault"].startswith("refused")]
    for problem in [*low, *(f"{fault['file']}: {fault['fault']}" for fault in faults), *(score["packets"] or ())]:
        print(f"scoreboard: {problem}")
    return bool(low or faults or score["packets"])


if __name__ == "__main__":
    sys.exit(main())
