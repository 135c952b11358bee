"""Draws the results as one picture: a bar a case, how far from its target, on a logarithmic axis.

Written by hand: sixty lines of SVG need no plotting library, render on the page as they are, and differ in a diff only
where figures do.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Any

__all__ = ["plot"]

ROW, TOP, LABEL, WIDTH, RIGHT = 20, 46, 350, 460, 150  # pixels
DECADES = 2.0  # a tenth of the target at the left, ten times as much at the right
MET, MISSED = "#1a7f37", "#cf222e"


def plot(results: Sequence[dict[str, Any]]) -> str:
    """Return an SVG; results as `make bench` writes them to benchmarks/results, without those that have no target."""
    results = [result for result in results if result["target"] is not None]
    height = TOP + ROW * len(results) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL + WIDTH + RIGHT} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>How far each benchmark is from its target</title>",
        f'<rect width="{LABEL + WIDTH + RIGHT}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LABEL}" y="18" font-weight="bold">times the target (1 = met), logarithmic</text>',
    ]
    for share in (0.1, 0.2, 0.5, 1, 2, 5, 10):
        x = LABEL + _place(share)
        stroke = 'stroke="#1f2328" stroke-width="1.5"' if share == 1 else 'stroke="#d1d9e0"'
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 20}" {stroke}/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#59636e">{share:g}</text>')
    for number, result in enumerate(results):
        parts += _bar(TOP + ROW * number, result)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(share: float) -> float:
    """Where a share of the target lies on the axis, in pixels; what is beyond its ends lies there."""
    return WIDTH * min(max(log10(max(share, 1e-9)) / DECADES + 0.5, 0), 1)


def _bar(y: float, result: dict[str, Any]) -> list[str]:
    ratio, target = float(result["ratio"]), float(result["target"])
    share = ratio / target if result["better"] == "higher" else target / max(ratio, 1e-9)
    start, end = sorted((_place(1), _place(share)))
    sign = "≥" if result["better"] == "higher" else "≤"
    label = f"{result['row']}  {result['case']}, {result['peer']}"
    label = label if len(label) < 47 else label[:45] + "…"
    middle = y + ROW / 2 + 4
    return [
        f'<text x="{LABEL - 10}" y="{middle}" text-anchor="end">{escape(label)}</text>',
        f'<rect x="{LABEL + start:.1f}" y="{y + 3}" width="{max(end - start, 1.5):.1f}" height="{ROW - 6}" '
        f'fill="{MET if share >= 1 else MISSED}"/>',
        f'<text x="{LABEL + WIDTH + 8}" y="{middle}" fill="#59636e">{ratio:.2f} ({sign} {target:g})</text>',
    ]
