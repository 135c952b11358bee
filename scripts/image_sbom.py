"""Prints what an image holds as CycloneDX 1.5 JSON, read from its root file system: Debian's packages and Python's.

scripts/image_sbom.py ROOT NAME VERSION
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

Component = dict[str, object]


def debian(root: Path) -> Iterator[Component]:
    """Yield the installed packages of var/lib/dpkg/status."""
    release = dict(
        line.split("=", 1) for line in (root / "etc/os-release").read_text().splitlines() if "=" in line
    )  # fmt: skip
    distro = f"debian-{release.get('VERSION_ID', '').strip(chr(34))}"
    for stanza in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = HeaderParser().parsestr(stanza)
        if not stanza.strip() or not fields["Status"].endswith(" installed"):
            continue
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro={distro}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def python(root: Path) -> Iterator[Component]:
    """Yield the distributions below opt/ by their metadata."""
    for folder in sorted(root.glob("opt/*/lib/python3*/site-packages")):
        for found in distributions(path=[str(folder)]):
            name, version = found.metadata["Name"], found.version
            purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
            licence = (found.metadata.get_all("License-Expression") or [""])[0]
            component: Component = {
                "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            }  # fmt: skip
            yield component | ({"licenses": [{"expression": licence}]} if licence else {})


def bill(root: Path, name: str, version: str) -> dict[str, object]:
    components = sorted([*debian(root), *python(root)], key=lambda each: str(each["bom-ref"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name, "version": version}},
        "components": components,
    }


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1]), sys.argv[2], sys.argv[3]), indent=1))
