"""How a simulation is told: a table for people, JSON for programs. Of traffic only addresses and numbers are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kubeshark.firewall.policies._policy import Policy
from kubeshark.firewall.recorded._simulate import TOP_PEERS, Change, Line, Simulation

__all__ = ["changes_text", "simulation_document", "simulation_text"]

SHOWN_CHANGES = 50
JSON_PEERS = 20
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
COLUMNS = (
    "rule",
    "verdict",
    "flows",
    "packets",
    "bytes",
    "first seen",
    "last seen",
    "peers (top 3)",
    "opens with show",
)
RIGHT = {2, 3, 4}


def simulation_text(simulation: Simulation, given: Sequence[Policy]) -> list[str]:
    """Return what was judged, a table of rules, what changed, warnings. `given`: policies as they were written."""
    lines = [*_header(simulation, given), ""]
    rows = [COLUMNS, *(_row(simulation, line, with_policy=len(given) > 1) for line in simulation.lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if at in RIGHT else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    outcomes = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(simulation.outcomes.items()))
    lines += ["", f"connections of the subject: {simulation.judged:,}{f' ({outcomes})' if outcomes else ''}"]
    lines += changes_text(simulation)
    lines += [f"warning: {warning}" for warning in simulation.warnings]
    return lines


def changes_text(simulation: Simulation) -> list[str]:
    """Return a line for each pair of ends that fares otherwise than before."""
    lines = []
    for change in simulation.changes[:SHOWN_CHANGES]:
        opens = f"  {change.samples[0]}" if change.samples else ""
        lines.append(f"changed: {change.flow}  {change.was} → {change.becomes}  {_flows(change.flows)}{opens}")
    more = len(simulation.changes) - SHOWN_CHANGES + simulation.more_changes
    if more > 0:
        lines.append(f"changed: and {more:,} more: see --output json")
    return lines


def simulation_document(simulation: Simulation, given: Sequence[Policy]) -> dict[str, Any]:
    """Return the same as JSON."""
    modes = {policy.name: policy.mode for policy in given}
    return {
        "policy": simulation.compiled.policies[0].name if len(simulation.compiled.policies) == 1 else None,
        "policies": [
            {"name": policy.name, "mode": modes.get(policy.name, policy.mode), "simulated": policy.mode}
            for policy in simulation.compiled.policies
        ],
        "window": {"first": _rfc3339(simulation.first_ns), "last": _rfc3339(simulation.last_ns)},
        "flows": simulation.flows,
        "packets": simulation.packets,
        "bytes": simulation.bytes,
        "judged": simulation.judged,
        "outcomes": dict(sorted(simulation.outcomes.items())),
        "coverage": {"nodes": list(simulation.coverage.nodes), "lost": simulation.coverage.lost_packets},
        "rules": [_line_document(simulation, line) for line in simulation.lines],
        "changed": [_change_document(change) for change in simulation.changes],
        "changedMore": simulation.more_changes,
        "warnings": simulation.warnings,
        "problems": [str(problem) for problem in simulation.problems],
    }


def _header(simulation: Simulation, given: Sequence[Policy]) -> list[str]:
    modes = {policy.name: policy.mode for policy in given}
    named = []
    for policy in simulation.compiled.policies:
        was = modes.get(policy.name, policy.mode)
        named.append(f"{policy.name} ({policy.mode if was == policy.mode else f'{was}→{policy.mode}'})")
    shown = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    window = f"{_minute(simulation.first_ns)} … {_minute(simulation.last_ns)}"
    nodes = simulation.coverage.nodes
    known = max(simulation.nodes, len(nodes))
    share_of = f" of {known}" if simulation.nodes else ""
    coverage = f"{len(nodes)}{share_of} node{'s' * (known != 1)}"
    lost = simulation.coverage.lost_packets
    if lost is not None:
        share = 100 * lost / max(1, lost + simulation.packets)
        coverage += f", {share:.2f} % packets lost"
    else:
        coverage += ", lost packets not known"
    word = "policy" if len(named) == 1 else "policies"
    totals = f"flows {simulation.flows:,}  packets {simulation.packets:,}  coverage: {coverage}"
    return [f"{word} {shown}   {window}   {totals}"]


def _row(simulation: Simulation, line: Line, *, with_policy: bool) -> tuple[str, ...]:
    title = f"{line.policy} {line.title}" if with_policy and line.policy else line.title
    day = simulation.first_ns is not None and _is_one_day(simulation.first_ns, simulation.last_ns or 0)
    by_name: Counter[str] = Counter()
    for peer, count in line.peers.items():
        by_name[simulation.peer_name(peer)] += count
    peers = [f"{name} ({_short(count)})" for name, count in by_name.most_common(TOP_PEERS)]
    return (
        title,
        line.verdict,
        f"{line.flows:,}",
        f"{line.packets:,}",
        _size(line.bytes),
        _clock(line.first_ns, day),
        _clock(line.last_ns, day),
        f"{', '.join(peers)}{', …' if len(by_name) > TOP_PEERS else ''}",
        line.samples[0] if line.samples else "",
    )


def _line_document(simulation: Simulation, line: Line) -> dict[str, Any]:
    return {
        "policy": line.policy,
        "direction": line.direction.name.lower(),
        "name": line.name,
        "action": line.action,
        "verdict": line.verdict,
        "flows": line.flows,
        "packets": line.packets,
        "bytes": line.bytes,
        "first": _rfc3339(line.first_ns),
        "last": _rfc3339(line.last_ns),
        "peers": [
            {"address": peer, "name": simulation.names.get(peer, ""), "flows": count}
            for peer, count in line.peers.most_common(JSON_PEERS)
        ],
        "sampleEntryIds": line.samples,
    }


def _change_document(change: Change) -> dict[str, Any]:
    return {
        "flow": change.flow,
        "was": change.was,
        "becomes": change.becomes,
        "flows": change.flows,
        "packets": change.packets,
        "sampleEntryIds": change.samples,
    }


def _flows(count: int) -> str:
    return f"{count:,} flow{'s' * (count != 1)}"


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 10_000 else f"{count:,}"


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


def _moment(time_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(time_ns // 10**9, 250_000_000_000))


def _is_one_day(first_ns: int, last_ns: int) -> bool:
    return last_ns - first_ns < 86_400 * 10**9


def _minute(time_ns: int | None) -> str:
    return "…" if time_ns is None else f"{_moment(time_ns):%Y-%m-%d %H:%M}"


def _clock(time_ns: int | None, is_one_day: bool) -> str:
    if time_ns is None:
        return ""
    return f"{_moment(time_ns):%H:%M:%S}" if is_one_day else f"{_moment(time_ns):%Y-%m-%d %H:%M:%S}"


def _rfc3339(time_ns: int | None) -> str | None:
    return None if time_ns is None else f"{_moment(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"
