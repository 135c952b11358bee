"""Writes the reference pages that are made from code: docs/hooks.md and docs/kfl-variables.md.

python scripts/generate_docs.py            write them
python scripts/generate_docs.py --check    exit 1 if one is stale
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

from kubeshark.extension_api import HOOKS, Hook
from kubeshark.pipeline.kfl import VARIABLES

DOCS = Path(__file__).resolve().parents[1] / "docs"


def hooks_page() -> str:
    """Return the page of hook points, one heading a hook, by stage."""
    parts = [
        "# Hook points\n\nMade from `extension_api/_hookspecs.py`. A Python plugin implements them with `@hookimpl`"
        " and is found through the entry\npoint group `kubeshark.plugins`; plugins in other languages through their SDK"
        " ([batch ABI](adr/0003-batch-abi.md)).\n"
    ]
    for hook in HOOKS:
        number = f" · ABI number {hook.number}" if hook.number else " · Python only"
        number += "" if hook.is_called else " · specified, **not called yet**"
        parts.append(f"## `{signature(hook)}`\n\nStage: {hook.stage}{number}\n\n{inspect.getdoc(hook)}\n")
    return "\n".join(parts)


def signature(hook: type[Hook]) -> str:
    arguments = ", ".join(f"{field.name}: {field.type}" for field in fields(hook))
    return f"{hook.name}({arguments}) -> {hook.returns}"


def variables_page() -> str:
    """Return the page of KFL variables, by section."""
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for variable in VARIABLES.values():
        heavy = "yes" if variable.is_heavy else ""
        sections[variable.section].append(f"| `{variable.name}` | {variable.type} | {heavy} |")
    parts = [
        "# KFL variables\n\nMade from `pipeline/kfl/_variables.py`. Entries that lack one have its default."
        " *Full entry* marks those that need"
        "\nheaders, bodies or payload, which are built only when asked for. Plugins add their own.\n"
    ]
    for section, rows in sections.items():
        parts.append(f"## {section}\n\n| variable | type | full entry |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


PAGES = {"hooks.md": hooks_page, "kfl-variables.md": variables_page}


def main() -> int:
    stale = []
    for name, build in PAGES.items():
        page, text = DOCS / name, build()
        if "--check" in sys.argv:
            stale += [name] if not page.is_file() or page.read_text() != text else []
        else:
            page.write_text(text)
    if stale:
        print(f"stale: {', '.join(stale)}: run make docs")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
