"""How a script fares, as text: the same for processes of this machine and for a hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.cli.terminal._complain import printable

__all__ = ["show_row"]


def show_row(row: Mapping[str, Any], where: str) -> None:
    """Print how a script fares in one of its roles."""
    state = row["state"] if row["state"] != "loaded" else ", ".join(row["hooks"]) or "no hooks"
    counts = f"; {row['errors']:,} calls threw" if row["errors"] else ""
    note = f"; {row['note']}" if row["note"] else ""
    print(f"  {row['role']:<7} {where}: {printable(state + counts + note)}")
    for job in row["jobs"]:
        last = f", last {job['ms']:.0f} ms{' failed' if job['error'] else ''}" if job["runs"] else ""
        print(f"          job {printable(job['tag'])} {printable(job['cron'])}: {job['runs']} runs{last}")
