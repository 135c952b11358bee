"""The page about clusters lists what is granted, and nothing else."""

from __future__ import annotations

from pathlib import Path

from kubeshark.cluster import HUB_GRANTS, POLICY_GRANTS


def test_every_grant_is_on_the_page_with_its_reason(root: Path) -> None:
    page = (root / "docs" / "cluster.md").read_text()
    rows = [
        f"| {grant.resource}{f'.{grant.group}' if grant.group else ''} | {', '.join(grant.verbs)} | {grant.why} |"
        for grant in (*HUB_GRANTS, *POLICY_GRANTS)
    ]
    section = page[page.index("| resource | verbs | why |") :].split("\n\n")[0].splitlines()[2:]
    assert section == rows
